# Every wrong use is an exception that says expected and got.
import bitflow
from array import array

data = open("digits.bfn", "rb").read()
image = bytes(64)
m = bitflow.Model(data)


def refused(kind, words, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        # The native module has the codes of the runtime, a firmware with bitflow in it the sentences.
        said = [words] if isinstance(words, str) else words
        assert any(one in str(error) for one in said), f"expected {said}, got {error}"
        return
    raise AssertionError(f"nothing was raised: {words}")


refused(TypeError, "path or a buffer", bitflow.Model, None)
refused(TypeError, "path or a buffer", bitflow.Model, 1.5)
refused(TypeError, "", bitflow.Model, data, data)
refused(TypeError, "copy", bitflow.Model, data, kopy=True)
refused(OSError, "", bitflow.Model, "nothing.bfn")
refused(ValueError, "address %4 = 1, needs 4", bitflow.Model, memoryview(bytes(1) + data)[1:])
refused(ValueError, ("BF_ERR_TRUNCATED", "shorter than it says"), bitflow.Model, b"")
refused(ValueError, ("BF_ERR_MAGIC", "not a .bfn image"), bitflow.Model, bytes(200))
refused(ValueError, ("BF_ERR_TRUNCATED", "shorter than it says"), bitflow.Model, data[:-4])
damaged = bytearray(data)
damaged[1000] ^= 1
refused(ValueError, ("BF_ERR_CRC", "CRC-32 does not match"), bitflow.Model, damaged)

refused(ValueError, "takes 64 bytes, got 63", m.predict, image[1:])
refused(ValueError, "takes 64 bytes, got 0", m.scores, b"")
refused(TypeError, "buffer of bytes", m.predict, None)
refused(TypeError, "buffer of bytes", m.predict, 1.5)
refused(TypeError, "buffer of bytes", m.predict, [0] * 64)
refused(TypeError, "buffer of bytes", m.predict, array("H", [0] * 32))
refused(TypeError, "buffer of bytes", m.predict, array("f", [0] * 16))
refused(TypeError, "array('i')", m.scores, image, array("f", [0] * 10))
refused(TypeError, "", m.scores, image, bytes(40))
refused(ValueError, "10 numbers, out has 9", m.scores, image, array("i", [0] * 9))
refused(ValueError, "hidden", bitflow.Model(data).hidden, 0)
refused(ValueError, "there are 2 hidden layers", m.hidden, 2, image)
refused(ValueError, "there are 2 hidden layers", m.hidden, -1, image)
refused(TypeError, "", m.hidden, "0", image)
refused(AttributeError, "", lambda: m.weights)

m.deinit()
for call in (m.predict, m.scores, m.profile):
    refused(ValueError, "closed", call, image)
refused(ValueError, "closed", m.hidden, 0, image)
refused(ValueError, "closed", m.info)
refused(ValueError, "closed", lambda: m.labels)
print("ok")
