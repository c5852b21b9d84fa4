//! Queue of commands in front of the drain unit: the array may run a few commands ahead of what is being drained.
//!
//! Words enter with `in_valid` and `in_ready`, leave with `out_valid` and `out_ready`; all outputs are registers. A word is offered
//! two cycles after it entered an empty queue, and one a cycle passes.
//!
//! ```text
//! in_data --> [memory, depth words] --> [out_data]
//! ```

use rust_hdl::prelude::*;
use std::collections::VecDeque;

/// The queue; see the module.
#[derive(LogicBlock)]
pub struct CommandQueue {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    pub in_data: Vec<Signal<In, Bits<32>>>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_data: Vec<Signal<Out, Bits<32>>>,
    _depth: usize,
    _words: VecDeque<Vec<Bits<32>>>,
}

impl CommandQueue {
    /// A queue of `depth` words of `lanes` times 32 bits.
    pub fn new(lanes: usize, depth: usize) -> Self {
        assert!(
            lanes > 0 && depth > 1,
            "a command queue needs lanes and at least two words"
        );
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            in_valid: Signal::default(),
            in_ready: Signal::default(),
            in_data: (0..lanes).map(|_| Signal::default()).collect(),
            out_valid: Signal::default(),
            out_ready: Signal::default(),
            out_data: (0..lanes).map(|_| Signal::default()).collect(),
            _depth: depth,
            _words: VecDeque::new(),
        }
    }

    fn advance(&mut self) {
        let push = self.in_valid.val() && self.in_ready.val();
        let free = !self.out_valid.val() || self.out_ready.val();
        let load = free && !self._words.is_empty();
        if load {
            let word = self._words.pop_front().unwrap_or_default();
            for (out, value) in self.out_data.iter_mut().zip(word) {
                out.next = value;
            }
        }
        if push {
            self._words
                .push_back(self.in_data.iter().map(|lane| lane.val()).collect());
        }
        if self.reset.val() {
            self._words.clear();
        }
        self.out_valid.next = !self.reset.val() && (load || !free);
        self.in_ready.next = !self.reset.val() && self._words.len() < self._depth;
    }
}

impl Logic for CommandQueue {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.advance();
        }
    }

    fn connect(&mut self) {
        self.in_ready.connect();
        self.out_valid.connect();
        self.out_data.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let (lanes, depth) = (self.in_data.len(), self._depth);
        let list = |name: &str| {
            (0..lanes)
                .rev()
                .map(|i| format!("{name}_{i}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let pointer = (usize::BITS - (depth - 1).leading_zeros()) as usize;
        let count = (usize::BITS - depth.leading_zeros()) as usize;
        let text = VERILOG
            .replace("@LANES@", &lanes.to_string())
            .replace("@TOP@", &(32 * lanes - 1).to_string())
            .replace("@IN@", &list("in_data"))
            .replace("@OUT@", &list("out_data"))
            .replace("@LAST@", &(depth - 1).to_string())
            .replace("@DEPTH@", &depth.to_string())
            .replace("@P@", &pointer.to_string())
            .replace("@C@", &count.to_string());
        Verilog::Custom(text)
    }
}

const VERILOG: &str = r#"// module: CommandQueue_l@LANES@_d@DEPTH@
(* ram_style = "distributed" *) reg [@TOP@:0] memory [0:@LAST@];
reg [@TOP@:0] data;
reg [@P@-1:0] head, tail;
reg [@C@-1:0] count;
reg valid, ready;
wire push = in_valid & ready;
wire free = ~valid | out_ready;
wire load = free & (count != @C@'d0);
wire [@C@-1:0] next_count = count + {{(@C@-1){1'b0}}, push} - {{(@C@-1){1'b0}}, load};
assign in_ready = ready;
assign out_valid = valid;
assign {@OUT@} = data;
always @(posedge clock) begin
  if (push) memory[tail] <= {@IN@};
  if (load) data <= memory[head];
  if (reset) begin
    head <= @P@'d0;
    tail <= @P@'d0;
    count <= @C@'d0;
    valid <= 1'b0;
    ready <= 1'b0;
  end else begin
    if (push) tail <= (tail == @P@'d@LAST@) ? @P@'d0 : tail + @P@'d1;
    if (load) head <= (head == @P@'d@LAST@) ? @P@'d0 : head + @P@'d1;
    count <= next_count;
    valid <= load | ~free;
    ready <= next_count < @C@'d@DEPTH@;
  end
end
`ifndef SYNTHESIS
initial begin
  data = 0;
  head = 0;
  tail = 0;
  count = 0;
  valid = 0;
  ready = 0;
end
`endif
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::post::testing::{settle, Random};

    #[test]
    fn words_leave_in_order_under_random_pressure_and_one_a_cycle_without() {
        let mut queue = CommandQueue::new(2, 8);
        let mut random = Random::new(5);
        let (mut sent, mut received) = (0u64, 0u64);
        for cycle in 0..60_000u64 {
            let free_running = cycle % 1_000 >= 500;
            queue.in_valid.next = free_running || random.flip();
            queue.out_ready.next = free_running || random.flip();
            queue.in_data[0].next = sent.into();
            queue.in_data[1].next = (sent ^ 0x5a5a_5a5a).into();
            settle(&mut queue);
            let (push, pop) = (
                queue.in_valid.val() && queue.in_ready.val(),
                queue.out_valid.val() && queue.out_ready.val(),
            );
            if free_running && cycle % 1_000 > 520 {
                assert!(push && pop, "cycle {cycle}");
            }
            if pop {
                assert_eq!(queue.out_data[0].val().index() as u64, received);
                assert_eq!(queue.out_data[1].val().index() as u64, received ^ 0x5a5a_5a5a);
                received += 1;
            }
            sent += u64::from(push);
            for level in [true, false] {
                queue.clock.next = level.into();
                settle(&mut queue);
            }
        }
        assert!(received > 30_000 && sent - received <= 9, "{sent} {received}");
    }

    #[test]
    fn a_full_queue_holds_its_depth_and_one_word_and_reset_empties_it() {
        let mut queue = CommandQueue::new(1, 4);
        queue.in_valid.next = true;
        let mut sent = 0;
        for cycle in 0..20 {
            queue.reset.next = cycle == 15;
            settle(&mut queue);
            sent += usize::from(cycle < 15 && queue.in_ready.val());
            for level in [true, false] {
                queue.clock.next = level.into();
                settle(&mut queue);
            }
            if cycle == 15 {
                assert!(!queue.out_valid.val() && !queue.in_ready.val());
                queue.in_valid.next = false;
            }
        }
        assert_eq!(sent, 5);
        assert!(queue.in_ready.val() && !queue.out_valid.val());
    }
}
