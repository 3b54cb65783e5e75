# MicroPython on an emulated Cortex-M7: QEMU's mps2-an500.
QEMU_MACHINE = mps2-an500
CFLAGS += -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16 -DMICROPY_HW_MCU_NAME='"Cortex-M7"'
MPY_CROSS_FLAGS += -march=armv7emdp

include $(BOARD_DIR)/../common/board.mk
