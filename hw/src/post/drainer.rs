//! Control of the drain unit: walks through the rows of every filled group, one slot a cycle.
//!
//! A command has `n_tiles` groups (tiles of C columns), a group has a slot for each row. A group starts once the array has filled
//! its accumulator bank and its parameters are loaded, then runs without a gap; the next group, also of the next command, follows
//! in the next cycle if it is ready. `row`, `bank`, `block`, `word`, `group`, `tile` and `sums_address` are registers, the flags
//! beside them are not:
//!
//! ```text
//! command         | A: 3 rows, 2 tiles          | B
//! issue           ______|^^^^^|^^^^^^^^^^^|____________
//! row                   | 0 1 2 0 1 2
//! last            __________|^|___|^|__________________
//! finish          ________________|^|__________________
//! group_drained   ____________|^|___|^|________________
//! ```
//!
//! `group_drained` is a register: it pulses one cycle after the last read of the accumulator bank was asked for. A group without
//! rows takes one slot with `valid` low. A Copy takes one such slot once `copy_done` has pulsed for it. `n_tiles` is at least 1.

use super::pending::Pending;
use crate::config::AccelConfig;
use rust_hdl::prelude::*;

/// The drainer; see the module.
#[derive(LogicBlock)]
pub struct Drainer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // What arrives: filled accumulator banks, parameter blocks, finished copies.
    pub group_filled: Signal<In, Bit>,
    pub block_loaded: Signal<In, Bit>,
    pub copy_done: Signal<In, Bit>,
    pub group_drained: Signal<Out, Bit>,
    // The command, from the command register.
    pub load: Signal<In, Bit>,
    pub first_word: Signal<In, Bits<16>>,
    pub first_sums: Signal<In, Bits<8>>,
    pub busy: Signal<In, Bit>,
    pub copy: Signal<In, Bit>,
    pub empty: Signal<In, Bit>,
    pub last_row: Signal<In, Bits<11>>,
    pub last_tile: Signal<In, Bits<10>>,
    pub hold_parameters: Signal<In, Bit>,
    /// Several groups share a destination word.
    pub grouped: Signal<In, Bit>,
    /// The command's last slot.
    pub finish: Signal<Out, Bit>,
    // The slot.
    pub valid: Signal<Out, Bit>,
    pub first: Signal<Out, Bit>,
    pub last: Signal<Out, Bit>,
    /// The last slot that uses the parameter block.
    pub block_last: Signal<Out, Bit>,
    pub row: Signal<Out, Bits<11>>,
    pub bank: Signal<Out, Bit>,
    /// Bank of the parameter block.
    pub block: Signal<Out, Bits<2>>,
    /// Destination word of row 0.
    pub word: Signal<Out, Bits<16>>,
    /// One-hot place in the destination word.
    pub group: Signal<Out, Bits<16>>,
    pub tile: Signal<Out, Bits<10>>,
    pub sums_address: Signal<Out, Bits<8>>,
    groups: Pending,
    blocks: Pending,
    copies: Pending,
    issue: Signal<Local, Bit>,
    group_end: Signal<Local, Bit>,
    block_end: Signal<Local, Bit>,
    copy_end: Signal<Local, Bit>,
    command_end: Signal<Local, Bit>,
    drained: DFF<Bit>,
    inside: DFF<Bit>,
    at_row: DFF<Bits<11>>,
    at_tile: DFF<Bits<10>>,
    at_word: DFF<Bits<16>>,
    at_group: DFF<Bits<16>>,
    at_sums: DFF<Bits<8>>,
    at_bank: DFF<Bit>,
    at_block: DFF<Bits<2>>,
    last_group: Constant<Bits<16>>,
}

impl Drainer {
    /// The drainer of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            group_filled: Signal::default(),
            block_loaded: Signal::default(),
            copy_done: Signal::default(),
            group_drained: Signal::default(),
            load: Signal::default(),
            first_word: Signal::default(),
            first_sums: Signal::default(),
            busy: Signal::default(),
            copy: Signal::default(),
            empty: Signal::default(),
            last_row: Signal::default(),
            last_tile: Signal::default(),
            hold_parameters: Signal::default(),
            grouped: Signal::default(),
            finish: Signal::default(),
            valid: Signal::default(),
            first: Signal::default(),
            last: Signal::default(),
            block_last: Signal::default(),
            row: Signal::default(),
            bank: Signal::default(),
            block: Signal::default(),
            word: Signal::default(),
            group: Signal::default(),
            tile: Signal::default(),
            sums_address: Signal::default(),
            groups: Pending::default(),
            blocks: Pending::default(),
            copies: Pending::default(),
            issue: Signal::default(),
            group_end: Signal::default(),
            block_end: Signal::default(),
            copy_end: Signal::default(),
            command_end: Signal::default(),
            drained: DFF::default(),
            inside: DFF::default(),
            at_row: DFF::default(),
            at_tile: DFF::default(),
            at_word: DFF::default(),
            at_group: DFF::default(),
            at_sums: DFF::default(),
            at_bank: DFF::default(),
            at_block: DFF::default(),
            last_group: Constant::new((1u64 << (config.groups() - 1)).into()),
        }
    }
}

