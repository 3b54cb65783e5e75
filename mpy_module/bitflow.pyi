"""bitflow on MicroPython: runs a packed binary network, a `.bfn`, on the device. Only integers are computed.

One C source gives the native module `bitflow.mpy`, the module built into a firmware (USER_C_MODULES) and the one of the
Unix port; all three offer this. All memory is MicroPython's own heap.
"""

from array import array
from typing import Literal, TypedDict, overload

from _typeshed import ReadableBuffer

version: str
"""Version of BitFlow's C library, "0.1.0"."""

GRAY: int
"""A frame's format: 1 byte a pixel."""

RGB565: int
"""2 bytes a pixel, the low one first, as framebuf.RGB565 on little-endian boards."""

RGB565_BE: int
"""2 bytes a pixel, the high one first, as most cameras send them."""

RGB888: int
"""3 bytes a pixel, red first."""

class Info(TypedDict):
    """What a network is. input_shape: (height, width, channels). input_bytes: length of an image. zero_point: the pixel
    value that counts as 0. bytes: of the image in memory. arena_bytes: what a run needs. crc32: the network's number on
    every board; `bitflow inspect` on the host prints the same.
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

    Every method raises ValueError after deinit(), when the buffer of the network was moved or resized since it was
    opened, when what was written into it makes it no network any more, and when it is called while the same model runs
    (by a scheduled function). A changed weight gives other scores and is not noticed.
    """

    @overload
    def __init__(self) -> None: ...
    @overload
    def __init__(self, source: str | ReadableBuffer, *, copy: bool = False) -> None:
        """Open a network and check it whole: size, CRC-32, offsets, shapes.

        source: a path, which is read once into the heap, or used in place where its file system lies in memory (ROMFS);
        or a buffer, which is used in place and kept alive. Without it: the network that is compiled into the firmware.
        copy: make a copy first, for a buffer that does not start on 4 bytes.

        Takes the arena and less than 1 KB of the heap, besides what is read or copied. Raises ValueError with the
        reason where it is no network (the native module says the code of bitflow.h, such as BF_ERR_CRC, a firmware the
        sentence) and where a buffer does not start on 4 bytes; TypeError for a source that is neither; OSError.
        """

    def predict(self, image: ReadableBuffer) -> int:
        """The class with the largest score, of equal ones the first. Allocates nothing.

        Ctrl-C and scheduled functions get their turn between two layers. Raises ValueError with the expected and the
        given length, TypeError for what is no buffer of bytes.
        """

    def scores(self, image: ReadableBuffer, out: array[int] | None = None) -> array[int]:
        """The integer score of each class, as array('i'). With `out`, an array('i') of that length, nothing is allocated
        and `out` is returned. Raises what predict() raises.
        """

    def hidden(self, layer: int, image: ReadableBuffer | None = None) -> array[int]:
        """The map that a hidden layer gives, for debugging. Bits: array('I') of [height][width][words] with channel c in
        bit c % 32 of word c // 32. Integers: array('i') of [height][width][channels]. layer: from 0 on. image: by default
        the one that was used last; it is kept alive.
        """

    def picture(
        self, frame: ReadableBuffer, width: int, height: int, format: int, out: bytearray | memoryview | None = None
    ) -> bytearray | memoryview:
        """The image for predict() of a camera's frame: cropped, stretched and its colours converted as the network says,
        equal to what `bitflow predict` makes of the same picture, where that takes it.

        frame: rows from top to bottom without gaps. width, height: pixels, 1 .. 65535. format: GRAY, RGB565, RGB565_BE or
        RGB888. out: a writable buffer of input_bytes, which is filled and returned; without it a bytearray is made.
        Scratch that does not fit in the arena is allocated for the call: about 4 bytes for each pixel of a row and
        column of the frame, and a few rows. Raises ValueError for a length that does not fit (expected and given), for
        numbers out of range, and where the network takes no such picture; TypeError for what is no buffer.
        """

    def profile(self, image: ReadableBuffer) -> list[int]:
        """Microseconds of each layer, by time.ticks_us()."""

    def info(self) -> Info:
        """What the network is."""

    @property
    def labels(self) -> list[str]:
        """The names of the classes; empty where the network has none. Made once."""

    def deinit(self) -> None:
        """Let go of the network and the arena. May be called twice."""
