//! The program file `.moevit`: everything that running a compiled model needs.
//!
//! A [`Program`] holds the configuration that it was compiled for, the [`Meta`] of layouts and labels, the payload for the
//! board's memory and, if wanted, the f32 checkpoint for comparisons. [`format`] describes the container.
//!
//! The payload begins with the commands (32 bytes each), padded to 256 bytes; everything that a Fetch names lies behind.

mod error;
pub mod format;
mod meta;
#[cfg(test)]
mod tests;

use std::path::Path;

use moevit_hw::config::{AccelConfig, BEAT_BYTES, BURST_BYTES};
use moevit_hw::control::command::{Command, COMMAND_BYTES};
use serde::{Deserialize, Serialize};

pub use error::{Fault, ProgramError};
use format::{Container, Kind};
pub use meta::{ImageLayout, Label, Meta, Task, Tensor};

/// Name in the messages about bytes that did not come from a file.
const MEMORY: &str = "(memory)";

/// A compiled model.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The configuration that the program was compiled for.
    pub config: AccelConfig,
    pub meta: Meta,
    /// What goes to the board's memory at the program base.
    pub payload: Vec<u8>,
    /// The source of the program, for comparisons with the golden model.
    pub golden: Option<Golden>,
}

/// What the golden model needs to replay a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The f32 checkpoint, a safetensors file.
    pub checkpoint: Vec<u8>,
    /// What calibration found, as its own type writes it.
    pub calibration: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetaSection<M> {
    /// TOML text of the configuration.
    config: String,
    program: M,
}

impl Program {
    /// The commands of a payload, decoded.
    pub fn commands(&self) -> Result<Vec<Command>, ProgramError> {
        self.decode().map_err(|fault| fault.of(MEMORY))
    }

    /// Checks that the parts agree, and writes the container.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProgramError> {
        self.encode().map_err(|fault| fault.of(MEMORY))
    }

    /// Reads a container and checks that its parts agree.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProgramError> {
        Self::parse(bytes).map_err(|fault| fault.of(MEMORY))
    }

    /// Writes a program file.
    pub fn write(&self, path: &Path) -> Result<(), ProgramError> {
        let verb = "written";
        self.encode()
            .and_then(|bytes| std::fs::write(path, bytes).map_err(|source| Fault::Io { verb, source }))
            .map_err(|fault| fault.of(&path.display().to_string()))
    }

    /// Reads a program file.
    pub fn read(path: &Path) -> Result<Self, ProgramError> {
        let verb = "read";
        std::fs::read(path)
            .map_err(|source| Fault::Io { verb, source })
            .and_then(|bytes| Self::parse(&bytes))
            .map_err(|fault| fault.of(&path.display().to_string()))
    }

    fn encode(&self) -> Result<Vec<u8>, Fault> {
        self.check()?;
        let meta = MetaSection {
            config: toml::to_string(&self.config)?,
            program: &self.meta,
        };
        let meta = to_json("meta", &meta)?;
        let mut sections = vec![(Kind::Meta, &meta[..]), (Kind::Payload, &self.payload[..])];
        let calibration;
        if let Some(golden) = &self.golden {
            calibration = to_json("calibration", &golden.calibration)?;
            sections.push((Kind::Calibration, &calibration));
            sections.push((Kind::Checkpoint, &golden.checkpoint));
        }
        let container = Container {
            config_hash: self.config.hash(),
            config_name: self.config.name.clone(),
            sections,
        };
        container.to_bytes()
    }

    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let container = Container::from_bytes(bytes)?;
        let meta: MetaSection<Meta> = from_json("meta", container.required(Kind::Meta)?)?;
        let config = AccelConfig::from_toml(&meta.config)?;
        if config.hash() != container.config_hash {
            let expected = format!("{:08x}, that of its configuration text", config.hash());
            let found = format!("{:08x}", container.config_hash);
            return Err(Fault::value("configuration hash", expected, found));
        }
        if config.name != container.config_name {
            return Err(Fault::value(
                "configuration name",
                &config.name,
                &container.config_name,
            ));
        }
        let program = Self {
            config,
            meta: meta.program,
            payload: container.required(Kind::Payload)?.to_vec(),
            golden: Golden::parse(&container)?,
        };
        program.check()?;
        Ok(program)
    }

    fn decode(&self) -> Result<Vec<Command>, Fault> {
        let count = self.meta.command_count as usize;
        let bytes = self.payload.chunks_exact(COMMAND_BYTES).take(count);
        bytes
            .enumerate()
            .map(|(index, bytes)| {
                let words =
                    std::array::from_fn(|i| u32::from_le_bytes(std::array::from_fn(|b| bytes[4 * i + b])));
                Command::decode(&words).map_err(|source| Fault::Command { index, source })
            })
            .collect()
    }

    /// Everything that must hold between the parts.
    fn check(&self) -> Result<(), Fault> {
        self.config.validate()?;
        self.check_payload()?;
        let meta = &self.meta;
        if meta.labels.len() != meta.command_count as usize {
            return Err(Fault::value(
                "number of labels",
                meta.command_count,
                meta.labels.len(),
            ));
        }
        if meta.tasks.is_empty() || meta.tasks.len() > 8 {
            return Err(Fault::value("number of tasks", "1 to 8", meta.tasks.len()));
        }
        if meta.result_bytes % BEAT_BYTES as u64 != 0 || meta.result_bytes > 1 << 30 {
            let expected = format!("a multiple of {BEAT_BYTES} up to 2^30");
            return Err(Fault::value("result bytes", expected, meta.result_bytes));
        }
        meta.image.check()?;
        meta.tokens.check("the tokens", meta.result_bytes)?;
        for task in &meta.tasks {
            if let Some(head) = &task.head {
                head.check(&format!("the head of task '{}'", task.name), meta.result_bytes)?;
            }
        }
        self.decode().map(|_| ())
    }

    fn check_payload(&self) -> Result<(), Fault> {
        let (count, most) = (self.meta.command_count as usize, self.config.program_commands);
        if count == 0 || count > most {
            let expected = format!("1 to {most}, the program memory");
            return Err(Fault::value("number of commands", expected, count));
        }
        let least = (count * COMMAND_BYTES).next_multiple_of(BURST_BYTES);
        let found = self.payload.len();
        if found < least || found % BEAT_BYTES != 0 {
            let expected = format!("a multiple of {BEAT_BYTES} and at least {least}, the commands' bytes");
            return Err(Fault::value("payload bytes", expected, found));
        }
        Ok(())
    }
}

impl Golden {
    fn parse(container: &Container) -> Result<Option<Self>, Fault> {
        let missing = |kind: Kind| Fault::MissingSection { name: kind.name() };
        match (
            container.section(Kind::Checkpoint),
            container.section(Kind::Calibration),
        ) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(missing(Kind::Checkpoint)),
            (Some(_), None) => Err(missing(Kind::Calibration)),
            (Some(checkpoint), Some(json)) => Ok(Some(Self {
                checkpoint: checkpoint.to_vec(),
                calibration: from_json("calibration", json)?,
            })),
        }
    }
}

fn to_json(section: &'static str, value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|source| Fault::Json { section, source })
}

fn from_json<'a, T: Deserialize<'a>>(section: &'static str, bytes: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|source| Fault::Json { section, source })
}
