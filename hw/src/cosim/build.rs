//! Compiles Verilog to a shared library, once for each content.
//!
//! Verilator translates; the C++ compiler is called directly, because Verilator's run-time then is
//! compiled once for all models and a small model takes about a second.

use super::error::CosimError;
use super::model::Options;
use super::shim::{shim, PREFIX};
use super::tools::{run, workspace_root, Tools};
use crate::verilog::Port;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const LIBRARY: &str = "model.so";

/// Tests of one process build the run-time once, not each for itself.
static RUNTIME_TURN: Mutex<()> = Mutex::new(());

/// Returns the library of a model, building it if no earlier run did.
pub fn library(name: &str, verilog: &str, ports: &[Port], options: &Options) -> Result<PathBuf, CosimError> {
    let tools = Tools::find()?;
    let shim = shim(ports, options.trace);
    let flags = compile_flags(options);
    let arguments = arguments(name, options);
    let key = hash(&[
        &tools.fingerprint(),
        verilog,
        &shim,
        &flags.join(" "),
        &arguments.join(" "),
    ]);
    let folder = cache_folder().join(key);
    let library = folder.join(LIBRARY);
    if !library.is_file() {
        let runtime = runtime(&tools, options)?;
        place(&folder, LIBRARY, |scratch| {
            write(&scratch.join("top.v"), verilog)?;
            write(&scratch.join("shim.cc"), &shim)?;
            run(
                tools.command().current_dir(scratch).args(&arguments),
                "verilator",
                name,
            )?;
            write(&scratch.join("all.cc"), &amalgamation(scratch)?)?;
            compile_model(&tools, scratch, &runtime, &flags, name)
        })?;
    }
    Ok(library)
}

fn cache_folder() -> PathBuf {
    match std::env::var_os("MOEVIT_CACHE") {
        Some(folder) => PathBuf::from(folder).join("verilator"),
        None => workspace_root().join(".cache/verilator"),
    }
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher
        .finalize()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn write(path: &Path, text: &str) -> Result<(), CosimError> {
    std::fs::write(path, text).map_err(CosimError::file(path))
}

/// Fills a scratch folder beside `folder` and renames it, so that concurrent builds do not meet.
fn place(
    folder: &Path,
    product: &str,
    fill: impl FnOnce(&Path) -> Result<(), CosimError>,
) -> Result<(), CosimError> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(CosimError::file(parent))?;
    let scratch = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(parent)
        .map_err(CosimError::file(parent))?;
    fill(scratch.path())?;
    let finished = scratch.path().join(product);
    let made = tempfile::Builder::new()
        .prefix("done-")
        .tempdir_in(parent)
        .map_err(CosimError::file(parent))?;
    std::fs::rename(&finished, made.path().join(product)).map_err(CosimError::file(&finished))?;
    // Someone else may have been faster, with the same content.
    match std::fs::rename(made.path(), folder) {
        Ok(()) => {
            let _ = made.keep();
            Ok(())
        }
        Err(_) if folder.join(product).is_file() => Ok(()),
        Err(source) => Err(CosimError::File {
            path: folder.to_owned(),
            source,
        }),
    }
}

fn arguments(name: &str, options: &Options) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--cc",
        "-O3",
        "-Wno-fatal",
        "-Wno-lint",
        "-Wno-style",
        "--Mdir",
        ".",
    ]
    .iter()
    .map(|s| (*s).to_owned())
    .collect();
    arguments.extend(["--prefix", PREFIX, "--top-module", name].map(str::to_owned));
    // What Rust leaves at zero must not be zero by luck in Verilog.
    let start = if options.random_start { "unique" } else { "0" };
    arguments.extend(["--x-initial", start, "--x-assign", start].map(str::to_owned));
    // Verilator 5.048 to 5.050 add the amounts of nested shifts without the carry.
    for direction in ["shiftl", "shiftr"] {
        arguments.push(format!("-fno-dfg-peephole-replace-{direction}-{direction}"));
    }
    if options.trace {
        arguments.push("--trace".into());
    }
    if options.threads > 1 {
        arguments.extend(["--threads".into(), options.threads.to_string()]);
    }
    arguments.extend(options.flags.iter().cloned());
    arguments.push("top.v".into());
    arguments
}

