//! AXI4-Lite slave without registers: one write and one read at a time, as pulses with what was asked.
//!
//! * `write` comes the cycle after both address and data are there, with the address, the data and a mask of the bytes that the
//!   strobes choose; `bvalid` a cycle later. `read` comes the cycle after an address and takes `value` in the same cycle; `rvalid`
//!   a cycle later. Every answer is OKAY.
//! * Nothing is taken while an answer waits for its `ready`; the answer stays as it is.
//! * `reset` forgets what is under way.
//!
//! ```text
//! AW, W --> [held] --> write, write_address, write_data, write_mask          B <-- [valid] <-- write
//! AR -----> [held] --> read, read_address --> (outside) --> value --> [data] --> R
//! ```

use crate::prelude::*;

/// The slave; see the module.
#[derive(LogicBlock, Default)]
pub struct AxiLite {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub awvalid: Signal<In, Bit>,
    pub awready: Signal<Out, Bit>,
    pub awaddr: Signal<In, Bits<8>>,
    pub wvalid: Signal<In, Bit>,
    pub wready: Signal<Out, Bit>,
    pub wdata: Signal<In, Bits<32>>,
    pub wstrb: Signal<In, Bits<4>>,
    pub bvalid: Signal<Out, Bit>,
    pub bready: Signal<In, Bit>,
    pub bresp: Signal<Out, Bits<2>>,
    pub arvalid: Signal<In, Bit>,
    pub arready: Signal<Out, Bit>,
    pub araddr: Signal<In, Bits<8>>,
    pub rvalid: Signal<Out, Bit>,
    pub rready: Signal<In, Bit>,
    pub rdata: Signal<Out, Bits<32>>,
    pub rresp: Signal<Out, Bits<2>>,
    /// Pulse: a write takes effect.
    pub write: Signal<Out, Bit>,
    pub write_address: Signal<Out, Bits<8>>,
    pub write_data: Signal<Out, Bits<32>>,
    /// Ones in the bytes that are written.
    pub write_mask: Signal<Out, Bits<32>>,
    /// Pulse: a read takes `value`.
    pub read: Signal<Out, Bit>,
    pub read_address: Signal<Out, Bits<8>>,
    pub value: Signal<In, Bits<32>>,
    aw_held: DFF<Bit>,
    aw_address: DFF<Bits<8>>,
    w_held: DFF<Bit>,
    w_data: DFF<Bits<32>>,
    w_strobe: DFF<Bits<4>>,
    b_valid: DFF<Bit>,
    ar_held: DFF<Bit>,
    ar_address: DFF<Bits<8>>,
    r_valid: DFF<Bit>,
    r_data: DFF<Bits<32>>,
    writes: Signal<Local, Bit>,
    reads: Signal<Local, Bit>,
    mask: Signal<Local, Bits<32>>,
    top_byte: Constant<Bits<32>>,
}

impl AxiLite {
    pub fn new() -> Self {
        Self {
            top_byte: Constant::new(0xff00_0000u64.into()),
            ..Self::default()
        }
    }
}

