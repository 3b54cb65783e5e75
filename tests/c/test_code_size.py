"""What a network links of the C library: no more than its plan counts, and not much less, on any core."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.c.compiling import WARNINGS, library_objects
from tests.c.every_kind import every_kind
from tests.c.planned import plan_of, planned_network

from bitflow import resources
from bitflow.cores import core_of
from bitflow.emit.codegen import render_model
from bitflow.image.bfn import load
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format
from bitflow.planner.code_size import CODE_PARTS, code_bytes
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan, default_plan

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
COLUMN = {"v6m": 0, "v7m": 1, "mve": 2}  # of CodePart.bytes
HARD = {False: (), True: ("-mfloat-abi=hard",)}  # without it no MVE
SYMBOLS = [symbol for spec in KERNELS.values() for symbol in spec.symbols]
ROOM = 300  # bytes that the count may be above the largest core's, or a tenth of it
SECTION = re.compile(r"^ (\.(?:text|rodata)[\w.$]*)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+)", re.MULTILINE)
EMPTY = "int main(void);\nint main(void) {\n    return 0;\n}\n"


class Linker:
    """The C library compiled for a core, and programs of it."""

    def __init__(self, cpu: str, folder: Path) -> None:
        self.folder = folder
        flags = ("-mthumb", f"-mcpu={cpu}", *HARD[cpu == "cortex-m55"], "-O2", "-ffunction-sections", "-fdata-sections")
        self.command = ("arm-none-eabi-gcc", *flags, *WARNINGS, f"-I{resources.c_library() / 'include'}", f"-I{folder}")
        self.objects = [Path(path) for path in library_objects(("arm-none-eabi-gcc", *flags))]
        self.empty = self._size(EMPTY, [])

    def _size(self, main: str, objects: list[Path], *files: str) -> int:
        (self.folder / "main.c").write_text(main)
        linked = self.folder / "linked"
        flags = ("-Wl,--gc-sections", "--specs=nosys.specs", f"-Wl,-Map={self.folder / 'map'}", "-Wl,--no-warnings")
        command = [*self.command, *flags, "main.c", *files, *objects, "-o", linked]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)
        output = subprocess.run(["arm-none-eabi-size", linked], capture_output=True, text=True, check=True).stdout
        return int(output.splitlines()[1].split()[0])

    def program(self, main: str, *files: str) -> int:
        """Code and constants of a program, without those of one that does nothing."""
        return self._size(main, self.objects, *files) - self.empty

    def kernels(self, symbols: Iterable[str]) -> int:
        """Of a program that runs any network with these kernels."""
        table = ", ".join(f"&{symbol}" for symbol in symbols)
        return self.program(
            '#include "bitflow.h"\nextern bf_model m;\nbf_model m;\nextern uint32_t a[];\nuint32_t a[9];\n'
            f"static const bf_kernel *const table[BF_KERNELS] = {{{table}}};\nint main(void);\n"
            "int main(void) {\n    m.kernels = table;\n"
            "    return bf_run(&m, a, (int32_t *)(void *)a, a, sizeof a);\n}\n"
        )

    def sections(self) -> dict[tuple[str, str], int]:
        """Of the last program, sections of the library and of the compiler's: (object, name) -> bytes."""
        own = {str(path) for path in self.objects}
        text = (self.folder / "map").read_text().partition("Linker script and memory map")[2]
        return {
            (Path(file).name, name): int(size, 16)
            for name, size, file in SECTION.findall(text)
            if (file in own or "libgcc" in file) and int(size, 16)
        }


@pytest.fixture(scope="module")
def linkers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Linker]:
    return {cpu: Linker(cpu, tmp_path_factory.mktemp(cpu)) for cpu in CORES}


def parts_of(linker: Linker) -> dict[str, int]:
    """Bytes of each part: a section belongs to the part with the fewest kernels that has all that need the section."""
    needed: dict[tuple[str, str], set[str]] = defaultdict(set)
    size: dict[tuple[str, str], int] = {}
    for symbol in SYMBOLS:
        linker.kernels([symbol])
        for section, found in linker.sections().items():
            needed[section].add(symbol)
            size[section] = found
    parts = dict.fromkeys((part.name for part in CODE_PARTS), 0)
    for section, symbols in needed.items():
        own = min((part for part in CODE_PARTS if symbols <= part.symbols), key=lambda part: len(part.symbols))
        parts[own.name] += size[section]
    return parts


