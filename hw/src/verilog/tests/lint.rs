//! Exported circuits are clean in every tool.

use super::structure::{Chain, Grid, Lanes, Parts};
use crate::verilog::lint::lint;
use crate::verilog::{export, Design};
use rust_hdl::prelude::*;

fn exported<U: Block>(name: &str, mut uut: U) -> Design {
    uut.connect_all();
    export(name, &uut).unwrap()
}

fn designs() -> Vec<Design> {
    let config = SPIConfig {
        clock_speed: 128,
        cs_off: true,
        mosi_off: false,
        speed_hz: 8,
        cpha: true,
        cpol: false,
    };
    type Filter = MultiplyAccumulateSymmetricFiniteImpulseResponseFilter<3>;
    vec![
        exported("Chain", Chain::default()),
        exported("Parts", Parts::default()),
        exported("Grid", Grid::new(4)),
        exported("Lanes", Lanes::new(3, true)),
        exported("SpiMaster", SPIMaster::<32>::new(config)),
        exported("Filter", Filter::new(&[-300, 20000, 7, -1, 7, 20000, -300])),
        exported("SyncFifo", SynchronousFIFO::<Bits<12>, 4, 5, 3>::default()),
        exported(
            "Expander",
            FIFOExpanderN::<4, 16>::new(WordOrder::MostSignificantFirst),
        ),
    ]
}

#[test]
fn exported_circuits_give_no_message() {
    for design in designs() {
        let report = lint(&design).unwrap();
        assert!(report.is_clean(), "{}:\n{report}", design.top);
        assert!(
            report.messages.len() + report.missing.len() == 3 && report.messages.contains_key("verilator")
        );
    }
}

#[test]
fn a_defect_gives_messages() {
    let mut design = exported("Parts", Parts::default());
    let text = &mut design.modules[0].text;
    *text = text
        .replace("8'd85", "9'd85")
        .replace("endmodule", "    assign nowhere = 1;\nendmodule");
    let report = lint(&design).unwrap();
    assert!(
        report.messages["verilator"].iter().any(|m| m.contains("WIDTH")),
        "{report}"
    );
    assert!(!report.is_clean());
}
