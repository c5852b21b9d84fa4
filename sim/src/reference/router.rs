//! The router: experts of each token from its logits, and the experts' queues.

use fixed::types::U0F16;
use moevit_hw::control::command::Route;
use moevit_hw::numerics::exp2::weight;
use moevit_hw::numerics::reciprocal::reciprocal;
use moevit_hw::numerics::round_shift;

use super::error::Fault;
use super::memory::Memory;
pub use super::rows::QueueEntry;

/// An expert that a token has chosen, and its gate score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub expert: usize,
    pub score: U0F16,
}

/// Result of a layer's Route commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// Index of the first command.
    pub command: usize,
    /// Choices of each token, best first.
    pub choices: Vec<Vec<Choice>>,
    /// Queue of each expert, in token order.
    pub queues: Vec<Vec<QueueEntry>>,
}

/// The queues of the last layer.
#[derive(Clone, Debug, Default)]
pub struct Router {
    queues: Vec<Vec<QueueEntry>>,
    /// Where the next Route of the layer has to begin; none when the layer is complete.
    open: Option<u32>,
}

impl Router {
    /// Fills the queues; returns the choices of each token.
    pub fn route(&mut self, op: &Route, logits: &Memory<i32>) -> Result<Vec<Vec<Choice>>, Fault> {
        let experts = op.experts as usize;
        let begin = self.open.unwrap_or(0);
        if op.first != begin {
            let expected = format!("{begin}, where the last Route ended");
            return Err(Fault::field("first", op.first.into(), expected));
        }
        if begin == 0 {
            self.queues = vec![Vec::new(); experts];
        } else if self.queues.len() != experts {
            let expected = format!("{}, the experts of the layer", self.queues.len());
            return Err(Fault::field("experts", op.experts.into(), expected));
        }
        self.open = (op.more == 1).then_some(op.tokens);
        let tokens = op.first as usize..op.tokens as usize;
        let choose = |token| choose(&logits.span(token, 1)[..experts], op);
        let choices: Vec<Vec<Choice>> = tokens.clone().map(choose).collect();
        for (token, chosen) in tokens.zip(&choices) {
            for &Choice { expert, score } in chosen {
                self.queues[expert].push(QueueEntry { token, score });
            }
        }
        Ok(choices)
    }

    /// All queues of the last Route.
    pub fn queues(&self) -> &[Vec<QueueEntry>] {
        &self.queues
    }

    /// Experts with a token, ascending; `field` says how many experts a command believes there are.
    pub fn nonempty(&self, experts: usize, field: &'static str) -> Result<Vec<usize>, Fault> {
        if self.queues.is_empty() || self.open.is_some() {
            return Err(Fault::NoRoute);
        }
        if self.queues.len() != experts {
            let expected = format!("{}, the experts of the last Route", self.queues.len());
            return Err(Fault::field(field, experts as u64, expected));
        }
        Ok((0..experts).filter(|&e| !self.queues[e].is_empty()).collect())
    }

    /// Forgets the queues, so that a frame cannot use those of the last one.
    pub fn clear(&mut self) {
        self.queues.clear();
        self.open = None;
    }
}

/// The best `top_k` experts of a token with their scores; ties go to the lowest expert.
fn choose(logits: &[i32], op: &Route) -> Vec<Choice> {
    let maximum = logits.iter().copied().max().unwrap_or(0);
    let weights: Vec<u32> = logits
        .iter()
        .map(|&logit| u32::from(weight((maximum - logit) as u32)))
        .collect();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by_key(|&expert| std::cmp::Reverse(logits[expert])); // stable: ties stay in order
    order.truncate(op.top_k as usize);
    let sum: u32 = match op.renormalise {
        1 => order.iter().map(|&e| weights[e]).sum(),
        _ => weights.iter().sum(),
    };
    let inverse = reciprocal(sum);
    let score = |expert: usize| {
        let product = i64::from(weights[expert]) * i64::from(inverse.mantissa);
        let score = round_shift(product, inverse.exponent - 1).min(65_535);
        U0F16::from_bits(score as u16)
    };
    order
        .into_iter()
        .map(|expert| Choice {
            expert,
            score: score(expert),
        })
        .collect()
}
