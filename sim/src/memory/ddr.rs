//! Sparse byte memory: pages of 4 KB that exist once written.

use std::collections::HashMap;

const PAGE_BYTES: u64 = 4_096;

/// The memory; bytes never written read as zero.
#[derive(Clone, Debug, Default)]
pub struct Ddr {
    pages: HashMap<u64, Box<[u8; PAGE_BYTES as usize]>>,
}

impl Ddr {
    /// Copies `bytes` to `address`.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (address, bytes);
        while !rest.is_empty() {
            let start = (at % PAGE_BYTES) as usize;
            let count = rest.len().min(PAGE_BYTES as usize - start);
            let page = self
                .pages
                .entry(at / PAGE_BYTES)
                .or_insert_with(|| Box::new([0; PAGE_BYTES as usize]));
            page[start..start + count].copy_from_slice(&rest[..count]);
            (at, rest) = (at + count as u64, &rest[count..]);
        }
    }

    /// `length` bytes from `address`.
    pub fn read(&self, address: u64, length: usize) -> Vec<u8> {
        (0..length as u64).map(|i| self.byte(address + i)).collect()
    }

    /// The four words of the beat at `address`, which is a multiple of 16.
    pub fn beat(&self, address: u64) -> [u32; 4] {
        let Some(page) = self.pages.get(&(address / PAGE_BYTES)) else {
            return [0; 4];
        };
        let at = (address % PAGE_BYTES) as usize;
        std::array::from_fn(|i| {
            u32::from_le_bytes(page[at + 4 * i..at + 4 * i + 4].try_into().expect("four bytes"))
        })
    }

    fn byte(&self, address: u64) -> u8 {
        self.pages
            .get(&(address / PAGE_BYTES))
            .map_or(0, |page| page[(address % PAGE_BYTES) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_cross_pages() {
        let bytes: Vec<u8> = (0..9_000).map(|i| (i % 251) as u8 + 1).collect();
        let mut memory = Ddr::default();
        memory.write(4_090, &bytes);
        assert_eq!(memory.read(4_090, bytes.len()), bytes);
        assert_eq!(
            (memory.read(4_080, 10), memory.read(13_090, 5)),
            (vec![0; 10], vec![0; 5])
        );
        assert_eq!(memory.beat(4_096)[0].to_le_bytes(), bytes[6..10]);
    }
}
