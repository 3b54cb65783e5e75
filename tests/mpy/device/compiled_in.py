# A network compiled in needs no file.
import bitflow

m = bitflow.Model()
file = bitflow.Model("digits.bfn")
image = bytes(range(64))
assert m.info() == file.info() and m.labels == file.labels
assert list(m.scores(image)) == list(file.scores(image))
assert list(m.hidden(1, image)) == list(file.hidden(1, image))
m.deinit()
print("ok")
