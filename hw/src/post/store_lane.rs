//! One column of the store: a post-processed result in the form of each destination.
//!
//! | output | value | cycles after `z` |
//! |---|---|---|
//! | `activation` | saturated to -128..127 | [`LATENCY_CYCLES`] |
//! | `stationary` | saturated to -127..127 | [`LATENCY_CYCLES`] |
//! | `score` | saturated to 16 bits | [`LATENCY_CYCLES`] |
//! | `logit` | 24 bits | [`LATENCY_CYCLES`] |
//! | `updated` | saturated to 16 bits, with `add` after adding `residual` | [`RESIDUAL_LATENCY_CYCLES`] |
//!
//! One result a cycle, never stalls, no reset.

use super::line::Line;
use crate::numerics::post::{add_residual, to_16, to_activation, to_stationary};
use crate::prelude::*;

/// Cycles from `z` to every output but `updated`.
pub const LATENCY_CYCLES: usize = 1;
/// Cycles from `z` to `updated`.
pub const RESIDUAL_LATENCY_CYCLES: usize = 2;

/// The lane; see the module.
#[derive(LogicBlock, Default)]
pub struct StoreLane {
    pub clock: Signal<In, Clock>,
    pub z: Signal<In, Bits<24>>,
    /// What the residual memory holds.
    pub residual: Signal<In, Bits<16>>,
    pub add: Signal<In, Bit>,
    pub activation: Signal<Out, Bits<8>>,
    pub stationary: Signal<Out, Bits<8>>,
    pub score: Signal<Out, Bits<16>>,
    pub logit: Signal<Out, Bits<24>>,
    pub updated: Signal<Out, Bits<16>>,
    _updated: Line<i16, 1>,
}

impl StoreLane {
    fn advance(&mut self) {
        let z = (self.z.val().index() as i32) << 8 >> 8;
        self.activation.next = u64::from(to_activation(z) as u8).into();
        self.stationary.next = u64::from(to_stationary(z) as u8).into();
        self.score.next = u64::from(to_16(z) as u16).into();
        self.logit.next = self.z.val();
        self.updated.next = u64::from(self._updated.out() as u16).into();
        self._updated.push(if self.add.val() {
            add_residual(self.residual.val().index() as i16, z)
        } else {
            to_16(z)
        });
    }
}

impl Logic for StoreLane {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.advance();
        }
    }

    fn connect(&mut self) {
        self.activation.connect();
        self.stationary.connect();
        self.score.connect();
        self.logit.connect();
        self.updated.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(VERILOG.into())
    }
}

const VERILOG: &str = r#"// module: StoreLane
reg [7:0] activation_q, stationary_q;
reg [15:0] score_q, updated_q;
reg [23:0] logit_q;
reg [24:0] sum;
wire byte_fits = z[23:7] == {17{z[23]}};
wire [7:0] byte_limit = {z[23], {7{~z[23]}}};
assign activation = activation_q;
assign stationary = stationary_q;
assign score = score_q;
assign logit = logit_q;
assign updated = updated_q;
always @(posedge clock) begin
  activation_q <= byte_fits ? z[7:0] : byte_limit;
  stationary_q <= (byte_fits & (z[7:0] != 8'h80)) ? z[7:0] : (byte_limit | {7'd0, z[23]});
  score_q <= (z[23:15] == {9{z[23]}}) ? z[15:0] : {z[23], {15{~z[23]}}};
  logit_q <= z;
  sum <= {z[23], z} + ({25{add}} & {{9{residual[15]}}, residual});
  updated_q <= (sum[24:15] == {10{sum[24]}}) ? sum[15:0] : {sum[24], {15{~sum[24]}}};
end
`ifndef SYNTHESIS
initial begin
  activation_q = 0;
  stationary_q = 0;
  score_q = 0;
  logit_q = 0;
  sum = 0;
  updated_q = 0;
end
`endif
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::cycle;

    fn tick(lane: &mut StoreLane) {
        cycle(lane, |u| &mut u.clock);
    }

    fn check(lane: &mut StoreLane, z: i32, residual: i16, add: bool) {
        lane.z.next = (z as u64 & 0xff_ffff).into();
        lane.residual.next = u64::from(residual as u16).into();
        lane.add.next = add;
        tick(lane);
        assert_eq!(lane.activation.val().index() as u8 as i8, to_activation(z));
        assert_eq!(lane.stationary.val().index() as u8 as i8, to_stationary(z));
        assert_eq!(lane.score.val().index() as i16, to_16(z));
        assert_eq!(lane.logit.val().index(), z as usize & 0xff_ffff);
        lane.add.next = !add;
        tick(lane);
        let base = if add { i32::from(residual) } else { 0 };
        let want = (base + z).clamp(-32_768, 32_767);
        assert_eq!(lane.updated.val().index() as i16, want as i16);
    }

    #[test]
    fn corners_of_every_destination() {
        let mut lane = StoreLane::default();
        let corners = [0, 1, 127, 128, 32_767, 32_768, (1 << 23) - 1];
        let mut compared = 0;
        for z in corners.iter().flat_map(|&z| [z, -z, -z - 1]) {
            for residual in [i16::MIN, -1, 0, 1, i16::MAX] {
                check(&mut lane, z, residual, true);
                check(&mut lane, z, residual, false);
                compared += 10;
            }
        }
        assert_eq!(compared, 21 * 50);
    }

    #[test]
    fn random_results_match_the_integer_meaning() {
        let mut lane = StoreLane::default();
        let mut rng = Rng::new(2);
        for _ in 0..20_000 {
            let z = rng.bits(32) as i32 >> (8 + rng.below(18));
            check(&mut lane, z, rng.bits(16) as i16, rng.chance(50));
        }
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new("StoreLane", StoreLane::default, |u, level| {
            u.clock.next = level.into()
        })
        .run(0..4, 25_000, |u, rng, cycle| {
            let narrow = [24, 18, 9][cycle as usize % 3];
            let z = rng.corner_bits(narrow) << (24 - narrow);
            u.z.next = ((((z << 8) as i32 >> (32 - narrow)) as u64) & 0xff_ffff).into();
            u.residual.next = rng.corner_bits(16).into();
            u.add.next = rng.chance(50);
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
