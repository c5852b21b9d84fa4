//! The container of a program file: header, section table, sections.
//!
//! All integers are little-endian.
//!
//! ```text
//! byte  0  magic "MOEVIT\0\x01"
//!       8  u32  format version
//!      12  u32  configuration hash
//!      16  configuration name, UTF-8, padded with zeros to 32 bytes
//!      48  u32  sections n
//!      52  u32  zero
//!      56  u64  bytes of the file
//!      64  n x { u32 kind, u32 CRC-32 of the bytes, u64 offset, u64 length }
//!  64+24n  u32  CRC-32 of everything before
//!          sections, back to back in the order of the table
//! ```
//!
//! Every byte of the file is covered by a CRC, so that any single flipped bit is found.

use super::error::Fault;

/// First bytes of every program file.
pub const MAGIC: [u8; 8] = *b"MOEVIT\0\x01";
/// Version of the container and of its contents.
pub const FORMAT_VERSION: u32 = 1;
/// Longest configuration name.
pub const NAME_BYTES: usize = 32;

const FIXED_BYTES: usize = 64;
const ENTRY_BYTES: usize = 24;
const CRC_BYTES: usize = 4;
const MAX_SECTIONS: usize = 16;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes for the board's memory at the program base.
    Payload = 1,
    /// JSON: configuration text, model, layouts, labels.
    Meta = 2,
    /// The f32 checkpoint as safetensors.
    Checkpoint = 3,
    /// JSON: what calibration found.
    Calibration = 4,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Payload, Kind::Meta, Kind::Checkpoint, Kind::Calibration];

    /// Name in messages.
    pub fn name(self) -> &'static str {
        ["payload", "meta", "checkpoint", "calibration"][self as usize - 1]
    }

    fn from_code(index: usize, code: u32) -> Result<Self, Fault> {
        Self::ALL
            .into_iter()
            .find(|kind| *kind as u32 == code)
            .ok_or(Fault::UnknownSection { index, kind: code })
    }
}

/// A container in memory.
#[derive(Debug)]
pub struct Container<'a> {
    pub config_hash: u32,
    pub config_name: String,
    pub sections: Vec<(Kind, &'a [u8])>,
}

impl<'a> Container<'a> {
    /// The section of this kind, if there is one.
    pub fn section(&self, kind: Kind) -> Option<&'a [u8]> {
        self.sections.iter().find(|s| s.0 == kind).map(|s| s.1)
    }

    /// The section of this kind.
    pub fn required(&self, kind: Kind) -> Result<&'a [u8], Fault> {
        self.section(kind)
            .ok_or(Fault::MissingSection { name: kind.name() })
    }

    /// Writes header and sections.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        let name = self.config_name.as_bytes();
        if name.len() > NAME_BYTES {
            let expected = format!("at most {NAME_BYTES} bytes long");
            return Err(Fault::value("configuration name", expected, &self.config_name));
        }
        let header_bytes = header_bytes(self.sections.len());
        let body: usize = self.sections.iter().map(|s| s.1.len()).sum();
        let mut out = Vec::with_capacity(header_bytes + body);
        out.extend(MAGIC);
        out.extend(FORMAT_VERSION.to_le_bytes());
        out.extend(self.config_hash.to_le_bytes());
        out.extend(name);
        out.resize(16 + NAME_BYTES, 0);
        out.extend((self.sections.len() as u32).to_le_bytes());
        out.extend(0u32.to_le_bytes());
        out.extend(((header_bytes + body) as u64).to_le_bytes());
        let mut offset = header_bytes as u64;
        for (kind, bytes) in &self.sections {
            out.extend((*kind as u32).to_le_bytes());
            out.extend(crc32fast::hash(bytes).to_le_bytes());
            out.extend(offset.to_le_bytes());
            out.extend((bytes.len() as u64).to_le_bytes());
            offset += bytes.len() as u64;
        }
        out.extend(crc32fast::hash(&out).to_le_bytes());
        self.sections.iter().for_each(|(_, bytes)| out.extend(*bytes));
        Ok(out)
    }

    /// Reads and checks header, table and every CRC.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Fault> {
        let count = check_fixed_part(bytes)?;
        let found = bytes.len() as u64;
        if u64_at(bytes, 56) != found {
            let (field, expected) = ("file length in the header", format!("{found}, the file's length"));
            return Err(Fault::value(field, expected, u64_at(bytes, 56)));
        }
        Ok(Self {
            config_hash: u32_at(bytes, 12),
            config_name: config_name(&bytes[16..16 + NAME_BYTES])?,
            sections: sections(bytes, count)?,
        })
    }
}

