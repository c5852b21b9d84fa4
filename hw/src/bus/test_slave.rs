//! A small AXI4 read slave for the tests in this crate: latency, random stalls, faults, and the rules of the master's subset.

use moevit_hw::cosim::Rng;
use std::collections::VecDeque;

/// The byte that the slave keeps at an address.
pub fn byte_at(address: u64) -> u8 {
    Rng::new(address).next_u64() as u8
}

/// How a slave behaves.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub latency: u64,
    /// Percent of cycles in which a channel does nothing.
    pub stall: u64,
    /// Beats at this address answer SLVERR.
    pub error_at: Option<u64>,
    /// Takes addresses but never answers.
    pub silent: bool,
}

impl Behaviour {
    pub const IDEAL: Self = Self {
        latency: 1,
        stall: 0,
        error_at: None,
        silent: false,
    };
}

/// What the slave drives in a cycle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beat {
    pub address: u64,
    pub response: u64,
    pub last: bool,
}

struct Burst {
    address: u64,
    beats: u64,
    ready_at: u64,
}

/// The slave of one port.
pub struct ReadSlave {
    pub behaviour: Behaviour,
    pub arready: bool,
    pub beat: Option<Beat>,
    /// Bursts accepted, with their lengths in beats.
    pub accepted: Vec<(u64, u64)>,
    pub most_outstanding: usize,
    random: Rng,
    bursts: VecDeque<Burst>,
    stalled: Option<(u64, u64)>,
    cycle: u64,
}

impl ReadSlave {
    pub fn new(behaviour: Behaviour, seed: u64) -> Self {
        Self {
            behaviour,
            arready: false,
            beat: None,
            accepted: vec![],
            most_outstanding: 0,
            random: Rng::new(seed),
            bursts: VecDeque::new(),
            stalled: None,
            cycle: 0,
        }
    }

    pub fn owes(&self) -> bool {
        self.beat.is_some() || !self.bursts.is_empty()
    }

    /// Ends a cycle: `address` is the master's valid address and length, `rready` its readiness.
    pub fn edge(&mut self, address: Option<(u64, u64)>, rready: bool) {
        self.cycle += 1;
        self.take_address(address);
        if rready && self.beat.is_some() {
            self.beat = None;
        }
        let owed = self.bursts.len() + usize::from(self.beat.is_some());
        self.most_outstanding = self.most_outstanding.max(owed);
        self.arready = !self.random.chance(self.behaviour.stall);
        if self.beat.is_none() && !self.behaviour.silent && !self.random.chance(self.behaviour.stall) {
            self.beat = self.next_beat();
        }
    }

    fn take_address(&mut self, address: Option<(u64, u64)>) {
        assert!(
            self.stalled.is_none() || self.stalled == address,
            "address changed while stalled"
        );
        self.stalled = if self.arready { None } else { address };
        let Some((address, length)) = address else { return };
        assert!(
            address % 256 == 0 && length < 16,
            "burst of {} beats at {address:#x}",
            length + 1
        );
        if self.arready {
            self.accepted.push((address, length + 1));
            let ready_at = self.cycle + self.behaviour.latency;
            self.bursts.push_back(Burst {
                address,
                beats: length + 1,
                ready_at,
            });
        }
    }

    fn next_beat(&mut self) -> Option<Beat> {
        let burst = self
            .bursts
            .front_mut()
            .filter(|burst| burst.ready_at <= self.cycle)?;
        let address = burst.address;
        burst.address += 16;
        burst.beats -= 1;
        let last = burst.beats == 0;
        if last {
            self.bursts.pop_front();
        }
        let response = if self.behaviour.error_at == Some(address) {
            2
        } else {
            0
        };
        Some(Beat {
            address,
            response,
            last,
        })
    }
}
