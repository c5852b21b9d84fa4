//! The command encoding: 8 words of 32 bits a command, one table of fields for compiler, reference, circuit and documents.
//!
//! Word 0 holds the opcode and the tasks that the command is for, word 1 how many earlier commands of each unit may still be
//! outstanding when this one starts. Words 2 to 7 belong to the opcode. Bits without a field are zero; anything else is an
//! illegal command.

use thiserror::Error;

/// Words of 32 bits in a command.
pub const COMMAND_WORDS: usize = 8;
/// Bytes of a command.
pub const COMMAND_BYTES: usize = 4 * COMMAND_WORDS;
/// Most commands in the body of an expert loop.
pub const LOOP_COMMANDS: u32 = 4;

/// A unit that runs commands in order and beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Fetch,
    Array,
    Norm,
    Softmax,
    Router,
    Write,
}

impl Unit {
    /// All units, in the order of their wait fields.
    pub const ALL: [Unit; 6] = [
        Unit::Fetch,
        Unit::Array,
        Unit::Norm,
        Unit::Softmax,
        Unit::Router,
        Unit::Write,
    ];
    /// Name in reports and counters.
    pub fn name(self) -> &'static str {
        ["fetch", "array", "norm", "softmax", "router", "write"][self as usize]
    }
}

/// "Do not wait for this unit" in a wait field.
pub const NO_WAIT: u32 = 7;

/// How many earlier commands of each unit may be outstanding; [`NO_WAIT`] does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub [u32; 6]);

impl Wait {
    /// Starts at once.
    pub const NONE: Wait = Wait([NO_WAIT; 6]);

    /// Also waits until at most `outstanding` earlier commands of `unit` are unfinished.
    pub fn until(mut self, unit: Unit, outstanding: u32) -> Wait {
        self.0[unit as usize] = outstanding;
        self
    }
}

/// A bit field of a command.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub word: usize,
    pub lsb: usize,
    pub width: usize,
}

/// Why words are not a command.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    #[error("opcode {0} does not exist")]
    Opcode(u32),
    #[error("{opcode}: word {word} has bits {bits:#010x} that belong to no field")]
    Reserved {
        opcode: &'static str,
        word: usize,
        bits: u32,
    },
    #[error("{opcode}: field {field} is {value}, but has only {width} bits")]
    Range {
        opcode: &'static str,
        field: &'static str,
        value: u32,
        width: usize,
    },
}

