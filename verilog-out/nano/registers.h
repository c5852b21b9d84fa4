/* moevit 0.1.0, configuration nano, hash 55e2fc35. Generated: do not edit. */
/* moevit control registers, generated. Offsets in bytes from the base of s_axi_control. */
#ifndef MOEVIT_REGISTERS_H
#define MOEVIT_REGISTERS_H

#define MOEVIT_WINDOW_BYTES 256u
#define MOEVIT_ID_MAGIC 0x4d4f4556u

/* Starts a frame and says how it stands. (control) */
#define MOEVIT_CTRL 0x00u
#define MOEVIT_CTRL_START_LSB 0u
#define MOEVIT_CTRL_START_MASK 0x00000001u
#define MOEVIT_CTRL_DONE_LSB 1u
#define MOEVIT_CTRL_DONE_MASK 0x00000002u
#define MOEVIT_CTRL_IDLE_LSB 2u
#define MOEVIT_CTRL_IDLE_MASK 0x00000004u
#define MOEVIT_CTRL_READY_LSB 3u
#define MOEVIT_CTRL_READY_MASK 0x00000008u

/* Global interrupt enable. (R/W) */
#define MOEVIT_GIER 0x04u
#define MOEVIT_GIER_ENABLE_LSB 0u
#define MOEVIT_GIER_ENABLE_MASK 0x00000001u

/* Interrupt sources that are recorded. (R/W) */
#define MOEVIT_IP_IER 0x08u
#define MOEVIT_IP_IER_DONE_LSB 0u
#define MOEVIT_IP_IER_DONE_MASK 0x00000001u
#define MOEVIT_IP_IER_READY_LSB 1u
#define MOEVIT_IP_IER_READY_MASK 0x00000002u

/* Recorded interrupts. (R/TOW) */
#define MOEVIT_IP_ISR 0x0cu
#define MOEVIT_IP_ISR_DONE_LSB 0u
#define MOEVIT_IP_ISR_DONE_MASK 0x00000001u
#define MOEVIT_IP_ISR_READY_LSB 1u
#define MOEVIT_IP_ISR_READY_MASK 0x00000002u

/* Magic number, "MOEV". (R) */
#define MOEVIT_ID 0x20u

/* Version of the generator that made the circuit. (R) */
#define MOEVIT_VERSION 0x24u
#define MOEVIT_VERSION_PATCH_LSB 0u
#define MOEVIT_VERSION_PATCH_MASK 0x000000ffu
#define MOEVIT_VERSION_MINOR_LSB 8u
#define MOEVIT_VERSION_MINOR_MASK 0x0000ff00u
#define MOEVIT_VERSION_MAJOR_LSB 16u
#define MOEVIT_VERSION_MAJOR_MASK 0x00ff0000u

/* Hash of the configuration; a program built for another one must not be started. (R) */
#define MOEVIT_CONFIG_HASH 0x28u

/* Size of the array and number of ports. (R) */
#define MOEVIT_CAPS 0x2cu
#define MOEVIT_CAPS_ROWS_LSB 0u
#define MOEVIT_CAPS_ROWS_MASK 0x000000ffu
#define MOEVIT_CAPS_COLUMNS_LSB 8u
#define MOEVIT_CAPS_COLUMNS_MASK 0x0000ff00u
#define MOEVIT_CAPS_READ_PORTS_LSB 16u
#define MOEVIT_CAPS_READ_PORTS_MASK 0x000f0000u

/* How the last frame ended. (R/W1C) */
#define MOEVIT_STATUS 0x30u
#define MOEVIT_STATUS_ERROR_LSB 0u
#define MOEVIT_STATUS_ERROR_MASK 0x00000001u
#define MOEVIT_STATUS_CODE_LSB 4u
#define MOEVIT_STATUS_CODE_MASK 0x000000f0u
#define MOEVIT_STATUS_BUSY_LSB 8u
#define MOEVIT_STATUS_BUSY_MASK 0x00000100u

/* Index of the command at which the last error was noticed. (R) */
#define MOEVIT_ERROR_COMMAND 0x34u
#define MOEVIT_ERROR_COMMAND_INDEX_LSB 0u
#define MOEVIT_ERROR_COMMAND_INDEX_MASK 0x0000ffffu

/* Address of the burst that the bus refused, low word. (R) */
#define MOEVIT_ERROR_ADDRESS_LO 0x38u

/* Address of the burst that the bus refused, high word. (R) */
#define MOEVIT_ERROR_ADDRESS_HI 0x3cu

/* Address of commands and weights, low word. (R/W) */
#define MOEVIT_PROGRAM_LO 0x40u
#define MOEVIT_PROGRAM_LO_ADDRESS_LSB 8u
#define MOEVIT_PROGRAM_LO_ADDRESS_MASK 0xffffff00u