fn compile_flags(options: &Options) -> Vec<String> {
    let trace = options.trace as u8;
    let mut flags: Vec<String> = [
        "-std=c++17",
        "-fPIC",
        "-w",
        "-DVM_COVERAGE=0",
        "-DVM_SC=0",
        "-DVM_TIMING=0",
        "-DVL_TIME_CONTEXT",
    ]
    .iter()
    .map(|s| (*s).to_owned())
    .collect();
    flags.extend([format!("-DVM_TRACE={trace}"), format!("-DVM_TRACE_VCD={trace}")]);
    flags.extend(["-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"].map(str::to_owned));
    flags.push(format!("-O{}", options.optimise.min(3)));
    flags
}

fn compiler() -> Command {
    Command::new(std::env::var_os("CXX").unwrap_or_else(|| "g++".into()))
}

fn include_flags(tools: &Tools) -> Result<[String; 2], CosimError> {
    let include = tools.include_folder()?;
    Ok([
        format!("-I{}", include.display()),
        format!("-I{}", include.join("vltstd").display()),
    ])
}

/// Verilator's run-time as one object file.
fn runtime(tools: &Tools, options: &Options) -> Result<PathBuf, CosimError> {
    const OBJECT: &str = "runtime.o";
    // The run-time is compiled once, so it can afford to be fast.
    let flags = compile_flags(&Options {
        optimise: 2,
        ..options.clone()
    });
    let mut sources = vec!["verilated.cpp", "verilated_threads.cpp"];
    if options.trace {
        sources.push("verilated_vcd_c.cpp");
    }
    let folder = cache_folder().join(format!(
        "runtime-{}",
        hash(&[&tools.fingerprint(), &flags.join(" ")])
    ));
    let _turn = RUNTIME_TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !folder.join(OBJECT).is_file() {
        let include = include_flags(tools)?;
        place(&folder, OBJECT, |scratch| {
            let mut objects = vec![];
            for source in sources {
                let object = scratch.join(source).with_extension("o");
                let source = tools.include_folder()?.join(source);
                let mut command = compiler();
                command
                    .args(&flags)
                    .args(&include)
                    .arg("-c")
                    .arg(&source)
                    .arg("-o")
                    .arg(&object);
                run(&mut command, "g++", "Verilator's run-time")?;
                objects.push(object);
            }
            let mut command = compiler();
            command
                .args(["-r", "-nostdlib"])
                .args(&objects)
                .arg("-o")
                .arg(scratch.join(OBJECT));
            run(&mut command, "g++", "Verilator's run-time").map(drop)
        })?;
    }
    Ok(folder.join(OBJECT))
}

/// One source that includes all that Verilator wrote, and the shim.
fn amalgamation(folder: &Path) -> Result<String, CosimError> {
    let entries = std::fs::read_dir(folder).map_err(CosimError::file(folder))?;
    let mut names: Vec<_> = entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect();
    names.retain(|n| n.ends_with(".cpp"));
    names.sort();
    names.push("shim.cc".into());
    Ok(names.iter().map(|n| format!("#include \"{n}\"\n")).collect())
}

fn compile_model(
    tools: &Tools,
    folder: &Path,
    runtime: &Path,
    flags: &[String],
    name: &str,
) -> Result<(), CosimError> {
    let mut command = compiler();
    command
        .current_dir(folder)
        .args(flags)
        .args(include_flags(tools)?)
        .args(["-I.", "-shared", "-pthread"]);
    // The run-time of every model must stay its own.
    command
        .args(["-Wl,-Bsymbolic", "all.cc"])
        .arg(runtime)
        .args(["-o", LIBRARY]);
    run(&mut command, "g++", name).map(drop)
}
