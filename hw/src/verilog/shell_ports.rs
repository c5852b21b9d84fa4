//! The shell's ports as a table: what each is called on the bus and what the core calls it.

use super::design::Design;
use super::shell::ShellInfo;

/// The core handles wide values in words of this many bits.
pub const DATA_BITS: usize = 32;
const BUS_BITS: usize = 128;
const ADDRESS_BITS: usize = 64;

/// Where a shell port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A core port of the same width.
    Core(String),
    /// Several core ports with their widths, the least significant word first.
    Parts(Vec<(String, usize)>),
    /// The core's `reset`, by way of an inverter and a register.
    Reset,
    Constant(&'static str),
    Unused,
}

#[derive(Clone, Debug)]
pub struct ShellPort {
    pub name: String,
    pub is_input: bool,
    pub width: usize,
    pub link: Link,
    /// Vivado's name for the signal: interface type, interface, signal.
    pub info: String,
    /// Vivado's parameters of the interface, on one of its signals.
    pub parameter: String,
}

impl ShellPort {
    fn new(name: &str, is_input: bool, width: usize, link: Link, info: String) -> Self {
        ShellPort {
            name: name.to_owned(),
            is_input,
            width,
            link,
            info,
            parameter: String::new(),
        }
    }

    /// The core ports behind this one, with their widths.
    pub fn core_ports(&self) -> Vec<(String, usize)> {
        match &self.link {
            Link::Core(name) => vec![(name.clone(), self.width)],
            Link::Parts(parts) => parts.clone(),
            Link::Reset => vec![("reset".into(), 1)],
            Link::Constant(_) | Link::Unused => vec![],
        }
    }
}

/// Clock, reset and interrupt.
pub fn system_ports(buses: &[String]) -> Vec<ShellPort> {
    let port = |name: &str, is_input, link, kind: &str, signal: &str, parameter: String| ShellPort {
        parameter,
        ..ShellPort::new(
            name,
            is_input,
            1,
            link,
            format!("xilinx.com:signal:{kind}:1.0 {name} {signal}"),
        )
    };
    let clocked = format!(
        "ASSOCIATED_BUSIF s_axi_control:{}, ASSOCIATED_RESET ap_rst_n",
        buses.join(":")
    );
    let core = |name: &str| Link::Core(name.to_owned());
    vec![
        port("ap_clk", true, core("clock"), "clock", "CLK", clocked),
        port(
            "ap_rst_n",
            true,
            Link::Reset,
            "reset",
            "RST",
            "POLARITY ACTIVE_LOW".into(),
        ),
        port(
            "interrupt",
            false,
            core("interrupt"),
            "interrupt",
            "INTERRUPT",
            "SENSITIVITY LEVEL_HIGH".into(),
        ),
    ]
}

/// Signals of the AXI4-Lite slave: name, whether the shell takes it in, width (0: the core's).
const CONTROL: [(&str, bool, usize); 17] = [
    ("awaddr", true, 0),
    ("awvalid", true, 1),
    ("awready", false, 1),
    ("wdata", true, 32),
    ("wstrb", true, 4),
    ("wvalid", true, 1),
    ("wready", false, 1),
    ("bresp", false, 2),
    ("bvalid", false, 1),
    ("bready", true, 1),
    ("araddr", true, 0),
    ("arvalid", true, 1),
    ("arready", false, 1),
    ("rdata", false, 32),
    ("rresp", false, 2),
    ("rvalid", false, 1),
    ("rready", true, 1),
];

/// The AXI4-Lite slave, as wide in its address as the core.
pub fn control_ports(core: &Design) -> Vec<ShellPort> {
    let core_width = |name: &str| core.ports.iter().find(|p| p.name == name).map_or(1, |p| p.width);
    let port = |(signal, is_input, width): &(&str, bool, usize)| {
        let name = format!("s_axi_control_{signal}");
        let width = if *width == 0 { core_width(&name) } else { *width };
        ShellPort::new(
            &name,
            *is_input,
            width,
            Link::Core(name.clone()),
            aximm("s_axi_control", signal),
        )
    };
    let mut ports: Vec<_> = CONTROL.iter().map(port).collect();
    let address = ports[0].width;
    ports[0].parameter = format!("PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH {address}");
    ports
}

fn aximm(bus: &str, signal: &str) -> String {
    format!("xilinx.com:interface:aximm:1.0 {bus} {}", signal.to_uppercase())
}

