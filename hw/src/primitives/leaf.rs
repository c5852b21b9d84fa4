//! What hand-written leaf cells share: values in flight and pieces of Verilog text.
//!
//! A pipelined cell takes its inputs with `valid` and shows the result with `done`, a fixed number of cycles later. Its data
//! outputs change only then, so an idle cell costs neither switching nor simulation time.
//!
//! ```text
//! valid, inputs --> [1] --> [2] --> ... --> [latency] --> done, outputs
//! ```

/// The results in flight of a cell with a latency in cycles.
pub struct Pipeline<T> {
    stages: Vec<Option<T>>,
    head: usize,
}

/// A pipeline of one cycle.
impl<T> Default for Pipeline<T> {
    fn default() -> Self {
        Self::new(1)
    }
}

impl<T> Pipeline<T> {
    /// A pipeline whose output register shows a result `latency` cycles after its inputs, at least one.
    pub fn new(latency: usize) -> Self {
        Self {
            stages: (1..latency).map(|_| None).collect(),
            head: 0,
        }
    }

    /// Clock edge: takes what enters, returns what the output register loads.
    pub fn step(&mut self, input: Option<T>) -> Option<T> {
        if self.stages.is_empty() {
            return input;
        }
        let output = std::mem::replace(&mut self.stages[self.head], input);
        self.head = (self.head + 1) % self.stages.len();
        output
    }

    /// Forgets everything in flight.
    pub fn clear(&mut self) {
        self.stages.iter_mut().for_each(|stage| *stage = None);
    }
}

/// Sign-extends the low `bits` bits.
pub fn signed(value: u64, bits: u32) -> i64 {
    (value << (64 - bits)) as i64 >> (64 - bits)
}

/// The low `bits` bits of a two's complement value.
pub fn unsigned(value: i64, bits: u32) -> u64 {
    value as u64 & (u64::MAX >> (64 - bits))
}

/// Verilog: the shift register from `valid` to `done`; `loads` is high in the cycle before `done`.
pub fn valid_text(latency: usize) -> String {
    let (last, loads) = match latency {
        1 => ("valid".into(), "valid".into()),
        _ => (
            format!("{{in_flight[{}:0], valid}}", latency - 2),
            format!("in_flight[{}]", latency - 2),
        ),
    };
    let top = latency - 1;
    format!(
        "reg [{top}:0] in_flight;\ninitial in_flight = {latency}'d0;\nwire loads = {loads};\nassign done = in_flight[{top}];\n\
         always @(posedge clock)\n  if (reset) in_flight <= {latency}'d0;\n  else in_flight <= {last};\n"
    )
}

/// Verilog: the flags of a cell that reduces rows (`valid`, `first`, `last` enter with every word), `latency` at least 3.
///
/// `word`, `restart` and `loads` say what the accumulator does: take a word, begin anew with it, load the result.
pub fn row_flow_text(latency: usize) -> String {
    let (top, below, bits) = (latency - 2, latency - 3, latency - 1);
    format!(
        "reg [{top}:0] word_flags;\nreg [{top}:0] first_flags;\nreg [{top}:0] last_flags;\nreg finished;\n\
         wire word = word_flags[{top}];\nwire restart = first_flags[{top}];\nwire loads = word & last_flags[{top}];\n\
         assign done = finished;\n\
         initial begin\n  word_flags = {bits}'d0;\n  first_flags = {bits}'d0;\n  last_flags = {bits}'d0;\n  finished = 1'b0;\nend\n\
         always @(posedge clock) begin\n  word_flags <= reset ? {bits}'d0 : {{word_flags[{below}:0], valid}};\n  \
         first_flags <= {{first_flags[{below}:0], first}};\n  last_flags <= {{last_flags[{below}:0], last}};\n  \
         finished <= loads & ~reset;\nend\n"
    )
}

