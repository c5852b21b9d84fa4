//! Reads rows of words once and gives them out twice: to a row reduction as they arrive, and again when its result is known.
//!
//! Words are requested in address order (row `t` starts at `src_base + t * stride`), arrive [`READ_CYCLES`] cycles after a granted
//! request, and wait in a ring of [`BUFFER_WORDS`] words. Requests stop while the ring or the row count is full, so that the unit
//! behind may stall at any time; a row of up to [`BUFFER_WORDS`] words always fits.
//!
//! `issue` asks for the next word, which appears [`ISSUE_CYCLES`] cycles later with `word_valid`; `hold` asks for the same word
//! again next time. `start` comes when everything before it has been issued, with `rows` and `words`, which stay. The earliest `issue` of a word is the cycle after its arrival. `issue_last` says that the next word is the last of its row. A word a cycle on both sides.
//!
//! ```text
//! read_* <-- [address, row, word]        issue --> [read pointer]
//! read_data --+--> arrival_* (reduction)               |
//!             +--> [ring of words] --------------------+--> word_valid, word_data
//! ```

use crate::prelude::*;
use crate::primitives::ram::{self, Ram, RamStyle};

/// Words of the ring.
pub const BUFFER_WORDS: usize = 512;
/// Rows that may be in the unit at once.
pub const OPEN_ROWS: usize = 16;
/// Cycles from a granted request to its data.
pub const READ_CYCLES: usize = 2;
/// Cycles from `issue` to `word_valid`.
pub const ISSUE_CYCLES: usize = ram::LATENCY_CYCLES;

/// The row buffer; see the module.
#[derive(LogicBlock, Default)]
pub struct RowBuffer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub src_base: Signal<In, Bits<16>>,
    pub stride: Signal<In, Bits<16>>,
    pub rows: Signal<In, Bits<11>>,
    pub words: Signal<In, Bits<10>>,
    pub read_valid: Signal<Out, Bit>,
    pub read_ready: Signal<In, Bit>,
    pub read_address: Signal<Out, Bits<16>>,
    pub read_data: Vec<Signal<In, Bits<16>>>,
    pub arrival_valid: Signal<Out, Bit>,
    pub arrival_first: Signal<Out, Bit>,
    pub arrival_last: Signal<Out, Bit>,
    pub issue: Signal<In, Bit>,
    pub hold: Signal<In, Bit>,
    pub issue_last: Signal<Out, Bit>,
    pub word_valid: Signal<Out, Bit>,
    pub word_data: Vec<Signal<Out, Bits<16>>>,
    free: Signal<Local, Bit>,
    request: Signal<Local, Bit>,
    advance: Signal<Local, Bit>,
    close: Signal<Local, Bit>,
    rows_left: DFF<Bits<11>>,
    // What comparisons would say, kept up to date: rows are left; the word to ask for is not the first, is the last of its row; the word
    // to issue is the last of its row.
    some_left: DFF<Bit>,
    inside_row: DFF<Bit>,
    asks_last: DFF<Bit>,
    issues_last: DFF<Bit>,
    row_base: DFF<Bits<16>>,
    next_address: DFF<Bits<16>>,
    word: DFF<Bits<10>>,
    pending: DFF<Bit>,
    pending_first: DFF<Bit>,
    pending_last: DFF<Bit>,
    address: DFF<Bits<16>>,
    flight_valid: DFF<Bit>,
    flight_first: DFF<Bit>,
    flight_last: DFF<Bit>,
    here_valid: DFF<Bit>,
    here_first: DFF<Bit>,
    here_last: DFF<Bit>,
    level: DFF<Bits<10>>,
    open_rows: DFF<Bits<5>>,
    write_pointer: DFF<Bits<9>>,
    read_pointer: DFF<Bits<9>>,
    issue_word: DFF<Bits<10>>,
    issued_1: DFF<Bit>,
    issued_2: DFF<Bit>,
    ring: Ram<16>,
    _columns: usize,
}

impl RowBuffer {
    /// A buffer of words of `columns` 16-bit values.
    pub fn new(columns: usize) -> Self {
        Self {
            read_data: many(columns),
            word_data: many(columns),
            ring: Ram::new(columns, 1, BUFFER_WORDS, RamStyle::Block),
            _columns: columns,
            ..Self::default()
        }
    }
}

