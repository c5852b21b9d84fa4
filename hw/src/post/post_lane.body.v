// module: PostLane
// bias
reg [31:0] sum;
reg [32:0] biased;
reg [33:0] total, v_rounded, v_shifted;
reg [33:0] v_half;
reg [3:0] pre_shift_1, pre_shift_2;
reg signed [26:0] v;
wire [19:0] values = value_sum & {20{bias_from_sums}};
always @(posedge clock) begin
  sum <= odd ? sum_1 : sum_0;
  biased <= {bias[31], bias} + {{6{values[19]}}, values, 7'd0};
  total <= {{2{sum[31]}}, sum} + {biased[32], biased};
  v_half <= (34'd1 << pre_shift) >> 1;
  pre_shift_1 <= pre_shift;
  v_rounded <= total + v_half;
  pre_shift_2 <= pre_shift_1;
  v_shifted <= $signed(v_rounded) >>> pre_shift_2;
  v <= (v_shifted[33:26] == {8{v_shifted[33]}}) ? v_shifted[26:0] : {v_shifted[33], {26{~v_shifted[33]}}};
end
// first scale
reg signed [16:0] mantissa_1;
(* use_dsp = "yes" *) reg signed [43:0] m1;
reg signed [43:0] p1;
reg [43:0] y_half, y_rounded, y_coarse, y_shifted;
reg [5:0] shift_1;
reg [5:0] shift_2;
reg [3:0] shift_3;
wire [5:0] y_shift = (shift > 6'd43) ? 6'd43 : shift;
reg [23:0] y_1;
reg [15:0] x;
always @(posedge clock) begin
  mantissa_1 <= {1'b0, mantissa};
  m1 <= v * mantissa_1;
  p1 <= m1;
  y_half <= (44'd1 << y_shift) >> 1;
  shift_1 <= y_shift;
  y_rounded <= p1 + y_half;
  shift_2 <= shift_1;
  y_coarse <= $signed(y_rounded) >>> {shift_2[5:4], 4'd0};
  shift_3 <= shift_2[3:0];
  y_shifted <= $signed(y_coarse) >>> shift_3;
  y_1 <= (y_shifted[43:23] == {21{y_shifted[43]}}) ? y_shifted[23:0] : {y_shifted[43], {23{~y_shifted[43]}}};
  x <= (y_shifted[43:15] == {29{y_shifted[43]}}) ? y_shifted[15:0] : {y_shifted[43], {15{~y_shifted[43]}}};
end
// GELU
@TABLE@
reg [15:0] magnitude;
reg [23:0] y_2, y_3, y_4, y_5, y_6;
reg [14:0] relu_1, relu_2, relu_3, relu_4, relu_5;
reg [23:0] segment;
reg beyond;
reg [5:0] fraction;
wire signed [10:0] slope = segment[10:0] & {11{~beyond}};
wire [12:0] here_1 = segment[23:11] & {13{~beyond}};
reg [12:0] here_2, here_3;
// slope * fraction in two halves: too small for a DSP, too deep for one step.
(* use_dsp = "no" *) wire signed [13:0] low_product;
assign low_product = slope * $signed({1'b0, fraction[2:0]});
(* use_dsp = "no" *) wire signed [13:0] high_product;
assign high_product = slope * $signed({1'b0, fraction[5:3]});
reg signed [13:0] m_low, m_high;
reg [16:0] m_delta;
wire unused = &{1'b0, m_delta[4:0]};
reg [13:0] delta;
always @(posedge clock) begin
  magnitude <= x[15] ? -x : x;
  relu_1 <= x[14:0] & {15{~x[15]}};
  segment <= delta_table[magnitude[13:6]];
  beyond <= magnitude[15] | magnitude[14];
  fraction <= magnitude[5:0];
  m_low <= low_product;
  m_high <= high_product;
  here_2 <= here_1;
  m_delta <= {{3{m_low[13]}}, m_low} + {m_high, 3'd0};
  here_3 <= here_2;
  delta <= {1'b0, here_3} + {{3{m_delta[16]}}, m_delta[16:6]} + {13'd0, m_delta[5]};
  relu_2 <= relu_1;
  relu_3 <= relu_2;
  relu_4 <= relu_3;
  relu_5 <= relu_4;
  y_2 <= y_1;
  y_3 <= y_2;
  y_4 <= y_3;
  y_5 <= y_4;
  y_6 <= y_5;
end
// second scale
reg signed [23:0] g;
reg signed [16:0] factor;
(* use_dsp = "yes" *) reg signed [40:0] m2;
reg signed [40:0] p2;
reg [40:0] z_half, z_rounded, z_coarse, z_shifted, z_offset;
reg [5:0] factor_shift_1, factor_shift_2;
reg [3:0] factor_shift_3;
wire [5:0] z_shift = (factor_shift > 6'd40) ? 6'd40 : factor_shift;
reg [7:0] offset_1, offset_2, offset_3;
reg [23:0] result;
assign z = result;
always @(posedge clock) begin
  g <= gelu ? {5'd0, relu_5, 4'd0} - {10'd0, delta} : y_6;
  factor <= {1'b0, scale_by_token ? token_factor : channel_factor};
  m2 <= g * factor;
  p2 <= m2;
  z_half <= (41'd1 << z_shift) >> 1;
  factor_shift_1 <= z_shift;
  z_rounded <= p2 + z_half;
  factor_shift_2 <= factor_shift_1;
  offset_1 <= offset;
  z_coarse <= $signed(z_rounded) >>> {factor_shift_2[5:4], 4'd0};
  factor_shift_3 <= factor_shift_2[3:0];
  offset_2 <= offset_1;
  z_shifted <= $signed(z_coarse) >>> factor_shift_3;
  offset_3 <= offset_2;
  z_offset <= z_shifted + {{33{offset_3[7]}}, offset_3};
  result <= (z_offset[40:23] == {18{z_offset[40]}}) ? z_offset[23:0] : {z_offset[40], {23{~z_offset[40]}}};
end
`ifndef SYNTHESIS
initial begin
  sum = 0; biased = 0; total = 0; v_rounded = 0; v_shifted = 0; v_half = 0; pre_shift_1 = 0; pre_shift_2 = 0; v = 0;
  mantissa_1 = 0; m1 = 0; p1 = 0; y_half = 0; y_rounded = 0; y_coarse = 0; y_shifted = 0;
  shift_1 = 0; shift_2 = 0; shift_3 = 0; y_1 = 0; x = 0;
  magnitude = 0; y_2 = 0; y_3 = 0; y_4 = 0; y_5 = 0; y_6 = 0;
  relu_1 = 0; relu_2 = 0; relu_3 = 0; relu_4 = 0; relu_5 = 0; segment = 0; beyond = 0; fraction = 0;
  here_2 = 0; here_3 = 0; m_low = 0; m_high = 0; m_delta = 0; delta = 0;
  g = 0; factor = 0; m2 = 0; p2 = 0; z_half = 0; z_rounded = 0; z_coarse = 0; z_shifted = 0; z_offset = 0;
  factor_shift_1 = 0; factor_shift_2 = 0; factor_shift_3 = 0; offset_1 = 0; offset_2 = 0; offset_3 = 0; result = 0;
end
`endif
