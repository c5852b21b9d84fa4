//! The shell: the accelerator with the ports that block designs expect.
//!
//! The circuit's signals have at most 32 bits; the shell joins its words to AXI4 ports of 128 bits, adds the AXI4 signals that never
//! change, and turns the active-low reset `ap_rst_n` into the circuit's (one register later). It holds no other logic.
//!
//! ```text
//!  ap_clk, ap_rst_n ----------------------------+
//!  s_axi_control (AXI4-Lite, 32 bits) ----------+-- core --+-- m_axi_gmem0 (AXI4, 128 bits, read and write)
//!                                               |          +-- m_axi_gmem1.. (AXI4, 128 bits, read only)
//!                                               +----------+-- interrupt
//! ```

use super::design::{Design, Port};
use crate::config::{AccelConfig, BEAT_BYTES};
use std::fmt::Write;

/// Name of the shell's module.
pub const SHELL_MODULE: &str = "moevit";

/// Bits of a memory port's data.
const DATA_BITS: usize = 8 * BEAT_BYTES;
/// Words of the circuit in a beat.
const WORDS: usize = DATA_BITS / 32;

/// A port of the shell.
struct Pin {
    name: String,
    is_input: bool,
    width: usize,
}

/// Ports, connections and constants while the text grows.
#[derive(Default)]
struct Shell {
    pins: Vec<Pin>,
    connections: Vec<(String, String)>,
    constants: Vec<(String, String)>,
}

/// The text of the shell around an exported accelerator.
pub fn shell(config: &AccelConfig, core: &Design) -> String {
    let mut shell = Shell::default();
    shell.pin("ap_clk", true, 1);
    shell.pin("ap_rst_n", true, 1);
    shell.connect("clock", "ap_clk");
    shell.connect("reset", "reset");
    let plain = |port: &&Port| port.name == "interrupt" || port.name.starts_with("s_axi_control_");
    for port in core.ports.iter().filter(plain) {
        shell.pin(&port.name, port.is_input, port.width);
        shell.connect(&port.name, &port.name);
    }
    for port in 0..config.read_ports {
        shell.read_channel(port);
    }
    shell.write_channel();
    shell.text(core, config.read_ports)
}

impl Shell {
    fn pin(&mut self, name: &str, is_input: bool, width: usize) {
        let name = name.to_owned();
        self.pins.push(Pin {
            name,
            is_input,
            width,
        });
    }

    /// Connects a port of the core.
    fn connect(&mut self, port: &str, net: &str) {
        self.connections.push((port.into(), net.into()));
    }

    /// An output that never changes.
    fn constant(&mut self, name: &str, width: usize, value: &str) {
        self.pin(name, false, width);
        self.constants.push((name.into(), value.into()));
    }

    /// A pin that the core has under another name.
    fn signal(&mut self, pin: &str, is_input: bool, width: usize, port: &str) {
        self.pin(pin, is_input, width);
        self.connect(port, pin);
    }

    /// An address of two words.
    fn address(&mut self, pin: &str, low: &str, high: &str) {
        self.pin(pin, false, 64);
        self.connect(low, &format!("{pin}[31:0]"));
        self.connect(high, &format!("{pin}[63:32]"));
    }

    /// What accompanies every address: beats of 16 bytes, rising, ordinary memory.
    fn burst_kind(&mut self, bus: &str, channel: &str) {
        let size = BEAT_BYTES.ilog2();
        self.constant(&format!("{bus}_{channel}size"), 3, &format!("3'd{size}"));
        self.constant(&format!("{bus}_{channel}burst"), 2, "2'b01");
        self.constant(&format!("{bus}_{channel}lock"), 1, "1'b0");
        self.constant(&format!("{bus}_{channel}cache"), 4, "4'b0011");
        self.constant(&format!("{bus}_{channel}prot"), 3, "3'b000");
        self.constant(&format!("{bus}_{channel}qos"), 4, "4'b0000");
    }

