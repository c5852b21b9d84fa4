//! `moevit info`: what a configuration or a program file consists of.

mod config;
mod program;

use super::{area, load_config, load_program};
use crate::arguments::InfoArguments;
use crate::output;
use anyhow::Result;
use serde::Serialize;

/// What `moevit info --json` prints.
#[derive(Serialize)]
struct Report {
    configuration: config::Configuration,
    program: Option<program::Listing>,
    area: Option<area::Table>,
}

pub fn info(arguments: &InfoArguments) -> Result<()> {
    let compiled = arguments.program.as_deref().map(load_program).transpose()?;
    let config = match &compiled {
        Some(compiled) => compiled.program.config.clone(),
        None => load_config(&arguments.config)?,
    };
    let report = Report {
        configuration: config::Configuration::new(&config),
        program: compiled.as_deref().map(program::Listing::new).transpose()?,
        area: arguments
            .area
            .then(|| area::Table::new(&config, arguments.json))
            .transpose()?,
    };
    match arguments.json {
        true => output::print_json(&report),
        false => output::print(&report.text()),
    }
}

impl Report {
    fn text(&self) -> String {
        let parts = [
            Some(self.configuration.text()),
            self.program.as_ref().map(program::Listing::text),
            self.area.as_ref().map(area::Table::text),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}
