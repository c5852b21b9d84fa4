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
        for (i, byte) in bytes.iter().enumerate() {
            let at = address + i as u64;
            let page = self
                .pages
                .entry(at / PAGE_BYTES)
                .or_insert_with(|| Box::new([0; PAGE_BYTES as usize]));
            page[(at % PAGE_BYTES) as usize] = *byte;
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
