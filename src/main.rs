//! The command line: see `moevit --help`.

mod arguments;
mod commands;

use clap::Parser;
use std::process::ExitCode;

/// Exit code of a run that failed; clap itself ends with 2 on bad arguments.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match commands::dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILURE)
        }
    }
}
