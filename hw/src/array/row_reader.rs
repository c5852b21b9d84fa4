//! From a pair of rows to the memory addresses of its words, over the expert's queue if the rows are gathered.
//!
//! ```text
//! row     = 2 * pair, 2 * pair + 1        or the tokens that the queue lookup returns
//! address = word + row * stride
//! ```
//!
//! The queue is asked in the cycle in which the pair is presented (its address is the pair itself) and answers
//! [`LOOKUP_CYCLES`](super::timing::LOOKUP_CYCLES) later; `gather`, `stride` and `word` wait for it. Addresses leave
//! [`row_address::LATENCY_CYCLES`](super::row_address::LATENCY_CYCLES) after that. One pair a cycle, never stalls, no reset.
//!
//! ```text
//! pair, gather, stride, word --> [1] --> [2] --> gather ? --> RowAddress --> address_0, address_1
//! lookup_token_0, _1 -----------------------------^
//! ```

use super::row_address::RowAddress;
use super::timing::LOOKUP_CYCLES;
use crate::prelude::*;

/// The reader; see the module.
#[derive(LogicBlock, Default)]
pub struct RowReader {
    pub clock: Signal<In, Clock>,
    pub pair: Signal<In, Bits<10>>,
    pub gather: Signal<In, Bit>,
    pub stride: Signal<In, Bits<8>>,
    pub word: Signal<In, Bits<16>>,
    pub lookup_token_0: Signal<In, Bits<11>>,
    pub lookup_token_1: Signal<In, Bits<11>>,
    pub address_0: Signal<Out, Bits<16>>,
    pub address_1: Signal<Out, Bits<16>>,
    row_0: Signal<Local, Bits<11>>,
    row_1: Signal<Local, Bits<11>>,
    pairs: Vec<DFF<Bits<10>>>,
    gathers: Vec<DFF<Bit>>,
    strides: Vec<DFF<Bits<8>>>,
    words: Vec<DFF<Bits<16>>>,
    first: RowAddress,
    second: RowAddress,
}

const _: () = assert!(LOOKUP_CYCLES == 2);

impl RowReader {
    pub fn new() -> Self {
        Self {
            pairs: many(LOOKUP_CYCLES),
            gathers: many(LOOKUP_CYCLES),
            strides: many(LOOKUP_CYCLES),
            words: many(LOOKUP_CYCLES),
            ..Self::default()
        }
    }
}

impl Logic for RowReader {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, first, second);
        for i in 0..2 {
            self.pairs[i].clock.next = self.clock.val();
            self.gathers[i].clock.next = self.clock.val();
            self.strides[i].clock.next = self.clock.val();
            self.words[i].clock.next = self.clock.val();
        }
        self.pairs[0].d.next = self.pair.val();
        self.gathers[0].d.next = self.gather.val();
        self.strides[0].d.next = self.stride.val();
        self.words[0].d.next = self.word.val();
        self.pairs[1].d.next = self.pairs[0].q.val();
        self.gathers[1].d.next = self.gathers[0].q.val();
        self.strides[1].d.next = self.strides[0].q.val();
        self.words[1].d.next = self.words[0].q.val();
        self.row_0.next =
            bit_cast::<11, 10>(self.pairs[1].q.val()) + bit_cast::<11, 10>(self.pairs[1].q.val());
        self.row_1.next =
            bit_cast::<11, 10>(self.pairs[1].q.val()) + bit_cast::<11, 10>(self.pairs[1].q.val()) + 1;
        if self.gathers[1].q.val() {
            self.row_0.next = self.lookup_token_0.val();
            self.row_1.next = self.lookup_token_1.val();
        }
        self.first.row.next = self.row_0.val();
        self.second.row.next = self.row_1.val();
        self.first.stride.next = self.strides[1].q.val();
        self.second.stride.next = self.strides[1].q.val();
        self.first.word.next = self.words[1].q.val();
        self.second.word.next = self.words[1].q.val();
        self.address_0.next = self.first.address.val();
        self.address_1.next = self.second.address.val();
    }
}
