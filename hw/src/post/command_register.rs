//! The array command that is being drained, with its fields apart.
//!
//! A command is taken when none is held or the held one ends in this cycle (`finish`), so that commands follow each other without
//! a gap. `load` is high in the cycle of the taking, with the first destination word and the first word of sums of the new
//! command beside it; the other outputs change in the next cycle and are registers.
//!
//! ```text
//! command_valid ___|^^^^^^^|______________
//! finish        _________|^|______________
//! load          ___|^|___|^|______________
//! fields             | A     | B
//! ```
//!
//! Only what the drain unit needs is stored, in [`LANES`] words: command words 3 to 6 and a word of opcode (4 bits), loop flag,
//! expert (5 bits) and queue length (11 bits).

use crate::control::command::{Copy, Discard};
use crate::prelude::*;

/// 32-bit words of a stored command.
pub const LANES: usize = 5;

/// The register; see the module.
#[derive(LogicBlock, Default)]
pub struct CommandRegister {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    /// The held command has its last slot in this cycle.
    pub finish: Signal<In, Bit>,
    pub load: Signal<Out, Bit>,
    pub first_word: Signal<Out, Bits<16>>,
    pub first_sums: Signal<Out, Bits<8>>,
    pub busy: Signal<Out, Bit>,
    /// A Copy or a Discard: nothing to drain.
    pub copy: Signal<Out, Bit>,
    /// No row at all; `last_row` is 0 then.
    pub empty: Signal<Out, Bit>,
    pub last_row: Signal<Out, Bits<11>>,
    /// `last_row` is 0.
    pub one_row: Signal<Out, Bit>,
    pub last_tile: Signal<Out, Bits<10>>,
    pub hold_parameters: Signal<Out, Bit>,
    /// Results go to the tokens of the expert's queue.
    pub scatter: Signal<Out, Bit>,
    pub expert: Signal<Out, Bits<5>>,
    pub stride: Signal<Out, Bits<10>>,
    pub dst: Signal<Out, Bits<3>>,
    pub add: Signal<Out, Bit>,
    pub gelu: Signal<Out, Bit>,
    pub bias_from_sums: Signal<Out, Bit>,
    pub shift: Signal<Out, Bits<6>>,
    pub factor_shift: Signal<Out, Bits<6>>,
    pub pre_shift: Signal<Out, Bits<4>>,
    pub offset: Signal<Out, Bits<8>>,
    pub factor: Signal<Out, Bits<2>>,
    pub write_sums: Signal<Out, Bit>,
    pub sum_bank: Signal<Out, Bit>,
    free: Signal<Local, Bit>,
    tokens: Signal<Local, Bits<11>>,
    no_tokens: Signal<Local, Bit>,
    few_tokens: Signal<Local, Bit>,
    held: DFF<Bit>,
    is_copy: DFF<Bit>,
    no_rows: DFF<Bit>,
    few_rows: DFF<Bit>,
    rows: DFF<Bits<11>>,
    tiles: DFF<Bits<10>>,
    hold: DFF<Bit>,
    routing: DFF<Bits<2>>,
    loop_expert: DFF<Bits<5>>,
    word_5: DFF<Bits<32>>,
    word_6: DFF<Bits<32>>,
    copy_opcode: Constant<Bits<4>>,
    discard_opcode: Constant<Bits<4>>,
}

impl CommandRegister {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            command: many(LANES),
            copy_opcode: Constant::new(u64::from(Copy::OPCODE).into()),
            discard_opcode: Constant::new(u64::from(Discard::OPCODE).into()),
            ..Self::default()
        }
    }
}

