//! Which commands are legal on a configuration: every limit that a field has by itself.
//!
//! The circuits check opcodes, reserved bits and loop bodies; the reference also refuses what they would silently cut off.

use moevit_hw::config::{AccelConfig, BEAT_BYTES, MAX_TOP_K};
use moevit_hw::control::command::{
    Command, Copy, Discard, ExpertLoop, Fetch, MatMul, Norm, Operation, Route, Softmax, Write, LOOP_COMMANDS,
};
use moevit_hw::numerics::post::SHIFT_MAX;

use super::error::{Fault, MachineError};
use super::memory::{logit_lanes, SUM_WORDS};

/// Largest shift of a Norm: with half the bit length of the spread (27 at most) it stays below 64.
const NORM_SHIFT_MAX: u64 = 36;

/// Destinations of a MatMul.
pub mod dst {
    pub const ACTIVATION: u32 = 0;
    pub const STATIONARY: u32 = 1;
    pub const RESIDUAL: u32 = 2;
    pub const SCORE: u32 = 3;
    pub const ROUTER: u32 = 4;
}

/// Name of an operation in messages.
pub fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Fetch(_) => "Fetch",
        Operation::Copy(_) => "Copy",
        Operation::Discard(_) => "Discard",
        Operation::MatMul(_) => "MatMul",
        Operation::Norm(_) => "Norm",
        Operation::Softmax(_) => "Softmax",
        Operation::Route(_) => "Route",
        Operation::Write(_) => "Write",
        Operation::ExpertLoop(_) => "ExpertLoop",
        Operation::End(_) => "End",
    }
}

/// Checks every command of a program.
pub fn check_program(commands: &[Command], config: &AccelConfig) -> Result<(), MachineError> {
    let mut loop_end = 0;
    for (index, command) in commands.iter().enumerate() {
        let in_loop = index < loop_end;
        let at = |fault| MachineError::Command {
            index,
            operation: name(&command.operation),
            fault,
        };
        check_command(command, in_loop, config).map_err(at)?;
        if let Operation::ExpertLoop(op) = &command.operation {
            check_body(op, command, &commands[index + 1..]).map_err(at)?;
            loop_end = index + 1 + op.body as usize;
        }
    }
    Ok(())
}

fn check_command(command: &Command, in_loop: bool, config: &AccelConfig) -> Result<(), Fault> {
    match &command.operation {
        Operation::Fetch(op) => check_fetch(op, config),
        Operation::Copy(op) => check_copy(op),
        Operation::Discard(op) => check_discard(op),
        Operation::MatMul(op) => check_matmul(op, in_loop, config),
        Operation::Norm(op) => check_norm(op, config),
        Operation::Softmax(op) => check_softmax(op, config),
        Operation::Route(op) => check_route(op, config),
        Operation::Write(op) => check_write(op),
        Operation::ExpertLoop(op) => check_loop(op, config),
        Operation::End(_) => Ok(()),
    }
}

fn within(field: &'static str, value: u32, least: usize, most: usize) -> Result<(), Fault> {
    if (least..=most).contains(&(value as usize)) {
        return Ok(());
    }
    Err(Fault::field(field, value.into(), format!("{least} to {most}")))
}

fn require(good: bool, field: &'static str, value: u32, expected: &str) -> Result<(), Fault> {
    if good {
        return Ok(());
    }
    Err(Fault::field(field, value.into(), expected))
}

fn check_fetch(op: &Fetch, config: &AccelConfig) -> Result<(), Fault> {
    let word = config.weight_word_bytes();
    let bytes = op.beats as usize * BEAT_BYTES;
    if bytes == 0 || bytes % word != 0 {
        let expected = format!("a positive multiple of {}, a weight word", word / BEAT_BYTES);
        return Err(Fault::field("beats", op.beats.into(), expected));
    }
    if op.experts == 1 {
        within("expert_count", op.expert_count, 1, config.max_experts)?;
    }
    Ok(())
}

fn check_copy(op: &Copy) -> Result<(), Fault> {
    require(op.words > 0, "words", op.words, "positive")
}

fn check_discard(op: &Discard) -> Result<(), Fault> {
    require(op.words > 0, "words", op.words, "positive")
}

fn check_matmul(op: &MatMul, in_loop: bool, config: &AccelConfig) -> Result<(), Fault> {
    require(op.k_tiles > 0, "k_tiles", op.k_tiles, "positive")?;
    require(op.n_tiles > 0, "n_tiles", op.n_tiles, "positive")?;
    if !in_loop {
        within("tokens", op.tokens, 1, config.max_tokens)?;
        require(op.routing == 0, "routing", op.routing, "0 outside an expert loop")?;
        require(
            op.factor != 1,
            "factor",
            op.factor,
            "0 or 2 outside an expert loop",
        )?;
    }
    within("planes", op.planes, 0, 2)?;
    require(
        op.sync_by_tile == 0 || (op.sync == 1 && op.stationary == 0),
        "sync_by_tile",
        op.sync_by_tile,
        "0 without sync or with key/value memory",
    )?;
    within("routing", op.routing, 0, 2)?;
    within("factor", op.factor, 0, 2)?;
    within("shift", op.shift, 0, SHIFT_MAX as usize)?;
    within("factor_shift", op.factor_shift, 0, SHIFT_MAX as usize)?;
    check_stationary(op, config)?;
    check_destination(op, config)
}

