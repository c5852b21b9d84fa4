//! The shell around a small core: names, widths and wiring.

use crate::cosim::{Options, Rng, VerilatedModel};
use crate::verilog::lint::lint;
use crate::verilog::{export, shell, ShellInfo};
use rust_hdl::prelude::*;

fn signals<D: Direction, T: Synth>(count: usize) -> Vec<Signal<D, T>> {
    (0..count).map(|_| Signal::default()).collect()
}

/// A core with two read ports and a write port that mirrors what it sees.
#[derive(LogicBlock)]
struct Core {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub interrupt: Signal<Out, Bit>,
    pub s_axi_control_awaddr: Signal<In, Bits<12>>,
    pub s_axi_control_awvalid: Signal<In, Bit>,
    pub s_axi_control_awready: Signal<Out, Bit>,
    pub s_axi_control_wdata: Signal<In, Bits<32>>,
    pub s_axi_control_wstrb: Signal<In, Bits<4>>,
    pub s_axi_control_wvalid: Signal<In, Bit>,
    pub s_axi_control_wready: Signal<Out, Bit>,
    pub s_axi_control_bresp: Signal<Out, Bits<2>>,
    pub s_axi_control_bvalid: Signal<Out, Bit>,
    pub s_axi_control_bready: Signal<In, Bit>,
    pub s_axi_control_araddr: Signal<In, Bits<12>>,
    pub s_axi_control_arvalid: Signal<In, Bit>,
    pub s_axi_control_arready: Signal<Out, Bit>,
    pub s_axi_control_rdata: Signal<Out, Bits<32>>,
    pub s_axi_control_rresp: Signal<Out, Bits<2>>,
    pub s_axi_control_rvalid: Signal<Out, Bit>,
    pub s_axi_control_rready: Signal<In, Bit>,
    pub gmem_arvalid: Vec<Signal<Out, Bit>>,
    pub gmem_arready: Vec<Signal<In, Bit>>,
    pub gmem_araddr_lo: Vec<Signal<Out, Bits<32>>>,
    pub gmem_araddr_hi: Vec<Signal<Out, Bits<32>>>,
    pub gmem_arlen: Vec<Signal<Out, Bits<8>>>,
    pub gmem_rvalid: Vec<Signal<In, Bit>>,
    pub gmem_rready: Vec<Signal<Out, Bit>>,
    pub gmem_rdata: Vec<Signal<In, Bits<32>>>,
    pub gmem_rresp: Vec<Signal<In, Bits<2>>>,
    pub gmem_rlast: Vec<Signal<In, Bit>>,
    pub gmem_awvalid: Signal<Out, Bit>,
    pub gmem_awready: Signal<In, Bit>,
    pub gmem_awaddr_lo: Signal<Out, Bits<32>>,
    pub gmem_awaddr_hi: Signal<Out, Bits<32>>,
    pub gmem_awlen: Signal<Out, Bits<8>>,
    pub gmem_wvalid: Signal<Out, Bit>,
    pub gmem_wready: Signal<In, Bit>,
    pub gmem_wdata: Vec<Signal<Out, Bits<32>>>,
    pub gmem_wlast: Signal<Out, Bit>,
    pub gmem_bvalid: Signal<In, Bit>,
    pub gmem_bready: Signal<Out, Bit>,
    pub gmem_bresp: Signal<In, Bits<2>>,
}

const READERS: usize = 2;

