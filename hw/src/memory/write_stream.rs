//! Writes rows of C-byte chunks into activation memory: a queue, the destination addresses, and the end of a command.
//!
//! Chunk `i` of row `t` goes to word `dst_base + t * dst_stride + i / groups`, group `i % groups`. With `planes` every chunk comes
//! twice, high plane first, and the second one goes `plane_offset` words further.
//!
//! The writer in front reserves a place with `reserve` while `room` is high, and delivers the chunk with `push` at any later time;
//! so its own pipeline never stalls. `write_valid` (one-hot over the groups), address and data are registered and stay until
//! `write_ready`. One chunk a cycle; 2 cycles from `push` to `write_valid`. `done` pulses two cycles after the last chunk was taken,
//! or two cycles after `start` if there are no rows. The settings stay unchanged from `start` to `done`.
//!
//! ```text
//! reserve --> [places] --> room
//! push, push_data --> [queue] --> [write_data]  --+
//!                     [address, group, row]  -----+--> write_* --> activation memory
//! ```

use super::queue::Queue;
use crate::config::AccelConfig;
use crate::prelude::*;

/// Chunks that may be reserved at once.
pub const PLACES: usize = 32;

/// The write stream; see the module.
#[derive(LogicBlock, Default)]
pub struct WriteStream {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub dst_base: Signal<In, Bits<16>>,
    pub dst_stride: Signal<In, Bits<16>>,
    pub plane_offset: Signal<In, Bits<16>>,
    pub planes: Signal<In, Bit>,
    pub rows: Signal<In, Bits<11>>,
    pub chunks: Signal<In, Bits<10>>,
    pub reserve: Signal<In, Bit>,
    pub room: Signal<Out, Bit>,
    pub push: Signal<In, Bit>,
    pub push_data: Vec<Signal<In, Bits<8>>>,
    pub write_valid: Vec<Signal<Out, Bit>>,
    pub write_ready: Signal<In, Bit>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_data: Vec<Signal<Out, Bits<8>>>,
    pub done: Signal<Out, Bit>,
    pop: Signal<Local, Bit>,
    last_group: Constant<Bits<16>>,
    places: DFF<Bits<6>>,
    queue: Queue<8>,
    busy: DFF<Bit>,
    finished: DFF<Bit>,
    rows_left: DFF<Bits<11>>,
    row_base: DFF<Bits<16>>,
    word: DFF<Bits<16>>,
    address: DFF<Bits<16>>,
    group: DFF<Bits<16>>,
    chunk: DFF<Bits<10>>,
    /// The next chunk is the last one of its row.
    row_ends: DFF<Bit>,
    low: DFF<Bit>,
    _groups: usize,
    _columns: usize,
}

impl WriteStream {
    /// The stream of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (columns, groups) = (config.columns, config.groups());
        Self {
            push_data: many(columns),
            write_valid: many(groups),
            write_data: many(columns),
            last_group: Constant::new((1u64 << (groups - 1)).into()),
            queue: Queue::new(columns, PLACES),
            _groups: groups,
            _columns: columns,
            ..Self::default()
        }
    }
}