/* Address of commands and weights, high word. (R/W) */
#define MOEVIT_PROGRAM_HI 0x44u

/* Address of the image, low word. (R/W) */
#define MOEVIT_IMAGE_LO 0x48u
#define MOEVIT_IMAGE_LO_ADDRESS_LSB 8u
#define MOEVIT_IMAGE_LO_ADDRESS_MASK 0xffffff00u

/* Address of the image, high word. (R/W) */
#define MOEVIT_IMAGE_HI 0x4cu

/* Address of the results, low word. (R/W) */
#define MOEVIT_RESULT_LO 0x50u
#define MOEVIT_RESULT_LO_ADDRESS_LSB 8u
#define MOEVIT_RESULT_LO_ADDRESS_MASK 0xffffff00u

/* Address of the results, high word. (R/W) */
#define MOEVIT_RESULT_HI 0x54u

/* Length of the program. (R/W) */
#define MOEVIT_COMMANDS 0x58u
#define MOEVIT_COMMANDS_COUNT_LSB 0u
#define MOEVIT_COMMANDS_COUNT_MASK 0x0000ffffu

/* Task of the next frame. (R/W) */
#define MOEVIT_TASK 0x5cu
#define MOEVIT_TASK_NUMBER_LSB 0u
#define MOEVIT_TASK_NUMBER_MASK 0x00000007u

/* Cycles without progress after which a frame is stopped; 0 never stops it. (R/W) */
#define MOEVIT_WATCHDOG 0x60u

/* Stopping. (control) */
#define MOEVIT_CONTROL2 0x64u
#define MOEVIT_CONTROL2_SOFT_RESET_LSB 0u
#define MOEVIT_CONTROL2_SOFT_RESET_MASK 0x00000001u
#define MOEVIT_CONTROL2_QUIESCE_LSB 1u
#define MOEVIT_CONTROL2_QUIESCE_MASK 0x00000002u

/* Cycles of the frame. This and the counters after it are cleared when a frame starts on an idle chip, run on over frames that follow each other through the queue, and stand still after the last. (R) */
#define MOEVIT_CYCLES 0x80u

/* Cycles in which the array took a step. (R) */
#define MOEVIT_STREAMING 0x84u

/* Cycles in which the array waited for weights. (R) */
#define MOEVIT_STALL_STREAM 0x88u

/* Cycles in which the array waited for a free accumulator bank. (R) */
#define MOEVIT_STALL_BANK 0x8cu

/* Cycles in which the array waited for its own earlier results. (R) */
#define MOEVIT_STALL_SYNC 0x90u

/* Cycles in which the fetch waited for room in the weight buffer. (R) */
#define MOEVIT_STALL_FULL 0x94u

/* Experts that were not fetched because nobody chose them. (R) */
#define MOEVIT_SKIPPED_EXPERTS 0x98u

/* Beats of 16 bytes written. (R) */
#define MOEVIT_BEATS_OUT 0x9cu

/* Beats of 16 bytes read over port 0. (R) */
#define MOEVIT_BEATS_IN_0 0xa0u

/* Beats of 16 bytes read over port 1. (R) */
#define MOEVIT_BEATS_IN_1 0xa4u

/* Beats of 16 bytes read over port 2. (R) */
#define MOEVIT_BEATS_IN_2 0xa8u

/* Beats of 16 bytes read over port 3. (R) */
#define MOEVIT_BEATS_IN_3 0xacu

/* Cycles in which the fetch unit had a command. (R) */
#define MOEVIT_BUSY_FETCH 0xb0u

/* Cycles in which the array unit had a command. (R) */
#define MOEVIT_BUSY_ARRAY 0xb4u

/* Cycles in which the norm unit had a command. (R) */
#define MOEVIT_BUSY_NORM 0xb8u

/* Cycles in which the softmax unit had a command. (R) */
#define MOEVIT_BUSY_SOFTMAX 0xbcu

/* Cycles in which the router unit had a command. (R) */
#define MOEVIT_BUSY_ROUTER 0xc0u

/* Cycles in which the write unit had a command. (R) */
#define MOEVIT_BUSY_WRITE 0xc4u

/* Frames that ended without an error. (R) */
#define MOEVIT_FRAMES 0xc8u

/* STATUS.CODE */
#define MOEVIT_ERROR_ILLEGAL_COMMAND 1u /* illegal command */
#define MOEVIT_ERROR_READ_ERROR 2u /* the bus answered a read with an error */
#define MOEVIT_ERROR_WRITE_ERROR 3u /* the bus answered a write with an error */
#define MOEVIT_ERROR_WATCHDOG 4u /* no progress for the watchdog's limit */

#endif
