//! Parameter store: blocks of post-processing parameters from the weight stream, held until the lanes have used them.
//!
//! A block is C channels in `64 / R` stream words. Up to [`parameter_memory::BANKS`] blocks are held; a word is taken whenever a
//! bank is free (`parameter_ready` is a register). `block_loaded` pulses one cycle after a block's last word, `free_block` gives the
//! oldest block back. Banks are used in turn from 0, by writer and reader alike. Reads take
//! [`parameter_memory::LATENCY_CYCLES`] cycles, every cycle, each field with its own bank.
//!
//! ```text
//! parameter_* --> [word, bank counters] --> [memory] --> bias, mantissa, factor
//! free_block ------> [blocks held]              ^-- bias_bank, mantissa_bank, factor_bank
//! ```

use super::parameter_memory::{ParameterMemory, BANKS};
use crate::config::AccelConfig;
use crate::prelude::*;

/// The store; see the module.
#[derive(LogicBlock, Default)]
pub struct Parameters {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub parameter_valid: Signal<In, Bit>,
    pub parameter_ready: Signal<Out, Bit>,
    pub parameter_data: Vec<Signal<In, Bits<8>>>,
    /// A whole block has become readable.
    pub block_loaded: Signal<Out, Bit>,
    /// The oldest block is not needed any more.
    pub free_block: Signal<In, Bit>,
    pub bias_bank: Signal<In, Bits<2>>,
    pub mantissa_bank: Signal<In, Bits<2>>,
    pub factor_bank: Signal<In, Bits<2>>,
    pub bias: Vec<Signal<Out, Bits<32>>>,
    pub mantissa: Vec<Signal<Out, Bits<16>>>,
    pub factor: Vec<Signal<Out, Bits<16>>>,
    taken: Signal<Local, Bit>,
    complete: Signal<Local, Bit>,
    ready: DFF<Bit>,
    loaded: DFF<Bit>,
    word: DFF<Bits<2>>,
    bank: DFF<Bits<2>>,
    held: DFF<Bits<3>>,
    held_next: Signal<Local, Bits<3>>,
    memory: ParameterMemory,
    last_word: Constant<Bits<2>>,
    banks: Constant<Bits<3>>,
    _bytes: usize,
    _columns: usize,
}

impl Parameters {
    /// The store of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (bytes, c) = (config.weight_word_bytes(), config.columns);
        Self {
            parameter_data: many(bytes),
            bias: many(c),
            mantissa: many(c),
            factor: many(c),
            memory: ParameterMemory::new(config),
            last_word: Constant::new((config.parameter_words() as u64 - 1).into()),
            banks: Constant::new((BANKS as u64).into()),
            _bytes: bytes,
            _columns: c,
            ..Self::default()
        }
    }
}

