//! Runs the command line as a user does, with a limit on its time.
#![allow(dead_code)] // Every test takes only a part.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No command of the quick tests may take longer.
pub const LIMIT: Duration = Duration::from_secs(300);

/// What a run of `moevit` left behind.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The run's standard output; it must have succeeded.
    pub fn text(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// The run's output as JSON; it must have succeeded.
    pub fn json(self) -> serde_json::Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The run's message; it must have failed with `code` and a message of one line, not with a panic.
    pub fn refusal(self, code: i32) -> String {
        let message = self.stderr;
        assert_eq!(self.code, Some(code), "{message}{}", self.stdout);
        assert!(
            !message.contains("panicked") && message.starts_with("error: "),
            "{message}"
        );
        message
    }
}

/// Runs `moevit` with these arguments.
pub fn moevit<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Ran {
    moevit_within(LIMIT, arguments)
}

/// As [`moevit`], for commands that take longer.
pub fn moevit_within<I: AsRef<OsStr>>(limit: Duration, arguments: impl IntoIterator<Item = I>) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let create = |name: &str| Stdio::from(std::fs::File::create(file(name)).unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_moevit"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(create("stdout"))
        .stderr(create("stderr"))
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > limit {
            child.kill().unwrap();
            panic!("moevit did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let read = |name: &str| String::from_utf8(std::fs::read(file(name)).unwrap()).unwrap();
    Ran {
        code: status.code(),
        stdout: read("stdout"),
        stderr: read("stderr"),
    }
}

/// A file of the demonstration.
pub fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(name)
}

/// Arguments that compile the demonstration's model, or one that stands in for a part of it.
pub fn compile_arguments<'a>(
    weights: &'a Path,
    architecture: &'a Path,
    calibration: &'a Path,
    config: &'a str,
    out: &'a Path,
) -> Vec<&'a OsStr> {
    vec![
        "compile".as_ref(),
        "--arch".as_ref(),
        architecture.as_ref(),
        "--weights".as_ref(),
        weights.as_ref(),
        "--calibration".as_ref(),
        calibration.as_ref(),
        "--config".as_ref(),
        config.as_ref(),
        "--out".as_ref(),
        out.as_ref(),
    ]
}