impl Logic for RowBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            rows_left,
            row_base,
            next_address,
            word,
            pending,
            pending_first,
            pending_last
        );
        dff_setup!(
            self,
            clock,
            address,
            flight_valid,
            flight_first,
            flight_last,
            here_valid,
            here_first
        );
        dff_setup!(
            self,
            clock,
            here_last,
            level,
            open_rows,
            write_pointer,
            read_pointer,
            issue_word
        );
        dff_setup!(self, clock, issued_1, issued_2);
        dff_setup!(self, clock, some_left, inside_row, asks_last, issues_last);
        self.ring.clock.next = self.clock.val();
        // Requests: a row opens only while fewer than 16 are open, a word is asked for only while the ring has a place.
        self.free.next = !self.pending.q.val() | self.read_ready.val();
        self.request.next = self.free.val()
            & self.some_left.q.val()
            & !self.level.q.val().get_bit(9)
            & (self.inside_row.q.val() | !self.open_rows.q.val().get_bit(4));
        if self.free.val() {
            self.pending.d.next = self.request.val();
        }
        if self.request.val() {
            self.address.d.next = self.next_address.q.val();
            self.pending_first.d.next = !self.inside_row.q.val();
            self.pending_last.d.next = self.asks_last.q.val();
            self.next_address.d.next = self.next_address.q.val() + 1;
            self.word.d.next = self.word.q.val() + 1;
            self.inside_row.d.next = true;
            self.asks_last.d.next = self.word.q.val() + 2 == self.words.val();
            if self.asks_last.q.val() {
                self.word.d.next = 0.into();
                self.inside_row.d.next = false;
                self.asks_last.d.next = self.words.val() == 1;
                self.rows_left.d.next = self.rows_left.q.val() - 1;
                self.some_left.d.next = self.rows_left.q.val() != 1;
                self.row_base.d.next = self.row_base.q.val() + self.stride.val();
                self.next_address.d.next = self.row_base.q.val() + self.stride.val();
            }
        }
        self.read_valid.next = self.pending.q.val();
        self.read_address.next = self.address.q.val();
        // Arrivals.
        self.flight_valid.d.next = self.pending.q.val() & self.read_ready.val();
        self.flight_first.d.next = self.pending_first.q.val();
        self.flight_last.d.next = self.pending_last.q.val();
        self.here_valid.d.next = self.flight_valid.q.val();
        self.here_first.d.next = self.flight_first.q.val();
        self.here_last.d.next = self.flight_last.q.val();
        self.arrival_valid.next = self.here_valid.q.val();
        self.arrival_first.next = self.here_first.q.val();
        self.arrival_last.next = self.here_last.q.val();
        if self.here_valid.q.val() {
            self.write_pointer.d.next = self.write_pointer.q.val() + 1;
        }
        // Second reading.
        self.issue_last.next = self.issues_last.q.val();
        self.advance.next = self.issue.val() & !self.hold.val();
        self.close.next = self.advance.val() & self.issue_last.val();
        if self.advance.val() {
            self.read_pointer.d.next = self.read_pointer.q.val() + 1;
            self.issue_word.d.next = self.issue_word.q.val() + 1;
            self.issues_last.d.next = self.issue_word.q.val() + 2 == self.words.val();
        }
        if self.close.val() {
            self.issue_word.d.next = 0.into();
            self.issues_last.d.next = self.words.val() == 1;
        }
        self.issued_1.d.next = self.issue.val();
        self.issued_2.d.next = self.issued_1.q.val();
        self.word_valid.next = self.issued_2.q.val();
        // Words and rows inside.
        if self.request.val() & !self.advance.val() {
            self.level.d.next = self.level.q.val() + 1;
        }
        if self.advance.val() & !self.request.val() {
            self.level.d.next = self.level.q.val() - 1;
        }
        if self.request.val() & !self.inside_row.q.val() & !self.close.val() {
            self.open_rows.d.next = self.open_rows.q.val() + 1;
        }
        if self.close.val() & !(self.request.val() & !self.inside_row.q.val()) {
            self.open_rows.d.next = self.open_rows.q.val() - 1;
        }
        self.ring.write_enable[0].next = self.here_valid.q.val();
        self.ring.write_address.next = bit_cast::<16, 9>(self.write_pointer.q.val());
        self.ring.read_address.next = bit_cast::<16, 9>(self.read_pointer.q.val());
        for c in 0..self._columns {
            self.ring.write_data[c].next = self.read_data[c].val();
            self.word_data[c].next = self.ring.read_data[c].val();
        }
        if self.start.val() {
            self.rows_left.d.next = self.rows.val();
            self.row_base.d.next = self.src_base.val();
            self.next_address.d.next = self.src_base.val();
            self.word.d.next = 0.into();
            self.some_left.d.next = self.rows.val().any();
            self.inside_row.d.next = false;
            self.asks_last.d.next = self.words.val() == 1;
            self.issues_last.d.next = self.words.val() == 1;
        }
        if self.reset.val() {
            self.rows_left.d.next = 0.into();
            self.some_left.d.next = false;
            self.inside_row.d.next = false;
            self.word.d.next = 0.into();
            self.pending.d.next = false;
            self.flight_valid.d.next = false;
            self.here_valid.d.next = false;
            self.level.d.next = 0.into();
            self.open_rows.d.next = 0.into();
            self.write_pointer.d.next = 0.into();
            self.read_pointer.d.next = 0.into();
            self.issue_word.d.next = 0.into();
            self.issued_1.d.next = false;
            self.issued_2.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{settle, tick, Lockstep, Rng};

    /// Reads `rows` rows of `words` words from a memory whose word `a` holds `a`, with stalls on both sides; returns what was issued
    /// (each word twice where `twice`) and the cycles taken.
    fn run(uut: &mut RowBuffer, rows: u64, words: u64, stall: u64, twice: bool) -> (Vec<usize>, usize) {
        let mut rng = Rng::new(rows * words + stall);
        let (mut arrived, mut whole_rows, mut ready_rows, mut issued, mut seen) = (0, 0, 0, 0, vec![]);
        let (mut arriving, mut again) = ([0usize; 2], false);
        let total = (rows * words) as usize * (1 + usize::from(twice));
        uut.src_base.next = 100u64.into();
        uut.stride.next = (words + 3).into();
        uut.rows.next = rows.into();
        uut.words.next = words.into();
        uut.start.next = true;
        for cycles in 0..100_000 {
            if seen.len() == total {
                return (seen, cycles);
            }
            uut.read_ready.next = !rng.chance(stall);
            let left = ready_rows * words as usize * (1 + usize::from(twice)) - issued;
            uut.issue.next = left > 0 && !rng.chance(stall);
            uut.hold.next = twice && !again;
            if uut.issue.next {
                (again, issued) = (twice && !again, issued + 1);
            }
            ready_rows = whole_rows;
            arriving = [uut.read_address.val().index(), arriving[0]];
            tick(uut, |u, level| u.clock.next = level.into()).unwrap();
            uut.start.next = false;
            uut.read_data[0].next = (arriving[1] as u64).into();
            settle(uut).unwrap();
            if uut.arrival_valid.val() {
                assert_eq!(uut.arrival_first.val(), arrived % words == 0);
                assert_eq!(uut.arrival_last.val(), arrived % words == words - 1);
                arrived += 1;
                whole_rows += usize::from(uut.arrival_last.val());
            }
            if uut.word_valid.val() {
                seen.push(uut.word_data[0].val().index());
            }
        }
        panic!("no end after {} words", seen.len());
    }

    #[test]
    fn every_word_comes_in_order_once_or_twice() {
        let mut compared = 0;
        for (rows, words, stall, twice) in [
            (5, 7, 0, false),
            (9, 4, 50, true),
            (40, 1, 30, false),
            (3, 512, 10, false),
        ] {
            let mut uut = RowBuffer::new(4);
            uut.connect_all();
            let (seen, _) = run(&mut uut, rows, words, stall, twice);
            let row = |t: u64| (0..words).map(move |i| (100 + t * (words + 3) + i) as usize);
            let want: Vec<usize> = (0..rows)
                .flat_map(row)
                .flat_map(|a| vec![a; 1 + usize::from(twice)])
                .collect();
            assert_eq!(seen, want);
            compared += want.len();
        }
        assert!(compared > 1_600);
    }

    #[test]
    fn a_word_a_cycle_on_both_sides() {
        let mut uut = RowBuffer::new(4);
        uut.connect_all();
        let (seen, cycles) = run(&mut uut, 50, 8, 0, false);
        assert!(seen.len() == 400 && cycles < 420, "{cycles}");
    }

    #[test]
    fn lock_step_with_verilog() {
        let report = Lockstep::new(
            "RowBuffer",
            || RowBuffer::new(4),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..2, 50_000, |u, rng, cycle| {
            u.reset.next = cycle < 2 || rng.below(3_000) == 0;
            u.start.next = rng.below(200) == 0;
            u.src_base.next = rng.bits(16).into();
            u.stride.next = rng.bits(9).into();
            u.rows.next = rng.below(30).into();
            if cycle % 1_000 == 0 {
                u.words.next = (1 + rng.below(40)).into();
            }
            u.read_ready.next = rng.chance(80);
            u.issue.next = rng.chance(60);
            u.hold.next = rng.chance(20);
            for lane in u.read_data.iter_mut() {
                lane.next = rng.bits(16).into();
            }
        })
        .unwrap();
        assert_eq!(report.cycles, 100_000);
    }
}
