//! Weight buffer: a deep queue of W-byte words between the read ports and the array, in the order of consumption.
//!
//! The memory is one wide simple dual-port RAM (UltraRAM on the target) with a latency of two cycles, so a small queue behind
//! it holds words ready: a word leaves the memory as soon as the queue has a place for it.
//!
//! * Latency [`LATENCY_CYCLES`] from `write_valid` to the word at the output; rate one word in and one word out a cycle.
//! * `stream_level` counts words that can be taken in consecutive cycles without a stall, starting in the cycle in which it is
//!   seen: a word counts only once it has reached the output queue, and a taken word is gone in the next cycle.
//! * There is no `write_ready`: whoever writes holds credits for the whole depth and gets one back with each `consumed`
//!   pulse, one cycle after the word was taken.
//!
//! ```text
//! write_data --> RAM [weight_words] --2 cycles--> queue [8] --> stream_data
//!                 |______ credits for the queue ______|
//! ```

use crate::config::AccelConfig;
use crate::memory::lanes::Lanes;
use crate::memory::queue::Queue;
use crate::prelude::*;
use crate::primitives::ram::{Ram, RamStyle};

/// Cycles from `write_valid` to the word at the output.
pub const LATENCY_CYCLES: usize = 5;
/// Words held ready behind the memory: more than the five cycles in which a place comes back.
const READY_WORDS: usize = 8;
/// Registers that delay a written word's entry into the level.
const LEVEL_DELAY: usize = LATENCY_CYCLES - 1;

/// The weight buffer; see the module.
#[derive(LogicBlock, Default)]
pub struct WeightBuffer {
    pub clock: Signal<In, Clock>,
    /// Empties the buffer.
    pub reset: Signal<In, Bit>,
    pub write_valid: Signal<In, Bit>,
    pub write_data: Vec<Signal<In, Bits<32>>>,
    pub stream_valid: Signal<Out, Bit>,
    pub stream_ready: Signal<In, Bit>,
    pub stream_data: Vec<Signal<Out, Bits<8>>>,
    pub stream_level: Signal<Out, Bits<16>>,
    pub consumed: Signal<Out, Bit>,
    ram: Ram<32>,
    ready_words: Queue<32>,
    split: Lanes<32, 8>,
    tail: DFF<Bits<16>>,
    head: DFF<Bits<16>>,
    stored: DFF<Bits<17>>,
    /// `stored` is not 0.
    some: DFF<Bit>,
    places: DFF<Bits<4>>,
    requested: DFF<Bit>,
    arriving: DFF<Bit>,
    fresh: Vec<DFF<Bit>>,
    level: DFF<Bits<16>>,
    taken: DFF<Bit>,
    request: Signal<Local, Bit>,
    take: Signal<Local, Bit>,
    reached: Signal<Local, Bit>,
    last_word: Constant<Bits<16>>,
    all_places: Constant<Bits<4>>,
    _words: usize,
    _bytes: usize,
    _delay: usize,
}

impl WeightBuffer {
    /// The buffer of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let words = config.weight_word_bytes() / 4;
        Self {
            write_data: many(words),
            stream_data: many(4 * words),
            ram: Ram::new(
                words,
                1,
                config.weight_words,
                RamStyle::of_depth(config.weight_words),
            ),
            ready_words: Queue::new(words, READY_WORDS),
            split: Lanes::new(words),
            fresh: many(LEVEL_DELAY),
            last_word: Constant::new((config.weight_words as u64 - 1).into()),
            all_places: Constant::new((READY_WORDS as u64).into()),
            _words: words,
            _bytes: 4 * words,
            _delay: LEVEL_DELAY,
            ..Self::default()
        }
    }
}