def compare(what: str, most: int, measured: dict[str, int]) -> None:
    """An upper bound on every core, and near to the largest."""
    print(f"{what}: {most} counted, {measured}")
    largest = max(measured.values())
    assert largest <= most, what
    assert most <= max(largest + ROOM, largest * 1.1), what


@pytest.mark.long
def test_each_part_of_the_code_must_be_as_large_as_counted(linkers):
    found = {cpu: parts_of(linker) for cpu, linker in linkers.items()}
    largest = {part.name: [0, 0, 0] for part in CODE_PARTS}
    for cpu, parts in found.items():
        for name, size in parts.items():
            column = COLUMN[core_of(cpu).name]
            largest[name][column] = max(largest[name][column], size)
    for part in CODE_PARTS:
        print(f"{part.name}: measured {largest[part.name]}, counted {list(part.bytes)}")
    for part in CODE_PARTS:
        assert all(size <= most for size, most in zip(largest[part.name], part.bytes, strict=True)), part.name


SETS = [
    *(pytest.param((symbol,), marks=pytest.mark.long) for symbol in SYMBOLS),
    tuple(spec.symbol for spec in KERNELS.values()),
    ("bf_input_sums", "bf_conv_patterns_16", "bf_conv_plain"),
    ("bf_input_sums", "bf_conv_patterns_8", "bf_conv_set_bits", "bf_conv_plain"),
    ("bf_input_sums", "bf_conv_patterns_1", "bf_conv_plain"),
    ("bf_input_sums_lite", "bf_conv_patterns_16_lite", "bf_conv_plain_lite"),
    ("bf_input_sums_lite", "bf_conv_patterns_8_lite", "bf_conv_plain_lite"),
    ("bf_input_sums_lite", "bf_conv_patterns_8", "bf_conv_plain"),
    ("bf_input_sums", "bf_conv_patterns_8_lite", "bf_conv_set_bits", "bf_conv_plain_lite"),
    ("bf_input_sums_lite", "bf_conv_patterns_1_lite", "bf_conv_plain_lite"),
    ("bf_input_conv_plain", "bf_conv_plain"),
]


@pytest.mark.parametrize("symbols", SETS, ids=lambda symbols: " ".join(s.removeprefix("bf_") for s in symbols))
def test_kernels_must_link_what_is_counted_for_their_parts(linkers, symbols):
    measured = {cpu: linker.kernels(symbols) for cpu, linker in linkers.items()}
    compare(", ".join(symbols), code_bytes(symbols), measured)


def generated(linker: Linker, network: PackedNetwork, plan: Plan | None) -> int:
    """Library code that a generated network links."""
    for name, text in render_model(network, "net", plan).items():
        (linker.folder / name).write_text(text)
    main = (
        '#include "net.h"\nextern int32_t s[];\nint32_t s[NET_CLASSES];\nextern uint32_t a[];\n'
        "uint32_t a[NET_ARENA_WORDS];\nint main(void);\n"
        "int main(void) {\n    return bf_run(&net_model, s, s, a, sizeof a);\n}\n"
    )
    size = linker.program(main, "net.c")
    data = int(re.search(r"sizeof\(image\) == (\d+)u", (linker.folder / "net.c").read_text())[1])
    return size - data - (plan_format.size(network, plan) if plan else 0)


NETWORKS = {"digits": load(resources.builtin_model("digits")), "every kind": every_kind(1)}


@pytest.mark.parametrize("which", NETWORKS)
def test_generated_network_must_link_what_its_plan_counts(linkers, which):
    network = NETWORKS[which]
    measured = {cpu: generated(linker, network, None) for cpu, linker in linkers.items()}
    compare(which, default_plan(network).code_bytes, measured)


def test_generated_network_with_a_plan_must_link_what_it_counts(linkers):
    network = planned_network()
    plans = {cpu: plan_of(network, core_of(cpu).lane_words) for cpu in linkers}
    measured = {cpu: generated(linker, network, plans[cpu]) for cpu, linker in linkers.items()}
    compare("planned", plans["cortex-m4"].code_bytes, measured)
