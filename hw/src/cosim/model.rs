//! A Verilated model in this process.

use super::build::library;
use super::error::CosimError;
use super::ports::words;
use crate::verilog::{Design, Port};
use libloading::Library;
use std::ffi::{c_char, c_int, c_void, CString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a model is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Further arguments for Verilator.
    pub flags: Vec<String>,
    /// Whether the model can write a waveform; see [`VerilatedModel::trace`].
    pub trace: bool,
    /// Simulation threads.
    pub threads: usize,
    /// The C++ compiler's optimisation: 1 compiles fast, 3 runs fast.
    pub optimise: u8,
    /// Registers and memories without an initial value start at random, not at zero.
    pub random_start: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            flags: vec![],
            trace: false,
            threads: 1,
            optimise: 1,
            random_start: true,
        }
    }
}

type New = unsafe extern "C" fn() -> *mut c_void;
type Plain = unsafe extern "C" fn(*mut c_void);
type Step = unsafe extern "C" fn(*mut c_void, *const u32, *mut u32);
type Set = unsafe extern "C" fn(*mut c_void, u32, *const u32);
type Get = unsafe extern "C" fn(*mut c_void, u32, *mut u32);
type Trace = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
type TraceState = unsafe extern "C" fn(*mut c_void) -> c_int;

/// A model's functions for waveforms; what they return is `errno` of the first failure, or 0.
struct TraceCode {
    open: Trace,
    error: TraceState,
    close: TraceState,
}

/// The loaded code of a model; instances share it.
struct Code {
    new: New,
    delete: Plain,
    eval: Plain,
    step: Step,
    set: Set,
    get: Get,
    trace: Option<TraceCode>,
    ports: Vec<Port>,
    input_words: usize,
    output_words: usize,
    /// Keeps the functions above alive.
    _library: Library,
}

/// One running instance of a model. Instances share code, not state.
pub struct VerilatedModel {
    code: Arc<Code>,
    instance: *mut c_void,
    /// The waveform that is being written.
    waveform: Option<PathBuf>,
}

// An instance has its own context and is only reached through its owner.
unsafe impl Send for VerilatedModel {}

impl VerilatedModel {
    /// Builds and loads the module `name` of a Verilog text.
    pub fn build(name: &str, verilog: &str, ports: &[Port], options: &Options) -> Result<Self, CosimError> {
        let path = library(name, verilog, ports, options)?;
        let code = Code::load(&path, ports, options.trace).map_err(|source| CosimError::Load {
            path: path.clone(),
            source,
        })?;
        Ok(Self::instance(Arc::new(code)))
    }

    /// Builds an exported design.
    pub fn of_design(design: &Design, options: &Options) -> Result<Self, CosimError> {
        Self::build(&design.top, &design.to_verilog(), &design.ports, options)
    }

    fn instance(code: Arc<Code>) -> Self {
        // SAFETY: the function belongs to the library that `code` keeps loaded.
        let instance = unsafe { (code.new)() };
        VerilatedModel {
            code,
            instance,
            waveform: None,
        }
    }

    /// A second, independent instance in its initial state.
    pub fn fresh(&self) -> Self {
        Self::instance(self.code.clone())
    }

    pub fn ports(&self) -> &[Port] {
        &self.code.ports
    }

    /// The number of a port, for [`set`](Self::set) and [`get`](Self::get).
    pub fn port(&self, name: &str) -> Result<usize, CosimError> {
        let found = self.code.ports.iter().position(|p| p.name == name);
        found.ok_or_else(|| CosimError::NoPort {
            port: name.to_owned(),
        })
    }

    pub fn eval(&mut self) {
        // SAFETY: `instance` came from this library's `new` and is deleted only in `drop`.
        unsafe { (self.code.eval)(self.instance) }
    }

    /// Sets all inputs, evaluates, reads all outputs; words as in [`PortValues`](super::PortValues).
    ///
    /// # Panics
    /// If a slice has not the length of all inputs or outputs.
    pub fn step(&mut self, inputs: &[u32], outputs: &mut [u32]) {
        assert_eq!(inputs.len(), self.code.input_words, "words of all inputs");
        assert_eq!(outputs.len(), self.code.output_words, "words of all outputs");
        // SAFETY: as in `eval`; both lengths are those that the shim was generated for.
        unsafe { (self.code.step)(self.instance, inputs.as_ptr(), outputs.as_mut_ptr()) }
    }

    /// Sets one input from its words; missing words are zero.
    pub fn set(&mut self, port: usize, value: &[u32]) {
        let mut words = vec![0; words(self.code.ports[port].width)];
        words.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        // SAFETY: as in `eval`; the shim reads as many words as the port has.
        unsafe { (self.code.set)(self.instance, port as u32, words.as_ptr()) }
    }

    /// The words of one port.
    pub fn get(&self, port: usize) -> Vec<u32> {
        let mut words = vec![0; words(self.code.ports[port].width)];
        // SAFETY: as in `eval`; the shim writes as many words as the port has.
        unsafe { (self.code.get)(self.instance, port as u32, words.as_mut_ptr()) }
        words
    }