impl Logic for WeightBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, tail, head, stored, some, places, requested, arriving, level, taken);
        clock!(self, clock, ram, ready_words);
        self.ready_words.reset.next = self.reset.val();

        // Into the memory.
        self.ram.write_enable[0].next = self.write_valid.val();
        self.ram.write_address.next = self.tail.q.val();
        if self.write_valid.val() {
            self.tail.d.next = self.tail.q.val() + 1;
            if self.tail.q.val() == self.last_word.val() {
                self.tail.d.next = 0.into();
            }
        }

        // Out of the memory, into the places of the output queue.
        self.request.next = self.some.q.val() & self.places.q.val().any();
        self.ram.read_address.next = self.head.q.val();
        if self.request.val() {
            self.head.d.next = self.head.q.val() + 1;
            if self.head.q.val() == self.last_word.val() {
                self.head.d.next = 0.into();
            }
        }
        if self.write_valid.val() & !self.request.val() {
            self.stored.d.next = self.stored.q.val() + 1;
            self.some.d.next = true;
        } else if self.request.val() & !self.write_valid.val() {
            self.stored.d.next = self.stored.q.val() - 1;
            self.some.d.next = self.stored.q.val() > 1;
        }
        self.requested.d.next = self.request.val();
        self.arriving.d.next = self.requested.q.val();
        self.ready_words.write_valid.next = self.arriving.q.val();

        // Out of the buffer.
        self.ready_words.read_ready.next = self.stream_ready.val();
        self.stream_valid.next = self.ready_words.read_valid.val();
        self.take.next = self.ready_words.read_valid.val() & self.stream_ready.val();
        self.taken.d.next = self.take.val();
        self.consumed.next = self.taken.q.val();
        if self.take.val() & !self.request.val() {
            self.places.d.next = self.places.q.val() + 1;
        } else if self.request.val() & !self.take.val() {
            self.places.d.next = self.places.q.val() - 1;
        }
        for i in 0..self._words {
            self.ram.write_data[i].next = self.write_data[i].val();
            self.ready_words.write_data[i].next = self.ram.read_data[i].val();
            self.split.from[i].next = self.ready_words.read_data[i].val();
        }
        for b in 0..self._bytes {
            self.stream_data[b].next = self.split.to[b].val();
        }

        // Level: a word counts when it has reached the output.
        self.reached.next = self.write_valid.val();
        for i in 0..self._delay {
            self.fresh[i].clock.next = self.clock.val();
            self.fresh[i].d.next = self.reached.val();
            self.reached.next = self.fresh[i].q.val();
        }
        if self.reached.val() & !self.take.val() {
            self.level.d.next = self.level.q.val() + 1;
        } else if self.take.val() & !self.reached.val() {
            self.level.d.next = self.level.q.val() - 1;
        }
        self.stream_level.next = self.level.q.val();

        if self.reset.val() {
            self.tail.d.next = 0.into();
            self.head.d.next = 0.into();
            self.stored.d.next = 0.into();
            self.some.d.next = false;
            self.places.d.next = self.all_places.val();
            self.requested.d.next = false;
            self.arriving.d.next = false;
            self.level.d.next = 0.into();
            self.taken.d.next = false;
            for i in 0..self._delay {
                self.fresh[i].d.next = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbench::{cycle, Random};
    use std::collections::VecDeque;

    fn small() -> WeightBuffer {
        let mut config = AccelConfig::named("nano").unwrap();
        config.weight_words = 37;
        let mut buffer = WeightBuffer::new(&config);
        buffer.connect_all();
        buffer.reset.next = true;
        cycle(&mut buffer, |b| &mut b.clock);
        buffer.reset.next = false;
        buffer
    }

    fn write(buffer: &mut WeightBuffer, words: &mut VecDeque<u64>, random: &mut Random) {
        let word = random.next();
        for (i, lane) in buffer.write_data.iter_mut().enumerate() {
            lane.next = (word >> (8 * i) & 0xffff_ffff).into();
        }
        words.push_back(word);
    }

    fn check(buffer: &WeightBuffer, word: u64) {
        for (i, byte) in buffer.stream_data.iter().enumerate() {
            let want = word >> (8 * (i / 4)) >> (8 * (i % 4)) & 0xff;
            assert_eq!(byte.val(), Bits::<8>::from(want), "byte {i}");
        }
    }

    #[test]
    fn keeps_order_and_level_is_never_optimistic() {
        let (mut buffer, mut random) = (small(), Random::new(3));
        let (mut words, mut credits, mut promised, mut compared) = (VecDeque::new(), 37, 0u64, 0);
        for step in 0..20_000u64 {
            let duty = [10, 100, 50, 95][(step / 300) as usize % 4];
            buffer.write_valid.next = credits > 0 && random.percent(duty);
            if buffer.write_valid.next {
                credits -= 1;
                write(&mut buffer, &mut words, &mut random);
            }
            // A reader that starts only with a promise of some words and then takes them without looking.
            let level: u64 = buffer.stream_level.val().into();
            if promised == 0 && random.percent(110 - duty) {
                promised = level.min(1 + random.below(12));
            }
            buffer.stream_ready.next = promised > 0;
            if promised > 0 {
                assert!(
                    buffer.stream_valid.val(),
                    "level {level} was optimistic in cycle {step}"
                );
                check(&buffer, words.pop_front().unwrap());
                promised -= 1;
                compared += 1;
            }
            cycle(&mut buffer, |b| &mut b.clock);
            credits += u64::from(buffer.consumed.val());
            assert!(u64::from(buffer.stream_level.val()) <= words.len() as u64);
        }
        assert!(compared > 5_000, "{compared}");
    }

    #[test]
    fn a_word_arrives_after_its_latency_and_the_rate_is_one_a_cycle() {
        let (mut buffer, mut random, mut words) = (small(), Random::new(5), VecDeque::new());
        buffer.stream_ready.next = true;
        for step in 0..200 {
            buffer.write_valid.next = true;
            write(&mut buffer, &mut words, &mut random);
            cycle(&mut buffer, |b| &mut b.clock);
            assert_eq!(
                buffer.stream_valid.val(),
                step + 1 >= LATENCY_CYCLES,
                "cycle {step}"
            );
            if buffer.stream_valid.val() {
                check(&buffer, words.pop_front().unwrap());
            }
        }
    }

    #[test]
    fn reset_empties_it() {
        let (mut buffer, mut random, mut words) = (small(), Random::new(5), VecDeque::new());
        for _ in 0..30 {
            buffer.write_valid.next = true;
            write(&mut buffer, &mut words, &mut random);
            cycle(&mut buffer, |b| &mut b.clock);
        }
        buffer.write_valid.next = false;
        buffer.reset.next = true;
        cycle(&mut buffer, |b| &mut b.clock);
        buffer.reset.next = false;
        for _ in 0..10 {
            assert!(!buffer.stream_valid.val() && buffer.stream_level.val() == 0);
            cycle(&mut buffer, |b| &mut b.clock);
        }
    }
}
