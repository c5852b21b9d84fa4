//! The control registers: one table from which decode, documents, C header and drivers come.
//!
//! The first sixteen bytes are the block-level control that Vitis HLS gives its kernels (ap_ctrl_chain). Pointers, task, commands
//! and watchdog are latched when a frame is taken: writes while one runs are accepted and hold for the next. Reading a place that
//! has no register gives zero; writing there, or to a read-only register, does nothing; both answer OKAY.
//!
//! **Frame queue.** A start while a frame runs lets the next one wait in the registers. With the running frame's PROGRAM and
//! COMMANDS it is taken as soon as the last byte of the running one is fetched: its image and first weights come in while the other
//! finishes, and the program, which is on the chip, is not read again. Any other waits until the chip is idle. READY says that a
//! frame was taken and the registers are free for the one after it; DONE comes for each, in order. An error ends every frame
//! that was started; FRAMES says how many were complete.

use crate::control::error_code::ErrorCode;
use std::fmt::Write;

/// Bytes of the register window.
pub const WINDOW_BYTES: u32 = 256;
/// What ID reads: "MOEV".
pub const ID_MAGIC: u32 = u32::from_be_bytes(*b"MOEV");
/// Most read ports that have a counter.
pub const COUNTED_PORTS: usize = 4;

/// How software may use a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
    /// Bits behave one by one; their descriptions say how.
    Control,
    /// Writing ones toggles bits.
    ToggleOnWrite,
    /// Writing ones clears bits.
    WriteOneToClear,
}

impl Access {
    /// Short form in tables.
    pub fn name(self) -> &'static str {
        match self {
            Access::ReadOnly => "R",
            Access::ReadWrite => "R/W",
            Access::Control => "control",
            Access::ToggleOnWrite => "R/TOW",
            Access::WriteOneToClear => "R/W1C",
        }
    }
}

/// What a register holds after reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    Value(u32),
    /// Depends on the configuration.
    Configuration,
}

/// A bit field; registers without fields are one number of 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct BitField {
    pub name: &'static str,
    pub lsb: u32,
    pub width: u32,
    pub description: &'static str,
}

impl BitField {
    /// The field's bits in the register.
    pub fn mask(&self) -> u32 {
        (((1u64 << self.width) - 1) << self.lsb) as u32
    }
}

/// A register.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    pub name: &'static str,
    pub offset: u32,
    pub access: Access,
    pub reset: Reset,
    pub description: &'static str,
    pub fields: &'static [BitField],
}

impl Register {
    /// Bits that exist.
    pub fn mask(&self) -> u32 {
        match self.fields {
            [] => u32::MAX,
            fields => fields.iter().fold(0, |mask, field| mask | field.mask()),
        }
    }
}

macro_rules! registers {
    ($($offset:literal $name:ident $access:ident $reset:tt $description:literal { $($field:ident $lsb:literal $width:literal $meaning:literal;)* })*) => {
        /// Every register, by offset.
        pub const REGISTERS: &[Register] = &[$(Register {
            name: stringify!($name),
            offset: $offset,
            access: Access::$access,
            reset: reset!($reset),
            description: $description,
            fields: &[$(BitField { name: stringify!($field), lsb: $lsb, width: $width, description: $meaning },)*],
        },)*];
    };
}

macro_rules! reset {
    (configuration) => {
        Reset::Configuration
    };
    (id) => {
        Reset::Value(ID_MAGIC)
    };
    ($value:literal) => {
        Reset::Value($value)
    };
}

