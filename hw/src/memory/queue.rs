//! Synchronous queue in distributed memory, optionally with words wider or narrower on one side.
//!
//! `gather` writes make one word, `spread` reads take it apart again (lane order is kept: the first write holds the lowest
//! lanes, the first read takes the lowest lanes). With both at 1 it is an ordinary first-word-fall-through queue.
//!
//! * Latency [`LATENCY_CYCLES`] from the write that completes a word to `read_valid`; rate one write and one read a cycle.
//! * `depth` words in the memory and one part in the output register. `write_ready` depends on registers only, and a write
//!   without it is lost. Data beside `read_valid` low are the last ones read.
//! * `reset` empties it in one cycle.
//!
//! ```text
//! write_data --> part 0 [depth]
//!            --> part 1 [depth] --> choose part --> [read_data]
//! ```

use crate::prelude::*;

/// Cycles from the write that completes a word to its first `read_valid`.
pub const LATENCY_CYCLES: usize = 2;

/// The queue; see the module.
#[derive(LogicBlock, Default)]
pub struct Queue<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub write_valid: Signal<In, Bit>,
    pub write_ready: Signal<Out, Bit>,
    pub write_data: Vec<Signal<In, Bits<W>>>,
    pub read_valid: Signal<Out, Bit>,
    pub read_ready: Signal<In, Bit>,
    pub read_data: Vec<Signal<Out, Bits<W>>>,
    _gather: usize,
    _spread: usize,
    _depth: usize,
    _memory: Vec<Bits<W>>,
    _head: usize,
    _tail: usize,
    _count: usize,
    _write_part: usize,
    _read_part: usize,
    _valid: bool,
}

impl<const W: usize> Queue<W> {
    /// An ordinary queue of `depth` words of `lanes` lanes.
    pub fn new(lanes: usize, depth: usize) -> Self {
        Self::resizing(lanes, 1, 1, depth)
    }

    /// A queue of `depth` words, each made of `gather` writes of `lanes` lanes and read in `spread` equal parts.
    pub fn resizing(lanes: usize, gather: usize, spread: usize, depth: usize) -> Self {
        let word = lanes * gather;
        assert!(depth >= 2, "a queue needs at least two words, not {depth}");
        assert!(
            gather > 0 && spread > 0 && word % spread == 0,
            "{word} lanes of a word do not come apart in {spread}"
        );
        Self {
            write_ready: Signal::new_with_default(true),
            write_data: many(lanes),
            read_data: many(word / spread),
            _gather: gather,
            _spread: spread,
            _depth: depth,
            _memory: vec![Bits::default(); depth * word],
            _head: 0,
            _tail: 0,
            _count: 0,
            _write_part: 0,
            _read_part: 0,
            _valid: false,
            ..Self::default()
        }
    }

    fn write(&mut self) -> bool {
        let lanes = self.write_data.len();
        let at = (self._tail * self._gather + self._write_part) * lanes;
        for (cell, data) in self._memory[at..at + lanes].iter_mut().zip(&self.write_data) {
            *cell = data.val();
        }
        self._write_part = (self._write_part + 1) % self._gather;
        if self._write_part == 0 {
            self._tail = (self._tail + 1) % self._depth;
        }
        self._write_part == 0
    }

    fn refill(&mut self) -> bool {
        let lanes = self.read_data.len();
        let at = (self._head * self._spread + self._read_part) * lanes;
        for (out, cell) in self.read_data.iter_mut().zip(&self._memory[at..at + lanes]) {
            out.next = *cell;
        }
        self._read_part = (self._read_part + 1) % self._spread;
        if self._read_part == 0 {
            self._head = (self._head + 1) % self._depth;
        }
        self._read_part == 0
    }

    fn step(&mut self) {
        let free = !self._valid || self.read_ready.val();
        let (refill, write) = (
            self._count > 0 && free,
            self.write_valid.val() && self._count < self._depth,
        );
        let emptied = refill && self.refill();
        let filled = write && self.write();
        self._count = self._count + usize::from(filled) - usize::from(emptied);
        self._valid = refill || !free;
    }

    fn clear(&mut self) {
        (self._head, self._tail, self._count) = (0, 0, 0);
        (self._write_part, self._read_part, self._valid) = (0, 0, false);
    }
}

impl<const W: usize> Logic for Queue<W> {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        if self.reset.val() {
            self.clear();
        } else {
            self.step();
        }
        self.read_valid.next = self._valid;
        self.write_ready.next = self._count < self._depth;
    }

    fn connect(&mut self) {
        self.write_ready.connect();
        self.read_valid.connect();
        self.read_data.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "// module: Queue #(WIDTH = {width}, DEPTH = {depth}, GATHER = {gather}, PART = {part})\n{TEXT}",
            width = self.write_data.len() * W,
            depth = self._depth,
            gather = self._gather,
            part = self.read_data.len() * W,
        ))
    }
}

