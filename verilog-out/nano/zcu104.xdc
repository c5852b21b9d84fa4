# moevit 0.1.0, configuration nano, hash 55e2fc35. Generated: do not edit.
# Timing of moevit_top, the accelerator as IP on the AMD ZCU104 (xczu7ev-ffvc1156-2-e).
#
# Read it out of context, or scope it to the IP (SCOPED_TO_REF moevit_top, USED_IN out_of_context):
# inside a block design the processing system makes the clock (pl_clk0), and its IP brings the clock's constraint.
# No pin is placed: clock, reset, interrupt and every AXI port end at the processing system.

# The target clock, 300 MHz: a target, not a result.
create_clock -name ap_clk -period 3.333 [get_ports ap_clk]

# The interrupt is a level that the processing system's interrupt controller takes in on a clock of its own.
set_false_path -to [get_ports interrupt]

# No exception for ap_rst_n: it is synchronous to ap_clk (reset synchroniser outside the IP) and sampled by one register.
