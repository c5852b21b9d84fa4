//! Circuits that prove the exporter: exported, Verilated and compared in lock-step, or refused.

mod semantics;
mod structure;
mod widgets;
