"""A `.bfn` comes back as it went, is canonical, and anything that is not one is refused with its reason."""

import ctypes
import dataclasses
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.c.every_kind import every_kind

from bitflow.engines.host import HostEngine, library
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.errors import ImageError, InputError
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.image.arena import arrange
from bitflow.image.bfn import Image, load, save
from bitflow.image.format import HEADER, RECORD
from bitflow.image.read import decode
from bitflow.ir import BatchShift, BinaryConv, InputConv, IntegerLayer, IntegerNetwork, Integers, Map, Scores, Sum
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack, unpack
from bitflow.packed import PackedNetwork
from bitflow.planner.plan import default_plan
from bitflow.synthetic.networks import random_network


def packed(seed: int) -> PackedNetwork:
    """A random network, or, of every third seed, one with every kind of layer."""
    return every_kind(seed, 4) if seed % 3 == 0 else pack(fuse(random_network(seed)))


def with_crc(data: bytearray) -> bytes:
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    return bytes(data)


def c_accepts(data: bytes) -> bool:
    words = np.zeros((len(data) + 3) // 4, dtype=np.uint32)
    words.view(np.uint8)[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    model = np.zeros(library().bitflow_host_model_size(), dtype=np.uint8)
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (model, words))
    return bool(library().bitflow_host_open(*pointers, ctypes.c_size_t(len(data))) >= 0)


def python_accepts(data: bytes) -> bool:
    try:
        decode(data)
    except ImageError:
        return False
    return True


@pytest.mark.parametrize("seed", range(12))
def test_decode_must_undo_encode_and_unpack_must_undo_pack(seed):
    network = packed(seed)
    data = Image.of(network).data
    back = decode(data)
    assert Image.of(back).data == data
    assert Image.of(pack(unpack(back))).data == data
    if network.logits is not None:
        assert np.array_equal(back.logits.scale, network.logits.scale)
        assert np.array_equal(back.logits.offset, network.logits.offset)
    assert (back.name, back.labels, back.input_spec) == (network.name, network.labels, network.input_spec)
    assert Image.of(back).crc32 == zlib.crc32(data[:-4])


def test_save_must_leave_nothing_half_written(tmp_path):
    network = packed(0)
    path = tmp_path / "a model.bfn"
    save(network, path)
    assert Image.of(load(path)).data == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["a model.bfn"]
    with pytest.raises(InputError, match="cannot write"):
        save(network, tmp_path / "absent" / "x.bfn")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d[:40], "too short"),
        (lambda d: d[:-8], "cut short"),
        (lambda d: b"XXXX" + d[4:], "not a .bfn"),
        (lambda d: d[:4] + b"\x01\x00" + d[6:], "version 1, this BitFlow reads 3: it is too old, import or fuse"),
        (lambda d: d[:4] + b"\x02\x00" + d[6:], "version 2, this BitFlow reads 3: `bitflow convert` brings it up"),
        (lambda d: d[:4] + b"\x04\x00" + d[6:], "version 4, this BitFlow reads 3: it needs a newer BitFlow"),
        (lambda d: d[:70] + bytes([d[70] ^ 1]) + d[71:], "CRC-32"),
        (lambda d: d + bytes(4), "size contradicts"),
    ],
)
def test_load_must_name_the_file_and_the_reason(tmp_path, change, reason):
    path = tmp_path / "x.bfn"
    path.write_bytes(change(Image.of(packed(1)).data))
    with pytest.raises(ImageError, match=reason) as caught:
        load(path)
    assert str(path) in str(caught.value)


@settings(max_examples=60)
@given(st.integers(0, 5), st.data())
def test_decode_and_bf_open_must_accept_and_refuse_the_same(seed, data):
    agrees_on_a_change(seed, data)


@pytest.mark.long
@settings(max_examples=600)
@given(st.integers(0, 5), st.data())
def test_decode_and_bf_open_must_accept_and_refuse_the_same_of_more(seed, data):
    agrees_on_a_change(seed, data)


def agrees_on_a_change(seed, data):
    """Bytes are changed, most of them in header and records, and the CRC repaired: only the checks stand in the way."""
    original = Image.of(packed(seed)).data
    changed = bytearray(original)
    records = HEADER.size + RECORD.size * len(packed(seed).layers)
    limit = data.draw(st.sampled_from([records, records, len(original) - 4]))
    values = st.one_of(st.integers(0, 8), st.integers(0, 255))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, limit - 1), values), max_size=3)):
        changed[at] = value
    hostile = with_crc(changed)
    assert python_accepts(hostile) == c_accepts(hostile)


def test_bytes_that_a_loader_may_ignore_must_be_ignored():
    """Other extra bytes, or what is no such table of logits, change nothing for either reader."""
    network = every_kind(0)
    original = Image.of(network).data
    at, size = struct.unpack_from("<II", original, 44)
    assert original[at : at + 4] == b"LGT1" and size == 8 + 16 * network.classes
    infinite = bytearray(original)
    infinite[at + 8 : at + 16] = struct.pack("<d", np.inf)
    for change in (infinite, original[:at] + b"NONE" + original[at + 4 :], original[:48] + b"\7\0" + original[50:]):
        changed = with_crc(bytearray(change))
        assert c_accepts(changed)
        back = decode(changed)
        assert back.logits is None
        assert Image.of(back).data == Image.of(PackedNetwork(*(getattr(network, f) for f in FIELDS))).data


FIELDS = ("name", "input_spec", "layers", "labels")


