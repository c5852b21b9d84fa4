//! The command line: see `moevit --help`.

mod arguments;
mod commands;
mod embedded;
mod npy;
mod output;
mod picture;
mod progress;

use clap::Parser;
use std::process::ExitCode;

/// Exit code of a run that failed; clap itself ends with 2 on bad arguments.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match commands::dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", output::sentence(&error));
            ExitCode::from(FAILURE)
        }
    }
}
