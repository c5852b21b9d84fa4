//! The top module that boards see: standard AXI ports around the core.
//!
//! The core's ports follow a naming convention, and the shell gives each its standard name:
//!
//! | core | shell |
//! |---|---|
//! | `clock` | `ap_clk` |
//! | `reset`, active high | `ap_rst_n`, inverted and registered |
//! | `interrupt` | `interrupt`, level, active high |
//! | `s_axi_control_*` | the same, AXI4-Lite with 32-bit data |
//! | `gmem_ar*_<p>`, `gmem_r*_<p>` of read port `p` | `m_axi_gmem<p>_ar*`, `m_axi_gmem<p>_r*` |
//! | `gmem_aw*`, `gmem_w*`, `gmem_b*` | `m_axi_gmem0_*`; the other ports only read |
//!
//! Addresses come in halves (`gmem_araddr_lo_<p>`, `gmem_araddr_hi_<p>`), data in words of 32 bits
//! (`gmem_rdata_<4p + i>`, `gmem_wdata_<i>`); in Verilog they are vectors. What never changes on the bus is driven here: full-width
//! INCR bursts, one ID, normal accesses that the interconnect may merge.
//!
//! ```text
//!            +---------------- moevit_top ----------------+
//!  ap_rst_n -|-[not]-[FF]-> reset  +------+               |
//!  s_axi_control ----------------->| core |<--> AR, R ----|- m_axi_gmem0..n
//!  interrupt <---------------------|      |<--> AW, W, B -|- m_axi_gmem0
//!            +---------------------+------+---------------+
//! ```

use super::design::{Design, Module, Port};
use super::error::{block_error, ExportError};
use super::package::GENERATED;
use super::shell_ports::{control_ports, master_ports, system_ports, Link, ShellPort, DATA_BITS};
use super::text::{comment, dimension, fill, unused_wire};
use super::vector::{by_port, net, Piece, Place};
use std::collections::BTreeMap;

/// The name of the top module.
pub const TOP: &str = "moevit_top";

/// What the shell says about the design in its headers and interface parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellInfo {
    /// The named configuration, and the hash over all of its parameters.
    pub configuration: String,
    pub hash: u32,
    /// Bursts that one port has on the bus at most.
    pub outstanding_reads: usize,
    pub outstanding_writes: usize,
    pub burst_beats: usize,
}

impl ShellInfo {
    /// The comment that every module begins with: the Rust module that describes it, and that one's first sentence.
    fn header(&self, source: Option<&str>) -> String {
        let from = source.map_or(String::new(), |source| format!(" from {source}"));
        let summary = SUMMARIES.iter().find(|(module, _)| Some(*module) == source);
        format!(
            "{GENERATED}{}{from}, configuration {}, hash {:08x}. Do not edit.\n{}",
            env!("CARGO_PKG_VERSION"),
            self.configuration,
            self.hash,
            summary.map_or(String::new(), |(_, text)| comment(text))
        )
    }
}

/// The first sentence of each Rust module's documentation.
const SUMMARIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/summaries.rs"));

/// Wraps an exported core. Every module of the result begins with the header.
pub fn shell(core: &Design, info: &ShellInfo) -> Result<Design, ExportError> {
    let ports = shell_ports(core, info)?;
    let mut modules = core.modules.clone();
    let text = format!(
        "module {TOP} (\n{});\n{}endmodule\n",
        port_list(&ports),
        body(core, &ports)
    );
    modules.push(Module {
        name: TOP.to_owned(),
        text,
        origin: TOP.to_owned(),
        source: Some(module_path!().to_owned()),
    });
    if core.modules.iter().any(|m| m.name == TOP) {
        return Err(block_error(
            &core.top,
            format!("a module of the core is called `{TOP}` like the shell"),
        ));
    }
    for module in &mut modules {
        module.text.insert_str(0, &info.header(module.source.as_deref()));
    }
    let ports = ports.iter().map(|p| Port {
        name: p.name.clone(),
        path: p.name.clone(),
        place: Place::alone(p.name.clone(), p.width),
        is_input: p.is_input,
        width: p.width,
        signed: false,
    });
    Ok(Design {
        top: TOP.to_owned(),
        ports: ports.collect(),
        modules,
        externals: core.externals.clone(),
    })
}

