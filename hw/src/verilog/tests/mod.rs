//! Circuits that prove the exporter: exported, Verilated and compared in lock-step, or refused.

mod random;
mod random_expr;
mod refusals;
mod semantics;
mod structure;
mod widgets;