impl Logic for WriteStream {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, places, busy, finished, rows_left, row_base, word, address);
        dff_setup!(self, clock, group, chunk, row_ends, low);
        self.queue.clock.next = self.clock.val();
        self.queue.reset.next = self.reset.val();
        self.queue.write_valid.next = self.push.val();
        self.queue.read_ready.next = self.write_ready.val();
        self.pop.next = self.queue.read_valid.val() & self.write_ready.val();
        self.done.next = self.finished.q.val();
        // Places: taken by a reservation, free again when the memory has taken the chunk.
        self.room.next = !self.places.q.val().get_bit(5);
        if self.reserve.val() & !self.pop.val() {
            self.places.d.next = self.places.q.val() + 1;
        }
        if self.pop.val() & !self.reserve.val() {
            self.places.d.next = self.places.q.val() - 1;
        }
        // Where the next chunk goes: the low plane of this one, the next group, the next word, or the next row.
        if self.pop.val() {
            self.low.d.next = self.planes.val() & !self.low.q.val();
            self.address.d.next = self.word.q.val();
            if self.planes.val() & !self.low.q.val() {
                self.address.d.next = self.word.q.val() + self.plane_offset.val();
            } else {
                self.chunk.d.next = self.chunk.q.val() + 1;
                self.row_ends.d.next = self.chunk.q.val() + 2 == self.chunks.val();
                self.group.d.next = self.group.q.val() << 1;
                if self.group.q.val() == self.last_group.val() {
                    self.group.d.next = 1.into();
                    self.word.d.next = self.word.q.val() + 1;
                    self.address.d.next = self.word.q.val() + 1;
                }
                if self.row_ends.q.val() {
                    self.chunk.d.next = 0.into();
                    self.row_ends.d.next = self.chunks.val() == 1;
                    self.group.d.next = 1.into();
                    self.row_base.d.next = self.row_base.q.val() + self.dst_stride.val();
                    self.word.d.next = self.row_base.q.val() + self.dst_stride.val();
                    self.address.d.next = self.row_base.q.val() + self.dst_stride.val();
                    self.rows_left.d.next = self.rows_left.q.val() - 1;
                }
            }
        }
        self.write_address.next = self.address.q.val();
        for c in 0..self._columns {
            self.queue.write_data[c].next = self.push_data[c].val();
            self.write_data[c].next = self.queue.read_data[c].val();
        }
        for g in 0..self._groups {
            self.write_valid[g].next = self.queue.read_valid.val() & self.group.q.val().get_bit(g);
        }
        self.finished.d.next = false;
        if self.busy.q.val() & !self.rows_left.q.val().any() {
            self.busy.d.next = false;
            self.finished.d.next = true;
        }
        if self.start.val() {
            self.busy.d.next = true;
            self.rows_left.d.next = self.rows.val();
            self.row_base.d.next = self.dst_base.val();
            self.word.d.next = self.dst_base.val();
            self.address.d.next = self.dst_base.val();
            self.group.d.next = 1.into();
            self.chunk.d.next = 0.into();
            self.row_ends.d.next = self.chunks.val() == 1;
            self.low.d.next = false;
        }
        if self.reset.val() {
            self.places.d.next = 0.into();
            self.busy.d.next = false;
            self.finished.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{tick, Lockstep, Rng};

    struct Case {
        rows: u64,
        chunks: u64,
        planes: bool,
        stall: u64,
    }

    /// Runs one command; returns the written (address, group) pairs and the cycles taken.
    fn run(uut: &mut WriteStream, case: &Case, rng: &mut Rng) -> (Vec<(usize, usize)>, usize) {
        let total = case.rows * case.chunks * (1 + u64::from(case.planes));
        let (mut written, mut reserved, mut pushed, mut cycles) = (vec![], 0, 0, 0);
        uut.dst_base.next = 100u64.into();
        uut.dst_stride.next = 7u64.into();
        uut.plane_offset.next = 3u64.into();
        uut.planes.next = case.planes;
        uut.rows.next = case.rows.into();
        uut.chunks.next = case.chunks.into();
        uut.start.next = true;
        loop {
            uut.reserve.next = reserved < total && uut.room.val() && !rng.chance(case.stall);
            uut.push.next = pushed < reserved && !rng.chance(case.stall);
            uut.push_data[0].next = (pushed & 255).into();
            reserved += u64::from(uut.reserve.next);
            pushed += u64::from(uut.push.next);
            uut.write_ready.next = !rng.chance(case.stall);
            let group = uut.write_valid.iter().position(|v| v.val());
            if let (Some(group), true) = (group, uut.write_ready.next) {
                assert_eq!(uut.write_data[0].val().index(), written.len() & 255);
                written.push((uut.write_address.val().index(), group));
            }
            tick(uut, |u, level| u.clock.next = level.into()).unwrap();
            uut.start.next = false;
            cycles += 1;
            if uut.done.val() {
                return (written, cycles);
            }
            assert!(cycles < 100_000, "no end");
        }
    }

    fn expected(case: &Case, groups: u64) -> Vec<(usize, usize)> {
        let mut all = vec![];
        for row in 0..case.rows {
            for chunk in 0..case.chunks {
                for plane in 0..=u64::from(case.planes) {
                    let address = 100 + row * 7 + chunk / groups + 3 * plane;
                    all.push((address as usize, (chunk % groups) as usize));
                }
            }
        }
        all
    }

    #[test]
    fn every_chunk_goes_to_its_place_under_back_pressure() {
        let mut rng = Rng::new(3);
        let config = AccelConfig::named("nano").unwrap();
        let mut uut = WriteStream::new(&config);
        let mut compared = 0;
        uut.connect_all();
        for round in 0..60 {
            let case = Case {
                rows: rng.below(6),
                chunks: 1 + rng.below(9),
                planes: round % 3 == 0,
                stall: [0, 30, 70][round % 3],
            };
            let (written, _) = run(&mut uut, &case, &mut rng);
            let want = expected(&case, config.groups() as u64);
            assert_eq!(written, want);
            compared += want.len();
        }
        assert!(compared > 500, "{compared}");
    }

    #[test]
    fn a_chunk_a_cycle() {
        let mut uut = WriteStream::new(&AccelConfig::named("nano").unwrap());
        let case = Case {
            rows: 10,
            chunks: 20,
            planes: false,
            stall: 0,
        };
        let (written, cycles) = run(&mut uut, &case, &mut Rng::new(5));
        assert!(
            written.len() == 200 && cycles < 210,
            "{} in {cycles}",
            written.len()
        );
    }

    #[test]
    fn a_stalled_write_does_not_move() {
        let mut uut = WriteStream::new(&AccelConfig::named("nano").unwrap());
        uut.chunks.next = 2u64.into();
        uut.rows.next = 1u64.into();
        for cycle in 0..20u64 {
            uut.start.next = cycle == 0;
            uut.push.next = cycle == 1 || cycle == 2;
            uut.push_data[0].next = (40 + cycle).into();
            tick(&mut uut, |u, level| u.clock.next = level.into()).unwrap();
            if cycle > 3 {
                assert!(uut.write_valid[0].val() && !uut.write_valid[1].val());
                assert_eq!(uut.write_data[0].val().index(), 41);
            }
            assert!(!uut.done.val());
        }
    }

    #[test]
    fn lock_step_with_verilog() {
        let config = AccelConfig::named("nano").unwrap();
        let report = Lockstep::new(
            "WriteStream",
            || WriteStream::new(&config),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..2, 50_000, |u, rng, cycle| {
            u.reset.next = cycle < 2 || rng.below(3_000) == 0;
            u.start.next = rng.below(100) == 0;
            u.reserve.next = u.room.val() && rng.chance(60);
            u.push.next = rng.chance(50);
            u.write_ready.next = rng.chance(70);
            u.dst_base.next = rng.bits(16).into();
            if u.start.next {
                u.dst_stride.next = rng.bits(16).into();
                u.plane_offset.next = rng.bits(8).into();
                u.planes.next = rng.chance(50);
                u.rows.next = rng.below(12).into();
                u.chunks.next = (1 + rng.below(20)).into();
            }
            for lane in u.push_data.iter_mut() {
                lane.next = rng.bits(8).into();
            }
        })
        .unwrap();
        assert_eq!(report.cycles, 100_000);
    }
}