impl Core {
    fn new() -> Self {
        Core {
            clock: Signal::default(),
            reset: Signal::default(),
            interrupt: Signal::default(),
            s_axi_control_awaddr: Signal::default(),
            s_axi_control_awvalid: Signal::default(),
            s_axi_control_awready: Signal::default(),
            s_axi_control_wdata: Signal::default(),
            s_axi_control_wstrb: Signal::default(),
            s_axi_control_wvalid: Signal::default(),
            s_axi_control_wready: Signal::default(),
            s_axi_control_bresp: Signal::default(),
            s_axi_control_bvalid: Signal::default(),
            s_axi_control_bready: Signal::default(),
            s_axi_control_araddr: Signal::default(),
            s_axi_control_arvalid: Signal::default(),
            s_axi_control_arready: Signal::default(),
            s_axi_control_rdata: Signal::default(),
            s_axi_control_rresp: Signal::default(),
            s_axi_control_rvalid: Signal::default(),
            s_axi_control_rready: Signal::default(),
            gmem_arvalid: signals(READERS),
            gmem_arready: signals(READERS),
            gmem_araddr_lo: signals(READERS),
            gmem_araddr_hi: signals(READERS),
            gmem_arlen: signals(READERS),
            gmem_rvalid: signals(READERS),
            gmem_rready: signals(READERS),
            gmem_rdata: signals(4 * READERS),
            gmem_rresp: signals(READERS),
            gmem_rlast: signals(READERS),
            gmem_awvalid: Signal::default(),
            gmem_awready: Signal::default(),
            gmem_awaddr_lo: Signal::default(),
            gmem_awaddr_hi: Signal::default(),
            gmem_awlen: Signal::default(),
            gmem_wvalid: Signal::default(),
            gmem_wready: Signal::default(),
            gmem_wdata: signals(4),
            gmem_wlast: Signal::default(),
            gmem_bvalid: Signal::default(),
            gmem_bready: Signal::default(),
            gmem_bresp: Signal::default(),
        }
    }
}

impl Logic for Core {
    #[hdl_gen]
    fn update(&mut self) {
        self.interrupt.next = self.reset.val();
        self.s_axi_control_awready.next = self.s_axi_control_awvalid.val();
        self.s_axi_control_wready.next = self.s_axi_control_wvalid.val();
        self.s_axi_control_bresp.next = 0.into();
        self.s_axi_control_bvalid.next = self.s_axi_control_bready.val();
        self.s_axi_control_arready.next = self.s_axi_control_arvalid.val();
        self.s_axi_control_rdata.next = self.s_axi_control_wdata.val();
        self.s_axi_control_rresp.next = self.s_axi_control_awaddr.val().get_bits::<2>(10);
        self.s_axi_control_rvalid.next = self.s_axi_control_rready.val();
        for p in 0..2 {
            self.gmem_arvalid[p].next = self.gmem_arready[p].val();
            self.gmem_araddr_lo[p].next = self.gmem_rdata[4 * p].val();
            self.gmem_araddr_hi[p].next = self.gmem_rdata[4 * p + 1].val();
            self.gmem_arlen[p].next = self.gmem_rdata[4 * p + 2].val().get_bits::<8>(0);
            self.gmem_rready[p].next = self.gmem_rvalid[p].val() & self.gmem_rlast[p].val();
        }
        self.gmem_awvalid.next = self.gmem_awready.val();
        self.gmem_awaddr_lo.next = self.s_axi_control_wdata.val();
        self.gmem_awaddr_hi.next = !self.s_axi_control_wdata.val();
        self.gmem_awlen.next = 15.into();
        self.gmem_wvalid.next = self.gmem_wready.val();
        for i in 0..4 {
            self.gmem_wdata[i].next = self.gmem_rdata[i + 4].val();
        }
        self.gmem_wlast.next = true;
        self.gmem_bready.next = self.gmem_bvalid.val();
    }
}

fn info() -> ShellInfo {
    ShellInfo {
        configuration: "nano".into(),
        hash: 0x1234,
        outstanding_reads: 8,
        outstanding_writes: 1,
        burst_beats: 16,
    }
}