/// Magic, version, section count, reserved word, header CRC; the number of sections.
fn check_fixed_part(bytes: &[u8]) -> Result<usize, Fault> {
    need(bytes, FIXED_BYTES, "header")?;
    let magic: [u8; 8] = bytes[..8].try_into().expect("eight bytes");
    if magic != MAGIC {
        let expected = MAGIC;
        return Err(Fault::Magic {
            expected,
            found: magic,
        });
    }
    let (expected, version) = (FORMAT_VERSION, u32_at(bytes, 8));
    if version != expected {
        return Err(Fault::Version {
            expected,
            found: version,
        });
    }
    let count = u32_at(bytes, 48) as usize;
    if count > MAX_SECTIONS {
        return Err(Fault::value(
            "number of sections",
            format!("at most {MAX_SECTIONS}"),
            count,
        ));
    }
    need(bytes, header_bytes(count), "section table")?;
    let checked = header_bytes(count) - CRC_BYTES;
    check_crc("header", &bytes[..checked], u32_at(bytes, checked))?;
    match u32_at(bytes, 52) {
        0 => Ok(count),
        other => Err(Fault::value("reserved header word", 0, other)),
    }
}

fn sections(bytes: &[u8], count: usize) -> Result<Vec<(Kind, &[u8])>, Fault> {
    let mut found: Vec<(Kind, &[u8])> = Vec::with_capacity(count);
    let mut next = header_bytes(count);
    for index in 0..count {
        let entry = FIXED_BYTES + index * ENTRY_BYTES;
        let kind = Kind::from_code(index, u32_at(bytes, entry))?;
        let name = kind.name();
        if found.iter().any(|s| s.0 == kind) {
            return Err(Fault::RepeatedSection { name });
        }
        let (offset, length) = (u64_at(bytes, entry + 8), u64_at(bytes, entry + 16));
        if offset != next as u64 {
            return Err(Fault::value(format!("offset of section {name}"), next, offset));
        }
        let room = (bytes.len() - next) as u64;
        if length > room {
            let (field, expected) = (format!("length of section {name}"), format!("at most {room}"));
            return Err(Fault::value(field, expected, length));
        }
        let body = &bytes[next..next + length as usize];
        check_crc(name, body, u32_at(bytes, entry + 4))?;
        found.push((kind, body));
        next += length as usize;
    }
    if next != bytes.len() {
        return Err(Fault::value(
            "end of the last section",
            format!("{}, the file's end", bytes.len()),
            next,
        ));
    }
    Ok(found)
}

fn header_bytes(sections: usize) -> usize {
    FIXED_BYTES + sections * ENTRY_BYTES + CRC_BYTES
}

fn need(bytes: &[u8], expected: usize, part: &'static str) -> Result<(), Fault> {
    if bytes.len() < expected {
        let (expected, found) = (expected as u64, bytes.len() as u64);
        return Err(Fault::Truncated {
            part,
            expected,
            found,
        });
    }
    Ok(())
}

fn check_crc(part: &'static str, bytes: &[u8], expected: u32) -> Result<(), Fault> {
    let found = crc32fast::hash(bytes);
    if found != expected {
        return Err(Fault::Checksum {
            part,
            expected,
            found,
        });
    }
    Ok(())
}

fn config_name(field: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(field).map_err(|_| {
        let found = String::from_utf8_lossy(field).into_owned();
        Fault::value("configuration name", "UTF-8", found)
    })?;
    Ok(text.trim_end_matches('\0').to_string())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
