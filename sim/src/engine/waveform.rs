//! The file that a waveform is written to.

use anyhow::{Context, Error, Result};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Creates the file, or says which one cannot be.
pub fn create_waveform(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot create the waveform {}", path.display()))
}

/// What became of a [`WaveformWriter`]'s file.
pub struct WaveformState {
    path: PathBuf,
    error: Rc<RefCell<Option<io::Error>>>,
}

impl WaveformState {
    /// The first failure of a write so far.
    pub fn check(&self) -> Result<()> {
        match self.error.borrow_mut().take() {
            Some(error) => {
                Err(Error::new(error).context(format!("cannot write the waveform {}", self.path.display())))
            }
            None => Ok(()),
        }
    }
}

/// Writes without ever failing: rust-hdl panics at a write that fails, so the first error is kept for
/// [`WaveformState::check`], and what follows is dropped.
pub struct WaveformWriter<W> {
    to: W,
    error: Rc<RefCell<Option<io::Error>>>,
    failed: bool,
}

/// A buffered waveform, and where to ask for its failures.
pub fn waveform<W: Write>(to: W, path: &Path) -> (BufWriter<WaveformWriter<W>>, WaveformState) {
    let error = Rc::default();
    let state = WaveformState {
        path: path.into(),
        error: Rc::clone(&error),
    };
    let writer = WaveformWriter {
        to,
        error,
        failed: false,
    };
    (BufWriter::new(writer), state)
}

impl<W: Write> Write for WaveformWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.failed {
            if let Err(error) = self.to.write_all(bytes) {
                self.failed = true;
                self.error.replace(Some(error));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = bytes.len().min(self.0);
            self.0 -= room;
            match room {
                0 => Err(io::ErrorKind::StorageFull.into()),
                room => Ok(room),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_told_once_and_never_to_the_writer() {
        let (mut writer, state) = waveform(Disk(20_000), Path::new("a.vcd"));
        let mut failed_at = vec![];
        for number in 0..100 {
            writer.write_all(&[b'x'; 1_000]).unwrap();
            if let Err(error) = state.check() {
                assert!(
                    format!("{error:#}").contains("cannot write the waveform a.vcd: "),
                    "{error:#}"
                );
                failed_at.push(number);
            }
        }
        assert!(matches!(failed_at[..], [20..=40]), "{failed_at:?}");
    }

    #[test]
    fn a_failure_of_the_last_bytes_is_found_when_the_writer_ends() {
        let (mut writer, state) = waveform(Disk(0), Path::new("a.vcd"));
        writer.write_all(b"buffered").unwrap();
        state.check().unwrap();
        drop(writer);
        assert!(state.check().is_err());
    }
}