/// Verilog: `body` for each `i` below `count`, in scopes `label[i]`. The module declares `genvar i` once.
pub fn loop_text(label: &str, count: usize, body: &str) -> String {
    let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!("generate\n  for (i = 0; i < {count}; i = i + 1) begin : {label}\n{body}  end\nendgenerate\n")
}

/// Verilog: a binary tree in scopes `level_0[i]` (`leaf`, for `count` leaves) to the last one's `[0]`; `node` gives the text of a
/// level, given its number and the name of the scopes below.
pub fn tree_text(count: usize, leaf: &str, node: impl Fn(usize, &str) -> String) -> String {
    let level = |level: usize| {
        let body = node(level, &format!("level_{}", level - 1));
        loop_text(&format!("level_{level}"), count >> level, &body)
    };
    let levels: String = (1..=count.ilog2() as usize).map(level).collect();
    format!("{}{levels}", loop_text("level_0", count, leaf))
}

/// Verilog: bits `from..width` of `name`, marked as left out on purpose; empty where there are none.
pub fn unused_text(name: &str, from: usize, width: usize) -> String {
    match from < width {
        true => format!("wire _unused_{name} = &{{1'b0, {name}[{}:{from}]}};\n", width - 1),
        false => String::new(),
    }
}

/// Verilog: a table of `width` bits as a memory with initial contents, entry 0 first.
pub fn rom_text(name: &str, width: usize, entries: impl ExactSizeIterator<Item = u64>) -> String {
    let (count, digits) = (entries.len(), width.div_ceil(4));
    let entries: Vec<String> = entries
        .map(|value| format!("{width}'h{value:0digits$x}"))
        .collect();
    let per_line = ROM_LINE / (entries[0].len() + 2);
    let lines: Vec<String> = entries
        .chunks(per_line)
        .map(|line| format!("  {}", line.join(", ")))
        .collect();
    format!(
        "localparam [{bits}:0] {name}_entries = {{\n{lines}\n}};\n\
         (* rom_style = \"distributed\" *) reg [{top}:0] {name} [0:{last}];\ninteger entry_of_{name};\n\
         initial\n  for (entry_of_{name} = 0; entry_of_{name} < {count}; entry_of_{name} = entry_of_{name} + 1)\n    \
         {name}[entry_of_{name}] = {name}_entries[{width} * ({last} - entry_of_{name}) +: {width}];\n",
        bits = count * width - 1,
        lines = lines.join(",\n"),
        top = width - 1,
        last = count - 1,
    )
}

/// Characters of a line of entries.
const ROM_LINE: usize = 112;

/// Rows of random length for the tests of cells that reduce rows.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct RowStimulus {
    words_left: u64,
}

#[cfg(test)]
impl RowStimulus {
    /// The next cycle's `reset`, `valid`, `first` and `last`; a row begins anew after a reset.
    pub fn flags(&mut self, rng: &mut crate::cosim::Rng) -> (bool, bool, bool, bool) {
        let (reset, valid) = (rng.chance(1), rng.chance(80));
        let first = self.words_left == 0;
        if first {
            self.words_left = 1 + rng.below(9);
        }
        let last = self.words_left == 1;
        self.words_left -= u64::from(valid);
        if reset {
            self.words_left = 0;
        }
        (reset, valid, first, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_leaves_after_the_latency() {
        for latency in 1..5 {
            let mut pipeline = Pipeline::new(latency);
            let seen: Vec<_> = (0..10).map(|i| pipeline.step(Some(i))).collect();
            assert_eq!(seen[latency - 1], Some(0));
            assert!(seen[..latency - 1].iter().all(Option::is_none));
            pipeline.clear();
            assert!((1..latency).all(|_| pipeline.step(None::<i32>).is_none()));
        }
    }

    #[test]
    fn signs_survive_the_round_trip() {
        for value in [-64i64, -1, 0, 63] {
            assert_eq!(signed(unsigned(value, 7), 7), value);
        }
    }
}
