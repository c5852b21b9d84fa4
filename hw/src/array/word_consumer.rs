//! Takes words off the stream for consumers that may wait: program memory, post-processing parameters, copies, nobody.
//!
//! | kind | `count` | a stream word is | consumer |
//! |---|---|---|---|
//! | [`PROGRAM`] | stream words | one write | always ready |
//! | [`PARAMETERS`] | stream words | one word | `parameter_ready` |
//! | [`ACTIVATION`] | words of R bytes | up to W / R writes | `copy_ready` |
//! | [`RESIDUAL`] | words of 2C bytes | up to W / 2C writes | `copy_ready` |
//! | [`DISCARD`] | stream words | dropped | always ready |
//!
//! * `start` loads kind, count and first address; it comes only while `empty`. From the next cycle on words are taken while `enable`.
//! * `taken` accompanies the last word of a count. The word then still stands here until its consumer has it, marked with its kind, so
//!   that the stream can go on with tiles.
//! * A word a cycle; a word that its consumer takes is replaced in the same cycle. `program_done` and `copy_done` come in the cycle
//!   after the last word was consumed (or after a `start` with nothing to do).
//!
//! ```text
//! stream_data --wants--> [StreamWord] --> word, program_write | parameter_valid | copy_valid
//!                             ^ chunk dropped by every copy
//! ```

use super::stream_word::StreamWord;
use crate::config::AccelConfig;
use crate::prelude::*;

/// Words of the program memory.
pub const PROGRAM: u64 = 0;
/// Parameters for the drain unit.
pub const PARAMETERS: u64 = 1;
/// Copy to activation memory.
pub const ACTIVATION: u64 = 2;
/// Copy to residual memory.
pub const RESIDUAL: u64 = 3;
/// Dropped; ends like a copy.
pub const DISCARD: u64 = 4;

/// The consumer; see the module.
#[derive(LogicBlock, Default)]
pub struct WordConsumer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub kind: Signal<In, Bits<3>>,
    pub count: Signal<In, Bits<16>>,
    pub first_address: Signal<In, Bits<16>>,
    pub enable: Signal<In, Bit>,
    pub stream_valid: Signal<In, Bit>,
    pub stream_data: Vec<Signal<In, Bits<8>>>,
    /// Takes the stream's word in this cycle if there is one.
    pub wants: Signal<Out, Bit>,
    pub taken: Signal<Out, Bit>,
    pub empty: Signal<Out, Bit>,
    pub word: Vec<Signal<Out, Bits<8>>>,
    pub program_write: Signal<Out, Bit>,
    pub program_done: Signal<Out, Bit>,
    pub parameter_valid: Signal<Out, Bit>,
    pub parameter_ready: Signal<In, Bit>,
    pub copy_valid: Signal<Out, Bit>,
    pub copy_ready: Signal<In, Bit>,
    pub copy_residual: Signal<Out, Bit>,
    pub copy_address: Signal<Out, Bits<16>>,
    pub copy_done: Signal<Out, Bit>,
    /// Destination words that no taken word holds yet, and how many a word holds.
    left: DFF<Bits<16>>,
    left_kind: DFF<Bits<3>>,
    chunks: DFF<Bits<16>>,
    full: DFF<Bit>,
    word_kind: DFF<Bits<3>>,
    /// The word is the last one of its count; its chunks that are left, and whether that is one.
    last_word: DFF<Bit>,
    word_chunks: DFF<Bits<16>>,
    last_chunk: DFF<Bit>,
    address: DFF<Bits<16>>,
    finished_program: DFF<Bit>,
    finished_copy: DFF<Bit>,
    accepted: Signal<Local, Bit>,
    release: Signal<Local, Bit>,
    want: Signal<Local, Bit>,
    take: Signal<Local, Bit>,
    last_take: Signal<Local, Bit>,
    finished: Signal<Local, Bit>,
    finished_kind: Signal<Local, Bits<3>>,
    copying: Signal<Local, Bit>,
    register: StreamWord,
    activation_chunks: Constant<Bits<16>>,
    residual_chunks: Constant<Bits<16>>,
    _bytes: usize,
}

