//! Arguments of the command line.

use clap::{value_parser, Args, Parser, Subcommand, ValueEnum};
use moevit_sim::memory::MemoryConfig;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Longer than any memory takes, and far from the accelerator's watchdog.
const LATENCIES: RangeInclusive<i64> = 0..=10_000;
/// From the least with which a beat flows to far more than all ports take.
const BANDWIDTHS: RangeInclusive<i64> = MemoryConfig::BYTES_PER_CYCLE_MIN as i64..=65_536;
/// All frames of a stream are in memory at once.
const MOST_FRAMES: i64 = 10_000;

/// Accelerator for Mixture-of-Experts Vision Transformers: compile a trained model, see its accuracy and cycles, export Verilog.
///
/// Without a command, compiles the embedded demonstration model, runs an image through the circuits in process for both of its
/// tasks and compares with the floating-point model. Exit code: 0 done, 1 failed (the reason on standard error), 2 bad arguments.
#[derive(Parser, Debug)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Compile the embedded demonstration and run an image through the circuits (the default)
    Demo(DemoArguments),
    /// Write the Verilog of a configuration, its file list, register map and C header
    Export(ExportArguments),
    /// Quantise a trained model and write a program file
    Compile(CompileArguments),
    /// Run one image and compare with the floating-point model
    Run(RunArguments),
    /// Run a folder of images back to back through the frame queue: latency and steady frame rate
    Stream(StreamArguments),
    /// Accuracy over a folder of images, engine and floating-point model side by side
    Evaluate(EvaluateArguments),
    /// What a frame costs: cycles by layer and unit, stalls, pictures of time and roofline, area
    Report(ReportArguments),
    /// Describe a configuration or a program file; estimate the area of every block
    Info(InfoArguments),
}

/// What computes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Floating-point model
    Golden,
    /// Integer reference: the bits of the circuits, fast, without cycles
    Reference,
    /// rust-hdl circuits in process
    Circuit,
    /// Exported Verilog in Verilator
    Verilator,
}

