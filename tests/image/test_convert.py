"""Images of version 2 are read as what they were, and `bitflow convert` writes the same network anew."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.c.every_kind import every_kind

from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.errors import ImageError
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.image.bfn import Image, load, load_any
from bitflow.image.convert import decode_any
from bitflow.image.format import HEADER, MAX_LAYERS, RECORD
from bitflow.image.read import decode
from bitflow.ir import BatchShift, BinaryDense, InputConv, IntegerLayer, IntegerNetwork, PackedNetwork, Scores
from bitflow.lower.pack import pack

ROOT = Path(__file__).parents[2]
# Those that version 2 could hold.
KEPT = [
    path for path in sorted((ROOT / "bench").glob("*.bfn")) if all(layer.thresholds == 1 for layer in load(path).layers)
]
THRESHOLDS, IN_THRESHOLDS, FLAGS = 43, 54, 55  # bytes of a record that version 2 kept at 0
LAST_READER, SHIFT = 52, 68


def with_crc(data: bytearray) -> bytes:
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    return bytes(data)


def of_version_2(network: PackedNetwork) -> bytearray:
    """The image that version 2 had of a network."""
    data = bytearray(Image.of(network).data)
    data[4] = 2
    for index in range(len(network.layers)):
        at = HEADER.size + RECORD.size * index
        assert (data[at + THRESHOLDS], data[at + IN_THRESHOLDS], data[at + FLAGS]) == (1, 1, 0)
        data[at + THRESHOLDS] = data[at + IN_THRESHOLDS] = 0
    return bytearray(with_crc(data))


def simple(seed: int) -> PackedNetwork:
    """Every kind of layer and source that version 2 could hold."""
    return every_kind(seed, 4, bits_of=1)


def test_an_image_of_version_2_must_be_made_as_it_was() -> None:
    """What these tests call one is one: the file of this network had this CRC when version 2 was written."""
    assert zlib.crc32(of_version_2(load(ROOT / "bench" / "mnist-lenet.bfn"))[:-4]) == 0x96EE6FD8


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_networks_must_come_back_with_the_same_bytes(path: Path) -> None:
    assert Image.of(decode_any(bytes(of_version_2(load(path))))).data == path.read_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_a_converted_network_must_be_equal_in_all_but_its_version(seed: int) -> None:
    network = simple(seed)
    old = bytes(of_version_2(network))
    with pytest.raises(ImageError, match=r"version 2, this BitFlow reads 3: `bitflow convert`"):
        decode(old)
    found = decode_any(old)
    assert Image.of(found).data == Image.of(network).data
    assert all(layer.thresholds == layer.in_thresholds == 1 and not layer.shared for layer in found.layers)
    assert not found.approximate
    images = random_images(network.input_spec, 4, seed)
    assert np.array_equal(run_packed(found, images).scores, run_packed(network, images).scores)


def test_an_image_of_this_version_must_be_read_as_it_is() -> None:
    network = every_kind(0)
    assert Image.of(decode_any(Image.of(network).data)).data == Image.of(network).data


def test_arrays_that_share_bytes_with_records_must_be_what_they_were() -> None:
    """Nobody forbids it. If the records were changed first and read then, the array would be another one."""
    input_spec, ones = InputSpec(Shape(1, 1, 1)), np.ones((2, 1, 1, 1), dtype=np.int8)
    first = IntegerLayer("", InputConv(input_spec.shape, ones[:1], Window((1, 1)), input_spec), BatchShift(np.zeros(1)))
    last = IntegerLayer("", BinaryDense(input_spec.shape, ones), Scores(np.ones(2), np.arange(2)))
    data = of_version_2(pack(IntegerNetwork("", input_spec, (first, last))))
    struct.pack_into("<I", data, HEADER.size + SHIFT, HEADER.size + LAST_READER)
    found = decode_any(with_crc(data)).layers[0].shift
    assert found is not None
    assert found.tolist() == [1]


Change = Callable[[bytearray], None]


def byte(at: int, value: int) -> Change:
    def change(data: bytearray) -> None:
        data[at] = value

    return change


def words(at: int, *values: int) -> Change:
    def change(data: bytearray) -> None:
        struct.pack_into(f"<{len(values)}I", data, at, *values)

    return change


LAST = HEADER.size + RECORD.size * (len(simple(0).layers) - 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (byte(4, 1), "version 1, this BitFlow reads 3: it is too old"),
        (byte(4, 4), "version 4, this BitFlow reads 3: it needs a newer BitFlow"),
        (byte(5, 1), "version 258, .* newer BitFlow"),
        (byte(6, 1), "reserved fields are set"),  # it would be `approximate`
        (words(52, 64), "reserved fields are set"),  # it would be a table
        (byte(HEADER.size + THRESHOLDS, 1), "reserved fields are set"),
        (byte(LAST + THRESHOLDS, 2), "reserved fields are set"),
        (byte(LAST + IN_THRESHOLDS, 1), "reserved fields are set"),
        (byte(LAST + FLAGS, 1), "reserved fields are set"),
        (byte(LAST + FLAGS, 2), "reserved fields are set"),
        (words(12, 0), "layers or classes"),
        (words(12, MAX_LAYERS + 1), "layers or classes"),
        (words(12, MAX_LAYERS), "an offset leads outside"),
        (words(12, 0xFFFFFFFF, 0xFFFFFFFF), "layers or classes"),
        (words(16, 66), "an offset leads outside"),
        (words(16, 0xFFFFFFFC), "an offset leads outside"),
        (words(16, 0), "an offset leads outside"),
        (words(8, 1 << 30), "cut short"),
    ],
)
def test_a_hostile_image_of_version_2_must_be_refused_in_one_line(change: Change, reason: str) -> None:
    data = of_version_2(simple(0))
    change(data)
    with pytest.raises(ImageError, match=reason) as caught:
        decode_any(with_crc(data))
    assert "\n" not in str(caught.value)


def test_a_damaged_image_of_version_2_must_be_called_damaged() -> None:
    data = of_version_2(simple(0))
    for at in (6, 52, HEADER.size + THRESHOLDS, len(data) - 1):
        changed = bytearray(data)
        changed[at] ^= 0x10
        with pytest.raises(ImageError, match="CRC-32"):
            decode_any(bytes(changed))


def test_a_sum_of_the_bits_of_values_must_be_refused_in_version_2() -> None:
    """It was no sum then: the sources had another shape."""
    network = every_kind(0, 4, bits_of=2)
    data = bytearray(Image.of(network).data)
    data[4] = 2
    for index in range(len(network.layers)):
        at = HEADER.size + RECORD.size * index
        data[at + THRESHOLDS] = data[at + IN_THRESHOLDS] = data[at + FLAGS] = 0
    with pytest.raises(ImageError):
        decode_any(with_crc(data))


@settings(max_examples=100)
@given(st.data())
def test_any_changed_image_of_version_2_must_be_read_or_refused(data: st.DataObject) -> None:
    """What is read can be written, and is then read by everybody."""
    changed = of_version_2(simple(0))
    places = st.integers(4, HEADER.size + RECORD.size * len(simple(0).layers) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=3)):
        changed[at] = value
    try:
        found = decode_any(with_crc(changed))
    except ImageError as error:
        assert "\n" not in str(error)
    else:
        assert Image.of(decode(Image.of(found).data)).data == Image.of(found).data


def test_load_any_must_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.bfn"
    path.write_bytes(of_version_2(simple(1))[:-8])
    with pytest.raises(ImageError, match="cut short") as caught:
        load_any(path)
    assert str(path) in str(caught.value)
