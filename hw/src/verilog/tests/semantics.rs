//! Expressions whose naive Verilog would differ from Rust.

use crate::cosim::{Lockstep, Report, Rng};
use rust_hdl::prelude::*;

const SEEDS: std::ops::Range<u64> = 0..4;
const CYCLES: u64 = 5_000;

/// Runs a circuit without a clock.
fn agree<U: Block + Default>(
    name: &str,
    outputs: u64,
    stimulus: impl FnMut(&mut U, &mut Rng, u64),
) -> Report {
    let report = Lockstep::new(name, U::default, |_, _| {})
        .run(SEEDS, CYCLES, stimulus)
        .unwrap();
    assert_eq!(report.comparisons, 4 * CYCLES * 2 * outputs);
    report
}

fn signed_value<const N: usize>(rng: &mut Rng) -> Signed<N> {
    signed_cast(rng.corner_bits(N).to_bits::<N>())
}

#[derive(LogicBlock, Default)]
struct WideProduct {
    pub a: Signal<In, Signed<16>>,
    pub b: Signal<In, Signed<16>>,
    pub acc: Signal<In, Signed<48>>,
    pub sum: Signal<Out, Signed<48>>,
    pub product: Signal<Out, Signed<32>>,
    pub unsigned_product: Signal<Out, Bits<32>>,
}

impl Logic for WideProduct {
    #[hdl_gen]
    fn update(&mut self) {
        self.sum.next = signed_bit_cast::<48, 32>(self.a.val() * self.b.val()) + self.acc.val();
        self.product.next = self.a.val() * self.b.val();
        self.unsigned_product.next = unsigned_cast(self.a.val()) * unsigned_cast(self.b.val());
    }
}

#[test]
fn t1_products_keep_all_their_bits() {
    agree::<WideProduct>("WideProduct", 3, |u, rng, _| {
        // The most negative product has no negation in Rust's signed_bit_cast, so it stays out.
        u.a.next = signed_cast((rng.corner_bits(16)).to_bits::<16>());
        u.b.next = signed_value(rng);
        u.acc.next = signed_value(rng);
    });
}

#[derive(LogicBlock, Default)]
struct Wrapping {
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<In, Bits<16>>,
    pub is_zero: Signal<Out, Bit>,
    pub half: Signal<Out, Bits<8>>,
    pub same: Signal<Out, Bit>,
    pub carry: Signal<Out, Bits<9>>,
    pub high: Signal<Out, Bits<4>>,
    pub power: Signal<Out, Bits<64>>,
}

impl Logic for Wrapping {
    #[hdl_gen]
    fn update(&mut self) {
        self.is_zero.next = (self.a.val() + 1) == 0;
        self.half.next = (self.a.val() + 1) >> 1;
        self.same.next = bit_cast::<16, 8>(!self.a.val()) == self.b.val();
        self.carry.next = bit_cast::<9, 8>(self.a.val() - 1) + (self.b.val().get_bit(3));
        self.high.next = (self.a.val() + bit_cast::<8, 16>(self.b.val() - 3)).get_bits::<4>(4);
        self.power.next = 1 << self.a.val();
    }
}

#[test]
fn t2_t3_t4_operators_wrap_at_their_own_width() {
    agree::<Wrapping>("Wrapping", 6, |u, rng, _| {
        u.a.next = rng.corner_bits(8).into();
        let near = !u.a.next;
        u.b.next = if rng.chance(50) {
            bit_cast(near)
        } else {
            rng.corner_bits(16).into()
        };
    });
}

#[derive(LogicBlock, Default)]
struct SignedParts {
    pub x: Signal<In, Signed<16>>,
    pub y: Signal<In, Signed<8>>,
    pub less: Signal<Out, Bit>,
    pub at_least: Signal<Out, Bit>,
    pub negative: Signal<Out, Bit>,
    pub wide: Signal<Out, Signed<24>>,
    pub narrow: Signal<Out, Signed<8>>,
    pub bits_less: Signal<Out, Bit>,
    pub negated: Signal<Out, Signed<16>>,
}

impl Logic for SignedParts {
    #[hdl_gen]
    fn update(&mut self) {
        self.less.next = self.x.val().get_bits::<8>(8) < self.y.val();
        self.at_least.next = -self.y.val() >= self.x.val().get_bits::<8>(0);
        self.negative.next = self.x.val() < (-100).into();
        self.wide.next = signed_bit_cast::<24, 16>(self.x.val()) - signed_bit_cast::<24, 8>(self.y.val());
        self.narrow.next = signed_bit_cast::<8, 16>(self.x.val());
        self.bits_less.next = unsigned_cast(self.y.val()) < unsigned_cast(self.x.val().get_bits::<8>(4));
        self.negated.next = -(self.x.val() + signed_bit_cast::<16, 8>(self.y.val()));
    }
}

#[test]
fn t5_parts_of_signed_values_are_signed() {
    agree::<SignedParts>("SignedParts", 7, |u, rng, _| {
        // signed_bit_cast of the most negative value does not return in Rust.
        u.x.next = Signed::from(rng.between(-0x7FFF, 0x7FFF));
        u.y.next = Signed::from(rng.between(-0x7F, 0x7F));
    });
}

#[derive(LogicBlock, Default)]
struct ConstantsOnly {
    pub five: Signal<Out, Bits<8>>,
    pub overwritten: Signal<Out, Bits<8>>,
}

impl Logic for ConstantsOnly {
    #[hdl_gen]
    fn update(&mut self) {
        self.five.next = 5.into();
        self.overwritten.next = 6.into();
        self.overwritten.next = 7.into();
    }
}

#[test]
fn t6_constants_need_no_event() {
    agree::<ConstantsOnly>("ConstantsOnly", 2, |_, _, _| {});
    let mut uut = ConstantsOnly::default();
    uut.connect_all();
    let text = crate::verilog::export("ConstantsOnly", &uut)
        .unwrap()
        .to_verilog();
    assert!(
        text.contains("assign five = 8'd5;") && text.contains("assign overwritten = 8'd7;"),
        "{text}"
    );
    assert!(!text.contains("always"), "{text}");
}
