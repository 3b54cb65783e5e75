"""bitflow on MicroPython: runs a packed binary network, a `.bfn`, on the device. Only integers are computed.

The native module `bitflow.mpy`, the module built into a firmware (USER_C_MODULES) and the Unix port share one C source
and this interface. All memory is MicroPython's own heap.
"""

from array import array
from typing import Literal, TypedDict, overload

from _typeshed import ReadableBuffer

version: str
"""Version of BitFlow's C library, "0.1.0"."""

GRAY: int
"""A frame's format: 1 byte per pixel."""

RGB565: int
"""2 bytes per pixel, the low byte first, as framebuf.RGB565 on little-endian boards."""

RGB565_BE: int
"""2 bytes per pixel, the high byte first, as most cameras send them."""

RGB888: int
"""3 bytes per pixel, red first."""

class Info(TypedDict):
    """A network.

    input_shape: (height, width, channels).
    input_bytes: length of an image.
    zero_point: the pixel value that counts as 0.
    bytes: size of the network in memory.
    arena_bytes: memory that a run needs.
    crc32: identifies the network on every board; `bitflow inspect` on the host prints the same.
    """

    name: str
    input_shape: tuple[int, int, int]
    input_bytes: int
    dtype: Literal["uint8", "int8"]
    zero_point: int
    classes: int
    layers: int
    bytes: int
    arena_bytes: int
    crc32: int

class Model:
    """A network, ready to run.

    An image, wherever this class takes one, is a readable buffer of bytes (bytes, bytearray, memoryview, array('B') or
    array('b')) with height * width * channels values, row by row, the channels of a pixel side by side; it may start at
    any address.

    Every method raises ValueError after deinit(), if the buffer of the network was moved or resized since it was
    opened, if a write has made its header or records invalid, and if it is called while the same model runs (by a
    scheduled function). A changed weight gives other scores and is not noticed.
    """

    @overload
    def __init__(self) -> None: ...
    @overload
    def __init__(self, source: str | ReadableBuffer, *, copy: bool = False) -> None:
        """Open a network and check all of it: size, CRC-32, offsets, shapes.

        source: the path of a file, which is read once into the heap, or used in place if its file system is in memory
            (ROMFS); or a buffer, which is used in place and kept alive. Without it: the network compiled into the
            firmware.
        copy: make a copy first, for a buffer that does not start on a multiple of 4 bytes.

        Takes the arena and less than 1 KB of the heap, besides what is read or copied. Raises ValueError with the
        reason for an invalid network (the native module gives the code of bitflow.h, such as BF_ERR_CRC, a firmware the
        sentence) and for a buffer that does not start on a multiple of 4 bytes; TypeError for another type of source;
        OSError.
        """

    def predict(self, image: ReadableBuffer) -> int:
        """The class with the largest score; of equal ones the first. Allocates nothing.

        Ctrl-C and scheduled functions are handled between two layers. Raises ValueError with the expected and the
        actual length, TypeError for something other than a buffer of bytes.
        """

    def scores(self, image: ReadableBuffer, out: array[int] | None = None) -> array[int]:
        """The integer score of each class, as array('i'). With `out`, an array('i') of that length, nothing is
        allocated and `out` is returned. Raises what predict() raises.
        """

    def hidden(self, layer: int, image: ReadableBuffer | None = None) -> array[int]:
        """The map of a hidden layer, for debugging. Bits: array('I') of [height][width][words], with channel c in bit
        c % 32 of word c // 32. Integers: array('i') of [height][width][channels].

        layer: its number, from 0 on.
        image: by default the last one used, which is kept alive.
        """

    def picture(
        self, frame: ReadableBuffer, width: int, height: int, format: int, out: bytearray | memoryview | None = None
    ) -> bytearray | memoryview:
        """An image for predict() from a camera's frame: cropped, stretched and converted to the network's colours. It
        is equal to the image that `bitflow predict` makes of the same picture.

        frame: rows from top to bottom without gaps.
        width, height: pixels, 1 .. 65535.
        format: GRAY, RGB565, RGB565_BE or RGB888.
        out: a writable buffer of input_bytes, which is filled and returned; without it a bytearray is made.

        Scratch that does not fit in the arena is allocated for the call: about 4 bytes for each pixel of a row and a
        column of the frame, and a few rows. Raises ValueError for a wrong length (with the expected and the actual
        one), for numbers out of range, and if the network takes no such picture; TypeError for something other than a
        buffer.
        """

    def profile(self, image: ReadableBuffer) -> list[int]:
        """Microseconds of each layer, by time.ticks_us()."""

    def info(self) -> Info:
        """The network's facts."""

    @property
    def labels(self) -> list[str]:
        """The names of the classes; empty if the network has none. Made once."""

    def deinit(self) -> None:
        """Release the network and the arena. May be called twice."""
