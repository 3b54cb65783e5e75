# For ports with Makefiles: make USER_C_MODULES=/path/to/bitflow, the folder above this one.
#
# A network is compiled in, for bitflow.Model(), with the C that `bitflow generate --target c -o NET` writes:
#   BITFLOW_NETWORK=/path/to/NET/name      NET/name.c and NET/name.h; the C name is the file's

BITFLOW_ROOT := $(patsubst %/,%,$(dir $(USERMOD_DIR)))
BITFLOW_LIBRARY := $(BITFLOW_ROOT)/firmware/lib/bitflow

SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/,bitflow_module.c frame.c info.c model.c objects.c run.c)
SRC_USERMOD_LIB_C += $(wildcard $(BITFLOW_LIBRARY)/src/*.c $(BITFLOW_LIBRARY)/src/*/*.c)
SRC_USERMOD_LIB_ASM += $(wildcard $(BITFLOW_LIBRARY)/src/*/*.S)
CFLAGS_USERMOD += -I$(BITFLOW_LIBRARY)/include

ifneq ($(BITFLOW_NETWORK),)
SRC_USERMOD_LIB_C += $(BITFLOW_NETWORK).c
CFLAGS_USERMOD += -I$(dir $(BITFLOW_NETWORK))
CFLAGS_USERMOD += -DBITFLOW_MODEL_HEADER='"$(notdir $(BITFLOW_NETWORK)).h"' -DBITFLOW_MODEL=$(notdir $(BITFLOW_NETWORK))_model
endif
