//! Wires that regroup lanes: the same bits, little-endian, in lanes of another width. No register, no logic.
//!
//! ```text
//! from[1] from[0]            16 + 16 bits
//! |______ to[0] ______|      32 bits
//! ```

use crate::prelude::*;

/// The wires; see the module. One width divides the other; both are at most 32.
#[derive(LogicBlock, Default)]
pub struct Lanes<const FROM: usize, const TO: usize> {
    pub from: Vec<Signal<In, Bits<FROM>>>,
    pub to: Vec<Signal<Out, Bits<TO>>>,
}

impl<const FROM: usize, const TO: usize> Lanes<FROM, TO> {
    /// Wires for `lanes` lanes of `FROM` bits.
    pub fn new(lanes: usize) -> Self {
        assert!(
            (FROM % TO == 0 || TO % FROM == 0) && lanes * FROM % TO == 0,
            "{lanes} lanes of {FROM} bits do not regroup to {TO}"
        );
        Self {
            from: many(lanes),
            to: many(lanes * FROM / TO),
        }
    }

    /// The bits of lane `to`, from its first bit on.
    fn lane(&self, to: usize) -> u64 {
        let first = to * TO;
        let lanes = first / FROM..(first + TO).div_ceil(FROM);
        let bits = lanes.clone().fold(0, |all, lane| {
            all | u64::from(self.from[lane].val()) << ((lane - lanes.start) * FROM)
        });
        (bits >> (first % FROM)) & ((1 << TO) - 1)
    }
}

impl<const FROM: usize, const TO: usize> Logic for Lanes<FROM, TO> {
    fn update(&mut self) {
        for to in 0..self.to.len() {
            self.to[to].next = self.lane(to).into();
        }
    }

    fn connect(&mut self) {
        self.to.iter_mut().for_each(|lane| lane.connect());
    }

    fn hdl(&self) -> Verilog {
        // Both vectors have the same bits.
        Verilog::Custom(format!(
            "// module: Lanes #(WIDTH = {})\n// port: [WIDTH-1:0] from, to\nassign to = from;\n",
            self.from.len() * FROM
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbench::settle;

    #[test]
    fn bits_keep_their_order_both_ways() {
        let mut apart = Lanes::<32, 8>::new(2);
        apart.from[0].next = 0x0403_0201u64.into();
        apart.from[1].next = 0xff07_0605u64.into();
        settle(&mut apart);
        let bytes: Vec<usize> = apart.to.iter().map(|b| b.val().index()).collect();
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 0xff]);

        let mut together = Lanes::<16, 32>::new(4);
        for (i, lane) in together.from.iter_mut().enumerate() {
            lane.next = (0x8001 + i as u64).into();
        }
        settle(&mut together);
        let words: Vec<usize> = together.to.iter().map(|w| w.val().index()).collect();
        assert_eq!(words, [0x8002_8001, 0x8004_8003]);
    }
}
