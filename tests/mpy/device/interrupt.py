# Ctrl-C ends a run between two layers; the model goes on afterwards. Whoever runs this sends it after "running".
# The run alone would take minutes, so that no load of the computer lets it end before Ctrl-C is there.
import bitflow
import sys

m = bitflow.Model("endless.bfn" if sys.platform == "linux" else "long.bfn")
image = bytes(m.info()["input_bytes"])
first = bytes(m.hidden(0, image))  # runs the first layer alone
try:
    print("running")
    m.predict(image)
    print("it ran to its end")
except KeyboardInterrupt:
    assert bytes(m.hidden(0, image)) == first
    print("ok")
