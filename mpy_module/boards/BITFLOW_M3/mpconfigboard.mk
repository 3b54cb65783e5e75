# MicroPython on an emulated Cortex-M3: QEMU's mps2-an385.
QEMU_MACHINE = mps2-an385
CFLAGS += -mcpu=cortex-m3 -mfloat-abi=soft -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
MPY_CROSS_FLAGS += -march=armv7m

include $(BOARD_DIR)/../common/board.mk
