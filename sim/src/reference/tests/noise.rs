//! Damaged and random programs: a result or a sentence, never a panic.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{masks, End, MatMul, Operation, COMMAND_BYTES};
use proptest::prelude::*;

use super::build::{Builder, Random};
use super::errors::legal;
use super::products::Product;
use crate::reference::Machine;

proptest! {
    /// Whatever the commands say: a result or a sentence, never a panic.
    #[test]
    fn random_changes_of_a_program_never_panic(
        changes in proptest::collection::vec((0..5 * COMMAND_BYTES, any::<u8>()), 1..6),
        task in 0..9usize,
    ) {
        let mut builder = Builder::nano();
        Product::random(MatMul { dst: 2, ..legal() }, &builder.config, &mut Random::new(1)).emit(&mut builder);
        builder.push(Operation::End(End {}));
        let mut payload = builder.payload();
        changes.iter().for_each(|&(at, value)| payload[at] = value);
        for mut machine in [Machine::new(&builder.config), Machine::new(&builder.config).with_hazard_checks()] {
            let run = machine.run(&payload, builder.commands.len(), &[0; 4096], task);
            prop_assert!(run.is_ok() || !run.unwrap_err().to_string().is_empty());
        }
    }

    /// Random legal encodings of every operation, so that fields are extreme but the decoder accepts them.
    #[test]
    fn random_commands_never_panic(noise in proptest::collection::vec(any::<[u32; 8]>(), 1..6), rows in any::<[usize; 6]>()) {
        let mut payload = Vec::new();
        for (noise, row) in noise.iter().zip(rows) {
            let (opcode, _, fields) = Operation::TABLE[row % Operation::TABLE.len()];
            let mut words: Vec<u32> = noise.iter().zip(masks(fields)).map(|(n, m)| n & m).collect();
            words[0] = words[0] & !15 | opcode | 0x100;
            payload.extend(words.into_iter().flat_map(u32::to_le_bytes));
        }
        payload.resize(65_536, 3);
        let config = AccelConfig::named("nano").unwrap();
        let run = Machine::new(&config).run(&payload, noise.len(), &[0; 4096], 0);
        prop_assert!(run.is_ok() || !run.unwrap_err().to_string().is_empty());
    }
}
