// Stand-ins for the timing step only, after the area has been counted: cells that Yosys has no delays for, or wrong ones.
// Shift registers are timed as the flip-flop that ends them (Vivado's srl_style srl_reg); the delay of a 7-series SRL16E alone
// is five times that of its flip-flop and says nothing about UltraScale+. LUT memories take the delays of their 7-series halves.
module SRL16E (output Q, input A0, A1, A2, A3, CE, CLK, D);
  parameter INIT = 0;
  parameter [0:0] IS_CLK_INVERTED = 1'b0;
  FDRE last (.C(CLK), .CE(CE), .R(1'b0), .D(D), .Q(Q));
endmodule

module SRLC32E (output Q, Q31, input [4:0] A, input CE, CLK, D);
  parameter INIT = 0;
  parameter [0:0] IS_CLK_INVERTED = 1'b0;
  FDRE last (.C(CLK), .CE(CE), .R(1'b0), .D(D), .Q(Q));
endmodule

module RAM32M16 (output [1:0] DOA, DOB, DOC, DOD, DOE, DOF, DOG, DOH, input [4:0] ADDRA, ADDRB, ADDRC, ADDRD, ADDRE, ADDRF, ADDRG, ADDRH,
    input [1:0] DIA, DIB, DIC, DID, DIE, DIF, DIG, DIH, input WCLK, WE);
  parameter [63:0] INIT_A = 64'h0, INIT_B = 64'h0, INIT_C = 64'h0, INIT_D = 64'h0, INIT_E = 64'h0, INIT_F = 64'h0, INIT_G = 64'h0, INIT_H = 64'h0;
  parameter [0:0] IS_WCLK_INVERTED = 1'b0;
  RAM32M abcd (.DOA(DOA), .ADDRA(ADDRA), .DIA(DIA), .DOB(DOB), .ADDRB(ADDRB), .DIB(DIB), .DOC(DOC), .ADDRC(ADDRC), .DIC(DIC), .DOD(DOD), .ADDRD(ADDRD), .DID(DID), .WCLK(WCLK), .WE(WE));
  RAM32M efgh (.DOA(DOE), .ADDRA(ADDRE), .DIA(DIE), .DOB(DOF), .ADDRB(ADDRF), .DIB(DIF), .DOC(DOG), .ADDRC(ADDRG), .DIC(DIG), .DOD(DOH), .ADDRD(ADDRH), .DID(DIH), .WCLK(WCLK), .WE(WE));
endmodule

module RAM64M8 (output DOA, DOB, DOC, DOD, DOE, DOF, DOG, DOH, input [5:0] ADDRA, ADDRB, ADDRC, ADDRD, ADDRE, ADDRF, ADDRG, ADDRH,
    input DIA, DIB, DIC, DID, DIE, DIF, DIG, DIH, input WCLK, WE);
  parameter [63:0] INIT_A = 64'h0, INIT_B = 64'h0, INIT_C = 64'h0, INIT_D = 64'h0, INIT_E = 64'h0, INIT_F = 64'h0, INIT_G = 64'h0, INIT_H = 64'h0;
  parameter [0:0] IS_WCLK_INVERTED = 1'b0;
  RAM64M abcd (.DOA(DOA), .ADDRA(ADDRA), .DIA(DIA), .DOB(DOB), .ADDRB(ADDRB), .DIB(DIB), .DOC(DOC), .ADDRC(ADDRC), .DIC(DIC), .DOD(DOD), .ADDRD(ADDRD), .DID(DID), .WCLK(WCLK), .WE(WE));
  RAM64M efgh (.DOA(DOE), .ADDRA(ADDRE), .DIA(DIE), .DOB(DOF), .ADDRB(ADDRF), .DIB(DIF), .DOC(DOG), .ADDRC(ADDRG), .DIC(DIG), .DOD(DOH), .ADDRD(ADDRH), .DID(DIH), .WCLK(WCLK), .WE(WE));
endmodule
