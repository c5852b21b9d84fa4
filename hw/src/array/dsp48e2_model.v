// The DSP48E2 as far as MacPair uses it, so that its instance can be linted and simulated without Vivado's library.
//
// Registers and their enables follow AMD's UG579: A2, D, AD, B1, B2, M and P; INMODE 00100 adds D and A2; OPMODE chooses zero or PCIN
// beside the product. Any other mode gives X.
//
// The port list is that of the whole cell, so much of it leads nowhere, and texts of different lengths are compared.
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNUSEDPARAM */
/* verilator lint_off WIDTHEXPAND */
module DSP48E2 #(
    parameter AMULTSEL = "A", PREADDINSEL = "A", BMULTSEL = "B", USE_MULT = "MULTIPLY", A_INPUT = "DIRECT", B_INPUT = "DIRECT",
    parameter AREG = 1, ACASCREG = 1, DREG = 1, ADREG = 1, BREG = 1, BCASCREG = 1, MREG = 1, PREG = 1, CREG = 1,
    parameter ALUMODEREG = 1, CARRYINREG = 1, CARRYINSELREG = 1, INMODEREG = 1, OPMODEREG = 1
) (
    input  wire CLK, CEA1, CEA2, CEB1, CEB2, CEC, CED, CEAD, CEM, CEP, CEALUMODE, CECARRYIN, CECTRL, CEINMODE,
    input  wire RSTA, RSTB, RSTC, RSTD, RSTM, RSTP, RSTALLCARRYIN, RSTALUMODE, RSTCTRL, RSTINMODE,
    input  wire CARRYIN, CARRYCASCIN, MULTSIGNIN,
    input  wire [29:0] A, ACIN,
    input  wire [26:0] D,
    input  wire [17:0] B, BCIN,
    input  wire [47:0] C, PCIN,
    input  wire [4:0] INMODE,
    input  wire [3:0] ALUMODE,
    input  wire [8:0] OPMODE,
    input  wire [2:0] CARRYINSEL,
    output wire [29:0] ACOUT,
    output wire [17:0] BCOUT,
    output wire [47:0] PCOUT, P,
    output wire [3:0] CARRYOUT,
    output wire CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW,
    output wire [7:0] XOROUT
);
    localparam MODELLED = AMULTSEL == "AD" && PREADDINSEL == "A" && BMULTSEL == "B" && USE_MULT == "MULTIPLY"
        && A_INPUT == "DIRECT" && AREG == 1 && DREG == 1 && ADREG == 1 && BREG == 2 && BCASCREG == 1 && MREG == 1 && PREG == 1
        && ALUMODEREG == 0 && CARRYINREG == 0 && CARRYINSELREG == 0 && INMODEREG == 0 && OPMODEREG == 0;

    reg signed [17:0] b1, b2;
    reg signed [26:0] a2, d, ad;
    reg signed [44:0] m;
    reg signed [47:0] p;

    wire known = MODELLED && INMODE == 5'b00100 && ALUMODE == 4'b0000 && OPMODE[3:0] == 4'b0101
        && (OPMODE[8:4] == 5'b00000 || OPMODE[8:4] == 5'b00001)
        && {CARRYIN, CARRYINSEL} == 4'b0000 && {RSTA, RSTB, RSTD, RSTM, RSTP} == 5'b00000;
    wire signed [47:0] z = OPMODE[4] ? PCIN : 48'd0;

    assign BCOUT = b1;
    assign PCOUT = known ? p : {48{1'bx}};
    assign P = PCOUT;
    assign ACOUT = a2;
    assign {CARRYOUT, CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW, XOROUT} = {18{1'bx}};

    // UltraScale+ registers start at zero.
    initial begin
        b1 = 0; b2 = 0; a2 = 0; d = 0; ad = 0; m = 0; p = 0;
    end

    always @(posedge CLK) begin
        if (CEA2) a2 <= A[26:0];
        if (CED) d <= D;
        if (CEAD) ad <= a2 + d;
        if (CEB1) b1 <= (B_INPUT == "CASCADE") ? BCIN : B;
        if (CEB2) b2 <= b1;
        if (CEM) m <= ad * b2;
        if (CEP) p <= z + m;
    end
endmodule
/* verilator lint_on WIDTHEXPAND */
/* verilator lint_on UNUSEDPARAM */
/* verilator lint_on UNUSEDSIGNAL */
