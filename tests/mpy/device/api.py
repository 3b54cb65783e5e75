# What bitflow offers, on every build of it. Files in the current folder: digits.bfn, and what conftest.py puts there.
import bitflow
from array import array

m = bitflow.Model("digits.bfn")
info = m.info()
assert info["input_shape"] == (8, 8, 1) and info["input_bytes"] == 64 and info["dtype"] == "uint8", info
assert (
    info["classes"] == 10
    and info["layers"] == 3
    and info["bytes"] == len(open("digits.bfn", "rb").read())
    and info["arena_bytes"] > 0
), info
assert info["name"] == "digits" and info["zero_point"] == 128 and info["crc32"] > 0, info
assert m.labels == [str(i) for i in range(10)], m.labels
assert bitflow.version == "0.1.0"

image = bytes(range(64))
scores = m.scores(image)
assert len(scores) == 10 and max(scores) == scores[m.predict(image)]
out = array("i", [0] * 10)
assert m.scores(image, out) is out and list(out) == list(scores)

# Any readable buffer of bytes is an image, wherever it starts.
view = memoryview(bytes(1) + image)[1:]
for same in (bytearray(image), memoryview(image), array("B", image), view):
    assert list(m.scores(same)) == list(scores)

hidden = m.hidden(0)
assert list(hidden) == list(m.hidden(0, image)) and len(hidden) > 0
assert len(m.hidden(1)) > 0
profile = m.profile(image)
assert len(profile) == 3 and all(t >= 0 for t in profile), profile

# In place from every kind of buffer, and copied.
data = open("digits.bfn", "rb").read()
words = array("I", [0] * (len(data) // 4))
memoryview(words)[:] = array("I", data)
for source in (data, bytearray(data), memoryview(data), words):
    assert list(bitflow.Model(source).scores(image)) == list(scores)
shifted = memoryview(bytes(1) + data)[1:]
assert list(bitflow.Model(shifted, copy=True).scores(image)) == list(scores)

m.deinit()
m.deinit()
print("ok")