/// The counters of parts stay at 0 where a word has one part, and nothing reads them then.
const TEXT: &str = "\
// port: [WIDTH-1:0] write_data
// port: [PART-1:0] read_data
localparam WORD = WIDTH * GATHER;
localparam SPREAD = WORD / PART;
localparam BITS = $clog2(DEPTH);
localparam WRITE_BITS = GATHER > 1 ? $clog2(GATHER) : 1;
localparam READ_BITS = SPREAD > 1 ? $clog2(SPREAD) : 1;
localparam LAST = DEPTH - 1;
localparam LAST_WRITE = GATHER - 1;
localparam LAST_READ = SPREAD - 1;
reg [BITS-1:0] head, tail;
reg [BITS:0] count;
reg [WRITE_BITS-1:0] write_part;
reg [READ_BITS-1:0] read_part;
reg valid;
reg [PART-1:0] data;
wire [WORD-1:0] word;
wire free = !valid || read_ready;
wire refill = count != {BITS+1{1'b0}} && free;
wire write = write_valid && write_ready;
wire filled = write && (GATHER == 1 || write_part == LAST_WRITE[WRITE_BITS-1:0]);
wire emptied = refill && (SPREAD == 1 || read_part == LAST_READ[READ_BITS-1:0]);
assign write_ready = count != DEPTH[BITS:0];
assign read_valid = valid;
assign read_data = data;
genvar i;
generate
  for (i = 0; i < GATHER; i = i + 1) begin : part
    localparam NUMBER = i;
    (* ram_style = \"distributed\" *) reg [WIDTH-1:0] memory [0:DEPTH-1];
    assign word[WIDTH*i +: WIDTH] = memory[head];
    always @(posedge clock)
      if (write && (GATHER == 1 || write_part == NUMBER[WRITE_BITS-1:0])) memory[tail] <= write_data;
  end
endgenerate
initial begin
  head = 0; tail = 0; count = 0; write_part = 0; read_part = 0; valid = 1'b0; data = 0;
end
always @(posedge clock) begin
  if (refill && !reset) data <= SPREAD == 1 ? word[PART-1:0] : word[PART*read_part +: PART];
  if (reset) begin
    head <= {BITS{1'b0}}; tail <= {BITS{1'b0}}; count <= {BITS+1{1'b0}}; valid <= 1'b0;
    write_part <= {WRITE_BITS{1'b0}}; read_part <= {READ_BITS{1'b0}};
  end else begin
    valid <= refill || !free;
    if (write) write_part <= filled ? {WRITE_BITS{1'b0}} : write_part + 1'b1;
    if (refill) read_part <= emptied ? {READ_BITS{1'b0}} : read_part + 1'b1;
    if (filled) tail <= tail == LAST[BITS-1:0] ? {BITS{1'b0}} : tail + 1'b1;
    if (emptied) head <= head == LAST[BITS-1:0] ? {BITS{1'b0}} : head + 1'b1;
    if (filled && !emptied) count <= count + 1'b1;
    if (emptied && !filled) count <= count - 1'b1;
  end
end
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbench::{cycle, Random};
    use std::collections::VecDeque;

    /// Random traffic against a model; returns how many parts were compared.
    fn run(gather: usize, spread: usize, depth: usize, seed: u64) -> usize {
        let (lanes, mut random) = (2, Random::new(seed));
        let mut queue = Queue::<8>::resizing(lanes, gather, spread, depth);
        let (mut partial, mut expected, mut compared) = (vec![], VecDeque::new(), 0);
        for step in 0..6_000u64 {
            let duty = [20, 90, 50][(step / 500) as usize % 3];
            queue.write_valid.next = random.percent(duty);
            queue.read_ready.next = random.percent(110 - duty);
            queue.reset.next = random.below(800) == 0;
            queue
                .write_data
                .iter_mut()
                .for_each(|lane| lane.next = random.below(256).into());
            queue.update_all();
            if queue.reset.val() {
                expected.clear();
                partial.clear();
            } else {
                if queue.read_valid.val() && queue.read_ready.val() {
                    for lane in &queue.read_data {
                        assert_eq!(Some(lane.val()), expected.pop_front(), "cycle {step}");
                        compared += 1;
                    }
                }
                if queue.write_valid.val() && queue.write_ready.val() {
                    partial.extend(queue.write_data.iter().map(|lane| lane.val()));
                    if partial.len() == lanes * gather {
                        expected.extend(partial.drain(..));
                    }
                }
            }
            cycle(&mut queue, |q| &mut q.clock);
            let words = expected.len() / (lanes * gather);
            assert!(
                words < depth || !queue.write_ready.val() || queue.read_valid.val(),
                "full at cycle {step}"
            );
        }
        compared
    }

    #[test]
    fn keeps_order_in_every_shape() {
        for (gather, spread, depth) in [(1, 1, 2), (1, 1, 5), (8, 1, 4), (2, 1, 3), (1, 2, 4), (4, 8, 3)] {
            let compared = run(gather, spread, depth, 7);
            assert!(compared > 1_000, "{gather} {spread} {depth}: {compared}");
        }
    }

    #[test]
    fn runs_at_one_word_a_cycle_after_its_latency() {
        let mut queue = Queue::<8>::new(1, 4);
        queue.write_valid.next = true;
        queue.read_ready.next = true;
        for step in 0..20u64 {
            queue.write_data[0].next = step.into();
            cycle(&mut queue, |q| &mut q.clock);
            let due = step + 1 >= LATENCY_CYCLES as u64;
            assert_eq!(queue.read_valid.val(), due, "cycle {step}");
            if due {
                assert_eq!(
                    queue.read_data[0].val(),
                    Bits::<8>::from(step + 1 - LATENCY_CYCLES as u64)
                );
            }
        }
    }
}
