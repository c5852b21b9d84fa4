//! Mixture of experts: choice of the experts, gate scores, and one token queue for each expert.

pub mod choose;
pub mod gate_weight;
pub mod logit_store;
pub mod queues;
pub mod rate;
pub mod router;
pub mod score;
pub mod top_k;
pub mod weigh;

#[cfg(test)]
mod lockstep;
#[cfg(test)]
mod tests;