impl Logic for AxiLite {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, aw_held, aw_address, w_held, w_data, w_strobe, b_valid, ar_held, ar_address,
            r_valid, r_data
        );

        // Write: hold address and data until both are there, write, answer.
        self.awready.next = !self.aw_held.q.val();
        self.wready.next = !self.w_held.q.val();
        if self.awvalid.val() & !self.aw_held.q.val() {
            self.aw_held.d.next = true;
            self.aw_address.d.next = self.awaddr.val();
        }
        if self.wvalid.val() & !self.w_held.q.val() {
            self.w_held.d.next = true;
            self.w_data.d.next = self.wdata.val();
            self.w_strobe.d.next = self.wstrb.val();
        }
        self.writes.next = self.aw_held.q.val() & self.w_held.q.val() & !self.b_valid.q.val();
        if self.writes.val() {
            self.aw_held.d.next = false;
            self.w_held.d.next = false;
            self.b_valid.d.next = true;
        }
        if self.b_valid.q.val() & self.bready.val() {
            self.b_valid.d.next = false;
        }
        self.bvalid.next = self.b_valid.q.val();
        self.bresp.next = 0.into();
        self.mask.next = 0.into();
        if self.w_strobe.q.val().get_bit(0) {
            self.mask.next = self.mask.val() | 0xff;
        }
        if self.w_strobe.q.val().get_bit(1) {
            self.mask.next = self.mask.val() | 0xff00;
        }
        if self.w_strobe.q.val().get_bit(2) {
            self.mask.next = self.mask.val() | 0xff_0000;
        }
        if self.w_strobe.q.val().get_bit(3) {
            self.mask.next = self.mask.val() | self.top_byte.val();
        }
        self.write.next = self.writes.val();
        self.write_address.next = self.aw_address.q.val();
        self.write_data.next = self.w_data.q.val();
        self.write_mask.next = self.mask.val();

        // Read: hold the address, take the value, answer.
        self.arready.next = !self.ar_held.q.val();
        if self.arvalid.val() & !self.ar_held.q.val() {
            self.ar_held.d.next = true;
            self.ar_address.d.next = self.araddr.val();
        }
        self.reads.next = self.ar_held.q.val() & !self.r_valid.q.val();
        if self.r_valid.q.val() & self.rready.val() {
            self.r_valid.d.next = false;
        }
        if self.reads.val() {
            self.ar_held.d.next = false;
            self.r_valid.d.next = true;
            self.r_data.d.next = self.value.val();
        }
        self.read.next = self.reads.val();
        self.read_address.next = self.ar_address.q.val();
        self.rvalid.next = self.r_valid.q.val();
        self.rdata.next = self.r_data.q.val();
        self.rresp.next = 0.into();

        if self.reset.val() {
            self.aw_held.d.next = false;
            self.w_held.d.next = false;
            self.b_valid.d.next = false;
            self.ar_held.d.next = false;
            self.r_valid.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbench::{cycle, settle, Random};

    /// Random traffic with waiting on all channels, into one word behind the slave; every read gives what was written last.
    #[test]
    fn writes_and_reads_keep_their_order_and_bytes() {
        let (mut slave, mut random) = (AxiLite::new(), Random::new(5));
        slave.connect_all();
        let (mut words, mut asked, mut compared) = ([0u32; 4], None, 0);
        for _ in 0..20_000 {
            // A valid stays up with its payload until it is taken.
            settle(&mut slave);
            if !slave.awvalid.val() || slave.awready.val() {
                slave.awvalid.next = random.percent(30);
                slave.awaddr.next = (4 * random.below(4)).into();
            }
            if !slave.wvalid.val() || slave.wready.val() {
                slave.wvalid.next = random.percent(30);
                slave.wdata.next = random.below(1 << 32).into();
                slave.wstrb.next = random.below(16).into();
            }
            if !slave.arvalid.val() || slave.arready.val() {
                slave.arvalid.next = random.percent(30);
                slave.araddr.next = (4 * random.below(4)).into();
            }
            slave.bready.next = random.percent(60);
            slave.rready.next = random.percent(60);
            settle(&mut slave);
            let word = |address: Bits<8>| address.index() / 4;
            slave.value.next = u64::from(words[word(slave.read_address.val())]).into();
            settle(&mut slave);
            if slave.rvalid.val() {
                assert_eq!(
                    Some(slave.rdata.val().index() as u32),
                    asked,
                    "it stays while it waits"
                );
                compared += 1;
            }
            if slave.read.val() {
                asked = Some(words[word(slave.read_address.val())]);
            }
            if slave.write.val() {
                let mask = slave.write_mask.val().index() as u32;
                let word = &mut words[word(slave.write_address.val())];
                *word = *word & !mask | slave.write_data.val().index() as u32 & mask;
            }
            assert_eq!((slave.bresp.val().index(), slave.rresp.val().index()), (0, 0));
            cycle(&mut slave, |u| &mut u.clock);
        }
        assert!(
            compared > 2_000 && words.iter().all(|word| *word != 0),
            "{compared}"
        );
    }
}
