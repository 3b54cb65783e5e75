# A buffer that is resized, moved or written to after loading: an exception or a wrong label, never a wild access.
import bitflow
import gc

data = open("digits.bfn", "rb").read()
image = bytes(range(64))
good = list(bitflow.Model(data).scores(image))


def attempt(m):
    try:
        return list(m.scores(image))
    except ValueError as error:
        return str(error)


# Grown: the data moves or the length changes. MicroPython does not lock a buffer that is in use.
buffer = bytearray(data)
m = bitflow.Model(buffer)
buffer.extend(bytes(100))
assert "moved or was resized" in attempt(m), attempt(m)

# Written to: each byte of header and records takes two other values.
buffer = bytearray(data)
m = bitflow.Model(buffer)
refused = 0
for at in range(64 + 4 * 96):
    for bits in (0x01, 0xC0):
        old = buffer[at]
        buffer[at] ^= bits
        refused += not isinstance(attempt(m), list)
        buffer[at] = old
assert refused > 100, refused
assert attempt(m) == good

# A changed weight is nobody's error.
for at in range(64 + 4 * 96, len(data) - 4, 97):
    buffer[at] ^= 0xFF
assert len(attempt(m)) == 10

# All zero, all one.
for value in (0, 0xFF):
    for at in range(len(buffer)):
        buffer[at] = value
    assert not isinstance(attempt(m), list)

# The collector keeps what a model uses.
models = [bitflow.Model(bytearray(data)) for _ in range(5)]
for _ in range(5):
    gc.collect()
    junk = [bytes(range(256)) for _ in range(20)]
    assert all(attempt(m) == good for m in models)
print("ok")