#[test]
fn the_shell_has_standard_names_and_is_clean() {
    let design = shell(&export("core", &Core::new()).unwrap(), &info()).unwrap();
    let text = &design.modules.last().unwrap().text;
    for part in [
        "// Generated by moevit ",
        " from moevit_hw::verilog::shell, configuration nano, hash 00001234",
        "(* X_INTERFACE_INFO = \"xilinx.com:signal:clock:1.0 ap_clk CLK\" *)",
        "(* X_INTERFACE_PARAMETER = \"ASSOCIATED_BUSIF s_axi_control:m_axi_gmem0:m_axi_gmem1, ASSOCIATED_RESET ap_rst_n\" *)",
        "(* X_INTERFACE_INFO = \"xilinx.com:interface:aximm:1.0 m_axi_gmem1 RDATA\" *)",
        "    output wire [63:0] m_axi_gmem1_araddr",
        "READ_WRITE_MODE READ_ONLY",
        "assign m_axi_gmem0_awburst = 2'b01;",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    assert!(!text.contains("m_axi_gmem1_aw"));
    let report = lint(&design).unwrap();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn every_bus_signal_reaches_its_core_port() {
    let design = shell(&export("core", &Core::new()).unwrap(), &info()).unwrap();
    let mut model = VerilatedModel::of_design(&design, &Options::default()).unwrap();
    let port = |model: &VerilatedModel, name: &str| model.port(name).unwrap();
    let mut rng = Rng::new(1);
    let mut compared = 0;
    for _ in 0..200 {
        let data: Vec<Vec<u32>> = (0..READERS)
            .map(|_| (0..4).map(|_| rng.bits(32) as u32).collect())
            .collect();
        let word = rng.bits(32);
        for (p, data) in data.iter().enumerate() {
            let at = port(&model, &format!("m_axi_gmem{p}_rdata"));
            model.set(at, data);
        }
        let at = port(&model, "s_axi_control_wdata");
        model.set_u64(at, word);
        model.eval();
        for (p, data) in data.iter().enumerate() {
            let address = model.get_u64(port(&model, &format!("m_axi_gmem{p}_araddr")));
            assert_eq!(address, data[0] as u64 | (data[1] as u64) << 32);
            assert_eq!(
                model.get_u64(port(&model, &format!("m_axi_gmem{p}_arlen"))),
                data[2] as u64 & 0xFF
            );
            assert_eq!(model.get_u64(port(&model, &format!("m_axi_gmem{p}_arsize"))), 4);
            compared += 3;
        }
        assert_eq!(model.get(port(&model, "m_axi_gmem0_wdata")), data[1]);
        assert_eq!(
            model.get_u64(port(&model, "m_axi_gmem0_awaddr")),
            word | (!word & 0xFFFF_FFFF) << 32
        );
        assert_eq!(model.get_u64(port(&model, "s_axi_control_rdata")), word);
        compared += 3;
    }
    assert_eq!(compared, 1_800);
}

#[test]
fn reset_is_inverted_and_registered() {
    let design = shell(&export("core", &Core::new()).unwrap(), &info()).unwrap();
    let mut model = VerilatedModel::of_design(&design, &Options::default()).unwrap();
    let [clock, reset, interrupt] = ["ap_clk", "ap_rst_n", "interrupt"].map(|name| model.port(name).unwrap());
    let mut cycle = |level: u64| {
        model.set_u64(reset, level);
        for edge in [0, 1] {
            model.set_u64(clock, edge);
            model.eval();
        }
        model.get_u64(interrupt)
    };
    assert_eq!([cycle(1), cycle(0), cycle(1)], [0, 1, 0]);
}

#[test]
fn cores_of_another_shape_are_refused() {
    let mut design = export("core", &Core::new()).unwrap();
    design.ports.retain(|p| p.name != "gmem_rresp_1");
    assert!(shell(&design, &info())
        .unwrap_err()
        .to_string()
        .contains("no port `gmem_rresp_1`"));
    design.ports[0].name = "clk".into();
    assert!(shell(&design, &info())
        .unwrap_err()
        .to_string()
        .contains("does not know the port `clk`"));
    let mut design = export("core", &Core::new()).unwrap();
    design.ports[1].width = 2;
    assert!(shell(&design, &info())
        .unwrap_err()
        .to_string()
        .contains("`reset` must be an input of 1 bits"));
    let mut core = Core::new();
    core.gmem_arlen.push(Signal::default());
    assert!(export("core", &core)
        .unwrap_err()
        .to_string()
        .contains("gmem_arlen.2"));
}