#[derive(Args, Debug)]
pub struct DemoArguments {
    /// Index of the test image
    #[arg(long, default_value_t = 0)]
    pub image: usize,
    /// Folder for the Verilog
    #[arg(long, default_value = "target/demo/verilog")]
    pub out: PathBuf,
    /// What computes the frames
    #[arg(long, value_enum, default_value_t = EngineName::Circuit)]
    pub engine: EngineName,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ExportArguments {
    /// Named configuration (nano, zcu104) or a TOML file
    #[arg(long)]
    pub config: String,
    /// Folder to write; Verilog files there that an earlier export generated and this one does not are removed
    #[arg(long)]
    pub out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct CompileArguments {
    /// Architecture file (TOML)
    #[arg(long)]
    pub arch: PathBuf,
    /// Checkpoint (safetensors; M3ViT's or timm's tensor names)
    #[arg(long)]
    pub weights: PathBuf,
    /// Folder of PNG images that set the scales
    #[arg(long)]
    pub calibration: PathBuf,
    /// Named configuration (nano, zcu104) or a TOML file
    #[arg(long)]
    pub config: String,
    /// Program file to write
    #[arg(long)]
    pub out: PathBuf,
    /// Leave the floating-point model out of the file (smaller; `run` then cannot compare with it)
    #[arg(long)]
    pub without_golden: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// The simulated board's memory.
#[derive(Args, Clone, Debug)]
pub struct MemoryArguments {
    /// Cycles from a read address to its first beat
    #[arg(long, default_value_t = MemoryConfig::FIRST_BEAT_CYCLES, value_parser = value_parser!(u32).range(LATENCIES))]
    pub latency: u32,
    /// Bytes a cycle that all read ports share
    #[arg(long, default_value_t = MemoryConfig::BYTES_PER_CYCLE, value_parser = value_parser!(u32).range(BANDWIDTHS))]
    pub bandwidth: u32,
    /// Seed of random stalls on every bus channel; without it there are none
    #[arg(long)]
    pub stalls: Option<u64>,
}

#[derive(Args, Debug)]
pub struct RunArguments {
    /// Program file
    #[arg(long)]
    pub program: PathBuf,
    /// PNG image of the model's size
    #[arg(long)]
    pub image: PathBuf,
    /// Task, by name or number
    #[arg(long, default_value = "0")]
    pub task: String,
    /// What computes the frame
    #[arg(long, value_enum, default_value_t = EngineName::Circuit)]
    pub engine: EngineName,
    #[command(flatten)]
    pub memory: MemoryArguments,
    /// Write the final tokens as float32 [tokens, width]
    #[arg(long)]
    pub dump_tokens: Option<PathBuf>,
    /// Write a waveform for GTKWave (engines circuit and verilator); it is large: 1.8 GB for the demonstration's frame on the circuit,
    /// 2.6 GB with verilator
    #[arg(long)]
    pub trace: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct StreamArguments {
    /// Program file
    #[arg(long)]
    pub program: PathBuf,
    /// Folder of PNG images of the model's size, taken in the order of their names and again from the first
    #[arg(long)]
    pub images: PathBuf,
    /// Tasks by name or number; the frames take turns
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub tasks: Vec<String>,
    /// Number of frames
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u32).range(1..=MOST_FRAMES))]
    pub frames: u32,
    /// What computes the frames
    #[arg(long, value_enum, default_value_t = EngineName::Circuit)]
    pub engine: EngineName,
    #[command(flatten)]
    pub memory: MemoryArguments,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct EvaluateArguments {
    /// Program file
    #[arg(long, required_unless_present = "merge")]
    pub program: Option<PathBuf>,
    /// Test set: a folder with `images` (PNG files, or a contact sheet `images.png`) and, by the task, `labels` or `classes.txt`
    #[arg(long, required_unless_present = "merge")]
    pub images: Option<PathBuf>,
    /// Task, by name or number
    #[arg(long, default_value = "0")]
    pub task: String,
    /// What computes the frames
    #[arg(long, value_enum, default_value_t = EngineName::Reference)]
    pub engine: EngineName,
    #[command(flatten)]
    pub memory: MemoryArguments,
    /// At most this many images
    #[arg(long)]
    pub limit: Option<usize>,
    /// Images at once, each on an engine of its own [default: the number of processors]
    #[arg(long, value_name = "N", conflicts_with = "merge")]
    pub jobs: Option<NonZeroUsize>,
    /// Part I of N of the images, 0 <= I < N; parts merge with `--merge`
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<(usize, usize)>,
    /// JSON results of all shards, to add instead of running images
    #[arg(long, num_args = 1.., conflicts_with_all = ["program", "images", "limit", "shard"])]
    pub merge: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// `I/N` with I below N.
fn parse_shard(text: &str) -> Result<(usize, usize), &'static str> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    numbers
        .filter(|(i, n)| i < n)
        .ok_or("must be I/N with 0 <= I < N")
}

/// Without --program and --arch, the embedded demonstration on nano.
#[derive(Args, Debug)]
pub struct ReportArguments {
    /// Program file
    #[arg(long, conflicts_with_all = ["arch", "weights", "config"])]
    pub program: Option<PathBuf>,
    /// Architecture file (TOML); without --weights the weights are random, which changes nothing but the experts' queues
    #[arg(long)]
    pub arch: Option<PathBuf>,
    /// Checkpoint (safetensors; M3ViT's or timm's tensor names)
    #[arg(long, requires_all = ["arch", "calibration"])]
    pub weights: Option<PathBuf>,
    /// Folder of PNG images that set the scales
    #[arg(long, requires = "weights")]
    pub calibration: Option<PathBuf>,
    /// Named configuration (nano, zcu104) or a TOML file
    #[arg(long, default_value = "nano", requires = "arch")]
    pub config: String,
    /// PNG image of the model's size; without it, noise (the demonstration: its first test image)
    #[arg(long)]
    pub image: Option<PathBuf>,
    /// Task, by name or number
    #[arg(long, default_value = "0")]
    pub task: String,
    #[command(flatten)]
    pub memory: MemoryArguments,
    /// Only the analytical model, no simulation: seconds instead of minutes
    #[arg(long)]
    pub model_only: bool,
    /// No area estimate with Yosys (minutes the first time, then cached)
    #[arg(long)]
    pub without_area: bool,
    /// Folder for report.md, report.json, timeline.svg and roofline.svg
    #[arg(long, default_value = "target/report")]
    pub out: PathBuf,
    /// Print the JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct InfoArguments {
    /// Named configuration (nano, zcu104) or a TOML file
    #[arg(long, default_value = "nano")]
    pub config: String,
    /// Program file to describe, with its configuration
    #[arg(long, conflicts_with = "config")]
    pub program: Option<PathBuf>,
    /// Estimate LUT, FF, DSP and memories of every block with Yosys (minutes the first time, then cached)
    #[arg(long)]
    pub area: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}