macro_rules! operations {
    ($($(#[$doc:meta])* $opcode:literal $name:ident { $($(#[$fdoc:meta])* $field:ident: $word:literal, $lsb:literal, $width:literal;)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $name { $($(#[$fdoc])* pub $field: u32,)* }

            impl $name {
                /// Opcode in word 0.
                pub const OPCODE: u32 = $opcode;
                /// Where the fields are.
                pub const FIELDS: &'static [Field] =
                    &[$(Field { name: stringify!($field), word: $word, lsb: $lsb, width: $width },)*];

                fn values(&self) -> Vec<u32> {
                    vec![$(self.$field,)*]
                }

                fn from_words(words: &[u32; COMMAND_WORDS]) -> Self {
                    let _ = words; // End has no fields.
                    Self { $($field: extract(words, $word, $lsb, $width),)* }
                }
            }
        )*

        /// What a command does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operation { $($(#[$doc])* $name($name),)* }

        impl Operation {
            /// Every opcode with its name and fields, for documents and decoders.
            pub const TABLE: &'static [(u32, &'static str, &'static [Field])] =
                &[$(($opcode, stringify!($name), $name::FIELDS),)*];

            fn parts(&self) -> (u32, Vec<u32>) {
                match self { $(Operation::$name(x) => ($opcode, x.values()),)* }
            }

            /// An operation of this opcode, its fields zero.
            pub fn of(opcode: u32) -> Option<Self> {
                Self::decode(opcode, &[0; COMMAND_WORDS]).ok()
            }

            fn decode(opcode: u32, words: &[u32; COMMAND_WORDS]) -> Result<Self, CommandError> {
                match opcode {
                    $($opcode => Ok(Operation::$name($name::from_words(words))),)*
                    other => Err(CommandError::Opcode(other)),
                }
            }
        }
    };
}

operations! {
    /// Reads bytes of the board's memory into the weight stream.
    1 Fetch {
        /// 0: program base, 1: image base.
        base: 2, 0, 1;
        /// Fetch for experts in increasing order, at `offset + expert * expert_stride`: for every one until the layer's Route has
        /// finished, from then on only for those with a token.
        experts: 2, 1, 1;
        /// Experts of the layer (with `experts`).
        expert_count: 2, 8, 6;
        /// Offset from the base in beats of 16 bytes.
        offset: 3, 0, 32;
        /// Length in beats.
        beats: 4, 0, 32;
        /// Added to the offset once per task number, beats.
        task_stride: 5, 0, 32;
        /// Added to the offset once per expert number, beats.
        expert_stride: 6, 0, 32;
    }
    /// Moves words of the weight stream into an on-chip memory; runs in the array unit, after everything before it has drained.
    2 Copy {
        /// 0: activation memory, 1: residual memory.
        residual: 2, 0, 1;
        /// First word of the destination.
        dst_base: 2, 16, 16;
        /// Words of the destination memory.
        words: 3, 0, 16;
    }
    /// Multiplies tokens by tiles of a stationary operand and post-processes the sums.
    3 MatMul {
        /// First activation word of the first token.
        src_base: 2, 0, 16;
        /// Activation words from one token to the next.
        src_stride: 2, 16, 8;
        /// Tiles of R channels summed (per plane).
        k_tiles: 2, 24, 8;
        /// Tiles of C output channels.
        n_tiles: 3, 0, 10;
        /// Tokens; in an expert loop the queue's length instead.
        tokens: 3, 10, 11;
        /// 0: bytes by bytes. 1: 15-bit stationary operand (high plane shifted by 7, then low). 2: both 15 bits, four planes:
        /// high-high (14), high-low (7), low-high (7), low-low (0), activation first; the low activation plane follows the high one.
        planes: 3, 21, 2;
        /// 0: token t is row t. 1: rows are gathered from the expert's queue. 2: rows are compact, results scattered by the queue.
        routing: 3, 23, 2;
        /// Stationary operand: 0 weight stream, 1 key/value memory by keys (columns are tokens), 2 by values (lanes are tokens).
        stationary: 3, 25, 2;
        /// Waits until every earlier array command has drained before it streams (and before it loads from key/value memory).
        sync: 3, 27, 1;
        /// One parameter block for the whole command instead of one for each tile of columns.
        hold_parameters: 3, 28, 1;
        /// First word of the head in key/value memory.
        kv_base: 4, 0, 16;
        /// Key/value words from one token to the next.
        kv_stride: 4, 16, 8;
        /// First word of value sums read (`bias_from_sums`) or written (`write_sums`).
        sums_base: 4, 24, 8;
        /// First word of the destination.
        dst_base: 5, 0, 16;
        /// Destination words from one token to the next.
        dst_stride: 5, 16, 10;
        /// 0 activation memory, 1 key/value memory, 2 residual memory, 3 score memory, 4 router (its word is the token).
        dst: 5, 26, 3;
        /// Residual memory: add to what is there instead of replacing it.
        add: 5, 29, 1;
        /// GELU between the two scales.
        gelu: 5, 30, 1;
        /// Adds 128 times the value sums to the bias (undoes the offset of the probabilities).
        bias_from_sums: 5, 31, 1;
        /// Right shift after the first scale.
        shift: 6, 0, 6;
        /// Right shift after the second scale.
        factor_shift: 6, 6, 6;
        /// Right shift of the biased sum.
        pre_shift: 6, 12, 4;
        /// Zero point, two's complement.
        offset: 6, 16, 8;
        /// Second scale: 0 per channel, 1 gate score of the queue entry, 2 reciprocal of the softmax sum.
        factor: 6, 24, 2;
        /// Sums the bytes written to key/value memory over the tokens.
        write_sums: 6, 26, 1;
        /// Bank of the softmax sums (with `factor` 2).
        sum_bank: 6, 27, 1;
        /// Tokens in key/value memory; lanes beyond are zero.
        kv_tokens: 7, 0, 11;
        /// With `sync` and streamed weights: a pass waits only for what its own activation words need. At tile `k` of the first
        /// tile of columns, `(k_tiles - 1 - k) * R / C` of the groups that earlier commands have sent may still be on their way.
        sync_by_tile: 7, 11, 1;
    }
    /// LayerNorm of residual rows into activation memory.
    4 Norm {
        /// First residual word.
        src_base: 2, 0, 16;
        /// First activation word.
        dst_base: 2, 16, 16;
        /// Rows.
        tokens: 3, 0, 11;
        /// Residual words from one row to the next, and words of a row.
        row_words: 3, 11, 8;
        /// 15-bit output in two planes instead of a byte; the low plane follows the high one.
        wide: 3, 19, 1;
        /// Activation words from one row to the next.
        dst_stride: 3, 20, 8;
        /// Channels.
        width: 4, 0, 12;
        /// Output scale, right shift.
        shift: 4, 12, 6;
        /// `round(2^32 / width)`.
        inverse_width: 5, 0, 32;
        /// `eps * width^2` in squared residual units.
        epsilon: 6, 0, 32;
        /// Output scale, mantissa.
        mantissa: 7, 0, 16;
    }
    /// Softmax of score rows into activation memory, as `p - 128`.
    5 Softmax {
        /// First score word.
        src_base: 2, 0, 16;
        /// First activation word.
        dst_base: 2, 16, 16;
        /// Rows.
        queries: 3, 0, 11;
        /// Scores of a row.
        keys: 3, 11, 11;
        /// Score words from one row to the next.
        src_stride: 4, 0, 10;
        /// Activation words from one row to the next.
        dst_stride: 4, 10, 8;
        /// Bank of the sums' reciprocals.
        sum_bank: 4, 18, 1;
    }
    /// Chooses experts and fills their queues from the logits that the array has sent.
    6 Route {
        /// End of the rows.
        tokens: 2, 0, 11;
        /// Experts.
        experts: 2, 11, 6;
        /// Experts a token.
        top_k: 2, 17, 3;
        /// Scores are divided by the chosen experts' sum instead of all experts'.
        renormalise: 2, 20, 1;
        /// Another Route of the layer follows, for the rows from `tokens` on.
        more: 2, 21, 1;
        /// First row, even. From 0 on the queues are filled anew.
        first: 3, 0, 11;
    }
    /// Writes residual words to the board's memory.
    7 Write {
        /// First residual word.
        src_base: 2, 0, 16;
        /// Beats of 16 bytes.
        beats: 3, 0, 16;
        /// Offset from the result base in beats.
        offset: 4, 0, 32;
    }
    /// Runs the next `body` commands once for each expert with a token, and discards the words of the others that were fetched.
    8 ExpertLoop {
        /// Experts of the layer.
        experts: 2, 0, 6;
        /// Commands in the body, 1 to 4; MatMul only.
        body: 2, 8, 3;
        /// Words of the weight stream that the body consumes for an expert.
        words: 3, 0, 16;
    }
    /// Drops words of the weight stream; runs in the array unit.
    9 Discard {
        /// Words of the weight stream.
        words: 2, 0, 16;
    }
    /// Ends the frame once every unit is idle.
    15 End {}
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Bit t set: runs when task t is selected.
    pub tasks: u32,
    pub wait: Wait,
    pub operation: Operation,
}

/// A command for every task.
pub const ALL_TASKS: u32 = 0xff;

fn extract(words: &[u32; COMMAND_WORDS], word: usize, lsb: usize, width: usize) -> u32 {
    (u64::from(words[word]) >> lsb & ((1u64 << width) - 1)) as u32
}

impl Command {
    /// The command's words, or the field that is too large.
    pub fn encode(&self) -> Result<[u32; COMMAND_WORDS], CommandError> {
        let (opcode, values) = self.operation.parts();
        let (_, name, fields) = Operation::TABLE
            .iter()
            .find(|row| row.0 == opcode)
            .expect("every operation is in the table");
        let mut words = [0u32; COMMAND_WORDS];
        words[0] = opcode | self.tasks << 8;
        words[1] = self
            .wait
            .0
            .iter()
            .enumerate()
            .fold(0, |all, (unit, n)| all | n << (3 * unit));
        for (field, value) in fields.iter().zip(values) {
            if u64::from(value) >> field.width != 0 {
                return Err(CommandError::Range {
                    opcode: name,
                    field: field.name,
                    value,
                    width: field.width,
                });
            }
            words[field.word] |= value << field.lsb;
        }
        Ok(words)
    }

    /// Reads a command; refuses unknown opcodes and stray bits.
    pub fn decode(words: &[u32; COMMAND_WORDS]) -> Result<Self, CommandError> {
        let opcode = words[0] & 15;
        let operation = Operation::decode(opcode, words)?;
        let (_, name, fields) = Operation::TABLE
            .iter()
            .find(|row| row.0 == opcode)
            .expect("decoded above");
        for (word, (&bits, mask)) in words.iter().zip(masks(fields)).enumerate() {
            if bits & !mask != 0 {
                return Err(CommandError::Reserved {
                    opcode: name,
                    word,
                    bits: bits & !mask,
                });
            }
        }
        let wait = Wait(std::array::from_fn(|unit| words[1] >> (3 * unit) & 7));
        Ok(Self {
            tasks: words[0] >> 8 & 0xff,
            wait,
            operation,
        })
    }
}

impl Operation {
    /// The unit that runs it; loop and end belong to the sequencer.
    pub fn unit(&self) -> Option<Unit> {
        match self {
            Operation::Fetch(_) => Some(Unit::Fetch),
            Operation::Copy(_) | Operation::MatMul(_) | Operation::Discard(_) => Some(Unit::Array),
            Operation::Norm(_) => Some(Unit::Norm),
            Operation::Softmax(_) => Some(Unit::Softmax),
            Operation::Route(_) => Some(Unit::Router),
            Operation::Write(_) => Some(Unit::Write),
            Operation::ExpertLoop(_) | Operation::End(_) => None,
        }
    }
}

/// Bits of each word that a command with these fields may set.
pub fn masks(fields: &[Field]) -> [u32; COMMAND_WORDS] {
    let mut masks = [0u32; COMMAND_WORDS];
    masks[0] = 0xff0f;
    masks[1] = (1 << 18) - 1;
    for field in fields {
        masks[field.word] |= (((1u64 << field.width) - 1) << field.lsb) as u32;
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_do_not_overlap() {
        for (_, name, fields) in Operation::TABLE {
            let mut used = [0u64; COMMAND_WORDS];
            for f in *fields {
                let mask = ((1u64 << f.width) - 1) << f.lsb;
                assert!(f.word >= 2 && mask >> 32 == 0, "{name}.{}", f.name);
                assert_eq!(used[f.word] & mask, 0, "{name}.{}", f.name);
                used[f.word] |= mask;
            }
        }
    }

    #[test]
    fn stray_bits_and_unknown_opcodes_are_refused() {
        let end = Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation: Operation::End(End {}),
        };
        let mut words = end.encode().unwrap();
        words[5] = 1;
        assert!(matches!(
            Command::decode(&words),
            Err(CommandError::Reserved { word: 5, bits: 1, .. })
        ));
        words[0] = 10;
        assert_eq!(Command::decode(&words), Err(CommandError::Opcode(10)));
    }

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        let wide = Copy {
            words: 70_000,
            ..Default::default()
        };
        let command = Command {
            tasks: 1,
            wait: Wait::NONE,
            operation: Operation::Copy(wide),
        };
        assert!(command
            .encode()
            .unwrap_err()
            .to_string()
            .contains("words is 70000"));
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(row in 0..Operation::TABLE.len(), noise in any::<[u32; 8]>()) {
            let (opcode, _, fields) = Operation::TABLE[row];
            let mut words: Vec<u32> = noise.iter().zip(masks(fields)).map(|(n, m)| n & m).collect();
            words[0] = words[0] & !15 | opcode;
            let words: [u32; 8] = words.try_into().unwrap();
            let command = Command::decode(&words).unwrap();
            prop_assert_eq!(command.encode().unwrap(), words);
        }
    }
}
