//! Cells that synthesis maps to one resource: memories and delay lines.

pub mod delay;
pub mod leaf;
pub mod ram;