impl WordConsumer {
    pub fn new(config: &AccelConfig) -> Self {
        let bytes = config.weight_word_bytes();
        let chunks = |width: usize| Constant::new((bytes as u64 / width as u64).into());
        Self {
            stream_data: many(bytes),
            word: many(bytes),
            register: StreamWord::new(config),
            activation_chunks: chunks(config.rows),
            residual_chunks: chunks(config.residual_word_bytes()),
            _bytes: bytes,
            ..Self::default()
        }
    }
}

impl Logic for WordConsumer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            left,
            left_kind,
            chunks,
            full,
            word_kind,
            last_word,
            word_chunks,
            last_chunk,
            address
        );
        dff_setup!(self, clock, finished_program, finished_copy);
        clock!(self, clock, register);

        // Consume the word, or its chunk.
        self.accepted.next = self.full.q.val();
        if self.word_kind.q.val() == 1 {
            self.accepted.next = self.full.q.val() & self.parameter_ready.val();
        }
        self.copying.next = (self.word_kind.q.val() == 2) | (self.word_kind.q.val() == 3);
        if self.copying.val() {
            self.accepted.next = self.full.q.val() & self.copy_ready.val();
        }
        self.release.next = self.accepted.val() & self.last_chunk.q.val();
        if self.accepted.val() {
            self.word_chunks.d.next = self.word_chunks.q.val() - 1;
            self.last_chunk.d.next = self.word_chunks.q.val() == 2;
            self.address.d.next = self.address.q.val() + 1;
        }
        if self.release.val() {
            self.full.d.next = false;
        }
        self.finished.next = self.release.val() & self.last_word.q.val();
        self.finished_kind.next = self.word_kind.q.val();

        // Take the next one.
        self.want.next =
            self.enable.val() & (self.left.q.val() != 0) & (!self.full.q.val() | self.release.val());
        self.take.next = self.want.val() & self.stream_valid.val();
        self.last_take.next = self.left.q.val() <= self.chunks.q.val();
        if self.take.val() {
            self.full.d.next = true;
            self.word_kind.d.next = self.left_kind.q.val();
            self.last_word.d.next = self.last_take.val();
            self.word_chunks.d.next = self.chunks.q.val();
            self.last_chunk.d.next = self.chunks.q.val() == 1;
            self.left.d.next = self.left.q.val() - self.chunks.q.val();
            if self.last_take.val() {
                self.word_chunks.d.next = self.left.q.val();
                self.last_chunk.d.next = self.left.q.val() == 1;
                self.left.d.next = 0.into();
            }
        }

        // Begin a count.
        if self.start.val() {
            self.left.d.next = self.count.val();
            self.left_kind.d.next = self.kind.val();
            self.chunks.d.next = 1.into();
            if self.kind.val() == 2 {
                self.chunks.d.next = self.activation_chunks.val();
                self.address.d.next = self.first_address.val();
            }
            if self.kind.val() == 3 {
                self.chunks.d.next = self.residual_chunks.val();
                self.address.d.next = self.first_address.val();
            }
            if self.count.val() == 0 {
                self.finished.next = true;
                self.finished_kind.next = self.kind.val();
            }
        }
        self.finished_program.d.next = self.finished.val() & (self.finished_kind.val() == 0);
        self.finished_copy.d.next = self.finished.val() & (self.finished_kind.val() >= 2);

        self.register.take.next = self.take.val();
        self.register.shift.next = self.accepted.val();
        self.register.wide.next = self.word_kind.q.val() == 3;
        for i in 0..self._bytes {
            self.register.d[i].next = self.stream_data[i].val();
            self.word[i].next = self.register.q[i].val();
        }
        self.wants.next = self.want.val();
        self.taken.next = self.take.val() & self.last_take.val();
        self.empty.next = self.left.q.val() == 0;
        self.program_write.next = self.full.q.val() & (self.word_kind.q.val() == 0);
        self.parameter_valid.next = self.full.q.val() & (self.word_kind.q.val() == 1);
        self.copy_valid.next = self.full.q.val() & self.copying.val();
        self.copy_residual.next = self.word_kind.q.val() == 3;
        self.copy_address.next = self.address.q.val();
        self.program_done.next = self.finished_program.q.val();
        self.copy_done.next = self.finished_copy.q.val();
        if self.reset.val() {
            self.left.d.next = 0.into();
            self.full.d.next = false;
            self.finished_program.d.next = false;
            self.finished_copy.d.next = false;
        }
    }
}
