// Four-state smoke test of the exported nano: after reset no output that counts is X, every register reads its reset value, and a
// program of illegal commands is fetched, refused and reported by interrupt.
//
// `EXPECTED` names a file of `REGISTERS` pairs, offset and value, in hexadecimal.
module smoke_tb;
    localparam RESET_CYCLES = 20;
    localparam INTERRUPT_LIMIT_CYCLES = 5000;
    localparam [7:0] CTRL = 8'h00, GIER = 8'h04, IP_IER = 8'h08, STATUS = 8'h30, PROGRAM_LO = 8'h40, COMMANDS = 8'h58;

    reg clock = 1'b0, reset_n = 1'b0;
    reg [7:0] awaddr = 8'd0, araddr = 8'd0;
    reg [31:0] wdata = 32'd0;
    reg awvalid = 1'b0, wvalid = 1'b0, bready = 1'b0, arvalid = 1'b0, rready = 1'b0;
    wire awready, wready, bvalid, arready, rvalid, interrupt;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata;

    // Memory: one burst at a time, every bit one, which is no legal command.
    reg m_arready = 1'b1, m_rvalid = 1'b0;
    reg [7:0] m_left = 8'd0;
    wire m_arvalid, m_rready, m_awvalid, m_wvalid, m_wlast, m_bready, m_arid, m_arlock, m_awid, m_awlock;
    wire [63:0] m_araddr, m_awaddr;
    wire [7:0] m_arlen, m_awlen;
    wire [2:0] m_arsize, m_arprot, m_awsize, m_awprot;
    wire [1:0] m_arburst, m_awburst;
    wire [3:0] m_arcache, m_arqos, m_awcache, m_awqos;
    wire [127:0] m_wdata;
    wire [15:0] m_wstrb;

    moevit_top dut (
        .ap_clk(clock), .ap_rst_n(reset_n), .interrupt(interrupt),
        .s_axi_control_awaddr(awaddr), .s_axi_control_awvalid(awvalid), .s_axi_control_awready(awready),
        .s_axi_control_wdata(wdata), .s_axi_control_wstrb(4'hf), .s_axi_control_wvalid(wvalid), .s_axi_control_wready(wready),
        .s_axi_control_bresp(bresp), .s_axi_control_bvalid(bvalid), .s_axi_control_bready(bready),
        .s_axi_control_araddr(araddr), .s_axi_control_arvalid(arvalid), .s_axi_control_arready(arready),
        .s_axi_control_rdata(rdata), .s_axi_control_rresp(rresp), .s_axi_control_rvalid(rvalid), .s_axi_control_rready(rready),
        .m_axi_gmem0_arvalid(m_arvalid), .m_axi_gmem0_arready(m_arready), .m_axi_gmem0_araddr(m_araddr),
        .m_axi_gmem0_arid(m_arid), .m_axi_gmem0_arlen(m_arlen), .m_axi_gmem0_arsize(m_arsize), .m_axi_gmem0_arburst(m_arburst),
        .m_axi_gmem0_arlock(m_arlock), .m_axi_gmem0_arcache(m_arcache), .m_axi_gmem0_arprot(m_arprot),
        .m_axi_gmem0_arqos(m_arqos), .m_axi_gmem0_rvalid(m_rvalid), .m_axi_gmem0_rready(m_rready),
        .m_axi_gmem0_rdata({128{1'b1}}), .m_axi_gmem0_rid(1'b0), .m_axi_gmem0_rresp(2'b00),
        .m_axi_gmem0_rlast(m_left == 8'd0), .m_axi_gmem0_awvalid(m_awvalid), .m_axi_gmem0_awready(1'b1),
        .m_axi_gmem0_awaddr(m_awaddr), .m_axi_gmem0_awid(m_awid), .m_axi_gmem0_awlen(m_awlen), .m_axi_gmem0_awsize(m_awsize),
        .m_axi_gmem0_awburst(m_awburst), .m_axi_gmem0_awlock(m_awlock), .m_axi_gmem0_awcache(m_awcache),
        .m_axi_gmem0_awprot(m_awprot), .m_axi_gmem0_awqos(m_awqos), .m_axi_gmem0_wvalid(m_wvalid), .m_axi_gmem0_wready(1'b1),
        .m_axi_gmem0_wdata(m_wdata), .m_axi_gmem0_wstrb(m_wstrb), .m_axi_gmem0_wlast(m_wlast), .m_axi_gmem0_bvalid(1'b0),
        .m_axi_gmem0_bready(m_bready), .m_axi_gmem0_bid(1'b0), .m_axi_gmem0_bresp(2'b00)
    );

    always #5 clock = ~clock;

    integer checks = 0, unknown = 0, wrong = 0, reads = 0, bursts = 0, beats = 0;

    // One signal, or one payload whose valid is high, must be all zeros and ones.
    task known(input [8*20-1:0] name, input [191:0] value);
        begin
            checks = checks + 1;
            if (^value === 1'bx) begin
                unknown = unknown + 1;
                $display("X: %0s is %h at time %0t", name, value, $time);
            end
        end
    endtask

    reg watching = 1'b0;
    always @(negedge clock) if (watching) begin
        known("interrupt", interrupt);
        known("control valid", {rvalid, bvalid});
        known("control ready", {awready, wready, arready});
        known("master valid", {m_arvalid, m_awvalid, m_wvalid});
        known("master ready", {m_rready, m_bready});
        if (rvalid) known("control read", {rdata, rresp});
        if (bvalid) known("control response", bresp);
        if (m_arvalid) known("read burst", {m_araddr, m_arid, m_arlen, m_arsize, m_arburst, m_arlock, m_arcache, m_arprot, m_arqos});
        if (m_awvalid) known("write burst", {m_awaddr, m_awid, m_awlen, m_awsize, m_awburst, m_awlock, m_awcache, m_awprot, m_awqos});
        if (m_wvalid) known("write beat", {m_wdata, m_wstrb, m_wlast});
    end

    always @(posedge clock) begin
        if (m_arvalid && m_arready) begin
            m_arready <= 1'b0;
            m_rvalid <= 1'b1;
            m_left <= m_arlen;
            bursts <= bursts + 1;
        end
        if (m_rvalid && m_rready) begin
            beats <= beats + 1;
            m_left <= m_left - 8'd1;
            if (m_left == 8'd0) begin
                m_rvalid <= 1'b0;
                m_arready <= 1'b1;
            end
        end
    end

    task read(input [7:0] address, output [31:0] value);
        begin
            araddr = address;
            arvalid = 1'b1;
            rready = 1'b1;
            while (arready !== 1'b1) @(negedge clock);
            @(negedge clock) arvalid = 1'b0;
            while (rvalid !== 1'b1) @(negedge clock);
            value = rdata;
            reads = reads + 1;
            @(negedge clock) rready = 1'b0;
        end
    endtask

    task write(input [7:0] address, input [31:0] value);
        begin
            awaddr = address;
            wdata = value;
            awvalid = 1'b1;
            wvalid = 1'b1;
            bready = 1'b1;
            while (awready !== 1'b1 || wready !== 1'b1) @(negedge clock);
            @(negedge clock) awvalid = 1'b0;
            wvalid = 1'b0;
            while (bvalid !== 1'b1) @(negedge clock);
            @(negedge clock) bready = 1'b0;
        end
    endtask

    task expect_value(input [7:0] address, input [31:0] want);
        reg [31:0] value;
        begin
            read(address, value);
            if (value !== want) begin
                wrong = wrong + 1;
                $display("WRONG: register %h reads %h, not %h", address, value, want);
            end
        end
    endtask

    reg [31:0] expected [0:2*`REGISTERS-1];
    integer i;
    initial begin
        $readmemh(`EXPECTED, expected);
        repeat (RESET_CYCLES) @(negedge clock);
        watching = 1'b1;
        reset_n = 1'b1;
        repeat (2) @(negedge clock);
        for (i = 0; i < `REGISTERS; i = i + 1) expect_value(expected[2*i][7:0], expected[2*i+1]);
        write(GIER, 32'd1);
        write(IP_IER, 32'd1);
        write(PROGRAM_LO, 32'h0000_1000);
        write(COMMANDS, 32'd4);
        write(CTRL, 32'd1);
        i = 0;
        while (interrupt !== 1'b1 && i < INTERRUPT_LIMIT_CYCLES) @(negedge clock) i = i + 1;
        if (interrupt !== 1'b1) begin
            wrong = wrong + 1;
            $display("WRONG: no interrupt");
        end
        repeat (50) @(negedge clock);
        // Code 1, illegal command, and the error bit.
        expect_value(STATUS, 32'h0000_0011);
        $display("SMOKE reads %0d bursts %0d beats %0d checks %0d unknown %0d wrong %0d", reads, bursts, beats, checks, unknown, wrong);
        $finish;
    end
endmodule
