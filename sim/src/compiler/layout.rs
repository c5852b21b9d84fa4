//! Sizes of a network on a configuration, and where its tensors lie in the on-chip memories.
//!
//! Every block uses the same places. Within a block the memories are shared by lifetime: the context lies over the normalised tokens
//! if there is no room beside them. What is too large is cut:
//!
//! * queries into chunks, so that two score buffers (one that softmax reads, one that the array fills) fit;
//! * heads into groups, so that keys and values fit;
//! * the hidden layer into chunks of channels, whose second products add up in the residual stream.

use std::ops::Range;

use moevit_hw::config::{AccelConfig, MAX_TOP_K};
use moevit_hw::control::command::LOOP_COMMANDS;

use super::error::CompileError;
use super::place::{place, Tenant};
use crate::model::architecture::{Architecture, BlockKind, Head};

/// Words of the value sums in the drain unit, the range of the commands' 8-bit address.
pub const VALUE_SUM_WORDS: usize = 256;
/// Most tasks of a program: the bits of a command's task mask.
pub const MAX_TASKS: usize = 8;
/// Largest width: LayerNorm's field has 12 bits.
const MAX_WIDTH: usize = 4_095;
/// Most chunks of a dense hidden layer.
const MAX_CHUNKS: usize = 64;
/// Fewest queries of a chunk that are worth their commands.
const MIN_QUERIES: usize = 8;

/// Sizes in words of the configuration's memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Lanes R and columns C of the array.
    pub rows: usize,
    pub columns: usize,
    pub tokens: usize,
    pub width: usize,
    pub heads: usize,
    pub head_size: usize,
    /// Activation words of a patch.
    pub patch_words: usize,
}

impl Sizes {
    /// Activation words of a token's row.
    pub fn activation_row(&self) -> usize {
        self.width / self.rows
    }

    /// Residual words (and key/value words) of a token's row.
    pub fn residual_row(&self) -> usize {
        self.width / self.columns
    }

    /// Score words of a query.
    pub fn score_row(&self) -> usize {
        self.tokens.div_ceil(self.columns)
    }

    /// Activation words of a query's probabilities.
    pub fn probability_row(&self) -> usize {
        self.tokens.div_ceil(self.rows)
    }
}

/// Places of attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionLayout {
    /// Heads whose keys and values are on the chip together.
    pub group_heads: usize,
    /// The normalised tokens stay until the last context, so that keys and values can be computed between the items.
    pub interleaved: bool,
    /// Queries of each chunk.
    pub chunks: Vec<Range<usize>>,
    pub normalised: usize,
    pub query: usize,
    pub context: usize,
    pub probabilities: [usize; 2],
    pub scores: [usize; 2],
    pub key: usize,
    pub value: usize,
}

/// Places of a dense or expert MLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlpLayout {
    /// With experts two planes of every token, the gate's operand of 15 bits.
    pub normalised: usize,
    pub hidden: usize,
    /// Hidden channels of each chunk.
    pub chunks: Vec<Range<usize>>,
}

/// Where a task's head works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// First token and number of tokens.
    pub first: usize,
    pub tokens: usize,
    pub outputs: usize,
    /// Residual words of a row of outputs, and the first one.
    pub row: usize,
    pub base: usize,
}

/// All places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub sizes: Sizes,
    pub attention: AttentionLayout,
    pub dense: Option<MlpLayout>,
    pub moe: Option<MlpLayout>,
    pub heads: Vec<HeadLayout>,
}

impl Layout {
    /// Places everything, or says what does not fit.
    pub fn new(config: &AccelConfig, architecture: &Architecture) -> Result<Self, CompileError> {
        architecture
            .validate()
            .map_err(|e| CompileError::Model(e.to_string()))?;
        let planner = Planner {
            config,
            architecture,
            sizes: sizes(config, architecture),
        };
        planner.check()?;
        Ok(Self {
            sizes: planner.sizes,
            attention: planner.attention()?,
            dense: planner.dense()?,
            moe: planner.moe()?,
            heads: planner.heads()?,
        })
    }
}

fn sizes(config: &AccelConfig, architecture: &Architecture) -> Sizes {
    Sizes {
        rows: config.rows,
        columns: config.columns,
        tokens: architecture.tokens(),
        width: architecture.encoder.dim,
        heads: architecture.encoder.heads,
        head_size: architecture.head_dim(),
        patch_words: architecture.patch_values().div_ceil(config.rows),
    }
}

