//! A value, `cycles` cycles later; zero until then and after a reset. One level of delay is one register.
//!
//! ```text
//! d --> [0] --> [1] --> ... --> [cycles - 1] --> q
//! ```

use crate::prelude::*;

/// The delay line; see the module.
#[derive(LogicBlock, Default)]
pub struct Delay<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub d: Signal<In, Bits<W>>,
    pub q: Signal<Out, Bits<W>>,
    _stages: Vec<Bits<W>>,
    _head: usize,
}

impl<const W: usize> Delay<W> {
    /// A line of `cycles` registers, at least one.
    pub fn new(cycles: usize) -> Self {
        assert!(cycles > 0, "a delay line needs at least one register");
        Self {
            _stages: vec![Bits::default(); cycles],
            _head: 0,
            ..Self::default()
        }
    }
}

impl<const W: usize> Logic for Delay<W> {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        if self.reset.val() {
            self._stages.fill(Bits::default());
        } else {
            self._stages[self._head] = self.d.val();
        }
        self._head = (self._head + 1) % self._stages.len();
        self.q.next = self._stages[self._head];
    }

    fn connect(&mut self) {
        self.q.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "// module: Delay #(WIDTH = {W}, CYCLES = {cycles})\n// port: [WIDTH-1:0] d, q\n{VERILOG}",
            cycles = self._stages.len()
        ))
    }
}

/// Body of the module: the oldest value stands in the highest bits.
const VERILOG: &str = "\
reg [WIDTH*CYCLES-1:0] stages;
wire [WIDTH*CYCLES+WIDTH-1:0] shifted = {stages, d};
assign q = shifted[WIDTH*CYCLES+WIDTH-1:WIDTH*CYCLES];
initial stages = {WIDTH*CYCLES{1'b0}};
always @(posedge clock) stages <= reset ? {WIDTH*CYCLES{1'b0}} : shifted[WIDTH*CYCLES-1:0];
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_by_the_given_cycles_and_clears_on_reset() {
        for cycles in [1, 2, 5] {
            let mut line = Delay::<8>::new(cycles);
            let mut seen = vec![];
            for cycle in 0..12u64 {
                line.d.next = (cycle + 1).into();
                line.reset.next = cycle == 8;
                for level in [true, false] {
                    line.clock.next = level.into();
                    while {
                        line.update_all();
                        line.has_changed()
                    } {}
                }
                seen.push(line.q.val().index());
            }
            for (cycle, &value) in seen.iter().enumerate() {
                let source = cycle as i64 - cycles as i64 + 1;
                let cleared = cycle >= 8 && source <= 8;
                let want = if source < 0 || cleared {
                    0
                } else {
                    source as usize + 1
                };
                assert_eq!(value, want, "{cycles} cycles, at {cycle}");
            }
        }
    }
}
