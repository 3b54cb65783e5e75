# Loading takes the arena and less than 1 KB; running takes nothing. Collection is off: every allocation is seen.
import bitflow
import gc
from array import array


def size(path):
    import os

    return os.stat(path)[6]


def load(source):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    model = bitflow.Model(source)
    taken = gc.mem_alloc() - before
    gc.enable()
    return model, taken


def taken_by(call, *arguments):
    call(*arguments)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    call(*arguments)
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def test():
    data = open("large.bfn", "rb").read()
    assert len(data) > 90000 and size("large.bfn") == len(data)
    model, taken = load(data)
    info = model.info()
    assert taken < info["arena_bytes"] + 4 * info["classes"] + 1024, (taken, info)
    del model, data
    model, taken = load("large.bfn")
    # A path is read once. What the file system takes meanwhile differs from board to board.
    assert taken < info["bytes"] + info["arena_bytes"] + 16 * 1024, (taken, info)
    del model

    model = bitflow.Model("digits.bfn")
    image = bytes(64)
    out = array("i", [0] * 10)
    nothing = taken_by(lambda image, out: None, image, out)
    assert taken_by(model.predict, image) == 0
    assert taken_by(model.scores, image, out) == 0
    assert nothing == 0


test()
print("ok")
