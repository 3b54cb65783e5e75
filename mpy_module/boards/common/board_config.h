/*
 * board_config.h - MicroPython's qemu port, and what a real board has on top of it.
 * SPDX-License-Identifier: MIT
 */
#include "mpconfigport.h"

#undef MICROPY_PY_SELECT
#undef MICROPY_PY_SYS_STDIO_BUFFER
#undef MICROPY_PY_TIME
#define MICROPY_PY_SELECT           (1)
#define MICROPY_PY_SYS_STDIO_BUFFER (1)
#define MICROPY_PY_TIME             (1)
#define MICROPY_KBD_EXCEPTION       (1)
