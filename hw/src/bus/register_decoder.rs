//! Which register an address means; made from the register table.
//!
//! Combinational. Bits 1 and 0 of the address are ignored; an address without a register selects nothing.
//!
//! ```text
//! address[7:2] == offset / 4 --> select
//! ```

use super::register_table::{offset, COUNTERS, FRAME_REGISTERS};
use crate::prelude::*;

/// Registers that the circuit treats one by one, in the order of [`RegisterDecoder::special`].
pub const SPECIAL_REGISTERS: [&str; 13] = [
    "CTRL",
    "GIER",
    "IP_IER",
    "IP_ISR",
    "STATUS",
    "ERROR_COMMAND",
    "ERROR_ADDRESS_LO",
    "ERROR_ADDRESS_HI",
    "CONTROL2",
    "ID",
    "VERSION",
    "CONFIG_HASH",
    "CAPS",
];

/// The decoder; see the module.
#[derive(LogicBlock)]
pub struct RegisterDecoder {
    pub address: Signal<In, Bits<8>>,
    /// One of [`SPECIAL_REGISTERS`].
    pub special: Vec<Signal<Out, Bit>>,
    /// One of [`FRAME_REGISTERS`].
    pub frame: Vec<Signal<Out, Bit>>,
    /// One of [`COUNTERS`].
    pub counter: Vec<Signal<Out, Bit>>,
}

impl Default for RegisterDecoder {
    fn default() -> Self {
        let selects = |names: &[&str]| names.iter().map(|_| Signal::default()).collect();
        Self {
            address: Signal::default(),
            special: selects(&SPECIAL_REGISTERS),
            frame: selects(&FRAME_REGISTERS),
            counter: selects(&COUNTERS),
        }
    }
}

fn word_of(name: &str) -> u32 {
    offset(name).expect("the tests check that every name is in the table") / 4
}

fn drive(selects: &mut [Signal<Out, Bit>], names: &[&str], word: u32) {
    for (select, name) in selects.iter_mut().zip(names) {
        select.next = word_of(name) == word;
    }
}

fn text(port: &str, names: &[&str]) -> String {
    let line = |(i, name): (usize, &&str)| {
        format!(
            "assign {port}[{i}] = address[7:2] == 6'd{}; // {name}\n",
            word_of(name)
        )
    };
    names.iter().enumerate().map(line).collect()
}

impl Logic for RegisterDecoder {
    fn update(&mut self) {
        let word = self.address.val().index() as u32 / 4;
        drive(&mut self.special, &SPECIAL_REGISTERS, word);
        drive(&mut self.frame, &FRAME_REGISTERS, word);
        drive(&mut self.counter, &COUNTERS, word);
    }

    fn connect(&mut self) {
        let selects = self
            .special
            .iter_mut()
            .chain(&mut self.frame)
            .chain(&mut self.counter);
        selects.for_each(|select| select.connect());
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "// module: RegisterDecoder\nwire unused = &{{1'b0, address[1:0]}};\n{}{}{}",
            text("special", &SPECIAL_REGISTERS),
            text("frame", &FRAME_REGISTERS),
            text("counter", &COUNTERS)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::register_table::{REGISTERS, WINDOW_BYTES};

    #[test]
    fn every_register_is_selected_by_its_offset_alone() {
        let names: Vec<&str> = [&SPECIAL_REGISTERS[..], &FRAME_REGISTERS, &COUNTERS].concat();
        assert_eq!(names.len(), REGISTERS.len());
        let mut decoder = RegisterDecoder::default();
        for address in 0..WINDOW_BYTES {
            decoder.address.next = u64::from(address).into();
            crate::testbench::settle(&mut decoder);
            let all = decoder
                .special
                .iter()
                .chain(&decoder.frame)
                .chain(&decoder.counter);
            let selected: Vec<&str> = all
                .zip(&names)
                .filter(|(s, _)| s.val())
                .map(|(_, n)| *n)
                .collect();
            let want: Vec<&str> = REGISTERS
                .iter()
                .filter(|r| r.offset == address & !3)
                .map(|r| r.name)
                .collect();
            assert_eq!(selected, want, "address {address:#x}");
        }
    }
}
