//! `moevit export`: the Verilog of a configuration.

use super::load_config;
use crate::arguments::ExportArguments;
use crate::output;
use anyhow::{Context, Result};
use moevit_hw::config::AccelConfig;
use moevit_hw::verilog::export_files;
use moevit_hw::verilog::package::GENERATED;
use serde::Serialize;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What an export wrote.
#[derive(Serialize)]
pub struct Exported {
    config: String,
    config_hash: String,
    folder: String,
    files: Vec<String>,
    bytes: usize,
    /// Verilog files of an earlier export that are no part of this one.
    removed: Vec<String>,
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
    let removed = remove_stale(folder, &files)?;
    for (name, text) in &files {
        output::write_file(&folder.join(name), text.as_bytes())?;
    }
    Ok(Exported {
        config: config.name.clone(),
        config_hash: format!("{:08x}", config.hash()),
        folder: folder.display().to_string(),
        bytes: files.iter().map(|file| file.1.len()).sum(),
        files: files.into_iter().map(|file| file.0).collect(),
        removed,
    })
}

/// Removes the generated Verilog that is none of `files`: tools that take every `.v` of the folder would take it too.
fn remove_stale(folder: &Path, files: &[(String, String)]) -> Result<Vec<String>> {
    let mut removed = vec![];
    // A folder that cannot be listed, because it is yet to be made or is a file, holds nothing stale.
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let is_new = files.iter().any(|(file, _)| *file == name);
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && !is_new && path.extension() == Some(OsStr::new("v")) && is_generated(&path) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            removed.push(name);
        }
    }
    removed.sort();
    Ok(removed)
}

/// Whether an export wrote the file.
fn is_generated(path: &Path) -> bool {
    let mut start = [0; GENERATED.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == GENERATED.as_bytes()
}

impl Exported {
    pub fn text(&self) -> String {
        let removed = match self.removed.len() {
            0 => String::new(),
            count => format!(
                "; {count} of an earlier export removed: {}",
                self.removed.join(", ")
            ),
        };
        format!(
            "{}: {} files, {} bytes, configuration {} ({}){removed}\n",
            self.folder,
            self.files.len(),
            output::thousands(self.bytes as u64),
            self.config,
            self.config_hash
        )
    }
}