/// What a channel's signal is to the core.
enum Source {
    /// `gmem_<signal>`.
    Same,
    /// `gmem_<signal>_lo` and `gmem_<signal>_hi`.
    Halves,
    /// `gmem_<signal>`, word by word.
    Words,
    Constant(&'static str),
    Unused,
}

type Channel = [(&'static str, bool, usize, Source)];

const READ: &Channel = &[
    ("arvalid", false, 1, Source::Same),
    ("arready", true, 1, Source::Same),
    ("araddr", false, ADDRESS_BITS, Source::Halves),
    ("arid", false, 1, Source::Constant("1'b0")),
    ("arlen", false, 8, Source::Same),
    ("arsize", false, 3, Source::Constant("3'd4")),
    ("arburst", false, 2, Source::Constant("2'b01")),
    ("arlock", false, 1, Source::Constant("1'b0")),
    ("arcache", false, 4, Source::Constant("4'b0011")),
    ("arprot", false, 3, Source::Constant("3'b000")),
    ("arqos", false, 4, Source::Constant("4'b0000")),
    ("rvalid", true, 1, Source::Same),
    ("rready", false, 1, Source::Same),
    ("rdata", true, BUS_BITS, Source::Words),
    ("rid", true, 1, Source::Unused),
    ("rresp", true, 2, Source::Same),
    ("rlast", true, 1, Source::Same),
];

const WRITE: &Channel = &[
    ("awvalid", false, 1, Source::Same),
    ("awready", true, 1, Source::Same),
    ("awaddr", false, ADDRESS_BITS, Source::Halves),
    ("awid", false, 1, Source::Constant("1'b0")),
    ("awlen", false, 8, Source::Same),
    ("awsize", false, 3, Source::Constant("3'd4")),
    ("awburst", false, 2, Source::Constant("2'b01")),
    ("awlock", false, 1, Source::Constant("1'b0")),
    ("awcache", false, 4, Source::Constant("4'b0011")),
    ("awprot", false, 3, Source::Constant("3'b000")),
    ("awqos", false, 4, Source::Constant("4'b0000")),
    ("wvalid", false, 1, Source::Same),
    ("wready", true, 1, Source::Same),
    ("wdata", false, BUS_BITS, Source::Words),
    ("wstrb", false, BUS_BITS / 8, Source::Constant("16'hffff")),
    ("wlast", false, 1, Source::Same),
    ("bvalid", true, 1, Source::Same),
    ("bready", false, 1, Source::Same),
    ("bid", true, 1, Source::Unused),
    ("bresp", true, 2, Source::Same),
];

/// One AXI4 master: a read port, with the write port beside it if it has one.
pub fn master_ports(bus: &str, number: usize, writes: bool, info: &ShellInfo) -> Vec<ShellPort> {
    let mut ports = channel(bus, READ, Some(number));
    if writes {
        ports.extend(channel(bus, WRITE, None));
    }
    let (mode, write_bursts) = if writes {
        ("READ_WRITE", info.outstanding_writes)
    } else {
        ("READ_ONLY", 0)
    };
    ports[0].parameter = format!(
        "PROTOCOL AXI4, DATA_WIDTH {BUS_BITS}, ADDR_WIDTH {ADDRESS_BITS}, ID_WIDTH 1, READ_WRITE_MODE {mode}, \
         HAS_BURST 0, SUPPORTS_NARROW_BURST 0, MAX_BURST_LENGTH {}, NUM_READ_OUTSTANDING {}, \
         NUM_WRITE_OUTSTANDING {write_bursts}",
        info.burst_beats, info.outstanding_reads
    );
    ports
}

/// The signals of one direction; `reader` is the number of a read port.
fn channel(bus: &str, signals: &Channel, reader: Option<usize>) -> Vec<ShellPort> {
    let index = reader.map_or(String::new(), |number| format!("_{number}"));
    let words = BUS_BITS / DATA_BITS;
    let first = reader.unwrap_or(0) * words;
    let port = |(signal, is_input, width, source): &(&'static str, bool, usize, Source)| {
        let link = match source {
            Source::Same => Link::Core(format!("gmem_{signal}{index}")),
            Source::Halves => Link::Parts(
                ["lo", "hi"]
                    .map(|half| (format!("gmem_{signal}_{half}{index}"), DATA_BITS))
                    .to_vec(),
            ),
            Source::Words => Link::Parts(
                (first..first + words)
                    .map(|n| (format!("gmem_{signal}_{n}"), DATA_BITS))
                    .collect(),
            ),
            Source::Constant(value) => Link::Constant(value),
            Source::Unused => Link::Unused,
        };
        ShellPort::new(
            &format!("{bus}_{signal}"),
            *is_input,
            *width,
            link,
            aximm(bus, signal),
        )
    };
    signals.iter().map(port).collect()
}