    pub fn set_u64(&mut self, port: usize, value: u64) {
        self.set(port, &[value as u32, (value >> 32) as u32]);
    }

    pub fn get_u64(&self, port: usize) -> u64 {
        let words = self.get(port);
        words[0] as u64 | (words.get(1).copied().unwrap_or(0) as u64) << 32
    }

    pub fn output_words(&self) -> usize {
        self.code.output_words
    }

    /// Writes a waveform (VCD) from here on. Needs `Options::trace`.
    pub fn trace(&mut self, file: &Path) -> Result<(), CosimError> {
        let refuse = |reason: &str| CosimError::Setup {
            block: "waveform".into(),
            reason: reason.into(),
        };
        let trace = self.code.trace.as_ref();
        let trace = trace.ok_or_else(|| refuse("the model was built without `trace`"))?;
        let name = CString::new(file.as_os_str().as_encoded_bytes())
            .map_err(|_| refuse("the file name has a NUL"))?;
        // SAFETY: as in `eval`; the name lives until the call returns.
        let error = unsafe { (trace.open)(self.instance, name.as_ptr()) };
        self.waveform = Some(file.into());
        self.waveform_result(error)
    }

    /// What kept the waveform from being written so far.
    pub fn check_trace(&self) -> Result<(), CosimError> {
        self.ask_trace(|trace| trace.error)
    }

    /// Ends the waveform; it is complete afterwards, or the error says why not.
    pub fn end_trace(&mut self) -> Result<(), CosimError> {
        self.ask_trace(|trace| trace.close)
    }

    fn ask_trace(&self, function: impl Fn(&TraceCode) -> TraceState) -> Result<(), CosimError> {
        match &self.code.trace {
            // SAFETY: as in `eval`.
            Some(trace) => self.waveform_result(unsafe { function(trace)(self.instance) }),
            None => Ok(()),
        }
    }

    fn waveform_result(&self, error: c_int) -> Result<(), CosimError> {
        match &self.waveform {
            Some(path) if error != 0 => Err(CosimError::Waveform {
                path: path.clone(),
                source: std::io::Error::from_raw_os_error(error),
            }),
            _ => Ok(()),
        }
    }
}

impl Drop for VerilatedModel {
    fn drop(&mut self) {
        // SAFETY: as in `eval`; nothing uses the instance after this.
        unsafe { (self.code.delete)(self.instance) }
    }
}

impl Code {
    fn load(path: &Path, ports: &[Port], trace: bool) -> Result<Self, libloading::Error> {
        let count = |input| {
            ports
                .iter()
                .filter(|p| p.is_input == input)
                .map(|p| words(p.width))
                .sum()
        };
        // SAFETY: the library was generated by this crate; loading it runs only Verilator's
        // initialisers, and the types are those of the generated shim.
        unsafe {
            let library = Library::new(path)?;
            Ok(Code {
                new: *library.get::<New>(b"moevit_new\0")?,
                delete: *library.get::<Plain>(b"moevit_delete\0")?,
                eval: *library.get::<Plain>(b"moevit_eval\0")?,
                step: *library.get::<Step>(b"moevit_step\0")?,
                set: *library.get::<Set>(b"moevit_set\0")?,
                get: *library.get::<Get>(b"moevit_get\0")?,
                trace: if trace {
                    Some(TraceCode {
                        open: *library.get::<Trace>(b"moevit_trace\0")?,
                        error: *library.get::<TraceState>(b"moevit_trace_error\0")?,
                        close: *library.get::<TraceState>(b"moevit_trace_close\0")?,
                    })
                } else {
                    None
                },
                ports: ports.to_vec(),
                input_words: count(true),
                output_words: count(false),
                _library: library,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::stream_word::StreamWord;
    use crate::config::AccelConfig;
    use crate::prelude::*;
    use crate::verilog::export;

    #[test]
    fn a_waveform_is_complete_or_says_why_not() {
        let mut word = StreamWord::new(&AccelConfig::named("nano").unwrap());
        word.connect_all();
        let options = Options {
            trace: true,
            ..Options::default()
        };
        let design = export("StreamWord", &word).unwrap();
        let model = VerilatedModel::of_design(&design, &options).unwrap();
        let clock = model.port("clock").unwrap();
        let run = |path: &Path| {
            let mut model = model.fresh();
            model.trace(path)?;
            for time in 0..10_000 {
                model.set_u64(clock, time & 1);
                model.eval();
            }
            let so_far = model.check_trace();
            model.end_trace().and(so_far)
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("word.vcd");
        run(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("$enddefinitions") && text.contains("#50000"));
        // A folder cannot be opened; /dev/full can, and then has no room.
        for bad in [folder.path(), Path::new("/dev/full")] {
            let error = run(bad).unwrap_err().to_string();
            let wanted = format!("cannot write the waveform {}: ", bad.display());
            assert!(error.starts_with(&wanted), "{error}");
        }
    }
}