registers! {
    0x00 CTRL Control 4 "Starts a frame and says how it stands." {
        START 0 1 "Write 1: a frame with the present registers waits for its turn. Reads 1 until it is taken. Refused with DONE and READY at once while STATUS.ERROR is set.";
        DONE 1 1 "A frame has ended, with or without an error. Cleared when read.";
        IDLE 2 1 "No frame runs and none is waiting.";
        READY 3 1 "A frame was taken: the registers are free for the next. Cleared when read.";
    }
    0x04 GIER ReadWrite 0 "Global interrupt enable." {
        ENABLE 0 1 "The interrupt output follows IP_ISR.";
    }
    0x08 IP_IER ReadWrite 0 "Interrupt sources that are recorded." {
        DONE 0 1 "End of a frame.";
        READY 1 1 "A frame was taken.";
    }
    0x0c IP_ISR ToggleOnWrite 0 "Recorded interrupts." {
        DONE 0 1 "A frame ended while IP_IER.DONE was set.";
        READY 1 1 "A frame was taken while IP_IER.READY was set.";
    }
    0x20 ID ReadOnly id "Magic number, \"MOEV\"." {}
    0x24 VERSION ReadOnly configuration "Version of the generator that made the circuit." {
        PATCH 0 8 "Patch level.";
        MINOR 8 8 "Minor version.";
        MAJOR 16 8 "Major version.";
    }
    0x28 CONFIG_HASH ReadOnly configuration "Hash of the configuration; a program built for another one must not be started." {}
    0x2c CAPS ReadOnly configuration "Size of the array and number of ports." {
        ROWS 0 8 "Lanes of the array.";
        COLUMNS 8 8 "Columns of the array.";
        READ_PORTS 16 4 "AXI4 read ports.";
    }
    0x30 STATUS WriteOneToClear 0 "How the last frame ended." {
        ERROR 0 1 "A frame ended with an error. Writing 1 clears it and CODE.";
        CODE 4 4 "Why it stopped; see the table of error codes. Read only.";
        BUSY 8 1 "The chip is not idle. Read only.";
    }
    0x34 ERROR_COMMAND ReadOnly 0 "Index of the command at which the last error was noticed." {
        INDEX 0 16 "Command, counted from 0.";
    }
    0x38 ERROR_ADDRESS_LO ReadOnly 0 "Address of the burst that the bus refused, low word." {}
    0x3c ERROR_ADDRESS_HI ReadOnly 0 "Address of the burst that the bus refused, high word." {}
    0x40 PROGRAM_LO ReadWrite 0 "Address of commands and weights, low word." {
        ADDRESS 8 24 "Bits 31 to 8; a multiple of 256 bytes.";
    }
    0x44 PROGRAM_HI ReadWrite 0 "Address of commands and weights, high word." {}
    0x48 IMAGE_LO ReadWrite 0 "Address of the image, low word." {
        ADDRESS 8 24 "Bits 31 to 8; a multiple of 256 bytes.";
    }
    0x4c IMAGE_HI ReadWrite 0 "Address of the image, high word." {}
    0x50 RESULT_LO ReadWrite 0 "Address of the results, low word." {
        ADDRESS 8 24 "Bits 31 to 8; a multiple of 256 bytes.";
    }
    0x54 RESULT_HI ReadWrite 0 "Address of the results, high word." {}
    0x58 COMMANDS ReadWrite 0 "Length of the program." {
        COUNT 0 16 "Commands.";
    }
    0x5c TASK ReadWrite 0 "Task of the next frame." {
        NUMBER 0 3 "Task, counted from 0.";
    }
    0x60 WATCHDOG ReadWrite 0 "Cycles without progress after which a frame is stopped; 0 never stops it." {}
    0x64 CONTROL2 Control 0 "Stopping." {
        SOFT_RESET 0 1 "Write 1: drop the frame without DONE once the bus owes nothing. Reads 0.";
        QUIESCE 1 1 "Nothing new goes to the bus while set; what is owed is still taken. Readable and writable.";
    }
    0x80 CYCLES ReadOnly 0 "Cycles of the frame. This and the counters after it are cleared when a frame starts on an idle chip, run on over frames that follow each other through the queue, and stand still after the last." {}
    0x84 STREAMING ReadOnly 0 "Cycles in which the array took a step." {}
    0x88 STALL_STREAM ReadOnly 0 "Cycles in which the array waited for weights." {}
    0x8c STALL_BANK ReadOnly 0 "Cycles in which the array waited for a free accumulator bank." {}
    0x90 STALL_SYNC ReadOnly 0 "Cycles in which the array waited for its own earlier results." {}
    0x94 STALL_FULL ReadOnly 0 "Cycles in which the fetch waited for room in the weight buffer." {}
    0x98 SKIPPED_EXPERTS ReadOnly 0 "Experts that were not fetched because nobody chose them." {}
    0x9c BEATS_OUT ReadOnly 0 "Beats of 16 bytes written." {}
    0xa0 BEATS_IN_0 ReadOnly 0 "Beats of 16 bytes read over port 0." {}
    0xa4 BEATS_IN_1 ReadOnly 0 "Beats of 16 bytes read over port 1." {}
    0xa8 BEATS_IN_2 ReadOnly 0 "Beats of 16 bytes read over port 2." {}
    0xac BEATS_IN_3 ReadOnly 0 "Beats of 16 bytes read over port 3." {}
    0xb0 BUSY_FETCH ReadOnly 0 "Cycles in which the fetch unit had a command." {}
    0xb4 BUSY_ARRAY ReadOnly 0 "Cycles in which the array unit had a command." {}
    0xb8 BUSY_NORM ReadOnly 0 "Cycles in which the norm unit had a command." {}
    0xbc BUSY_SOFTMAX ReadOnly 0 "Cycles in which the softmax unit had a command." {}
    0xc0 BUSY_ROUTER ReadOnly 0 "Cycles in which the router unit had a command." {}
    0xc4 BUSY_WRITE ReadOnly 0 "Cycles in which the write unit had a command." {}
    0xc8 FRAMES ReadOnly 0 "Frames that ended without an error." {}
}

