//! How much of each on-chip memory a program uses.

use super::footprint::{Footprint, Place};
use super::rows::Rows;
use crate::program::{Program, ProgramError};
use moevit_hw::control::command::Operation;

/// The highest word that a program's commands touch in each addressed memory, plus one; with the memory's name and words.
pub fn occupancy(program: &Program) -> Result<Vec<(&'static str, usize, usize)>, ProgramError> {
    let config = &program.config;
    let places = [
        Place::Activation,
        Place::Stationary,
        Place::Residual,
        Place::Score,
    ];
    let mut used = [0; 4];
    for command in program.commands()? {
        let rows = match &command.operation {
            Operation::MatMul(op) => Rows::of(op, None),
            _ => Rows::default(),
        };
        let footprint = Footprint::of(&command.operation, &rows, config);
        let spans = footprint
            .reads
            .iter()
            .chain(&footprint.writes)
            .chain(&footprint.updates);
        for span in spans {
            if let Some(at) = places.iter().position(|&place| place == span.place) {
                used[at] = span.addresses().map(|word| word + 1).fold(used[at], usize::max);
            }
        }
    }
    let row = |(place, used): (Place, usize)| (place.name(), used, place.words(config));
    Ok(places.into_iter().zip(used).map(row).collect())
}
