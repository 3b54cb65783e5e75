# From a camera's buffer to an image, and every wrong one refused.
import bitflow
from array import array

m = bitflow.Model("digits.bfn")


def refused(kind, words, *arguments):
    try:
        m.picture(*arguments)
    except kind as error:
        said = [words] if isinstance(words, str) else words
        assert any(one in str(error) for one in said), f"expected {said}, got {error}"
        return
    raise AssertionError(f"nothing was raised: {words}")


assert (bitflow.GRAY, bitflow.RGB565, bitflow.RGB565_BE, bitflow.RGB888) == (0, 1, 2, 3)

# Of the input's size: as it is. Gray of a colour is Pillow's.
same = bytes(range(64))
assert m.picture(same, 8, 8, bitflow.GRAY) == same
assert m.picture(bytes(64 * 3 * [200]), 8, 8, bitflow.RGB888) == bytes(64 * [200])
assert m.picture(b"\x00\xf8" * 64, 8, 8, bitflow.RGB565) == bytes(64 * [76])
assert m.picture(b"\xf8\x00" * 64, 8, 8, bitflow.RGB565_BE) == bytes(64 * [76])
assert m.picture(array("H", 64 * [0xF800]), 8, 8, bitflow.RGB565) == bytes(64 * [76])

# Twice as large, each pixel four times: weights 1/8, 3/8, 3/8, 1/8, so the middle of a flat picture stays.
flat = bytes(256 * [90])
out = bytearray(64)
assert m.picture(flat, 16, 16, bitflow.GRAY, out) is out and out == bytes(64 * [90])
large = bytes(48 * 100)
assert m.picture(large, 100, 48, bitflow.GRAY) == bytes(64)
assert m.predict(m.picture(large, 100, 48, bitflow.GRAY)) == m.predict(bytes(64))

argument = ("BF_ERR_ARGUMENT", "out of range")
refused(ValueError, "a frame takes 256 bytes, got 255", flat[1:], 16, 16, bitflow.GRAY)
refused(ValueError, "a frame takes 512 bytes, got 256", flat, 16, 16, bitflow.RGB565)
refused(ValueError, "an image takes 64 bytes, out has 63", flat, 16, 16, bitflow.GRAY, bytearray(63))
refused(ValueError, argument, flat, 16, 16, 4)
refused(ValueError, argument, flat, 16, 16, -1)
refused(ValueError, argument, flat, 65536, 16, bitflow.GRAY)
refused(ValueError, argument, flat, -16, -16, bitflow.GRAY)
refused(ValueError, argument, b"", 0, 16, bitflow.GRAY)
refused(TypeError, "", flat, 16, 16)
refused(TypeError, "", None, 16, 16, bitflow.GRAY)
refused(TypeError, "", flat, 16, 16, bitflow.GRAY, bytes(64))
m.deinit()
refused(ValueError, "closed", flat, 16, 16, bitflow.GRAY)
print("ok")