impl Logic for Drainer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, drained, inside, at_row, at_tile, at_word, at_group, at_sums, at_bank, at_block
        );
        clock!(self, clock, groups, blocks, copies);
        // What happens in this cycle.
        self.issue.next = self.busy.val()
            & !self.copy.val()
            & (self.inside.q.val() | (self.groups.any.val() & self.blocks.any.val()));
        self.group_end.next = self.issue.val() & (self.at_row.q.val() == self.last_row.val());
        self.command_end.next = self.group_end.val() & (self.at_tile.q.val() == self.last_tile.val());
        self.block_end.next = self.command_end.val() | (self.group_end.val() & !self.hold_parameters.val());
        self.copy_end.next = self.busy.val() & self.copy.val() & self.copies.any.val();
        self.drained.d.next = self.group_end.val();
        self.groups.add.next = self.group_filled.val();
        self.groups.take.next = self.group_end.val();
        self.blocks.add.next = self.block_loaded.val();
        self.blocks.take.next = self.block_end.val();
        self.copies.add.next = self.copy_done.val();
        self.copies.take.next = self.copy_end.val();
        // Moving on.
        if self.issue.val() {
            self.inside.d.next = true;
            self.at_row.d.next = self.at_row.q.val() + 1;
        }
        if self.group_end.val() {
            self.inside.d.next = false;
            self.at_row.d.next = 0.into();
            self.at_tile.d.next = self.at_tile.q.val() + 1;
            self.at_sums.d.next = self.at_sums.q.val() + 1;
            self.at_bank.d.next = !self.at_bank.q.val();
            self.at_group.d.next = self.at_group.q.val() << 1;
            if !self.grouped.val() | (self.at_group.q.val() == self.last_group.val()) {
                self.at_group.d.next = 1.into();
                self.at_word.d.next = self.at_word.q.val() + 1;
            }
        }
        if self.block_end.val() {
            self.at_block.d.next = self.at_block.q.val() + 1;
        }
        if self.load.val() {
            self.at_tile.d.next = 0.into();
            self.at_group.d.next = 1.into();
            self.at_word.d.next = self.first_word.val();
            self.at_sums.d.next = self.first_sums.val();
        }
        self.group_drained.next = self.drained.q.val();
        self.finish.next = self.command_end.val() | self.copy_end.val();
        self.valid.next = self.issue.val() & !self.empty.val();
        self.first.next = self.at_row.q.val() == 0;
        self.last.next = self.group_end.val();
        self.block_last.next = self.block_end.val();
        self.row.next = self.at_row.q.val();
        self.bank.next = self.at_bank.q.val();
        self.block.next = self.at_block.q.val();
        self.word.next = self.at_word.q.val();
        self.group.next = self.at_group.q.val();
        self.tile.next = self.at_tile.q.val();
        self.sums_address.next = self.at_sums.q.val();
        self.groups.reset.next = self.reset.val();
        self.blocks.reset.next = self.reset.val();
        self.copies.reset.next = self.reset.val();
        if self.reset.val() {
            self.drained.d.next = false;
            self.inside.d.next = false;
            self.at_row.d.next = 0.into();
            self.at_bank.d.next = false;
            self.at_block.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::Lockstep;

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new(
            "Drainer",
            || Drainer::new(&AccelConfig::named("nano").unwrap()),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..4, 25_000, |u, rng, cycle| {
            u.reset.next = cycle % 5_000 == 4_999;
            u.group_filled.next = u.group_drained.val() | (cycle % 5_000 == 1);
            u.block_loaded.next = u.group_drained.val() | (cycle % 5_000 == 1);
            u.copy_done.next = rng.chance(1);
            u.load.next = u.finish.val();
            u.busy.next = rng.chance(95);
            u.copy.next = rng.chance(5);
            if cycle % 64 == 0 {
                u.first_word.next = rng.bits(16).into();
                u.first_sums.next = rng.bits(8).into();
                u.empty.next = rng.chance(10);
                u.last_row.next = rng.below(6).into();
                u.last_tile.next = rng.below(4).into();
                u.hold_parameters.next = rng.chance(50);
                u.grouped.next = rng.chance(50);
            }
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
