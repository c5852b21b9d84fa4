//! What each command does.

mod area;
mod compile;
mod demo;
mod engine;
mod evaluate;
mod export;
mod frame;
mod info;
mod report;
mod run;
mod stream;

use crate::arguments::{Arguments, Command};
use anyhow::{Context, Result};
use clap::Parser;
use moevit_hw::config::AccelConfig;
use moevit_sim::engine::Compiled;
use moevit_sim::program::Program;
use std::path::Path;
use std::sync::Arc;

/// Runs the command that the arguments name; without one, the demonstration.
pub fn dispatch(arguments: Arguments) -> Result<()> {
    let Some(command) = arguments.command else {
        return dispatch(Arguments::parse_from(["moevit", "demo"]));
    };
    match command {
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Compile(arguments) => compile::compile(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Stream(arguments) => stream::stream(&arguments),
        Command::Evaluate(arguments) => evaluate::evaluate(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Info(arguments) => info::info(&arguments),
    }
}

/// A named configuration, or one from a file.
fn load_config(text: &str) -> Result<AccelConfig> {
    let path = Path::new(text);
    let is_file = path.extension().is_some_and(|extension| extension == "toml");
    if AccelConfig::names().contains(&text) || !is_file {
        return Ok(AccelConfig::named(text)?);
    }
    let file = std::fs::read_to_string(path).with_context(|| format!("cannot read configuration {text}"))?;
    AccelConfig::from_toml(&file).with_context(|| format!("configuration {text}"))
}

fn load_program(path: &Path) -> Result<Arc<Compiled>> {
    let program = Program::read(path)?;
    let compiled = Compiled::new(program).with_context(|| format!("program '{}'", path.display()))?;
    Ok(Arc::new(compiled))
}