    fn read_channel(&mut self, p: usize) {
        let bus = format!("m_axi_gmem{p}");
        let (low, high) = (format!("gmem_araddr_lo_{p}"), format!("gmem_araddr_hi_{p}"));
        self.address(&format!("{bus}_araddr"), &low, &high);
        for (name, is_input, width) in [
            ("arlen", false, 8),
            ("arvalid", false, 1),
            ("arready", true, 1),
            ("rresp", true, 2),
            ("rlast", true, 1),
            ("rvalid", true, 1),
            ("rready", false, 1),
        ] {
            let port = format!("gmem_{name}_{p}");
            self.signal(&format!("{bus}_{name}"), is_input, width, &port);
        }
        self.burst_kind(&bus, "ar");
        self.beat(&format!("{bus}_rdata"), true, |word| {
            format!("gmem_rdata_{}", WORDS * p + word)
        });
    }

    fn write_channel(&mut self) {
        let bus = "m_axi_gmem0";
        self.address(
            &format!("{bus}_awaddr"),
            "gmem_awaddr_lo",
            "gmem_awaddr_hi",
        );
        for (name, is_input, width) in [
            ("awlen", false, 8),
            ("awvalid", false, 1),
            ("awready", true, 1),
            ("wlast", false, 1),
            ("wvalid", false, 1),
            ("wready", true, 1),
            ("bresp", true, 2),
            ("bvalid", true, 1),
            ("bready", false, 1),
        ] {
            self.signal(&format!("{bus}_{name}"), is_input, width, &format!("gmem_{name}"));
        }
        self.burst_kind(bus, "aw");
        self.constant(&format!("{bus}_wstrb"), BEAT_BYTES, "16'hffff");
        self.beat(&format!("{bus}_wdata"), false, |word| {
            format!("gmem_wdata_{word}")
        });
    }

    fn beat(&mut self, pin: &str, is_input: bool, port: impl Fn(usize) -> String) {
        self.pin(pin, is_input, DATA_BITS);
        for word in 0..WORDS {
            self.connect(&port(word), &format!("{pin}[{}:{}]", 32 * word + 31, 32 * word));
        }
    }

    fn text(&self, core: &Design, read_ports: usize) -> String {
        let pins: Vec<String> = self.pins.iter().map(|pin| declaration(pin, read_ports)).collect();
        let mut text = format!("module {SHELL_MODULE} (\n{}\n);\n", pins.join(",\n"));
        text += "    reg reset = 1'b1;\n\n    always @(posedge ap_clk) begin\n        reset <= !ap_rst_n;\n    end\n\n";
        for (name, value) in &self.constants {
            let _ = writeln!(text, "    assign {name} = {value};");
        }
        let connections = self.connections.iter();
        let connections: Vec<String> = connections
            .map(|(port, net)| format!("        .{port}({net})"))
            .collect();
        let _ = writeln!(text, "\n    {} core (\n{}\n    );", core.top, connections.join(",\n"));
        text + "endmodule\n"
    }
}

fn declaration(pin: &Pin, read_ports: usize) -> String {
    let direction = if pin.is_input { "input " } else { "output" };
    let range = match pin.width {
        1 => String::new(),
        width => format!(" [{}:0]", width - 1),
    };
    format!("{}    {direction} wire{range} {}", attribute(&pin.name, read_ports), pin.name)
}

/// What tells Vivado's block designs which clock the ports belong to, and which level resets.
fn attribute(pin: &str, read_ports: usize) -> String {
    let kind = "xilinx.com:signal";
    match pin {
        "ap_clk" => {
            let memory = (0..read_ports).map(|p| format!(":m_axi_gmem{p}"));
            let buses = format!("s_axi_control{}", memory.collect::<String>());
            format!(
                "    (* X_INTERFACE_INFO = \"{kind}:clock:1.0 ap_clk CLK\",\n       X_INTERFACE_PARAMETER = \"ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET ap_rst_n\" *)\n"
            )
        }
        "ap_rst_n" => format!(
            "    (* X_INTERFACE_INFO = \"{kind}:reset:1.0 ap_rst_n RST\", X_INTERFACE_PARAMETER = \"POLARITY ACTIVE_LOW\" *)\n"
        ),
        "interrupt" => format!(
            "    (* X_INTERFACE_INFO = \"{kind}:interrupt:1.0 interrupt INTERRUPT\", X_INTERFACE_PARAMETER = \"SENSITIVITY LEVEL_HIGH\" *)\n"
        ),
        _ => String::new(),
    }
}
