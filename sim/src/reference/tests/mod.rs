//! Hand-built programs against plain arithmetic, and every kind of illegal program.

mod attention;
mod build;
mod errors;
mod experts;
mod frame;
mod movement;
mod naive;
mod noise;
mod products;
mod races;
mod rows_of_units;
