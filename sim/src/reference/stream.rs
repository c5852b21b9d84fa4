//! The weight stream: what Fetch commands have read, in order, until the array unit consumes it.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::error::Fault;

/// A queue of byte ranges of the board's memory.
#[derive(Debug, Default)]
pub struct Stream<'a> {
    pieces: VecDeque<&'a [u8]>,
    held: usize,
}

impl<'a> Stream<'a> {
    /// Appends what a burst sequence has read.
    pub fn push(&mut self, bytes: &'a [u8]) {
        self.held += bytes.len();
        self.pieces.push_back(bytes);
    }

    /// Bytes that wait for their consumer.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Consumes `needed` bytes; copies only where they span two fetches.
    pub fn take(&mut self, needed: usize) -> Result<Cow<'a, [u8]>, Fault> {
        if needed > self.held {
            let held = self.held;
            return Err(Fault::Underrun { needed, held });
        }
        self.held -= needed;
        let first = self.take_piece(needed);
        if first.len() == needed {
            return Ok(Cow::Borrowed(first));
        }
        let mut joined = first.to_vec();
        while joined.len() < needed {
            joined.extend(self.take_piece(needed - joined.len()));
        }
        Ok(Cow::Owned(joined))
    }

    /// At most `most` bytes of the oldest piece.
    fn take_piece(&mut self, most: usize) -> &'a [u8] {
        let Some(piece) = self.pieces.pop_front() else {
            return &[];
        };
        let (taken, rest) = piece.split_at(most.min(piece.len()));
        if !rest.is_empty() {
            self.pieces.push_front(rest);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_across_pieces() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut stream = Stream::default();
        [0..10, 10..11, 11..60, 60..100]
            .into_iter()
            .for_each(|r| stream.push(&bytes[r]));
        let mut out = Vec::new();
        for size in [3, 7, 1, 20, 50, 0, 19] {
            out.extend_from_slice(&stream.take(size).unwrap());
        }
        assert_eq!(out, bytes);
        assert_eq!(stream.held(), 0);
    }

    #[test]
    fn an_underrun_is_refused_and_takes_nothing() {
        let bytes = [1u8; 8];
        let mut stream = Stream::default();
        stream.push(&bytes);
        let fault = stream.take(9).unwrap_err();
        assert_eq!(fault, Fault::Underrun { needed: 9, held: 8 });
        assert_eq!(stream.take(8).unwrap().len(), 8);
    }
}
