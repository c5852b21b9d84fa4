//! Datapath lanes, each delayed by its own number of cycles; no reset, zero at power-up.
//!
//! One cell for a whole skew or broadcast stage instead of hundreds of registers.
//!
//! ```text
//! d_i --> [0] --> ... --> [cycles_i - 1] --> q_i
//! ```

use crate::prelude::*;
use crate::primitives::leaf::loop_text;

/// The lanes; see the module.
#[derive(LogicBlock, Default)]
pub struct LaneDelay<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub d: Vec<Signal<In, Bits<W>>>,
    pub q: Vec<Signal<Out, Bits<W>>>,
    _module: String,
    _keep: bool,
    _cycles: Vec<usize>,
    /// First stage of each lane in `_stages`.
    _first: Vec<usize>,
    _stages: Vec<Bits<W>>,
    _time: usize,
}

impl<const W: usize> LaneDelay<W> {
    /// Lane `i` is delayed by `cycles[i]`, one to fifteen.
    pub fn new(module: &str, cycles: Vec<usize>) -> Self {
        assert!(
            cycles.iter().all(|n| (1..16).contains(n)),
            "{module}: a lane needs one to fifteen registers"
        );
        let first = cycles.iter().scan(0, |sum, &n| {
            *sum += n;
            Some(*sum - n)
        });
        Self {
            d: many(cycles.len()),
            q: many(cycles.len()),
            _module: module.into(),
            _first: first.collect(),
            _stages: vec![Bits::default(); cycles.iter().sum()],
            _cycles: cycles,
            ..Self::default()
        }
    }

    /// A register for each of `lanes`, one of several copies that share a load: synthesis must not make one of them.
    pub fn broadcast(module: &str, lanes: usize) -> Self {
        Self {
            _keep: true,
            ..Self::new(module, vec![1; lanes])
        }
    }
}

impl<const W: usize> Logic for LaneDelay<W> {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        self._time += 1;
        for (lane, (d, q)) in self.d.iter().zip(&mut self.q).enumerate() {
            let (cycles, first) = (self._cycles[lane], self._first[lane]);
            self._stages[first + self._time % cycles] = d.val();
            q.next = self._stages[first + (self._time + 1) % cycles];
        }
    }

    fn connect(&mut self) {
        self.q.iter_mut().for_each(|q| q.connect());
    }

    fn hdl(&self) -> Verilog {
        let lanes = self._cycles.len();
        let digits: String = self._cycles.iter().rev().map(|n| format!("{n:x}")).collect();
        let line = LINE_TEXT
            .replace("KEEP", if self._keep { "(* keep = \"true\" *) " } else { "" })
            .replace("TOP", &(W - 1).to_string())
            .replace("WIDTH", &W.to_string());
        Verilog::Custom(format!(
            "// module: {}\n// Cycles of each lane, those of lane 0 in the last digit.\n\
             localparam [{}:0] DELAYS = {}'h{digits};\ngenvar i;\n{}",
            self._module,
            4 * lanes - 1,
            4 * lanes,
            loop_text("lane", lanes, &line),
        ))
    }
}

const LINE_TEXT: &str = "\
localparam integer CYCLES = {28'd0, DELAYS[4 * i +: 4]};
KEEPreg [WIDTH * CYCLES - 1:0] held;
wire [WIDTH * CYCLES + TOP:0] line = {held, d[WIDTH * i +: WIDTH]};
initial held = 0;
always @(posedge clock) held <= line[WIDTH * CYCLES - 1:0];
assign q[WIDTH * i +: WIDTH] = line[WIDTH * CYCLES +: WIDTH];
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};

    #[test]
    fn every_lane_has_its_own_delay() {
        let cycles = vec![1, 3, 8, 2];
        let mut delay = LaneDelay::<8>::new("TestDelay", cycles.clone());
        let mut random = Random::new(3);
        let mut sent: Vec<Vec<u64>> = vec![];
        let mut compared = 0;
        for cycle in 0..200 {
            let row: Vec<u64> = cycles.iter().map(|_| random.next() & 255).collect();
            for (d, &x) in delay.d.iter_mut().zip(&row) {
                d.next = x.into();
            }
            sent.push(row);
            tick!(delay);
            for (lane, &n) in cycles.iter().enumerate() {
                let want = if cycle + 1 >= n {
                    sent[cycle + 1 - n][lane]
                } else {
                    0
                };
                assert_eq!(delay.q[lane].val(), want, "lane {lane}, cycle {cycle}");
                compared += 1;
            }
        }
        assert_eq!(compared, 800);
    }
}
