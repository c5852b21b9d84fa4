//! The gate: which experts serve a token, and with which scores.
//!
//! The k experts with the largest logits are chosen; the lowest index wins a tie. The score of a chosen expert is its
//! share of the softmax over all experts, or of the softmax among the chosen ones.

use serde::{Deserialize, Serialize};

use super::ops::softmax;
use crate::model::architecture::{Architecture, BlockKind, Scoring};

/// One expert of one token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    pub expert: usize,
    pub score: f32,
}

/// The choices of all tokens in one block, the most wanted expert of a token first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockRoutes {
    pub block: usize,
    pub tokens: Vec<Vec<Choice>>,
}

/// The choices of a frame, one entry a Mixture-of-Experts block in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    pub blocks: Vec<BlockRoutes>,
}

impl BlockRoutes {
    /// The tokens that chose `expert`, in ascending order, and their scores.
    pub fn queue(&self, expert: usize) -> (Vec<usize>, Vec<f32>) {
        let choices = self.tokens.iter().enumerate().flat_map(|(token, choices)| {
            choices
                .iter()
                .filter(|choice| choice.expert == expert)
                .map(move |choice| (token, choice.score))
        });
        choices.unzip()
    }
}

impl Routes {
    /// The routes of block `block`, if it has any.
    pub fn block(&self, block: usize) -> Option<&BlockRoutes> {
        self.blocks.iter().find(|routes| routes.block == block)
    }

    /// Tokens and blocks at which two frames' sets of experts differ, and the number compared.
    pub fn differences(&self, other: &Routes) -> (usize, usize) {
        let set = |choices: &[Choice]| {
            let mut experts: Vec<_> = choices.iter().map(|choice| choice.expert).collect();
            experts.sort_unstable();
            experts
        };
        let pairs = self.blocks.iter().zip(&other.blocks);
        let pairs = pairs.flat_map(|(a, b)| a.tokens.iter().zip(&b.tokens));
        pairs.fold((0, 0), |(differ, total), (a, b)| {
            (differ + usize::from(set(a) != set(b)), total + 1)
        })
    }

    /// Says in one sentence why these routes cannot be replayed on `architecture`.
    pub fn check(&self, architecture: &Architecture) -> Result<(), String> {
        let blocks: Vec<_> = self.blocks.iter().map(|routes| routes.block).collect();
        if blocks != architecture.moe_blocks() {
            return Err(format!(
                "they name the blocks {blocks:?}, not {:?}",
                architecture.moe_blocks()
            ));
        }
        self.blocks
            .iter()
            .try_for_each(|routes| check_block(routes, architecture))
    }
}

fn check_block(routes: &BlockRoutes, architecture: &Architecture) -> Result<(), String> {
    let BlockKind::Moe { experts, k, .. } = architecture.block_kind(routes.block) else {
        return Err(format!("block {} has no experts", routes.block));
    };
    let (block, found, expected) = (routes.block, routes.tokens.len(), architecture.tokens());
    if found != expected {
        return Err(format!(
            "block {block} has routes for {found} tokens, not {expected}"
        ));
    }
    for (token, choices) in routes.tokens.iter().enumerate() {
        let mut chosen: Vec<_> = choices.iter().map(|choice| choice.expert).collect();
        chosen.sort_unstable();
        chosen.dedup();
        if choices.len() != k || chosen.len() != k || chosen.last().is_some_and(|&expert| expert >= experts) {
            return Err(format!(
                "token {token} of block {block} must name {k} different experts below {experts}"
            ));
        }
    }
    Ok(())
}

/// The indices of the `k` largest values, largest first; the lowest index wins a tie.
pub fn top_k(values: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // Adding zero makes -0.0 equal to 0.0 in the total order; the sort is stable, so equals keep their index order.
    order.sort_by(|&a, &b| (values[b] + 0.0).total_cmp(&(values[a] + 0.0)));
    order.truncate(k);
    order
}

/// The scores of the chosen experts.
pub fn scores(logits: &[f32], chosen: &[usize], scoring: Scoring) -> Vec<f32> {
    match scoring {
        Scoring::Softmax => {
            let mut all = logits.to_vec();
            softmax(&mut all);
            chosen.iter().map(|&expert| all[expert]).collect()
        }
        Scoring::Renormalised => {
            let mut among: Vec<f32> = chosen.iter().map(|&expert| logits[expert]).collect();
            softmax(&mut among);
            among
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_index_wins_a_tie() {
        assert_eq!(top_k(&[1.0, 3.0, 3.0, 2.0], 2), [1, 2]);
        assert_eq!(top_k(&[5.0; 6], 3), [0, 1, 2]);
        assert_eq!(top_k(&[1.0, 2.0, 3.0, 3.0, 3.0], 2), [2, 3]);
        assert_eq!(top_k(&[-1.0, -2.0], 2), [0, 1]);
        assert_eq!(top_k(&[0.0, 7.0], 1), [1]);
    }

    #[test]
    fn scores_by_hand() {
        // exp: 1, 2, 3, 4 of a sum of 10.
        let logits: Vec<f32> = [1.0f32, 2.0, 3.0, 4.0].iter().map(|v| v.ln()).collect();
        let chosen = top_k(&logits, 2);
        let close = |found: Vec<f32>, expected: [f32; 2]| {
            assert!(
                found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6),
                "{found:?}"
            );
        };
        assert_eq!(chosen, [3, 2]);
        close(scores(&logits, &chosen, Scoring::Softmax), [0.4, 0.3]);
        close(
            scores(&logits, &chosen, Scoring::Renormalised),
            [4.0 / 7.0, 3.0 / 7.0],
        );
    }

    fn routes(experts: &[[usize; 2]]) -> BlockRoutes {
        let choose = |pair: &[usize; 2]| {
            pair.map(|expert| Choice {
                expert,
                score: expert as f32,
            })
            .to_vec()
        };
        BlockRoutes {
            block: 1,
            tokens: experts.iter().map(choose).collect(),
        }
    }

    #[test]
    fn queues_hold_tokens_in_ascending_order() {
        let routes = routes(&[[2, 0], [1, 2], [0, 1]]);
        assert_eq!(routes.queue(2), (vec![0, 1], vec![2.0, 2.0]));
        assert_eq!(routes.queue(0), (vec![0, 2], vec![0.0, 0.0]));
        assert_eq!(routes.queue(3), (vec![], vec![]));
    }

    #[test]
    fn differences_ignore_the_order_of_a_tokens_experts() {
        let a = Routes {
            blocks: vec![routes(&[[2, 0], [1, 2], [0, 1]])],
        };
        let b = Routes {
            blocks: vec![routes(&[[0, 2], [1, 3], [0, 1]])],
        };
        assert_eq!(a.differences(&b), (1, 3));
    }
}
