# Ctrl-C ends a run between two layers; the model goes on afterwards. Whoever runs this sends it after "running".
import bitflow
import time

m = bitflow.Model("large.bfn")
image = bytes(m.info()["input_bytes"])
start = time.ticks_us()
label = m.predict(image)
whole = time.ticks_diff(time.ticks_us(), start)
start = time.ticks_us()
try:
    print("running")
    m.predict(image)
    print("it ran to its end")
except KeyboardInterrupt:
    part = time.ticks_diff(time.ticks_us(), start)
    assert part < whole * 9 // 10, (part, whole)
    assert m.predict(image) == label
    print("ok")
