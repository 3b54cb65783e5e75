"""Plans that bf_open must refuse: one for every check that plan.c makes, and those that it must leave alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from tests.c.planned import KERNELS, plan_of, planned_network, wide_network

from bitflow.image.bfn import Image
from bitflow.planner import plan_format
from bitflow.planner.kernels.spec import Kernel

__all__ = ["CHOICE", "HEADER", "ignored", "plan_cases", "with_plan_crc"]

Change = Callable[[bytearray], None]

# Byte offsets of fields, as SPEC.md gives them; format characters as `struct` has them.
HEADER = {
    "magic": (0, "I"), "version": (4, "H"), "lane_words": (6, "H"), "size": (8, "I"), "image": (12, "I"),
    "layer_count": (16, "I"), "reserved0": (20, "I"), "reserved1": (24, "I"), "reserved2": (28, "I"),
}  # fmt: skip
CHOICE = {"kernel": 0, "memory": 4, "data": 8, "size": 12}
HEADER_BYTES, CHOICE_BYTES = 32, 16
_NAMES = list(KERNELS)
_DATA = HEADER_BYTES + CHOICE_BYTES * len(_NAMES)
_RECORD = 12  # of a quad where all lanes have the same limits: four rows, the start, three limits
_FIRST_LIMIT = 0x8000


def with_plan_crc(plan: bytearray) -> bytes:
    """The plan with its CRC repaired."""
    plan[-4:] = zlib.crc32(plan[:-4]).to_bytes(4, "little")
    return bytes(plan)


def header(**values: int) -> Change:
    """Set header fields."""

    def change(plan: bytearray) -> None:
        for name, value in values.items():
            at, kind = HEADER[name]
            struct.pack_into("<" + kind, plan, at, value)

    return change


def _at(name: str, key: str) -> int:
    return HEADER_BYTES + CHOICE_BYTES * _NAMES.index(name) + CHOICE[key]


def chosen(plan: bytes, name: str, key: str) -> int:
    """A field of what a layer has."""
    return int(struct.unpack_from("<I", plan, _at(name, key))[0])


def choice(name: str, /, **values: int) -> Change:
    """Set fields of what a layer has."""

    def change(plan: bytearray) -> None:
        for key, value in values.items():
            struct.pack_into("<I", plan, _at(name, key), value)

    return change


def more(name: str, key: str, by: int) -> Change:
    """Add to a field of what a layer has."""

    def change(plan: bytearray) -> None:
        choice(name, **{key: chosen(plan, name, key) + by})(plan)

    return change


def data(name: str, at: int, kind: str, value: int) -> Change:
    """Set a number of a layer's data. at: below 0, from its end."""

    def change(plan: bytearray) -> None:
        end = chosen(plan, name, "size") if at < 0 else 0
        struct.pack_into("<" + kind, plan, chosen(plan, name, "data") + end + at, value)

    return change


