//! The program on chip: filled word by word from the weight stream, read command by command.
//!
//! Stream words of W bytes hold a part of a command or several commands. Writes count up from command 0 after `restart`;
//! words beyond the memory are dropped. Latency from `index` to `command`: [`LATENCY_CYCLES`], one command a cycle.
//!
//! ```text
//! write_data --> [RAM] --> [stage] --> choose the command of the word --> [command]
//!                  ^ index
//! ```

use super::command::{COMMAND_BYTES, COMMAND_WORDS};
use crate::config::AccelConfig;
use crate::prelude::*;

/// Cycles from an index to its command.
pub const LATENCY_CYCLES: usize = 2;

/// The memory; see the module.
#[derive(LogicBlock, Default)]
pub struct ProgramMemory {
    pub clock: Signal<In, Clock>,
    pub restart: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub write_data: Vec<Signal<In, Bits<8>>>,
    pub index: Signal<In, Bits<16>>,
    pub command: Vec<Signal<Out, Bits<32>>>,
    _bytes: Vec<u8>,
    _written: usize,
    _stage: [u32; COMMAND_WORDS],
}

impl ProgramMemory {
    /// The program memory of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let word = config.weight_word_bytes();
        let bytes = (config.program_commands * COMMAND_BYTES).next_multiple_of(word);
        Self {
            write_data: many(word),
            command: many(COMMAND_WORDS),
            _bytes: vec![0; bytes],
            _written: 0,
            _stage: [0; COMMAND_WORDS],
            ..Self::default()
        }
    }

    fn take(&mut self) {
        let word = self.write_data.len();
        if let Some(cells) = self
            ._bytes
            .get_mut(self._written * word..(self._written + 1) * word)
        {
            for (cell, data) in cells.iter_mut().zip(&self.write_data) {
                *cell = data.val().index() as u8;
            }
            self._written += 1;
        }
    }

    fn read(&mut self) {
        let from = self.index.val().index() * COMMAND_BYTES;
        self._stage = match self._bytes.get(from..from + COMMAND_BYTES) {
            Some(bytes) => std::array::from_fn(|i| {
                u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().expect("four bytes"))
            }),
            None => [0; COMMAND_WORDS],
        };
    }
}

impl Logic for ProgramMemory {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        for (out, word) in self.command.iter_mut().zip(self._stage) {
            out.next = u64::from(word).into();
        }
        self.read();
        if self.restart.val() {
            self._written = 0;
        } else if self.write.val() {
            self.take();
        }
    }

    fn connect(&mut self) {
        self.command.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(self.text())
    }
}

impl ProgramMemory {
    /// Stream words that make a command, or commands that make a stream word.
    fn parts(&self) -> (usize, usize) {
        let word = self.write_data.len();
        ((COMMAND_BYTES / word).max(1), (word / COMMAND_BYTES).max(1))
    }

    fn text(&self) -> String {
        let word = self.write_data.len();
        let (parts, per_word) = self.parts();
        let depth = self._bytes.len() / (word * parts);
        let address = |signal: &str, skip: usize| format!("{signal}[{}:{skip}]", skip + bits(depth) - 1);
        let (part_bits, skip) = (parts.ilog2() as usize, per_word.ilog2() as usize);
        let memories: String = (0..parts)
            .map(|p| {
                format!(
                    "(* ram_style = \"block\" *) reg [{}:0] memory_{p} [0:{}];\n",
                    8 * word - 1,
                    depth - 1
                )
            })
            .collect();
        let writes: String = (0..parts)
            .map(|p| {
                let mine = if parts == 1 {
                    String::new()
                } else {
                    format!(" && written[{}:0] == {part_bits}'d{p}", part_bits - 1)
                };
                format!(
                    "  if (write && !restart && room{mine}) memory_{p}[{}] <= write_data;\n",
                    address("written", part_bits)
                )
            })
            .collect();
        let whole = (0..parts)
            .rev()
            .map(|p| format!("memory_{p}[{}]", address("index", skip)))
            .collect::<Vec<_>>()
            .join(", ");
        let chosen: String = (0..per_word - 1)
            .map(|c| format!("select == {skip}'d{c} ? stage[{}:{}] : ", 256 * c + 255, 256 * c))
            .collect();
        let (select_declare, select_step) = if per_word == 1 {
            (String::new(), String::new())
        } else {
            (
                format!("reg [{}:0] select;\n", skip - 1),
                format!("  select <= index[{}:0];\n", skip - 1),
            )
        };
        let clears: String = (0..parts).map(|p| format!("    memory_{p}[i] = 0;\n")).collect();
        format!(
            "// module: ProgramMemory_w{word}\n{memories}reg [15:0] written;\nreg [{wide}:0] stage;\nreg in_range;\nreg [255:0] chosen;\n{select_declare}\
             wire room = written < 16'd{limit};\nassign command = chosen;\n\
             always @(posedge clock) begin\n{writes}  if (restart) written <= 16'd0;\n  else if (write && room) written <= written + 16'd1;\n\
             \x20 stage <= {{{whole}}};\n  in_range <= index < 16'd{commands};\n{select_step}  chosen <= in_range ? ({chosen}stage[{last}:{first}]) : 256'd0;\nend\n\
             `ifndef SYNTHESIS\ninteger i;\ninitial begin\n  written = 16'd0;\n  stage = 0;\n  in_range = 1'b0;\n  chosen = 256'd0;\n{select_initial}  for (i = 0; i < {depth}; i = i + 1) begin\n{clears}  end\nend\n`endif\n",
            wide = 256 * per_word - 1,
            limit = depth * parts,
            commands = self._bytes.len() / COMMAND_BYTES,
            last = 256 * per_word - 1,
            first = 256 * (per_word - 1),
            select_initial = if per_word == 1 { "" } else { "  select = 0;\n" },
        )
    }
}

fn bits(count: usize) -> usize {
    ((usize::BITS - (count - 1).leading_zeros()) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(memory: &mut ProgramMemory) {
        for level in [true, false] {
            memory.clock.next = level.into();
            while {
                memory.update_all();
                memory.has_changed()
            } {}
        }
    }

    #[test]
    fn stream_words_of_either_size_become_commands() {
        let mut checked = 0;
        for name in AccelConfig::names() {
            let config = AccelConfig::named(name).unwrap();
            let mut memory = ProgramMemory::new(&config);
            let bytes: Vec<u8> = (0..20 * COMMAND_BYTES).map(|i| (i * 37 % 253) as u8).collect();
            for word in bytes.chunks(config.weight_word_bytes()) {
                memory.write.next = true;
                memory
                    .write_data
                    .iter_mut()
                    .zip(word)
                    .for_each(|(d, b)| d.next = u64::from(*b).into());
                tick(&mut memory);
            }
            memory.write.next = false;
            for index in 0..20u64 {
                memory.index.next = index.into();
                (0..LATENCY_CYCLES).for_each(|_| tick(&mut memory));
                for (i, word) in memory.command.iter().enumerate() {
                    let at = index as usize * COMMAND_BYTES + 4 * i;
                    assert_eq!(
                        word.val().index() as u32,
                        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
                    );
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 2 * 20 * 8);
    }
}
