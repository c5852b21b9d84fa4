//! Datapath lanes, each delayed by its own number of cycles; no reset, zero at power-up.
//!
//! One cell for a whole skew or broadcast stage instead of hundreds of registers.
//!
//! ```text
//! d_i --> [0] --> ... --> [cycles_i - 1] --> q_i
//! ```

use super::lanes;
use crate::prelude::*;

/// The lanes; see the module.
#[derive(LogicBlock, Default)]
pub struct LaneDelay<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub d: Vec<Signal<In, Bits<W>>>,
    pub q: Vec<Signal<Out, Bits<W>>>,
    _module: String,
    _cycles: Vec<usize>,
    /// First stage of each lane in `_stages`.
    _first: Vec<usize>,
    _stages: Vec<Bits<W>>,
    _time: usize,
}

impl<const W: usize> LaneDelay<W> {
    /// Lane `i` is delayed by `cycles[i]`, at least one.
    pub fn new(module: &str, cycles: Vec<usize>) -> Self {
        assert!(
            cycles.iter().all(|&n| n > 0),
            "{module}: a lane needs at least one register"
        );
        let first = cycles.iter().scan(0, |sum, &n| {
            *sum += n;
            Some(*sum - n)
        });
        Self {
            d: lanes(cycles.len()),
            q: lanes(cycles.len()),
            _module: module.into(),
            _first: first.collect(),
            _stages: vec![Bits::default(); cycles.iter().sum()],
            _cycles: cycles,
            ..Self::default()
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
        let text: String = self
            ._cycles
            .iter()
            .enumerate()
            .map(|(lane, &cycles)| {
                let top = W * cycles - 1;
                let shifted = match cycles {
                    1 => format!("d_{lane}"),
                    _ => format!("{{lane_{lane}[{}:0], d_{lane}}}", top - W),
                };
                format!(
                    "reg [{top}:0] lane_{lane};\ninitial lane_{lane} = {width}'d0;\nassign q_{lane} = lane_{lane}[{top}:{bottom}];\n\
                     always @(posedge clock) lane_{lane} <= {shifted};\n",
                    width = top + 1,
                    bottom = top + 1 - W,
                )
            })
            .collect();
        Verilog::Custom(format!("// module: {}\n{text}", self._module))
    }
}

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
