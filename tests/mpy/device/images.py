# Scores of real images, bit for bit. NAME.bfn, NAME.images and NAME.scores (little-endian int32) are in the folder.
import bitflow
from array import array


def check(name):
    try:
        images = open(name + ".images", "rb")
    except OSError:
        return 0
    m = bitflow.Model(name + ".bfn")
    image = bytearray(m.info()["input_bytes"])
    out = array("i", [0] * m.info()["classes"])
    expected = array("i", out)
    count = 0
    with images, open(name + ".scores", "rb") as scores:
        while images.readinto(image):
            scores.readinto(expected)
            assert list(m.scores(image, out)) == list(expected), count
            assert m.predict(image) == list(expected).index(max(expected)), count
            count += 1
    return count


for name in ("digits", "mnist"):
    print(name, check(name))
print("ok")