impl Logic for Parameters {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, ready, loaded, word, bank, held);
        self.memory.clock.next = self.clock.val();
        self.taken.next = self.parameter_valid.val() & self.ready.q.val();
        self.complete.next = self.taken.val() & (self.word.q.val() == self.last_word.val());
        if self.complete.val() {
            self.word.d.next = 0.into();
            self.bank.d.next = self.bank.q.val() + 1;
        } else if self.taken.val() {
            self.word.d.next = self.word.q.val() + 1;
        }
        self.held_next.next = self.held.q.val();
        if self.complete.val() & !self.free_block.val() {
            self.held_next.next = self.held.q.val() + 1;
        } else if !self.complete.val() & self.free_block.val() {
            self.held_next.next = self.held.q.val() - 1;
        }
        self.held.d.next = self.held_next.val();
        self.ready.d.next = self.held_next.val() < self.banks.val();
        self.loaded.d.next = self.complete.val();
        self.parameter_ready.next = self.ready.q.val();
        self.block_loaded.next = self.loaded.q.val();
        self.memory.write.next = self.taken.val();
        self.memory.write_bank.next = self.bank.q.val();
        self.memory.write_word.next = self.word.q.val();
        for i in 0..self._bytes {
            self.memory.data[i].next = self.parameter_data[i].val();
        }
        self.memory.bias_bank.next = self.bias_bank.val();
        self.memory.mantissa_bank.next = self.mantissa_bank.val();
        self.memory.factor_bank.next = self.factor_bank.val();
        for i in 0..self._columns {
            self.bias[i].next = self.memory.bias[i].val();
            self.mantissa[i].next = self.memory.mantissa[i].val();
            self.factor[i].next = self.memory.factor[i].val();
        }
        if self.reset.val() {
            self.ready.d.next = false;
            self.loaded.d.next = false;
            self.word.d.next = 0.into();
            self.bank.d.next = 0.into();
            self.held.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::post::parameter_memory::LATENCY_CYCLES;
    use crate::testbench::{cycle, settle};
    use std::collections::VecDeque;

    /// Streams random words at random moments and reads the oldest block whenever one is held.
    #[test]
    fn blocks_are_kept_in_order_and_never_overwritten() {
        for name in AccelConfig::names() {
            let config = AccelConfig::named(name).unwrap();
            assert!(stream(&config, 60_000) > 10_000, "{name}");
        }
    }

    fn stream(config: &AccelConfig, cycles: usize) -> usize {
        let mut store = Parameters::new(config);
        store.connect_all();
        let mut rng = Rng::new(11);
        let (mut block, mut blocks): (Vec<u8>, VecDeque<Vec<u8>>) = Default::default();
        let (mut compared, mut reader, mut steady, mut released) = (0, 0u64, 0, false);
        let mut loaded = 0usize;
        for _ in 0..cycles {
            let word: Vec<u8> = (0..config.weight_word_bytes())
                .map(|_| rng.bits(8) as u8)
                .collect();
            store.parameter_valid.next = rng.below(4) != 0;
            for (port, &byte) in store.parameter_data.iter_mut().zip(&word) {
                port.next = u64::from(byte).into();
            }
            store.free_block.next = released;
            store.bias_bank.next = reader.into();
            store.mantissa_bank.next = reader.into();
            store.factor_bank.next = reader.into();
            settle(&mut store);
            if store.parameter_valid.val() && store.parameter_ready.val() {
                block.extend(word);
            }
            cycle(&mut store, |u| &mut u.clock);
            loaded += usize::from(store.block_loaded.val());
            if block.len() == 8 * config.columns {
                blocks.push_back(std::mem::take(&mut block));
            }
            assert!(blocks.len() <= BANKS && loaded == blocks.len());
            steady = if loaded == 0 { 0 } else { steady + 1 };
            released = steady > LATENCY_CYCLES && rng.below(3) == 0;
            if steady > LATENCY_CYCLES {
                compared += compare(&store, &blocks[0]);
            }
            if released {
                blocks.pop_front();
                loaded -= 1;
                reader = (reader + 1) % BANKS as u64;
                steady = 0;
            }
        }
        compared
    }

    fn compare(store: &Parameters, block: &[u8]) -> usize {
        for (c, bytes) in block.chunks(8).enumerate() {
            let bias = u32::from_le_bytes(bytes[..4].try_into().unwrap());
            assert_eq!(store.bias[c].val().index() as u32, bias);
            assert_eq!(
                store.mantissa[c].val().index(),
                usize::from(bytes[4]) | usize::from(bytes[5]) << 8
            );
            assert_eq!(
                store.factor[c].val().index(),
                usize::from(bytes[6]) | usize::from(bytes[7]) << 8
            );
        }
        block.len() / 8
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new(
            "Parameters",
            || Parameters::new(&AccelConfig::named("nano").unwrap()),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..4, 25_000, |u, rng, cycle| {
            u.reset.next = cycle % 5_000 == 4_999;
            u.parameter_valid.next = rng.chance(70);
            u.free_block.next = rng.chance(15);
            u.parameter_data
                .iter_mut()
                .for_each(|port| port.next = rng.bits(8).into());
            u.bias_bank.next = rng.bits(2).into();
            u.mantissa_bank.next = rng.bits(2).into();
            u.factor_bank.next = rng.bits(2).into();
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
