//! The systolic array: R lanes x C columns of [`MacPair`](super::mac_pair::MacPair), weight stationary.
//!
//! ```text
//! sum_t[c] = sum over the lanes of token_t[lane] * weight[lane][c]
//! ```
//!
//! * A step presents the same two tokens to every column; lane `i` of a cascade is delayed by `i` cycles to meet the partial sums.
//! * Every four columns have their own broadcast registers, so that no register drives more than four DSPs.
//! * A tile loads beside the running pass over R/8 buses of C bytes; bus `j` serves lanes `8j .. 8j + 8`, its halves one after the other.
//!   [`timing`](super::timing) says when a word may be presented.
//! * Latency: [`TOKEN_CYCLES`] + 7 + 4 + log2(R/8) + 1 cycles from the tokens to the sums. One pair a cycle, never stalls, no reset:
//!   steps that nobody wants are simply not accumulated.
//!
//! ```text
//! token_0, token_1 --> [skew i] --> [broadcast] --+--> column 0..3 --> sum_0, sum_1
//! swap --------------> [chain] ---> [broadcast] --+
//! load_enable -------> [stage] ---> [broadcast] --+
//! load_data ---------> [stage] ---> [stage] ------+
//! ```

use super::column::Column;
use super::column_sum::SUM_BITS;
use super::lane_delay::LaneDelay;
use super::load_bus::SEGMENT_LANES;
use super::mac_pair::SWAP_CYCLES;
use crate::config::{AccelConfig, CASCADE_LANES};
use crate::prelude::*;

/// Cycles from the token port to the cells of lane 0.
pub const TOKEN_CYCLES: usize = 1;
/// Cycles from the load port to the cells.
pub const LOAD_CYCLES: usize = 2;
/// Columns that share broadcast registers.
const BROADCAST_COLUMNS: usize = 4;

/// The array; see the module.
#[derive(LogicBlock, Default)]
pub struct SystolicArray {
    pub clock: Signal<In, Clock>,
    pub token_0: Vec<Signal<In, Bits<8>>>,
    pub token_1: Vec<Signal<In, Bits<8>>>,
    /// With the first step of a pass: from here on the tile that was loaded last multiplies.
    pub swap: Signal<In, Bit>,
    /// By column and bus.
    pub load_data: Vec<Vec<Signal<In, Bits<8>>>>,
    /// By segment of four lanes.
    pub load_enable: Vec<Signal<In, Bit>>,
    pub sum_0: Vec<Signal<Out, Bits<SUM_BITS>>>,
    pub sum_1: Vec<Signal<Out, Bits<SUM_BITS>>>,
    /// Lanes `8b + i`, `i > 0`, at `7b + i - 1`.
    skew_0: LaneDelay<8>,
    skew_1: LaneDelay<8>,
    /// By group of columns.
    broadcast_0: Vec<LaneDelay<8>>,
    broadcast_1: Vec<LaneDelay<8>>,
    /// By column.
    load_stages: Vec<LaneDelay<8>>,
    swap_chain: Vec<DFF<Bit>>,
    load_stage: Vec<DFF<Bit>>,
    /// By group of columns: swap by lane of a cascade, then load by segment.
    control_broadcast: Vec<LaneDelay<1>>,
    columns: Vec<Column>,
    _cascades: usize,
    _columns: usize,
    _groups: usize,
    _segments: usize,
}

// A swap leaves the chain when its lane's tokens leave the skew, and both pass one broadcast register more.
const _: () = assert!(SWAP_CYCLES == 1 && TOKEN_CYCLES == 1 && CASCADE_LANES == 8);

impl SystolicArray {
    pub fn new(config: &AccelConfig) -> Self {
        let (r, c) = (config.rows, config.columns);
        let (cascades, groups, segments) = (r / CASCADE_LANES, c / BROADCAST_COLUMNS, r / SEGMENT_LANES);
        let skew = || {
            let cycles = (0..cascades).flat_map(|_| 1..CASCADE_LANES);
            LaneDelay::new(&format!("TokenSkew_r{r}"), cycles.collect())
        };
        let broadcast = || LaneDelay::broadcast(&format!("TokenBroadcast_r{r}"), r);
        let control = || LaneDelay::broadcast(&format!("ControlBroadcast_r{r}"), CASCADE_LANES + segments);
        let load_stages = || LaneDelay::new(&format!("LoadStages_n{cascades}"), vec![LOAD_CYCLES; cascades]);
        Self {
            token_0: many(r),
            token_1: many(r),
            load_data: (0..c).map(|_| many(cascades)).collect(),
            load_enable: many(segments),
            sum_0: many(c),
            sum_1: many(c),
            skew_0: skew(),
            skew_1: skew(),
            broadcast_0: (0..groups).map(|_| broadcast()).collect(),
            broadcast_1: (0..groups).map(|_| broadcast()).collect(),
            load_stages: (0..c).map(|_| load_stages()).collect(),
            swap_chain: many(CASCADE_LANES),
            load_stage: many(segments),
            control_broadcast: (0..groups).map(|_| control()).collect(),
            columns: (0..c).map(|_| Column::new(r)).collect(),
            _cascades: cascades,
            _columns: c,
            _groups: groups,
            _segments: segments,
            ..Self::default()
        }
    }
}