struct Planner<'a> {
    config: &'a AccelConfig,
    architecture: &'a Architecture,
    sizes: Sizes,
}

impl Planner<'_> {
    fn capacity(
        &self,
        what: impl Into<String>,
        buffer: &'static str,
        needed: usize,
        available: usize,
    ) -> Result<(), CompileError> {
        if needed <= available {
            return Ok(());
        }
        Err(CompileError::Capacity {
            what: what.into(),
            buffer,
            unit: "words",
            needed,
            available,
            config: self.config.name.clone(),
        })
    }

    fn check(&self) -> Result<(), CompileError> {
        let (s, r) = (&self.sizes, self.config.rows);
        let multiple = |what: &str, value: usize| match value % r {
            0 => Ok(()),
            _ => Err(CompileError::unsupported(
                what,
                value,
                format!(
                    "must be a multiple of the {r} rows of configuration '{}'",
                    self.config.name
                ),
            )),
        };
        multiple("encoder.dim", s.width)?;
        multiple("the head size (encoder.dim / encoder.heads)", s.head_size)?;
        let moe = self.architecture.moe.as_ref();
        let (experts, k) = moe.map_or((1, 1), |m| (m.experts, m.k));
        let limits = [
            ("encoder.dim", s.width, MAX_WIDTH),
            // A block takes more than a command; how many, is known only when they are there.
            (
                "encoder.depth",
                self.architecture.encoder.depth,
                self.config.program_commands,
            ),
            ("the number of tokens", s.tokens, self.config.max_tokens),
            ("the number of tasks", self.architecture.tasks.len(), MAX_TASKS),
            ("moe.experts", experts, self.config.max_experts),
            ("moe.k", k, MAX_TOP_K),
        ];
        for (what, value, most) in limits {
            if value > most {
                let rule = format!("configuration '{}' holds at most {most}", self.config.name);
                return Err(CompileError::unsupported(what, value, rule));
            }
        }
        let stream = s.tokens * s.residual_row();
        self.capacity(
            "the residual stream",
            "residual_words",
            stream,
            self.config.residual_words,
        )?;
        let image = self.architecture.patches() * s.patch_words;
        self.capacity(
            "the image",
            "activation_words",
            image,
            self.config.activation_words,
        )
    }

    /// Fewest groups of heads and chunks of queries that fit.
    fn attention(&self) -> Result<AttentionLayout, CompileError> {
        let heads = self.sizes.heads;
        let mut fault = None;
        for groups in (1..=heads).filter(|g| heads % g == 0) {
            match self.attention_of_group(heads / groups) {
                Ok(layout) => return Ok(layout),
                Err(error) => fault = Some(error),
            }
        }
        Err(fault.unwrap_or_else(|| CompileError::unsupported("encoder.heads", heads, "must be at least 1")))
    }

    /// The context over the normalised tokens only if that saves chunks; several groups need both.
    fn attention_of_group(&self, group_heads: usize) -> Result<AttentionLayout, CompileError> {
        let beside = self.attention_with(group_heads, true);
        if group_heads < self.sizes.heads {
            return beside;
        }
        match (beside, self.attention_with(group_heads, false)) {
            (Ok(beside), Ok(over)) if beside.chunks.len() > over.chunks.len() => Ok(over),
            (Err(_), over) => over,
            (beside, _) => beside,
        }
    }

    fn attention_with(&self, group_heads: usize, interleaved: bool) -> Result<AttentionLayout, CompileError> {
        let (s, config) = (&self.sizes, self.config);
        let group = group_heads * s.head_size;
        let keys = s.tokens * group / s.columns;
        self.capacity(
            "keys and values of a head",
            "stationary_words",
            2 * keys,
            config.stationary_words,
        )?;
        let sums = group / s.columns;
        self.capacity("the sums of the values", "value-sum words", sums, VALUE_SUM_WORDS)?;
        let chunks = self.query_chunks(group_heads, interleaved)?;
        let queries = chunks[0].len();
        let (whole, part) = (s.tokens * s.activation_row(), s.tokens * group / s.rows);
        let last_norm = if interleaved { 4 } else { 3 };
        let probabilities = queries * s.probability_row();
        let tenants = [
            Tenant::new(whole, 0..last_norm),
            Tenant::new(part, 1..4),
            Tenant::new(whole, 3..5),
            Tenant::new(probabilities, 3..4),
            Tenant::new(probabilities, 3..4),
        ];
        let placed = place(&tenants);
        self.capacity(
            "attention",
            "activation_words",
            placed.words,
            config.activation_words,
        )?;
        let [normalised, query, context, p0, p1] = std::array::from_fn(|i| placed.bases[i]);
        Ok(AttentionLayout {
            group_heads,
            interleaved,
            normalised,
            query,
            context,
            probabilities: [p0, p1],
            scores: [0, queries * s.score_row()],
            key: 0,
            value: keys,
            chunks,
        })
    }

    /// Chunks of queries, so that two score buffers and two probability buffers fit beside the rest.
    fn query_chunks(&self, group_heads: usize, interleaved: bool) -> Result<Vec<Range<usize>>, CompileError> {
        let (s, config) = (&self.sizes, self.config);
        let whole = s.tokens * s.activation_row();
        let rest =
            whole + s.tokens * group_heads * s.head_size / s.rows + if interleaved { whole } else { 0 };
        let by_scores = config.score_words / (2 * s.score_row());
        let by_activation = config.activation_words.saturating_sub(rest) / (2 * s.probability_row());
        // Even chunks keep the array's pairs of tokens whole.
        let most = by_scores.min(by_activation).min(s.tokens.next_multiple_of(2)) & !1;
        let least = MIN_QUERIES.min(s.tokens);
        self.capacity(
            "scores of a few queries",
            "score_words",
            2 * least * s.score_row(),
            config.score_words,
        )?;
        let needed = rest + 2 * least * s.probability_row();
        self.capacity("attention", "activation_words", needed, config.activation_words)?;
        Ok(cut(s.tokens, s.tokens.div_ceil(most), 2))
    }

    fn dense(&self) -> Result<Option<MlpLayout>, CompileError> {
        let hidden = self.hidden(|kind| match kind {
            BlockKind::Dense { hidden } => Some(hidden),
            BlockKind::Moe { .. } => None,
        });
        let whole = self.sizes.tokens * self.sizes.activation_row();
        hidden
            .map(|hidden| self.mlp("the dense MLP", hidden, MAX_CHUNKS, whole))
            .transpose()
    }

    fn moe(&self) -> Result<Option<MlpLayout>, CompileError> {
        let hidden = self.hidden(|kind| match kind {
            BlockKind::Moe { hidden, .. } => Some(hidden),
            BlockKind::Dense { .. } => None,
        });
        // Two planes of normalised tokens, for the gate; the experts read the high one.
        let whole = 2 * self.sizes.tokens * self.sizes.activation_row();
        hidden
            .map(|hidden| self.mlp("the experts", hidden, LOOP_COMMANDS as usize / 2, whole))
            .transpose()
    }

    fn hidden(&self, select: impl Fn(BlockKind) -> Option<usize>) -> Option<usize> {
        (0..self.architecture.encoder.depth).find_map(|block| select(self.architecture.block_kind(block)))
    }

    /// Fewest chunks of hidden channels with which the hidden layer fits behind `normalised` words.
    fn mlp(
        &self,
        what: &str,
        hidden: usize,
        most_chunks: usize,
        normalised: usize,
    ) -> Result<MlpLayout, CompileError> {
        let s = &self.sizes;
        let mut needed = usize::MAX;
        for count in 1..=most_chunks.min(hidden.div_ceil(s.rows)) {
            let chunks = cut(hidden, count, s.rows);
            let row = chunks[0].len().div_ceil(s.rows);
            needed = needed.min(normalised + s.tokens * row);
            if needed <= self.config.activation_words && row < 256 {
                return Ok(MlpLayout {
                    normalised: 0,
                    hidden: normalised,
                    chunks,
                });
            }
        }
        self.capacity(what, "activation_words", needed, self.config.activation_words)?;
        Err(CompileError::unsupported(
            what,
            hidden,
            "must be narrower: a command sums at most 255 tiles",
        ))
    }

    fn heads(&self) -> Result<Vec<HeadLayout>, CompileError> {
        self.architecture
            .tasks
            .iter()
            .map(|task| self.head(&task.name, task.head))
            .collect()
    }

    /// A head's outputs lie behind the residual stream if there is room, else over it.
    fn head(&self, name: &str, head: Head) -> Result<HeadLayout, CompileError> {
        let (s, words) = (&self.sizes, self.config.residual_words);
        let (first, tokens) = match head {
            Head::Classification { .. } => (0, 1),
            Head::Dense { .. } => (1, s.tokens - 1),
            Head::Features => (0, s.tokens),
        };
        let outputs = head.outputs().unwrap_or(s.width);
        let row = outputs.div_ceil(s.columns);
        let (stream, needed) = (s.tokens * s.residual_row(), tokens * row);
        self.capacity(
            format!("the outputs of task \"{name}\""),
            "residual_words",
            needed,
            words,
        )?;
        if row > 1_023 {
            return Err(CompileError::unsupported(
                format!("the number of outputs of task \"{name}\""),
                outputs,
                format!("a command computes at most {}", 1_023 * s.columns),
            ));
        }
        let base = if stream + needed <= words { stream } else { 0 };
        Ok(HeadLayout {
            first,
            tokens,
            outputs,
            row,
            base,
        })
    }
}

