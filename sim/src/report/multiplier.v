// A product of 27 and 18 signed bits in one DSP48E2. Yosys infers registers and adders only around its DSP48E1, whose ports A and B
// are as wide as the DSP48E2's: with 27 bits of A in use, that cell stands in for it. OPMODE 0000101 is the bare product.
module \$__MUL27X18 (input [26:0] A, input [17:0] B, output [44:0] Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 0;
    parameter B_WIDTH = 0;
    parameter Y_WIDTH = 0;

    wire [47:0] product;
    assign Y = product[44:0];

    DSP48E1 #(
        .A_INPUT("DIRECT"), .B_INPUT("DIRECT"), .USE_DPORT("FALSE"), .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"),
        .AREG(0), .ACASCREG(0), .BREG(0), .BCASCREG(0), .CREG(0), .DREG(0), .ADREG(0), .MREG(0), .PREG(0),
        .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(0)
    ) _TECHMAP_REPLACE_ (
        .A({{3{A[26]}}, A}), .B(B), .C(48'd0), .D(25'd0), .P(product),
        .INMODE(5'd0), .ALUMODE(4'd0), .OPMODE(7'b0000101), .CARRYIN(1'b0), .CARRYINSEL(3'd0),
        .ACIN(30'd0), .BCIN(18'd0), .PCIN(48'd0)
    );
endmodule
