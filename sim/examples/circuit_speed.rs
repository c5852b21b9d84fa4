//! How fast the circuit engine simulates: `circuit_speed PROGRAM [CYCLES]` prints cycles a second, window by window.

use anyhow::{Context, Result};
use moevit_sim::engine::circuit::CircuitDevice;
use moevit_sim::engine::session::{Frame, Session};
use moevit_sim::memory::MemoryConfig;
use moevit_sim::program::Program;
use std::path::Path;
use std::time::Instant;

/// Cycles between two lines.
const WINDOW_CYCLES: u64 = 4_096;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .context("usage: circuit_speed PROGRAM [CYCLES]")?;
    let limit_cycles = arguments.next().map_or(Ok(u64::MAX), |n| n.parse())?;
    let program = Program::read(Path::new(&path))?;
    let device = CircuitDevice::new(&program.config);
    let mut session = Session::new(device, MemoryConfig::default(), program.config.read_ports)?;
    session.load(&program.payload)?;
    // The bits do not matter here, so any image will do.
    let image = vec![0x5a; program.meta.image.bytes];
    let frame = Frame {
        command_count: program.meta.command_count,
        image: &image,
        task: 0,
        result_bytes: program.meta.result_bytes as usize,
        limit_cycles,
    };
    let (started, mut window) = (Instant::now(), (0, Instant::now()));
    let mut last = 0;
    let outcome = session.frame(&frame, &mut |cycle| {
        last = cycle;
        if cycle >= window.0 + WINDOW_CYCLES {
            let rate = (cycle - window.0) as f64 / window.1.elapsed().as_secs_f64();
            println!("cycle {cycle:>8}: {rate:>8.0} cycles/s");
            window = (cycle, Instant::now());
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{last} cycles in {seconds:.1} s: {:.0} cycles/s",
        last as f64 / seconds
    );
    if let Err(error) = outcome {
        println!("stopped: {error}");
    }
    Ok(())
}