/// Cuts `total` into at most `count` equal parts, whole multiples of `unit` but for the last.
pub(super) fn cut(total: usize, count: usize, unit: usize) -> Vec<Range<usize>> {
    let part = total.div_ceil(count).next_multiple_of(unit);
    (0..total.div_ceil(part))
        .map(|i| i * part..((i + 1) * part).min(total))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture(name: &str) -> Architecture {
        let path = format!("{}/architectures/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        Architecture::load(path).unwrap()
    }

    fn zcu104() -> AccelConfig {
        AccelConfig::named("zcu104").unwrap()
    }

    #[test]
    fn the_reference_network_fits_without_cuts() {
        let layout = Layout::new(&zcu104(), &architecture("m3vit_t")).unwrap();
        assert_eq!(
            (layout.attention.chunks.len(), layout.attention.group_heads),
            (1, 3)
        );
        assert!(layout.attention.interleaved);
        assert_ne!(layout.attention.context, layout.attention.normalised);
        for mlp in [layout.dense.unwrap(), layout.moe.unwrap()] {
            assert_eq!(mlp.chunks.len(), 1);
        }
        assert!(layout
            .heads
            .iter()
            .all(|head| head.base > 0 && head.tokens == 128));
    }

    #[test]
    fn larger_encoders_are_cut() {
        let deit = Layout::new(&zcu104(), &architecture("deit_tiny")).unwrap();
        assert_eq!(deit.attention.chunks, [0..100, 100..197]);
        let small = Layout::new(&zcu104(), &architecture("vit_s14")).unwrap();
        let dense = small.dense.unwrap();
        assert!(dense.chunks.len() > 1 && small.attention.chunks.len() > 1);
        assert_eq!(
            (dense.chunks[0].start, dense.chunks.last().unwrap().end),
            (0, 1_536)
        );
        assert_eq!(small.heads[0].base, 0, "the features replace the stream");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        type Fault = (&'static str, fn(&mut Architecture, &mut AccelConfig));
        let faults: [Fault; 8] = [
            ("residual_words", |a, _| {
                (a.encoder.dim, a.encoder.heads) = (2_048, 32)
            }),
            ("head size", |a, _| a.encoder.heads = 12),
            ("multiple of the 32 rows", |a, _| {
                (a.encoder.dim, a.encoder.heads) = (200, 1)
            }),
            ("number of tokens", |_, c| c.max_tokens = 128),
            ("moe.experts", |_, c| c.max_experts = 8),
            ("score_words", |_, c| c.score_words = 64),
            ("stationary_words", |_, c| c.stationary_words = 500),
            ("the experts needs", |a, c| {
                a.moe.as_mut().unwrap().expert_hidden = 8_192;
                c.activation_words = 8_000;
            }),
        ];
        for (expected, break_it) in faults {
            let (mut a, mut c) = (architecture("m3vit_t"), zcu104());
            break_it(&mut a, &mut c);
            let message = Layout::new(&c, &a).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn few_keys_fit_when_heads_take_turns() {
        let mut config = zcu104();
        config.stationary_words = 2 * 129 * 2;
        let layout = Layout::new(&config, &architecture("m3vit_t")).unwrap().attention;
        assert_eq!(layout.group_heads, 1);
        assert_ne!(layout.context, layout.normalised);
    }

    #[test]
    fn cuts_cover_everything() {
        assert_eq!(cut(129, 1, 2), [0..129]);
        assert_eq!(cut(100, 3, 32), [0..64, 64..100]);
        assert_eq!(cut(96, 3, 32), [0..32, 32..64, 64..96]);
    }
}
