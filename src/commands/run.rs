//! `moevit run`: one image on one engine.

use super::engine::computer;
use super::frame::FrameReport;
use super::load_program;
use crate::arguments::RunArguments;
use crate::{npy, output, progress};
use anyhow::Result;
use moevit_sim::engine::judge::judge;
use moevit_sim::engine::Runner;
use moevit_sim::model::Image;

pub fn run(arguments: &RunArguments) -> Result<()> {
    let compiled = load_program(&arguments.program)?;
    let task = compiled.task(&arguments.task)?;
    let spec = &compiled.architecture.image;
    let image = Image::load_sized(&arguments.image, spec.height, spec.width, spec.channels)?;
    let memory = arguments.memory.config();
    let computer = computer(arguments.engine, &compiled, memory, arguments.trace.as_deref())?;
    let mut runner = Runner::new(compiled.clone(), computer);
    let quiet = arguments.json || !arguments.engine.is_device();
    let bar = progress::cycles(arguments.engine.name().into(), quiet);
    let frame = runner.frame(&image, task, &mut |cycle| bar.set_position(cycle));
    bar.finish_and_clear();
    let frame = frame?;
    runner.finish()?;
    if let Some(path) = &arguments.dump_tokens {
        let tokens = &frame.tokens;
        output::write_file(path, &npy::float32(tokens.rows(), tokens.columns(), &tokens.data))?;
    }
    let golden = compiled.golden.as_ref();
    let judgement = golden
        .map(|golden| judge(golden, &image, task, &frame))
        .transpose()?;
    let report = FrameReport::new(
        arguments.engine.name(),
        &compiled,
        task,
        &frame,
        judgement.as_ref(),
    )?;
    match arguments.json {
        true => output::print_json(&report),
        false => output::print(&report.text()),
    }
}
