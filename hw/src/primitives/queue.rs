//! A short first-in first-out queue with a registered head.
//!
//! The writer counts the free places itself (credits); a push into a full queue overwrites what waits and is a fault of the
//! writer. Latency from `push` to `head_valid`: 2 cycles. One push and one pop a cycle, back to back.
//!
//! ```text
//! push, push_data --> [32 words of distributed memory] --> [head] --> head_valid, head_data
//!                                                            ^------- pop
//! ```

use super::leaf::{joined, ports, split_text};
use rust_hdl::prelude::*;

/// Places of a queue, the head not counted.
pub const QUEUE_WORDS: usize = 32;

/// The queue; see the module.
#[derive(LogicBlock)]
pub struct Queue<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub push: Signal<In, Bit>,
    pub push_data: Vec<Signal<In, Bits<W>>>,
    pub head_valid: Signal<Out, Bit>,
    pub head_data: Vec<Signal<Out, Bits<W>>>,
    pub pop: Signal<In, Bit>,
    load: Signal<Local, Bit>,
    head: DFF<Bit>,
    waiting: DFF<Bits<6>>,
    write_pointer: DFF<Bits<5>>,
    read_pointer: DFF<Bits<5>>,
    memory: QueueMemory<W>,
    _lanes: usize,
}

impl<const W: usize> Queue<W> {
    /// A queue of words of `lanes` lanes.
    pub fn new(lanes: usize) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            push: Signal::default(),
            push_data: ports(lanes),
            head_valid: Signal::default(),
            head_data: ports(lanes),
            pop: Signal::default(),
            load: Signal::default(),
            head: DFF::default(),
            waiting: DFF::default(),
            write_pointer: DFF::default(),
            read_pointer: DFF::default(),
            memory: QueueMemory::new(lanes),
            _lanes: lanes,
        }
    }
}

impl<const W: usize> Logic for Queue<W> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head, waiting, write_pointer, read_pointer);
        self.memory.clock.next = self.clock.val();
        self.load.next = self.waiting.q.val().any() & (!self.head.q.val() | self.pop.val());
        self.head_valid.next = self.head.q.val();
        self.head.d.next = self.load.val() | (self.head.q.val() & !self.pop.val());
        if self.push.val() {
            self.write_pointer.d.next = self.write_pointer.q.val() + 1;
        }
        if self.load.val() {
            self.read_pointer.d.next = self.read_pointer.q.val() + 1;
        }
        if self.push.val() & !self.load.val() {
            self.waiting.d.next = self.waiting.q.val() + 1;
        }
        if self.load.val() & !self.push.val() {
            self.waiting.d.next = self.waiting.q.val() - 1;
        }
        self.memory.write.next = self.push.val();
        self.memory.write_address.next = self.write_pointer.q.val();
        self.memory.read.next = self.load.val();
        self.memory.read_address.next = self.read_pointer.q.val();
        for i in 0..self._lanes {
            self.memory.write_data[i].next = self.push_data[i].val();
            self.head_data[i].next = self.memory.read_data[i].val();
        }
        if self.reset.val() {
            self.head.d.next = false;
            self.waiting.d.next = 0.into();
            self.write_pointer.d.next = 0.into();
            self.read_pointer.d.next = 0.into();
        }
    }
}

/// The queue's words in distributed memory; the output register loads with `read`.
#[derive(LogicBlock)]
pub struct QueueMemory<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub write: Signal<In, Bit>,
    pub write_address: Signal<In, Bits<5>>,
    pub write_data: Vec<Signal<In, Bits<W>>>,
    pub read: Signal<In, Bit>,
    pub read_address: Signal<In, Bits<5>>,
    pub read_data: Vec<Signal<Out, Bits<W>>>,
    _words: Vec<Bits<W>>,
}

impl<const W: usize> QueueMemory<W> {
    /// Memory for words of `lanes` lanes.
    pub fn new(lanes: usize) -> Self {
        Self {
            clock: Signal::default(),
            write: Signal::default(),
            write_address: Signal::default(),
            write_data: ports(lanes),
            read: Signal::default(),
            read_address: Signal::default(),
            read_data: ports(lanes),
            _words: vec![Bits::default(); QUEUE_WORDS * lanes],
        }
    }
}

impl<const W: usize> Logic for QueueMemory<W> {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let lanes = self.read_data.len();
        if self.read.val() {
            let first = self.read_address.val().index() * lanes;
            for (lane, out) in self.read_data.iter_mut().enumerate() {
                out.next = self._words[first + lane];
            }
        }
        if self.write.val() {
            let first = self.write_address.val().index() * lanes;
            for (lane, data) in self.write_data.iter().enumerate() {
                self._words[first + lane] = data.val();
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let lanes = self.read_data.len();
        let width = lanes * W;
        Verilog::Custom(format!(
            "// module: QueueMemory_w{W}_n{lanes}\n\
             (* ram_style = \"distributed\" *) reg [{top}:0] words [0:{last}];\n\
             reg [{top}:0] head;\n{out}\
             always @(posedge clock) begin\n  if (read) head <= words[read_address];\n  \
             if (write) words[write_address] <= {data};\nend\n\
             integer i;\ninitial begin\n  head = {width}'d0;\n  for (i = 0; i < {count}; i = i + 1) words[i] = {width}'d0;\nend\n",
            top = width - 1,
            last = QUEUE_WORDS - 1,
            count = QUEUE_WORDS,
            out = split_text("read_data", lanes, W, "head"),
            data = joined("write_data", lanes),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{tick, Rng};
    use std::collections::VecDeque;

    #[test]
    fn keeps_order_under_random_pushes_and_pops() {
        let mut rng = Rng::new(7);
        let mut queue = Queue::<8>::new(2);
        let mut waiting = VecDeque::new();
        let mut compared = 0;
        queue.connect_all();
        for cycle in 0..20_000u32 {
            let busy: u64 = if cycle / 500 % 2 == 0 { 80 } else { 30 };
            let push = waiting.len() < QUEUE_WORDS && rng.chance(busy);
            let value = rng.below(65_536);
            queue.push.next = push;
            queue.push_data[0].next = (value & 255).into();
            queue.push_data[1].next = (value >> 8).into();
            queue.pop.next = queue.head_valid.val() && rng.chance(110 - busy);
            if queue.pop.next {
                let got = queue.head_data[0].val().index() | queue.head_data[1].val().index() << 8;
                assert_eq!(Some(got as u64), waiting.pop_front());
                compared += 1;
            }
            if push {
                waiting.push_back(value);
            }
            tick(&mut queue, |q, level| q.clock.next = level.into()).unwrap();
        }
        assert!(compared > 6_000, "{compared}");
    }

    #[test]
    fn moves_a_word_a_cycle() {
        let mut queue = Queue::<8>::new(1);
        let mut popped = 0;
        for _ in 0..100 {
            queue.push.next = true;
            queue.pop.next = queue.head_valid.val();
            popped += usize::from(queue.head_valid.val());
            tick(&mut queue, |q, level| q.clock.next = level.into()).unwrap();
        }
        assert_eq!(popped, 98);
    }
}