/// All ports of the shell, after checking that the core has exactly what they connect to.
fn shell_ports(core: &Design, info: &ShellInfo) -> Result<Vec<ShellPort>, ExportError> {
    let refuse = |reason: String| block_error(&core.top, reason);
    let readers = core
        .ports
        .iter()
        .filter(|p| p.name.starts_with("gmem_arvalid_"))
        .count();
    let has_writer = core.ports.iter().any(|p| p.name == "gmem_awvalid");
    if readers == 0 {
        return Err(refuse(
            "it has no read port `gmem_arvalid_0`, so there is no bus to bring out".into(),
        ));
    }
    let buses: Vec<_> = (0..readers).map(|p| format!("m_axi_gmem{p}")).collect();
    let mut ports = system_ports(&buses);
    ports.extend(control_ports(core));
    for (number, bus) in buses.iter().enumerate() {
        ports.extend(master_ports(bus, number, has_writer && number == 0, info));
    }
    let mut wanted: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for port in &ports {
        wanted.extend(
            port.core_ports()
                .into_iter()
                .map(|(name, width)| (name, (width, port.is_input))),
        );
    }
    for port in &core.ports {
        match wanted.remove(&port.name) {
            Some((width, is_input)) if width == port.width && is_input == port.is_input => {}
            Some((width, is_input)) => {
                let direction = if is_input { "an input" } else { "an output" };
                return Err(refuse(format!(
                    "port `{}` must be {direction} of {width} bits",
                    port.name
                )));
            }
            None => {
                return Err(refuse(format!(
                    "the shell does not know the port `{}`",
                    port.name
                )))
            }
        }
    }
    match wanted.keys().next() {
        Some(name) => Err(refuse(format!("it has no port `{name}`"))),
        None => Ok(ports),
    }
}

fn port_list(ports: &[ShellPort]) -> String {
    let line = |(number, port): (usize, &ShellPort)| {
        let comma = if number + 1 < ports.len() { "," } else { "" };
        let mut text = String::new();
        for (key, value) in [
            ("X_INTERFACE_INFO", &port.info),
            ("X_INTERFACE_PARAMETER", &port.parameter),
        ] {
            if !value.is_empty() {
                text += &format!("    (* {key} = \"{value}\" *)\n");
            }
        }
        let direction = if port.is_input {
            "input  wire"
        } else {
            "output wire"
        };
        let declaration = format!("    {direction} {}{}{comma}\n", dimension(port.width), port.name);
        match port.name.as_str() {
            "interrupt" => {
                format!("{text}{INTERRUPT_WAIVER}{declaration}    /* verilator lint_on SYMRSVDWORD */\n")
            }
            _ => text + &declaration,
        }
    };
    ports.iter().enumerate().map(line).collect()
}

/// Verilator warns of a name that its C++ changes; the name is the one that Vitis looks for.
const INTERRUPT_WAIVER: &str =
    "    // Vitis fixes the name `interrupt`; only the C++ of a simulation has another use for it.
    /* verilator lint_off SYMRSVDWORD */
";

const RESET: &str = "    // The core's reset is active high and synchronous.
    reg reset;

    initial begin
        reset = 1'b1;
    end

    always @(posedge ap_clk) begin
        reset <= !ap_rst_n;
    end
";

/// `width` bits from `offset` of a port of the shell.
fn bits(name: &str, offset: usize, width: usize, total: usize) -> Piece {
    let name = name.to_owned();
    let place = Place { name, offset, total };
    Piece::Bits { place, width }
}

fn body(core: &Design, ports: &[ShellPort]) -> String {
    let (mut constants, mut unused) = (String::new(), vec![]);
    let mut nets: BTreeMap<String, Piece> = BTreeMap::new();
    for port in ports {
        match &port.link {
            Link::Constant(value) => constants += &format!("    assign {} = {value};\n", port.name),
            Link::Unused => unused.push(port.name.clone()),
            Link::Reset => drop(nets.insert("reset".into(), bits("reset", 0, 1, 1))),
            Link::Core(name) => drop(nets.insert(name.clone(), bits(&port.name, 0, port.width, port.width))),
            Link::Parts(parts) => {
                for (part, (name, width)) in parts.iter().enumerate() {
                    nets.insert(
                        name.clone(),
                        bits(&port.name, part * DATA_BITS, *width, port.width),
                    );
                }
            }
        }
    }
    let elements = core
        .ports
        .iter()
        .map(|port| (port.place.clone(), nets[&port.name].clone()));
    let lines: Vec<_> = by_port(elements)
        .iter()
        .map(|(port, pieces)| net(port, pieces))
        .collect();
    format!(
        "{RESET}\n    // Full-width INCR bursts of one ID; normal, modifiable accesses.\n{constants}\n    {} u_core (\n{}\n    );\n\n{}",
        core.top,
        fill(&lines, 8),
        unused_wire(&unused)
    )
}