impl Logic for SystolicArray {
    #[hdl_gen]
    fn update(&mut self) {
        self.skew_0.clock.next = self.clock.val();
        self.skew_1.clock.next = self.clock.val();
        for b in 0..self._cascades {
            for i in 1..8 {
                self.skew_0.d[7 * b + i - 1].next = self.token_0[8 * b + i].val();
                self.skew_1.d[7 * b + i - 1].next = self.token_1[8 * b + i].val();
            }
        }
        for g in 0..self._groups {
            self.broadcast_0[g].clock.next = self.clock.val();
            self.broadcast_1[g].clock.next = self.clock.val();
            for b in 0..self._cascades {
                self.broadcast_0[g].d[8 * b].next = self.token_0[8 * b].val();
                self.broadcast_1[g].d[8 * b].next = self.token_1[8 * b].val();
                for i in 1..8 {
                    self.broadcast_0[g].d[8 * b + i].next = self.skew_0.q[7 * b + i - 1].val();
                    self.broadcast_1[g].d[8 * b + i].next = self.skew_1.q[7 * b + i - 1].val();
                }
            }
        }
        for i in 0..8 {
            self.swap_chain[i].clock.next = self.clock.val();
        }
        self.swap_chain[0].d.next = self.swap.val();
        for i in 1..8 {
            self.swap_chain[i].d.next = self.swap_chain[i - 1].q.val();
        }
        for s in 0..self._segments {
            self.load_stage[s].clock.next = self.clock.val();
            self.load_stage[s].d.next = self.load_enable[s].val();
        }
        for c in 0..self._columns {
            self.load_stages[c].clock.next = self.clock.val();
            for b in 0..self._cascades {
                self.load_stages[c].d[b].next = self.load_data[c][b].val();
            }
        }
        for g in 0..self._groups {
            self.control_broadcast[g].clock.next = self.clock.val();
            for i in 0..8 {
                self.control_broadcast[g].d[i].next = self.swap_chain[i].q.val().into();
            }
            for s in 0..self._segments {
                self.control_broadcast[g].d[8 + s].next = self.load_stage[s].q.val().into();
            }
            for c in 0..4 {
                self.columns[4 * g + c].clock.next = self.clock.val();
                for i in 0..8 {
                    self.columns[4 * g + c].swap[i].next = self.control_broadcast[g].q[i].val().get_bit(0);
                }
                for s in 0..self._segments {
                    self.columns[4 * g + c].load[s].next =
                        self.control_broadcast[g].q[8 + s].val().get_bit(0);
                }
                for b in 0..self._cascades {
                    self.columns[4 * g + c].weight[b].next = self.load_stages[4 * g + c].q[b].val();
                    for i in 0..8 {
                        self.columns[4 * g + c].token_0[8 * b + i].next =
                            self.broadcast_0[g].q[8 * b + i].val();
                        self.columns[4 * g + c].token_1[8 * b + i].next =
                            self.broadcast_1[g].q[8 * b + i].val();
                    }
                }
                self.sum_0[4 * g + c].next = self.columns[4 * g + c].sum_0.val();
                self.sum_1[4 * g + c].next = self.columns[4 * g + c].sum_1.val();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};
    use crate::array::{from_bits, timing, to_bits};
    use crate::config::LOAD_LANES;
    use std::collections::BTreeMap;

    /// What is presented in a cycle.
    #[derive(Default, Clone)]
    struct Cycle {
        swap: bool,
        tokens: Option<[Vec<i64>; 2]>,
        /// Bus, whether its second half loads, and the row.
        loads: Vec<(usize, bool, Vec<i64>)>,
    }

    struct Schedule {
        cycles: Vec<Cycle>,
        /// Sums by the cycle in which the step is presented.
        wanted: BTreeMap<usize, [Vec<i64>; 2]>,
    }

    const LANE_OF_WORD: [usize; 8] = [3, 2, 1, 0, 7, 6, 5, 4];

    fn operand(random: &mut Random, least: i64) -> i64 {
        if random.chance(25) {
            *random.pick(&[least, 127])
        } else {
            random.signed(8).max(least)
        }
    }

    /// Random passes; loads as early or as late as the contract of `timing` allows, or anywhere between.
    fn schedule(config: &AccelConfig, passes: usize, random: &mut Random) -> Schedule {
        let (r, c) = (config.rows, config.columns);
        let slack = LOAD_CYCLES - TOKEN_CYCLES;
        let mut cycles = vec![Cycle::default(); 64];
        let mut wanted = BTreeMap::new();
        // First step of the running pass, the first cycle behind it, and the first one with free buses.
        let (mut started, mut ended, mut free) = (0, 8, 0);
        for _ in 0..passes {
            let tile: Vec<Vec<i64>> = (0..r)
                .map(|_| (0..c).map(|_| operand(random, -127)).collect())
                .collect();
            let by_rows = random.chance(30);
            let words = if by_rows { r } else { LOAD_LANES };
            let first = free.max(started + 4 - slack) + if random.chance(50) { 0 } else { random.below(20) };
            let start =
                ended.max(first + words - 5 + slack) + if random.chance(50) { 0 } else { random.below(20) };
            let steps = LOAD_LANES + if random.chance(50) { 0 } else { random.below(20) };
            cycles.resize(start + steps + 64, Cycle::default());
            for word in 0..words {
                let loads = &mut cycles[first + word].loads;
                if by_rows {
                    loads.push((word / 8, word % 8 >= 4, tile[word ^ 3].clone()));
                } else {
                    let row = |bus: usize| tile[8 * bus + LANE_OF_WORD[word]].clone();
                    loads.extend((0..r / 8).map(|bus| (bus, word >= 4, row(bus))));
                }
            }
            cycles[start].swap = true;
            for step in start..start + steps {
                let tokens: [Vec<i64>; 2] =
                    std::array::from_fn(|_| (0..r).map(|_| operand(random, -128)).collect());
                let sum = |t: usize, col: usize| (0..r).map(|lane| tokens[t][lane] * tile[lane][col]).sum();
                wanted.insert(
                    step,
                    std::array::from_fn(|t| (0..c).map(|col| sum(t, col)).collect()),
                );
                cycles[step].tokens = Some(tokens);
            }
            (started, ended, free) = (start, start + steps, first + words);
        }
        Schedule { cycles, wanted }
    }

    fn present(array: &mut SystolicArray, cycle: &Cycle, random: &mut Random) {
        array.swap.next = cycle.swap;
        let tokens = cycle.tokens.as_ref();
        for lane in 0..array.token_0.len() {
            array.token_0[lane].next = to_bits(tokens.map_or_else(|| random.signed(8), |t| t[0][lane]));
            array.token_1[lane].next = to_bits(tokens.map_or_else(|| random.signed(8), |t| t[1][lane]));
        }
        array
            .load_enable
            .iter_mut()
            .for_each(|enable| enable.next = false);
        for (bus, second, row) in &cycle.loads {
            array.load_enable[2 * bus + usize::from(*second)].next = true;
            for (data, x) in array.load_data.iter_mut().zip(row) {
                data[*bus].next = to_bits(*x);
            }
        }
    }

    fn run(config: &AccelConfig, passes: usize, seed: u64) -> usize {
        let mut random = Random::new(seed);
        let plan = schedule(config, passes, &mut random);
        let mut array = SystolicArray::new(config);
        let latency = timing::array_cycles(config);
        let mut compared = 0;
        for (at, cycle) in plan.cycles.iter().enumerate() {
            present(&mut array, cycle, &mut random);
            tick!(array);
            let Some(want) = (at + 1)
                .checked_sub(latency)
                .and_then(|step| plan.wanted.get(&step))
            else {
                continue;
            };
            for c in 0..config.columns {
                let got = [from_bits(array.sum_0[c].val()), from_bits(array.sum_1[c].val())];
                assert_eq!(
                    got,
                    [want[0][c], want[1][c]],
                    "column {c}, step {}",
                    at + 1 - latency
                );
                compared += 2;
            }
        }
        compared
    }

    #[test]
    fn passes_match_an_integer_model_whenever_tiles_load() {
        let compared = run(&AccelConfig::named("nano").unwrap(), 120, 1);
        assert!(compared >= 120 * 8 * 16, "{compared}");
    }

    #[test]
    fn every_size_of_array_works() {
        for (rows, columns) in [(32, 32), (32, 8), (64, 16), (16, 16)] {
            let config = AccelConfig {
                rows,
                columns,
                ..AccelConfig::named("zcu104").unwrap()
            };
            config.validate().unwrap();
            assert!(run(&config, 12, 2) >= 12 * 8 * 2 * columns);
        }
    }
}