/// Registers that only store a number for the next frame, in the order in which the circuit keeps them.
pub const FRAME_REGISTERS: [&str; 9] = [
    "PROGRAM_LO",
    "PROGRAM_HI",
    "IMAGE_LO",
    "IMAGE_HI",
    "RESULT_LO",
    "RESULT_HI",
    "COMMANDS",
    "TASK",
    "WATCHDOG",
];

/// Counters, in the order in which the circuit keeps them.
pub const COUNTERS: [&str; 19] = [
    "CYCLES",
    "STREAMING",
    "STALL_STREAM",
    "STALL_BANK",
    "STALL_SYNC",
    "STALL_FULL",
    "SKIPPED_EXPERTS",
    "BEATS_OUT",
    "BEATS_IN_0",
    "BEATS_IN_1",
    "BEATS_IN_2",
    "BEATS_IN_3",
    "BUSY_FETCH",
    "BUSY_ARRAY",
    "BUSY_NORM",
    "BUSY_SOFTMAX",
    "BUSY_ROUTER",
    "BUSY_WRITE",
    "FRAMES",
];

/// The register of this name.
pub fn register(name: &str) -> Option<&'static Register> {
    REGISTERS.iter().find(|register| register.name == name)
}

/// Byte offset of the register of this name.
pub fn offset(name: &str) -> Option<u32> {
    register(name).map(|register| register.offset)
}

/// What a value of STATUS says about an error; `None` when there is none.
pub fn status_sentence(status: u32) -> Option<String> {
    if status & 1 == 0 {
        return None;
    }
    let number = status >> 4 & 15;
    let known = ErrorCode::from_number(number).map(|code| code.sentence().to_owned());
    Some(known.unwrap_or_else(|| format!("error {number}, which has no name")))
}

