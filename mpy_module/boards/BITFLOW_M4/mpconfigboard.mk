# MicroPython on an emulated Cortex-M4: QEMU's mps2-an386.
QEMU_MACHINE = mps2-an386
CFLAGS += -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16 -DMICROPY_HW_MCU_NAME='"Cortex-M4"'
MPY_CROSS_FLAGS += -march=armv7emsp

include $(BOARD_DIR)/../common/board.mk
