//! What a design costs and where its cycles go.

pub mod area;
