//! Is it a command? The circuit's copy of [`Command::decode`] and of the rules that need no context.
//!
//! A word without a field must be zero, the opcode must exist, a loop body has 1 to 4 commands, a fetch or a write moves at
//! least one beat, a fetch whole words of the weight stream, and whole 256-byte bursts start aligned. The masks come from [`Operation::TABLE`], so encoding and check
//! cannot drift apart. Latency [`LATENCY_CYCLES`]; one command a cycle.
//!
//! ```text
//! command[8] --> [masks and rules of every opcode] --> [legal]
//! ```

use super::command::{masks, Command, Operation, COMMAND_WORDS, LOOP_COMMANDS};
use crate::config::AccelConfig;
use crate::prelude::*;

/// Cycles from a command to its verdict.
pub const LATENCY_CYCLES: usize = 2;

/// Beats of 16 bytes to which everything in memory is aligned (256 bytes).
const ALIGNMENT_BEATS: u32 = 16;

/// The rules of one command without its context, in words, where a word of the weight stream has `word_beats` beats.
pub fn verdict(words: &[u32; COMMAND_WORDS], word_beats: u32) -> Result<Command, String> {
    let command = Command::decode(words).map_err(|error| error.to_string())?;
    let aligned = |beats: u32| beats % ALIGNMENT_BEATS == 0;
    let fault = match command.operation {
        Operation::Fetch(x) if x.beats == 0 => "a fetch of no beats",
        Operation::Fetch(x) if x.beats % word_beats != 0 => "a fetch that ends inside of a stream word",
        Operation::Fetch(x) if !aligned(x.offset) || !aligned(x.task_stride) || !aligned(x.expert_stride) => {
            "a fetch that is not aligned to 256 bytes"
        }
        Operation::Write(x) if x.beats == 0 => "a write of no beats",
        Operation::Write(x) if !aligned(x.offset) => "a write that is not aligned to 256 bytes",
        Operation::Discard(x) if x.words == 0 => "a discard of no words",
        Operation::ExpertLoop(x) if x.words == 0 => "an expert loop that consumes no words",
        Operation::ExpertLoop(x) if x.body == 0 || x.body > LOOP_COMMANDS => {
            "an expert loop with a body of 0 or over 4"
        }
        _ => return Ok(command),
    };
    Err(fault.into())
}

/// The check as a cell; see the module.
#[derive(LogicBlock, Default)]
pub struct CommandCheck {
    pub clock: Signal<In, Clock>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub legal: Signal<Out, Bit>,
    _verdict: bool,
    _word_beats: u32,
}

impl CommandCheck {
    /// The check for a configuration's stream words.
    pub fn new(config: &AccelConfig) -> Self {
        Self {
            command: many(COMMAND_WORDS),
            _word_beats: config.word_beats() as u32,
            ..Self::default()
        }
    }
}

/// Verilog: no bit of the command lies outside its opcode's fields.
fn mask_text(fields: &[super::command::Field]) -> String {
    let stray: String = masks(fields)
        .iter()
        .rev()
        .map(|mask| format!("{:08x}", !mask))
        .collect();
    format!(
        "(command & {bits}'h{stray}) == {bits}'d0",
        bits = 32 * COMMAND_WORDS
    )
}

/// Verilog: the rules of [`verdict`] beyond the masks.
fn rule_text(name: &str, word_beats: u32) -> String {
    let some = |word| format!("\n    && {} != 32'd0", bits(word, 0, 32));
    let aligned = |word| format!("\n    && {} == 4'd0", bits(word, 0, 4));
    match name {
        "Fetch" => {
            let whole_words = match word_beats.ilog2() as usize {
                0 => String::new(),
                low => format!("\n    && {} == {low}'d0", bits(4, 0, low)),
            };
            some(4) + &whole_words + &aligned(3) + &aligned(5) + &aligned(6)
        }
        "Write" => some(3) + &aligned(4),
        "ExpertLoop" => {
            let choices = bits(2, 8, 3);
            format!("\n    && {choices} != 3'd0 && {choices} <= 3'd4{}", some(3))
        }
        "Discard" => some(2),
        _ => String::new(),
    }
}

/// Verilog: `width` bits of a word of the command.
fn bits(word: usize, low: usize, width: usize) -> String {
    let low = 32 * word + low;
    format!("command[{}:{low}]", low + width - 1)
}

impl Logic for CommandCheck {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let words: [u32; COMMAND_WORDS] = std::array::from_fn(|i| self.command[i].val().index() as u32);
            self.legal.next = self._verdict;
            self._verdict = verdict(&words, self._word_beats).is_ok();
        }
    }

    fn connect(&mut self) {
        self.legal.connect();
    }

    fn hdl(&self) -> Verilog {
        let each = |line: &dyn Fn(u32, &str, &[super::command::Field]) -> String| -> String {
            Operation::TABLE
                .iter()
                .map(|(opcode, name, fields)| line(*opcode, name, fields))
                .collect()
        };
        let registers = each(&|opcode, name, _| format!("reg fits_{opcode}; // {name}\n"));
        let verdicts = each(&|opcode, name, fields| {
            format!(
                "  fits_{opcode} <= {}{};\n",
                mask_text(fields),
                rule_text(name, self._word_beats)
            )
        });
        let initials = each(&|opcode, _, _| format!("  fits_{opcode} = 1'b0;\n"));
        let cases = each(&|opcode, _, _| format!("    4'd{opcode}: legal <= fits_{opcode};\n"));
        Verilog::Custom(format!(
            "// module: CommandCheck\nreg [3:0] opcode;\n{registers}initial begin\n  legal = 1'b0;\n  opcode = 4'd0;\n{initials}end\n\
             always @(posedge clock) begin\n  opcode <= command[3:0];\n{verdicts}  case (opcode)\n{cases}    \
             default: legal <= 1'b0;\n  endcase\nend\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{verdict as verdict_of, *};
    use crate::control::command::{End, ExpertLoop, Fetch, Wait, ALL_TASKS};

    fn encode(operation: Operation) -> [u32; COMMAND_WORDS] {
        Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation,
        }
        .encode()
        .unwrap()
    }

    fn verdict(words: &[u32; COMMAND_WORDS]) -> Result<Command, String> {
        verdict_of(words, 4)
    }

    #[test]
    fn rules_are_named() {
        let body = |body, words| {
            encode(Operation::ExpertLoop(ExpertLoop {
                experts: 4,
                body,
                words,
            }))
        };
        assert!(verdict(&body(0, 1)).is_err() && verdict(&body(5, 1)).is_err());
        assert!(verdict(&body(4, 0)).is_err() && verdict(&body(4, 1)).is_ok());
        let fetch = |beats, offset| {
            encode(Operation::Fetch(Fetch {
                beats,
                offset,
                ..Default::default()
            }))
        };
        assert!(verdict(&fetch(0, 0)).unwrap_err().contains("no beats"));
        assert!(verdict(&fetch(4, 8)).unwrap_err().contains("256 bytes"));
        assert!(verdict(&fetch(4, 16)).is_ok());
        assert!(verdict(&fetch(6, 16)).unwrap_err().contains("stream word"));
        assert!(verdict_of(&fetch(6, 16), 1).is_ok());
        assert!(verdict(&encode(Operation::End(End {}))).is_ok());
    }
}