def lists(name: str) -> int:
    """Where the lists of a layer with limits for all lanes begin in its data."""
    network = planned_network()
    return _RECORD * (network.layers[_NAMES.index(name)].target.channels // 4)


def filled(name: str) -> Change:
    """The first pattern of the first list has a plane instead of each filler."""

    def change(plan: bytearray) -> None:
        at = chosen(plan, name, "data") + lists(name)
        for _ in range(8):
            runs = struct.unpack_from("<H", plan, at)[0]
            for k in range(8 * runs):
                struct.pack_into("<H", plan, at + 2 + 2 * k, 0)
            at += 2 + 16 * runs

    return change


def shortened(size: int) -> Change:
    """Cut off at so many bytes; the header says so."""

    def change(plan: bytearray) -> None:
        del plan[size:]
        header(size=size)(plan)

    return change


def all_data(name: str) -> Change:
    """A layer has the data of all."""

    def change(plan: bytearray) -> None:
        choice(name, data=_DATA, size=len(plan) - 4 - _DATA)(plan)

    return change


def both(*changes: Change) -> Change:
    def change(plan: bytearray) -> None:
        for each in changes:
            each(plan)

    return change


CHANGES: list[tuple[str, Change]] = [
    # The plan.
    ("size of the plan", header(size=1 << 30)),
    ("plan of another image", header(image=1)),
    ("layers of the plan", header(layer_count=8)),
    ("no room for choices", both(shortened(36 + CHOICE_BYTES), header(layer_count=9))),
    ("reserved in the plan", header(reserved2=1)),
    # A choice.
    ("kernel that there is not", choice("exact", kernel=11)),
    ("kernel of another kind", choice("exact", kernel=Kernel.INPUT_PLAIN)),
    ("kernel that does not cover the layer", choice("odd", kernel=Kernel.PATTERNS_16)),
    ("memory of a kernel that needs none", choice("exact", memory=4)),
    ("tables of more values than there are", choice("first", memory=6)),
    ("memory beyond all", choice("made", memory=(1 << 28) + 1)),
    ("offset of no data", choice("odd", data=_DATA)),
    ("data for a kernel that wants none", choice("first", data=_DATA, size=4)),
    ("no data for a kernel that wants some", choice("exact", data=0, size=0)),
    ("data on odd bytes", more("exact", "data", 2)),
    ("data in the choices", more("exact", "data", -4)),
    ("data outside", choice("exact", data=1 << 31)),
    ("data of odd size", more("exact", "size", 2)),
    ("data beyond the end", choice("exact", size=1 << 30)),
    ("data that layers share", all_data("exact")),
    # Set bits.
    ("planes of other filters", more("set bits", "size", -4)),
    ("filler that is no plane of zeros", data("set bits", -4, "I", 1)),
    # Lists that are made.
    ("sizes of other quads", more("made", "size", -4)),
    ("filter that is made and is not there", data("made", 1, "B", 8)),
    ("pattern of another size", data("made", 4, "H", 1000)),
    ("pattern at the end of another size", data("made", -2, "H", 0xFFFF)),
    # Records.
    ("no room for records", choice("plain", size=_RECORD)),
    ("filter that is not there", data("plain", 3, "B", 8)),
    ("filter of the second quad that is not there", data("plain", _RECORD, "B", 8)),
    ("start that overflows", data("plain", 4, "H", 4096 - 8 * 9)),
    ("limit of the first filter", data("plain", 4, "H", _FIRST_LIMIT + 8 * 9 + 2)),
    ("threshold that is not there", data("plain", 4, "H", 1 << 13)),
    ("limit of more bits", data("plain", 10, "H", 256)),
    ("limit where lanes have their own", data("exact", 6, "H", 1)),
    ("start where lanes have their own", data("exact", 4, "H", 1)),
    ("limit of lanes of more bits", data("exact", 12 + 4 * 4, "I", 1 << 24)),
    ("bits above five planes", data("exact", 12, "I", 1 << 30)),
    ("bits of planes that are not there", data("exact", 12 + 4 * 11, "I", 1)),
    # Lists.
    ("no room for lists", choice("plain", size=2 * _RECORD)),
    ("runs beyond the end", data("plain", 2 * _RECORD, "H", 0xFFFF)),
    ("entry between two planes", data("plain", 2 * _RECORD + 2, "H", 2)),
    ("entry that is no plane", data("plain", 2 * _RECORD + 2, "H", 0xFFFC)),
    ("more inputs than there are", filled("plain")),
    ("runs of bytes beyond the end", data("bytes", 2 * _RECORD, "B", 255)),
    ("runs of 16 bits behind bytes beyond the end", data("bytes", 2 * _RECORD + 1, "B", 255)),
    ("bytes that lead to no plane", data("bytes", 2 * _RECORD, "H", 26)),
]


def starts_below(first: int) -> Change:
    """Lanes that start anywhere below 2^12, beside more than 2^11 inputs. first: of the record."""

    def change(plan: bytearray) -> None:
        struct.pack_into("<H", plan, HEADER_BYTES + 3 * CHOICE_BYTES + 4, first)

    return change


def _with(found: bytes, change: Change) -> bytes:
    plan = bytearray(found)
    change(plan)
    return with_plan_crc(plan)


def plan_cases() -> Iterator[tuple[str, bytes, str]]:
    """(name, image with a plan, name of the status without BF_ERR_)."""
    network = planned_network()
    own, plan = Image.of(network).data, plan_format.encode(network, plan_of(network, 1))
    for name, change in CHANGES:
        yield name, own + _with(plan, change), "PLAN"
    yield "damaged plan", own + plan[:-1] + bytes([plan[-1] ^ 1]), "PLAN"
    yield "something else behind an image", own + _with(plan, header(magic=0)), "HEADER"
    yield "plan of odd size", own + plan + b"\0\0", "HEADER"
    yield "plan without a header", own + plan[:32], "HEADER"
    yield "damaged image before a plan", own[:-1] + bytes([own[-1] ^ 1]) + plan, "CRC"
    wide = wide_network()
    plan = plan_format.encode(wide, plan_of(wide, 1, {"exact": Kernel.PATTERNS_16}))
    yield "lanes that start where they overflow", Image.of(wide).data + _with(plan, starts_below(0)), "PLAN"


def ignored() -> Iterator[tuple[str, bytes]]:
    """Plans for others: whatever they hold, the library goes without."""
    network = planned_network()
    plan = plan_format.encode(network, plan_of(network, 1))
    for name, change in (
        ("other version", header(version=2)),
        ("other lanes", header(lane_words=2)),
        ("other lanes and other kernels", both(header(lane_words=3), choice("exact", kernel=99))),
    ):
        yield name, Image.of(network).data + _with(plan, change)
    yield "lanes of 128 bits", Image.of(network).data + plan_format.encode(network, plan_of(network, 4))