fn check_stationary(op: &MatMul, config: &AccelConfig) -> Result<(), Fault> {
    within("stationary", op.stationary, 0, 2)?;
    if op.stationary == 0 {
        return Ok(());
    }
    require(op.planes == 0, "planes", op.planes, "0 with key/value memory")?;
    within(
        "kv_tokens",
        op.kv_tokens,
        usize::from(op.stationary == 2),
        config.max_tokens,
    )
}

fn check_destination(op: &MatMul, config: &AccelConfig) -> Result<(), Fault> {
    within("dst", op.dst, 0, 4)?;
    let (to_residual, to_stationary) = (op.dst == dst::RESIDUAL, op.dst == dst::STATIONARY);
    require(op.add == 0 || to_residual, "add", op.add, "0 unless dst is 2")?;
    require(
        op.write_sums == 0 || to_stationary,
        "write_sums",
        op.write_sums,
        "0 unless dst is 1",
    )?;
    let both = op.write_sums == 1 && op.bias_from_sums == 1;
    require(!both, "bias_from_sums", op.bias_from_sums, "0 with write_sums")?;
    if op.write_sums == 1 || op.bias_from_sums == 1 {
        let most = SUM_WORDS - (op.n_tiles as usize).min(SUM_WORDS);
        within("sums_base", op.sums_base, 0, most)?;
        within("n_tiles", op.n_tiles, 1, SUM_WORDS)?;
    }
    if op.dst == dst::ROUTER {
        within("n_tiles", op.n_tiles, 1, logit_lanes(config) / config.columns)?;
        require(op.dst_stride == 1, "dst_stride", op.dst_stride, "1 with dst 4")?;
    }
    Ok(())
}

fn check_norm(op: &Norm, config: &AccelConfig) -> Result<(), Fault> {
    within("tokens", op.tokens, 1, config.max_tokens)?;
    require(op.row_words > 0, "row_words", op.row_words, "positive")?;
    within("width", op.width, 2, op.row_words as usize * config.columns)?;
    if op.wide == 1 && op.row_words as usize % config.groups() != 0 {
        let expected = format!("a multiple of {} for a wide output", config.groups());
        return Err(Fault::field("row_words", op.row_words.into(), expected));
    }
    let inverse = ((1u64 << 32) + u64::from(op.width) / 2) / u64::from(op.width);
    if u64::from(op.inverse_width) != inverse {
        let expected = format!("{inverse}, 2^32 / width");
        return Err(Fault::field("inverse_width", op.inverse_width.into(), expected));
    }
    within("shift", op.shift, 0, NORM_SHIFT_MAX as usize)
}

fn check_softmax(op: &Softmax, config: &AccelConfig) -> Result<(), Fault> {
    within("queries", op.queries, 1, config.max_tokens)?;
    within("keys", op.keys, 1, config.max_tokens)
}

fn check_route(op: &Route, config: &AccelConfig) -> Result<(), Fault> {
    within("tokens", op.tokens, 1, config.max_tokens)?;
    within("first", op.first, 0, op.tokens as usize - 1)?;
    require(op.first % 2 == 0, "first", op.first, "even")?;
    within("experts", op.experts, 1, config.max_experts)?;
    within("top_k", op.top_k, 1, MAX_TOP_K.min(op.experts as usize))
}

fn check_write(op: &Write) -> Result<(), Fault> {
    require(op.beats > 0, "beats", op.beats, "positive")
}

fn check_loop(op: &ExpertLoop, config: &AccelConfig) -> Result<(), Fault> {
    within("experts", op.experts, 1, config.max_experts)?;
    within("body", op.body, 1, LOOP_COMMANDS as usize)?;
    require(op.words > 0, "words", op.words, "positive")
}

/// The body's commands exist, multiply, and belong to the loop's tasks.
fn check_body(op: &ExpertLoop, command: &Command, rest: &[Command]) -> Result<(), Fault> {
    within("body", op.body, 1, rest.len())?;
    for body in &rest[..op.body as usize] {
        let multiplies = matches!(body.operation, Operation::MatMul(_));
        require(multiplies, "body", op.body, "followed by as many MatMul commands")?;
        let same = body.tasks == command.tasks;
        require(same, "tasks", command.tasks, "the tasks of every body command")?;
    }
    Ok(())
}
