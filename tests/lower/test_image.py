"""A `.bfn` comes back as it went, is canonical, and anything that is not one is refused with its reason."""

import ctypes
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitflow.check.host import library
from bitflow.check.random_networks import random_network
from bitflow.errors import ImageError, InputError
from bitflow.lower import image
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack, unpack


def packed(seed: int):
    return pack(fuse(random_network(seed)))


def with_crc(data: bytearray) -> bytes:
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    return bytes(data)


def c_accepts(data: bytes) -> bool:
    words = np.zeros((len(data) + 3) // 4, dtype=np.uint32)
    words.view(np.uint8)[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return bool(library().bitflow_host_open(words.ctypes.data_as(ctypes.c_void_p), len(data)) >= 0)


@pytest.mark.parametrize("seed", range(12))
def test_decode_must_undo_encode_and_unpack_must_undo_pack(seed):
    network = packed(seed)
    data = image.encode(network)
    back = image.decode(data)
    assert image.encode(back) == data
    assert image.encode(pack(unpack(back))) == data
    assert (back.name, back.labels, back.contract) == (network.name, network.labels, network.contract)
    assert image.crc32(back) == zlib.crc32(data[:-4])


def test_save_must_leave_nothing_half_written(tmp_path):
    network = packed(0)
    path = tmp_path / "a model.bfn"
    image.save(network, path)
    assert image.encode(image.load(path)) == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["a model.bfn"]
    with pytest.raises(InputError, match="cannot write"):
        image.save(network, tmp_path / "absent" / "x.bfn")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d[:40], "too short"),
        (lambda d: d[:-8], "cut short"),
        (lambda d: b"XXXX" + d[4:], "not a .bfn"),
        (lambda d: d[:4] + b"\x02\x00" + d[6:], "version 2, this BitFlow reads 1"),
        (lambda d: d[:70] + bytes([d[70] ^ 1]) + d[71:], "CRC-32"),
        (lambda d: d + bytes(4), "size contradicts"),
    ],
)
def test_load_must_name_the_file_and_the_reason(tmp_path, change, reason):
    path = tmp_path / "x.bfn"
    path.write_bytes(change(image.encode(packed(1))))
    with pytest.raises(ImageError, match=reason) as caught:
        image.load(path)
    assert str(path) in str(caught.value)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 5), st.data())
def test_decode_and_bf_open_must_accept_and_refuse_the_same(seed, data):
    """Bytes of header and records are changed and the CRC repaired: only the checks themselves stand in the way."""
    original = image.encode(packed(seed))
    changed = bytearray(original)
    limit = 64 + 64 * 5
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, limit - 1), st.integers(0, 255)), max_size=3)):
        changed[at] = value
    hostile = with_crc(changed)
    try:
        image.decode(hostile)
        accepted = True
    except ImageError:
        accepted = False
    assert accepted == c_accepts(hostile)


@pytest.mark.parametrize("count", [0, 1, 64, 67, 68, 400])
def test_decode_must_refuse_noise(count):
    with pytest.raises(ImageError):
        image.decode(np.random.default_rng(count).bytes(count))
