//! `moevit export`: the Verilog of a configuration.

use super::load_config;
use crate::arguments::ExportArguments;
use crate::output;
use anyhow::Result;
use moevit_hw::config::AccelConfig;
use moevit_hw::verilog::export_files;
use serde::Serialize;
use std::path::Path;

/// What an export wrote.
#[derive(Serialize)]
pub struct Exported {
    config: String,
    config_hash: String,
    folder: String,
    files: Vec<String>,
    bytes: usize,
}

pub fn export(arguments: &ExportArguments) -> Result<()> {
    let exported = write(&load_config(&arguments.config)?, &arguments.out)?;
    match arguments.json {
        true => output::print_json(&exported),
        false => output::print(&exported.text()),
    }
}

/// Writes every file of a configuration.
pub fn write(config: &AccelConfig, folder: &Path) -> Result<Exported> {
    let files = export_files(config)?;
    for (name, text) in &files {
        output::write_file(&folder.join(name), text.as_bytes())?;
    }
    Ok(Exported {
        config: config.name.clone(),
        config_hash: format!("{:08x}", config.hash()),
        folder: folder.display().to_string(),
        bytes: files.iter().map(|file| file.1.len()).sum(),
        files: files.into_iter().map(|file| file.0).collect(),
    })
}

impl Exported {
    pub fn text(&self) -> String {
        format!(
            "{}: {} files, {} bytes, configuration {} ({})\n",
            self.folder,
            self.files.len(),
            output::thousands(self.bytes as u64),
            self.config,
            self.config_hash
        )
    }
}