/// What VERSION reads.
pub fn version() -> u32 {
    let part = |text: &str| text.parse::<u32>().unwrap_or(0) & 0xff;
    part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | part(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | part(env!("CARGO_PKG_VERSION_PATCH"))
}

fn reset_text(reset: Reset) -> String {
    match reset {
        Reset::Value(value) => format!("0x{value:08x}"),
        Reset::Configuration => "by configuration".into(),
    }
}

/// The table for people.
pub fn markdown() -> String {
    let mut text =
        String::from("| offset | register | access | after reset | meaning |\n|---|---|---|---|---|\n");
    for r in REGISTERS {
        let reset = reset_text(r.reset);
        let _ = writeln!(
            text,
            "| 0x{:02x} | {} | {} | {reset} | {} |",
            r.offset,
            r.name,
            r.access.name(),
            r.description
        );
        for f in r.fields {
            let _ = writeln!(
                text,
                "| | {}.{} | | | {}: {} |",
                r.name,
                f.name,
                bit_range(f),
                f.description
            );
        }
    }
    text += "\n| code | the frame stopped because |\n|---|---|\n";
    for code in ErrorCode::ALL {
        let _ = writeln!(text, "| {} | {} |", code as u32, code.sentence());
    }
    text
}

fn bit_range(field: &BitField) -> String {
    match field.width {
        1 => format!("bit {}", field.lsb),
        width => format!("bits {}:{}", field.lsb + width - 1, field.lsb),
    }
}

/// The table for C.
pub fn c_header() -> String {
    let mut text = String::from(
        "/* moevit control registers, generated. Offsets in bytes from the base of s_axi_control. */\n\
         #ifndef MOEVIT_REGISTERS_H\n#define MOEVIT_REGISTERS_H\n",
    );
    let _ = writeln!(
        text,
        "\n#define MOEVIT_WINDOW_BYTES {WINDOW_BYTES}u\n#define MOEVIT_ID_MAGIC 0x{ID_MAGIC:08x}u"
    );
    for r in REGISTERS {
        let _ = writeln!(
            text,
            "\n/* {} ({}) */\n#define MOEVIT_{} 0x{:02x}u",
            r.description,
            r.access.name(),
            r.name,
            r.offset
        );
        for f in r.fields {
            let name = format!("MOEVIT_{}_{}", r.name, f.name);
            let _ = writeln!(
                text,
                "#define {name}_LSB {}u\n#define {name}_MASK 0x{:08x}u",
                f.lsb,
                f.mask()
            );
        }
    }
    text += "\n/* STATUS.CODE */\n";
    for code in ErrorCode::ALL {
        let name = constant_name(&format!("{code:?}"));
        let _ = writeln!(
            text,
            "#define MOEVIT_ERROR_{name} {}u /* {} */",
            code as u32,
            code.sentence()
        );
    }
    text + "\n#endif\n"
}

/// `ReadError` as `READ_ERROR`.
fn constant_name(camel: &str) -> String {
    let mut name = String::new();
    for letter in camel.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn registers_are_in_order_aligned_and_their_fields_apart() {
        for pair in REGISTERS.windows(2) {
            assert!(
                pair[0].offset < pair[1].offset,
                "{} and {}",
                pair[0].name,
                pair[1].name
            );
        }
        for r in REGISTERS {
            assert!(r.offset % 4 == 0 && r.offset < WINDOW_BYTES, "{}", r.name);
            let bits: u32 = r.fields.iter().map(|f| f.mask().count_ones()).sum();
            assert!(
                r.fields.is_empty() || bits == r.mask().count_ones(),
                "fields of {} overlap",
                r.name
            );
            assert!(
                r.description.ends_with('.') && r.fields.iter().all(|f| f.description.ends_with('.')),
                "{}",
                r.name
            );
        }
    }

    #[test]
    fn names_of_the_circuit_exist() {
        for name in FRAME_REGISTERS.iter().chain(&COUNTERS) {
            assert!(offset(name).is_some(), "{name}");
        }
        assert_eq!(offset("NOTHING"), None);
    }

    #[test]
    fn status_speaks_only_of_errors() {
        assert_eq!(status_sentence(0x100), None);
        for code in ErrorCode::ALL {
            assert_eq!(status_sentence(1 | (code as u32) << 4).unwrap(), code.sentence());
        }
        assert!(status_sentence(0xf1).unwrap().contains("15"));
    }

    #[test]
    fn the_table_names_every_register() {
        let table = markdown();
        for r in REGISTERS {
            assert!(
                table.contains(&format!("| 0x{:02x} | {} |", r.offset, r.name)),
                "{}",
                r.name
            );
        }
        assert!(table.contains("bits 7:4") && table.contains("bit 8"), "{table}");
    }

    #[test]
    fn the_header_compiles_and_has_the_offsets() {
        let folder = tempfile::tempdir().unwrap();
        let checks: String = REGISTERS
            .iter()
            .map(|r| {
                format!(
                    "_Static_assert(MOEVIT_{} == {}, \"{}\");\n",
                    r.name, r.offset, r.name
                )
            })
            .collect();
        let source = folder.path().join("check.c");
        std::fs::write(folder.path().join("registers.h"), c_header()).unwrap();
        std::fs::write(&source, format!("#include \"registers.h\"\n{checks}")).unwrap();
        let output = Command::new("cc")
            .args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only"])
            .arg(&source)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
