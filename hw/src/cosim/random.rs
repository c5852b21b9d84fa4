//! Random inputs for any circuit, for lock-step runs of blocks that take whatever comes.
//!
//! | input | drawn |
//! |---|---|
//! | with a rule for its name | by the rule |
//! | `reset` | one cycle in 500 |
//! | one bit | true in 2 to 98 % of the cycles; each input's share is drawn anew every 500 cycles |
//! | wider | any value, extreme ones more often |

use super::rng::Rng;
use crate::circuit::Inputs;
use std::collections::HashMap;

/// The name of an input and how its value is drawn. A vector has one name and draws for each element.
pub type Rule = (&'static str, fn(&mut Rng) -> u64);

/// Cycles between two resets.
const RESET_CYCLES: u64 = 500;
/// Cycles for which an input of one bit keeps its share.
const PHASE_CYCLES: u64 = 500;

/// The driver; see the module.
pub struct RandomInputs {
    rules: HashMap<&'static str, fn(&mut Rng) -> u64>,
    percents: HashMap<&'static str, u64>,
}

impl RandomInputs {
    pub fn new(rules: &[Rule]) -> Self {
        let common: [Rule; 1] = [("reset", |rng| u64::from(rng.below(RESET_CYCLES) == 0))];
        Self {
            rules: common.iter().chain(rules).copied().collect(),
            percents: HashMap::new(),
        }
    }

    /// Sets every input but the clock for a cycle.
    pub fn drive<U: Inputs>(&mut self, uut: &mut U, rng: &mut Rng, cycle: u64) {
        if cycle % PHASE_CYCLES == 0 {
            self.percents.clear();
        }
        let Self { rules, percents } = self;
        uut.set_inputs(&mut |name, width| match (rules.get(name), width) {
            (Some(rule), _) => rule(rng),
            (None, 1) => {
                let shares = [2, 25, 50, 75, 98];
                let percent = percents
                    .entry(name)
                    .or_insert_with(|| shares[rng.below(shares.len() as u64) as usize]);
                u64::from(rng.chance(*percent))
            }
            (None, width) => rng.corner_bits(width),
        });
    }
}
