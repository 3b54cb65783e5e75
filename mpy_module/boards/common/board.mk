# What the three boards share: QEMU's MPS2 boards as a board with a real REPL. The qemu port of MicroPython has no time,
# no select, no file system, no Ctrl-C, and never turns the FPU on; board.c adds them without a change to the port.

comma := ,
BOARD_COMMON := $(BOARD_DIR)/../common

QEMU_ARCH = arm
CFLAGS += -mthumb -DQEMU_SOC_MPS2 -DMP_CONFIGFILE='"$(BOARD_COMMON)/board_config.h"'
LDSCRIPT = $(BOARD_COMMON)/mps2.ld
LDFLAGS += $(addprefix -Wl$(comma)--wrap=,uart_init uart_rx_chr mp_init mp_hal_stdio_poll mp_semihosting_init mp_semihosting_exit)

SRC_C += $(BOARD_COMMON)/board.c
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o

MICROPY_HEAP_SIZE = 2097152
MICROPY_VFS_LFS2 = 1
FROZEN_MANIFEST = $(BOARD_COMMON)/manifest.py