impl Logic for CommandRegister {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            held,
            is_copy,
            no_rows,
            few_rows,
            rows,
            tiles,
            hold,
            routing,
            loop_expert,
            word_5,
            word_6
        );
        self.free.next = !self.held.q.val() | self.finish.val();
        self.command_ready.next = self.free.val();
        self.load.next = self.command_valid.val() & self.free.val();
        self.first_word.next = self.command[2].val().get_bits::<16>(0);
        self.first_sums.next = self.command[1].val().get_bits::<8>(24);
        self.tokens.next = self.command[0].val().get_bits::<11>(10);
        // Both counts are compared before the choice: a short path.
        self.no_tokens.next = self.command[0].val().get_bits::<11>(10) == 0;
        self.few_tokens.next = self.command[0].val().get_bits::<10>(11) == 0;
        if self.command[4].val().get_bit(4) {
            self.tokens.next = self.command[4].val().get_bits::<11>(10);
            self.no_tokens.next = self.command[4].val().get_bits::<11>(10) == 0;
            self.few_tokens.next = self.command[4].val().get_bits::<10>(11) == 0;
        }
        if self.free.val() {
            self.held.d.next = self.command_valid.val();
            self.is_copy.d.next = (self.command[4].val().get_bits::<4>(0) == self.copy_opcode.val())
                | (self.command[4].val().get_bits::<4>(0) == self.discard_opcode.val());
            self.no_rows.d.next = self.no_tokens.val();
            self.few_rows.d.next = self.few_tokens.val();
            self.rows.d.next = self.tokens.val() - 1;
            if self.no_tokens.val() {
                self.rows.d.next = 0.into();
            }
            self.tiles.d.next = self.command[0].val().get_bits::<10>(0) - 1;
            self.hold.d.next = self.command[0].val().get_bit(28);
            self.routing.d.next = self.command[0].val().get_bits::<2>(23);
            self.loop_expert.d.next = self.command[4].val().get_bits::<5>(5);
            self.word_5.d.next = self.command[2].val();
            self.word_6.d.next = self.command[3].val();
        }
        self.busy.next = self.held.q.val();
        self.copy.next = self.is_copy.q.val();
        self.empty.next = self.no_rows.q.val();
        self.last_row.next = self.rows.q.val();
        self.one_row.next = self.few_rows.q.val();
        self.last_tile.next = self.tiles.q.val();
        self.hold_parameters.next = self.hold.q.val();
        self.scatter.next = self.routing.q.val() == 2;
        self.expert.next = self.loop_expert.q.val();
        self.stride.next = self.word_5.q.val().get_bits::<10>(16);
        self.dst.next = self.word_5.q.val().get_bits::<3>(26);
        self.add.next = self.word_5.q.val().get_bit(29);
        self.gelu.next = self.word_5.q.val().get_bit(30);
        self.bias_from_sums.next = self.word_5.q.val().get_bit(31);
        self.shift.next = self.word_6.q.val().get_bits::<6>(0);
        self.factor_shift.next = self.word_6.q.val().get_bits::<6>(6);
        self.pre_shift.next = self.word_6.q.val().get_bits::<4>(12);
        self.offset.next = self.word_6.q.val().get_bits::<8>(16);
        self.factor.next = self.word_6.q.val().get_bits::<2>(24);
        self.write_sums.next = self.word_6.q.val().get_bit(26);
        self.sum_bank.next = self.word_6.q.val().get_bit(27);
        if self.reset.val() {
            self.held.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::{Command, MatMul, Operation, Wait, ALL_TASKS};
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::{cycle, settle};

    /// A MatMul whose every field is random, as the encoder writes it.
    fn random_matmul(rng: &mut Rng) -> (MatMul, [u32; 8]) {
        let mut words: [u32; 8] = std::array::from_fn(|_| rng.bits(32) as u32);
        let masks = crate::control::command::masks(MatMul::FIELDS);
        words.iter_mut().zip(masks).for_each(|(word, mask)| *word &= mask);
        words[0] = words[0] & !15 | MatMul::OPCODE;
        let Operation::MatMul(fields) = Command::decode(&words).unwrap().operation else {
            unreachable!("the opcode is MatMul's")
        };
        (fields, words)
    }

    fn offer(register: &mut CommandRegister, words: &[u32; 8], looping: Option<(u32, u32)>) {
        let (expert, length) = looping.unwrap_or((3, 77));
        let last = words[0] & 15 | u32::from(looping.is_some()) << 4 | expert << 5 | length << 10;
        for (port, word) in register
            .command
            .iter_mut()
            .zip([words[3], words[4], words[5], words[6], last])
        {
            port.next = u64::from(word).into();
        }
        register.command_valid.next = true;
        settle(register);
    }

    fn tick(register: &mut CommandRegister) {
        cycle(register, |u| &mut u.clock);
    }

    #[test]
    fn every_field_is_where_the_encoder_puts_it() {
        let mut register = CommandRegister::new();
        register.connect_all();
        let mut rng = Rng::new(6);
        for round in 0..2_000 {
            let (m, words) = random_matmul(&mut rng);
            let looping = rng.chance(50).then(|| (rng.bits(5) as u32, rng.bits(11) as u32));
            register.finish.next = round > 0;
            offer(&mut register, &words, looping);
            assert!(register.load.val() && register.command_ready.val());
            assert_eq!(register.first_word.val().index() as u32, m.dst_base);
            assert_eq!(register.first_sums.val().index() as u32, m.sums_base);
            tick(&mut register);
            let tokens = looping.map_or(m.tokens, |(_, length)| length);
            assert_eq!(register.last_row.val().index() as u32, tokens.saturating_sub(1));
            assert_eq!(register.empty.val(), tokens == 0);
            assert_eq!(register.one_row.val(), tokens <= 1);
            assert_eq!(
                register.last_tile.val().index() as u32,
                m.n_tiles.wrapping_sub(1) & 0x3ff
            );
            assert_eq!(
                register.expert.val().index() as u32,
                looping.map_or(3, |(expert, _)| expert)
            );
            let flags = [
                (register.hold_parameters.val(), m.hold_parameters == 1),
                (register.scatter.val(), m.routing == 2),
                (register.add.val(), m.add == 1),
                (register.gelu.val(), m.gelu == 1),
                (register.bias_from_sums.val(), m.bias_from_sums == 1),
                (register.write_sums.val(), m.write_sums == 1),
                (register.sum_bank.val(), m.sum_bank == 1),
                (register.copy.val(), false),
                (register.busy.val(), true),
            ];
            flags.iter().for_each(|(is, want)| assert_eq!(is, want));
            let numbers = [
                (register.stride.val().index(), m.dst_stride),
                (register.dst.val().index(), m.dst),
                (register.shift.val().index(), m.shift),
                (register.factor_shift.val().index(), m.factor_shift),
                (register.pre_shift.val().index(), m.pre_shift),
                (register.offset.val().index(), m.offset),
                (register.factor.val().index(), m.factor),
            ];
            numbers
                .iter()
                .for_each(|(is, want)| assert_eq!(*is as u32, *want));
        }
    }

    #[test]
    fn a_held_command_stays_until_it_finishes() {
        let mut register = CommandRegister::new();
        register.connect_all();
        let mut rng = Rng::new(8);
        let (first, words) = random_matmul(&mut rng);
        offer(&mut register, &words, None);
        tick(&mut register);
        let copy = Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation: Operation::Copy(Copy::default()),
        };
        offer(&mut register, &copy.encode().unwrap(), None);
        for _ in 0..5 {
            assert!(!register.command_ready.val() && !register.load.val() && !register.copy.val());
            assert_eq!(register.shift.val().index() as u32, first.shift);
            tick(&mut register);
        }
        register.finish.next = true;
        settle(&mut register);
        tick(&mut register);
        assert!(register.copy.val() && register.busy.val());
        register.command_valid.next = false;
        settle(&mut register);
        tick(&mut register);
        assert!(!register.busy.val());
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new("CommandRegister", CommandRegister::new, |u, level| {
            u.clock.next = level.into()
        })
        .run(0..4, 25_000, |u, rng, cycle| {
            u.reset.next = cycle % 500 == 499;
            u.command_valid.next = rng.chance(60);
            u.finish.next = rng.chance(30);
            u.command
                .iter_mut()
                .for_each(|port| port.next = rng.corner_bits(32).into());
            if rng.chance(20) {
                u.command[4].next = 2u64.into();
            }
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
