//! The exported design as files: a module a file, the shell, a file list, the register map, constraints and the configuration.

use super::design::{export, Design};
use super::error::ExportError;
use super::shell::{shell, ShellInfo};
use crate::bus::register_table;
use crate::config::{AccelConfig, BURST_BEATS};
use crate::top::Accelerator;
use rust_hdl::prelude::*;

/// Name of the accelerator's module, inside the shell.
pub const CORE_MODULE: &str = "moevit_core";

/// Timing constraints of the top module, for the ZCU104 and the clock of its configuration.
const CONSTRAINTS: &str = include_str!("../../../constraints/zcu104.xdc");
/// What names that clock in them.
const CONSTRAINED_MHZ: &str = "300 MHz";
const CONSTRAINED_PERIOD: &str = "-period 3.333 ";

/// The accelerator of a configuration as Verilog.
pub fn accelerator(config: &AccelConfig) -> Result<Design, ExportError> {
    let mut accelerator = Accelerator::new(config);
    accelerator.connect_all();
    export(CORE_MODULE, &accelerator)
}

/// The accelerator in its shell: what is exported.
pub fn shelled(config: &AccelConfig) -> Result<Design, ExportError> {
    let info = ShellInfo {
        configuration: config.name.clone(),
        hash: config.hash(),
        outstanding_reads: config.outstanding_bursts,
        outstanding_writes: 1,
        burst_beats: BURST_BEATS,
    };
    shell(&accelerator(config)?, &info)
}

/// Every file of a configuration: its name and its text.
pub fn export_files(config: &AccelConfig) -> Result<Vec<(String, String)>, ExportError> {
    let design = shelled(config)?;
    let about = about(config);
    let externals = design
        .externals
        .iter()
        .map(|(name, text)| (name.clone(), text.clone()));
    let modules = design.modules.iter().map(|m| (m.name.clone(), m.text.clone()));
    let mut files: Vec<(String, String)> = externals
        .chain(modules)
        .map(|(name, text)| (format!("{name}.v"), text))
        .collect();
    let list: String = files.iter().map(|(name, _)| format!("{name}\n")).collect();
    files.push(("filelist.f".into(), format!("// {about}\n{list}")));
    files.push(("registers.md".into(), registers(config, &about)));
    files.push((
        "registers.h".into(),
        format!("/* {about} */\n{}", register_table::c_header()),
    ));
    files.push(("zcu104.xdc".into(), format!("# {about}\n{}", constraints(config))));
    let text = toml::to_string(config).expect("a plain struct always serialises");
    files.push(("config.toml".into(), format!("# {about}\n{text}")));
    Ok(files)
}

/// Where a file comes from. No date: the same source gives the same bytes.
fn about(config: &AccelConfig) -> String {
    format!(
        "moevit {}, configuration {}, hash {:08x}. Generated: do not edit.",
        env!("CARGO_PKG_VERSION"),
        config.name,
        config.hash()
    )
}

/// The constraints for a configuration's target clock.
fn constraints(config: &AccelConfig) -> String {
    let mhz = config.clock_mhz_target;
    let period = format!("-period {:.3} ", 1e3 / f64::from(mhz));
    CONSTRAINTS
        .replace(CONSTRAINED_MHZ, &format!("{mhz} MHz"))
        .replace(CONSTRAINED_PERIOD, &period)
}

fn registers(config: &AccelConfig, about: &str) -> String {
    format!(
        "# Control registers\n\n{about}\n\nOffsets in bytes from the base of `s_axi_control`. CONFIG_HASH reads 0x{:08x}.\n\n{}",
        config.hash(),
        register_table::markdown()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verilog::shell::TOP;
    use std::process::Command;

    #[test]
    fn the_constraints_follow_the_clock() {
        let at = |mhz| {
            constraints(&AccelConfig {
                clock_mhz_target: mhz,
                ..AccelConfig::named("nano").unwrap()
            })
        };
        assert_eq!(at(300), CONSTRAINTS);
        let text = at(200);
        assert!(
            text.contains("-period 5.000 [get_ports ap_clk]") && text.contains("200 MHz"),
            "{text}"
        );
        assert!(!text.contains("3.333") && !text.contains("300 MHz"), "{text}");
    }

    #[test]
    fn the_files_are_a_whole_design_and_always_the_same() {
        let config = AccelConfig::named("nano").unwrap();
        let files = export_files(&config).unwrap();
        assert_eq!(files, export_files(&config).unwrap());
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &files {
            assert!(text.contains(&format!("{:08x}", config.hash())), "{name}");
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let output = Command::new("iverilog")
            .args(["-g2005", "-t", "null", "-s", TOP, "-f", "filelist.f"])
            .current_dir(folder.path())
            .output()
            .expect("iverilog is installed");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && messages.is_empty(), "{messages}");
        assert!(files.len() > 20, "only {} files", files.len());
    }
}
