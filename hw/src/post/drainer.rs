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
//! rows takes one slot with `valid` low. A Copy or a Discard takes one such slot once `copy_done` has pulsed for it. `n_tiles` is at least 1.

use super::pending::Pending;
use crate::config::AccelConfig;
use crate::prelude::*;

/// The drainer; see the module.
#[derive(LogicBlock, Default)]
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
    /// `last_row` is 0.
    pub one_row: Signal<In, Bit>,
    pub last_tile: Signal<In, Bits<10>>,
    pub hold_parameters: Signal<In, Bit>,
    /// Several groups share a destination word.
    pub grouped: Signal<In, Bit>,
    /// All groups have the first destination word.
    pub fixed_word: Signal<In, Bit>,
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
    /// The row inside a group is its last one.
    at_last: DFF<Bit>,
    last_here: Signal<Local, Bit>,
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
            groups: Pending::default(),
            blocks: Pending::default(),
            copies: Pending::default(),
            last_group: Constant::new((1u64 << (config.groups() - 1)).into()),
            ..Self::default()
        }
    }
}

impl Logic for Drainer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, drained, inside, at_row, at_last, at_tile, at_word, at_group, at_sums, at_bank,
            at_block
        );
        clock!(self, clock, groups, blocks, copies);
        // What happens in this cycle.
        self.issue.next = self.busy.val()
            & !self.copy.val()
            & (self.inside.q.val() | (self.groups.any.val() & self.blocks.any.val()));
        self.last_here.next = self.one_row.val();
        if self.inside.q.val() {
            self.last_here.next = self.at_last.q.val();
        }
        self.group_end.next = self.issue.val() & self.last_here.val();
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
            self.at_last.d.next = self.at_row.q.val() + 1 == self.last_row.val();
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
                if !self.fixed_word.val() {
                    self.at_word.d.next = self.at_word.q.val() + 1;
                }
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
        self.first.next = !self.inside.q.val();
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
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::{cycle, settle};
    use std::collections::VecDeque;

    /// A command as the register would show it.
    #[derive(Clone, Copy)]
    struct Task {
        copy: bool,
        rows: u64,
        tiles: u64,
        hold: bool,
        grouped: bool,
        fixed: bool,
        word: u64,
        sums: u64,
    }

    impl Task {
        fn random(rng: &mut Rng) -> Self {
            let grouped = rng.chance(50);
            Self {
                copy: rng.chance(10),
                rows: rng.below(9),
                tiles: 1 + rng.below(6),
                hold: rng.chance(50),
                grouped,
                fixed: !grouped && rng.chance(30),
                word: rng.bits(16),
                sums: rng.bits(8),
            }
        }
    }

    /// What a slot must show; the expected ones and the seen ones are compared as a whole.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Slot {
        row: u64,
        valid: bool,
        /// First, last of the group; last of the parameter block, of the command.
        flags: [bool; 4],
        /// Accumulator bank, parameter bank.
        banks: [u64; 2],
        word: u64,
        group: u64,
        tile: u64,
        sums: u64,
    }

    fn seen(u: &Drainer) -> Slot {
        Slot {
            row: u.row.val().index() as u64,
            valid: u.valid.val(),
            flags: [u.first.val(), u.last.val(), u.block_last.val(), u.finish.val()],
            banks: [u64::from(u.bank.val()), u.block.val().index() as u64],
            word: u.word.val().index() as u64,
            group: u.group.val().index() as u64,
            tile: u.tile.val().index() as u64,
            sums: u.sums_address.val().index() as u64,
        }
    }

    /// All slots of a command; `groups` and `blocks` count since the beginning.
    fn slots(task: &Task, per_word: u64, groups: &mut u64, blocks: &mut u64) -> Vec<Slot> {
        let mut slots = vec![];
        for tile in 0..task.tiles {
            let per_word = if task.grouped { per_word } else { 1 };
            for row in 0..task.rows.max(1) {
                let last = row + 1 >= task.rows;
                let end = last && tile + 1 == task.tiles;
                slots.push(Slot {
                    row,
                    valid: task.rows > 0,
                    flags: [row == 0, last, end || last && !task.hold, end],
                    banks: [*groups % 2, *blocks % 4],
                    word: (task.word + if task.fixed { 0 } else { tile / per_word }) & 0xffff,
                    group: 1 << (tile % per_word),
                    tile,
                    sums: (task.sums + tile) & 0xff,
                });
            }
            *groups += 1;
            *blocks += u64::from(!task.hold || tile + 1 == task.tiles);
        }
        slots
    }

    /// The command register, array and parameter store around the drainer.
    #[derive(Default)]
    struct Surroundings {
        task: Option<Task>,
        expected: VecDeque<Slot>,
        /// Groups and blocks that the commands so far have, that were offered, and that were used.
        groups: [u64; 3],
        blocks: [u64; 3],
        slots: usize,
        copies: usize,
    }

    impl Surroundings {
        fn drive(&mut self, u: &mut Drainer, rng: &mut Rng) {
            u.load.next = false;
            u.busy.next = self.task.is_some();
            if let Some(task) = self.task {
                u.copy.next = task.copy;
                u.empty.next = task.rows == 0;
                u.last_row.next = task.rows.saturating_sub(1).into();
                u.one_row.next = task.rows <= 1;
                u.last_tile.next = (task.tiles - 1).into();
                u.hold_parameters.next = task.hold;
                u.grouped.next = task.grouped;
                u.fixed_word.next = task.fixed;
            }
            let mut offer = |[all, offered, used]: &mut [u64; 3], most| {
                let offers = *offered < *all && *offered - *used < most && rng.chance(40);
                *offered += u64::from(offers);
                offers
            };
            u.group_filled.next = offer(&mut self.groups, 2);
            u.block_loaded.next = offer(&mut self.blocks, 4);
            u.copy_done.next = self.task.is_some_and(|task| task.copy) && rng.chance(10);
            settle(u);
        }

        /// Compares the slot of this cycle; an empty group shows only its end.
        fn watch(&mut self, u: &Drainer) {
            if u.valid.val() || u.last.val() {
                assert_eq!(Some(seen(u)), self.expected.pop_front(), "slot {}", self.slots);
                self.slots += 1;
                self.groups[2] += u64::from(u.last.val());
                self.blocks[2] += u64::from(u.block_last.val());
            }
        }

        /// The next command may follow in the very cycle in which one finishes.
        fn load(&mut self, u: &mut Drainer, per_word: u64, rng: &mut Rng) {
            if u.finish.val() {
                assert!(self.expected.is_empty(), "a command finished early");
                self.copies += usize::from(self.task.is_some_and(|task| task.copy));
                self.task = None;
            }
            if self.task.is_none() && rng.chance(70) {
                let task = Task::random(rng);
                u.load.next = true;
                u.first_word.next = task.word.into();
                u.first_sums.next = task.sums.into();
                if !task.copy {
                    let slots = slots(&task, per_word, &mut self.groups[0], &mut self.blocks[0]);
                    self.expected.extend(slots);
                }
                self.task = Some(task);
            }
        }
    }

    #[test]
    fn slots_follow_the_commands() {
        let config = AccelConfig::named("nano").unwrap();
        let mut u = Drainer::new(&config);
        u.connect_all();
        let (mut rng, mut around) = (Rng::new(14), Surroundings::default());
        for _ in 0..60_000 {
            around.drive(&mut u, &mut rng);
            around.watch(&u);
            around.load(&mut u, config.groups() as u64, &mut rng);
            cycle(&mut u, |u| &mut u.clock);
        }
        assert!(
            around.slots > 10_000 && around.copies > 100,
            "{} {}",
            around.slots,
            around.copies
        );
    }

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
                u.fixed_word.next = rng.chance(50);
            }
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
