//! Circuits that prove the exporter: exported, Verilated and compared in lock-step, or refused.

mod lint;
mod random;
mod random_expr;
mod refusals;
mod semantics;
mod shell;
mod structure;
mod vectors;
mod widgets;
mod wires;