@pytest.mark.parametrize("approximate", [False, True])
def test_an_approximate_network_must_stay_one(approximate):
    """From fuse to the image and back; a device computes the same, and the CRC is another."""
    network = dataclasses.replace(unpack(every_kind(0)), approximate=approximate)
    packed = pack(network)
    data = Image.of(packed).data
    assert packed.approximate == approximate
    assert data[6:8] == bytes([approximate, 0])
    assert c_accepts(data)
    back = decode(data)
    assert back.approximate == unpack(back).approximate == approximate
    assert Image.of(back).data == Image.of(pack(unpack(back))).data == data
    exact = Image.of(every_kind(0)).data
    assert (data == exact) != approximate
    assert data[8:-4] == exact[8:-4]


@pytest.mark.parametrize("bits_of", [1, 2, 8])
def test_values_of_several_bits_must_come_back(bits_of):
    network = every_kind(0, 4, bits_of=bits_of)
    back = decode(Image.of(network).data)
    for layer, was in zip(back.layers, network.layers, strict=True):
        assert (layer.thresholds, layer.in_thresholds, layer.shared) == (was.thresholds, was.in_thresholds, was.shared)
        assert np.array_equal(layer.weights, was.weights)
        assert np.array_equal(layer.shift, was.shift)
    several = {layer.name for layer in back.layers if layer.thresholds > 1}
    assert bool(several) == (bits_of > 1)
    assert sum(layer.shared for layer in back.layers) == (4 if bits_of > 1 else 0)


def test_shared_weights_must_stand_once_in_an_image():
    """One for all bits of a value: an image is as much smaller. A filter whose weights differ has all of them."""
    shape, window = Shape(1, 1, 96), Window((1, 1))
    weights = np.tile(np.array([1, -1] * 16, dtype=np.int8), (5, 1, 1, 3))
    other = weights.copy()
    other[4, 0, 0, 95] *= -1
    for filters, words in ((weights, 1), (other, 3)):
        conv = BinaryConv(shape, filters, window, in_thresholds=3)
        input_spec = InputSpec(shape)
        ones = np.ones((96, 1, 1, 96), dtype=np.int8)
        first = IntegerLayer("", InputConv(shape, ones, window, input_spec), BatchShift(np.zeros(96)))
        last = IntegerLayer("", conv, Scores(np.ones(5), np.zeros(5)))
        packed = pack(IntegerNetwork("", input_spec, (first, last)))
        assert packed.layers[1].weights is not None
        assert packed.layers[1].weights.shape == (5, words)
        assert packed.layers[1].bound == 96
        assert np.array_equal(unpack(decode(Image.of(packed).data)).layers[1].accumulation.weights, filters)


@pytest.mark.parametrize("seed", range(12))
def test_plan_must_size_the_arena_as_the_c_library_does(seed):
    network = packed(seed)
    assert default_plan(network).arena_bytes == HostEngine(network).arena_size


@pytest.mark.parametrize("seed", range(4))
def test_kept_maps_must_not_share_memory_while_they_are_needed(seed):
    network = every_kind(seed, 8)
    arena = arrange(network)
    maps = zip(arena.pinned, network.layers, strict=True)
    kept = [(at, at + 4 * layer.map_words, i) for i, (at, layer) in enumerate(maps) if at is not None]
    assert len(kept) > 8
    for begin, end, index in kept:
        assert begin % 4 == 0
        assert end <= arena.pinned_bytes
        for other, its_end, later in kept:
            assert not (index < later <= arena.last[index]) or other >= end or begin >= its_end
    assert arena.pinned_bytes < sum(end - begin for begin, end, _ in kept)


def long_residual(blocks: int) -> PackedNetwork:
    """A network of as many layers as an image can have, with a sum in every second one."""
    input_spec = InputSpec(Shape(2, 2, 1), "uint8", 128)
    ones = np.ones((1, 1, 1, 1), dtype=np.int8)
    window = Window((1, 1))
    first = InputConv(input_spec.shape, ones, window, input_spec)
    layers = [IntegerLayer("first", first, BatchShift(np.zeros(1)))]
    for block in range(blocks):
        conv = BinaryConv(Shape(2, 2, 1), ones, window)
        layers.append(IntegerLayer(f"conv{block}", conv, Integers()))
        both = Sum((Map(conv.target, layers[-1].output_map(False).type, 1), Map(conv.target)))
        layers.append(IntegerLayer(f"sum{block}", both, BatchShift(np.zeros(1)), sources=(2 * block + 1, 2 * block)))
    last = BinaryConv(Shape(2, 2, 1), np.ones((3, 2, 2, 1), dtype=np.int8), Window((2, 2)))
    layers.append(IntegerLayer("scores", last, Scores(np.ones(3), np.arange(3))))
    return pack(IntegerNetwork("long", input_spec, tuple(layers)))


def test_largest_number_of_layers_must_be_read_and_run():
    network = long_residual(511)
    assert len(network.layers) == 1024
    assert Image.of(decode(Image.of(network).data)).data == Image.of(network).data
    images = random_images(network.input_spec, 2, 0)
    assert np.array_equal(HostEngine(network).scores(images), run_packed(network, images).scores)
    with pytest.raises(InputError, match="1026 layers, more than"):
        Image.of(long_residual(512))


@pytest.mark.parametrize("count", [0, 1, 64, 67, 68, 400])
def test_decode_must_refuse_noise(count):
    with pytest.raises(ImageError):
        decode(np.random.default_rng(count).bytes(count))
