"""Walls of the C code: no two files need each other, one header knows the core, and C++ compilers take the library."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.c.compiling import sources

from bitflow import resources

LIBRARY = resources.c_library()
FOLDERS = {"library": LIBRARY, "firmware": resources.firmware() / "src", "module": resources.mpy_module()}
# Boards fill in the functions of these headers: a call goes to the header, not to a board's file.
INTERFACES = {"firmware/board", "firmware/boards/stm32"}
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
FUNCTION = re.compile(
    r"^(?!static|BF_COLD static|typedef|#|\s|\}|extern)[A-Za-z_][^;={]*?\b(\w+)\([^;{]*\) \{$", re.MULTILINE
)
OBJECT = re.compile(
    r"^(?!static|typedef|extern)(?:const )?\w+ \**(?:const )?(\w+)(?:\[[^\]]*\])?(?: = .*|;)$", re.MULTILINE
)
OWN = re.compile(r"^(?:BF_COLD )?static [^;={]*?\b(\w+)\(", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
CORE = re.compile(r"__ARM_|__arm__|__thumb__|__riscv|__aarch64__|__x86_64__|__i386__")


def files(where: str) -> list[Path]:
    return sorted(path for path in FOLDERS[where].rglob("*") if path.suffix in {".c", ".h", ".cpp", ".S"})


def unit(where: str, path: Path) -> str:
    """A file and its header are one: `firmware/network` is network.c and network.h."""
    return f"{where}/{path.relative_to(FOLDERS[where]).with_suffix('')}"


def includes(where: str, path: Path) -> Iterator[str]:
    """Units of the files that one includes and that are ours."""
    for name in INCLUDE.findall(path.read_text()):
        for folder in (path.parent, FOLDERS[where], LIBRARY / "include"):
            found = (folder / name).resolve()
            if found.is_file():
                yield unit("library" if found.is_relative_to(LIBRARY) else where, found)
                break


def needs(where: str) -> dict[str, set[str]]:
    """Which units a unit needs: what it includes, and who defines what its C calls."""
    text = {path: COMMENT.sub("", path.read_text()) for path in files(where)}
    defined: dict[str, set[str]] = {}
    for path, code in text.items():
        if path.suffix == ".c":
            for name in {*FUNCTION.findall(code), *OBJECT.findall(code)}:
                defined.setdefault(name, set()).add(unit(where, path))
    for interface in INTERFACES:
        header = (FOLDERS["firmware"] / interface.partition("/")[2]).with_suffix(".h")
        for name in re.findall(r"\b(\w+)\(", COMMENT.sub("", header.read_text())):
            defined[name] = {interface}
    found: dict[str, set[str]] = {}
    for path, code in text.items():
        own = unit(where, path)
        found.setdefault(own, set()).update(includes(where, path))
        if path.suffix == ".c":
            names = set(re.findall(r"\b[A-Za-z_]\w*\b", code)) - set(OWN.findall(code))
            for name in names & defined.keys():
                if own not in defined[name]:
                    found[own] |= defined[name]
        found[own].discard(own)
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Units that need each other, one after the other; none: []."""
    done: set[str] = set()

    def walk(here: str, path: list[str]) -> list[str]:
        if here in path:
            return [*path[path.index(here) :], here]
        if here not in done:
            for there in sorted(graph.get(here, ())):
                if found := walk(there, [*path, here]):
                    return found
            done.add(here)
        return []

    return next((found for start in sorted(graph) if (found := walk(start, []))), [])


@pytest.mark.parametrize("where", FOLDERS)
def test_no_two_files_must_need_each_other(where: str) -> None:
    graph = needs(where)
    found = circle(graph)
    print(f"{where}: {len(graph)} units, {sum(map(len, graph.values()))} needs, circle: {found or 'none'}")
    assert found == []


def test_circle_must_be_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_needs_must_be_seen() -> None:
    found = needs("library")
    assert "library/src/run/layer" in found["library/src/run/job"], "it includes its header"
    assert "library/src/generic/add_lists16" in found["library/src/kernels/conv_set_bits"], "it calls it"


def test_port_header_alone_must_know_the_core() -> None:
    knowing = [path.name for path in files("library") if CORE.search(COMMENT.sub("", path.read_text()))]
    assert knowing == ["bitflow_port.h"]


def test_each_folder_must_be_small_and_no_two_sources_of_one_name() -> None:
    counts: dict[str, int] = {}
    for path in files("library"):
        counts[path.parent.name] = counts.get(path.parent.name, 0) + 1
    assert max(counts.values()) <= 15, counts
    names = [path.stem for path in files("library") if path.suffix != ".h"]
    assert len(names) == len(set(names))  # objects of some builds lie in one folder


HEADERS = [str(path) for path in files("library") if path.suffix == ".h" and path.parent.name != "arm"]
COMPILERS = {
    "c++": ("g++", "-std=c++17", "-x", "c++", "-Wall", "-Wextra", "-Werror"),
    "c": ("gcc", "-std=c99", "-x", "c", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
}


@pytest.mark.parametrize("lane_words", [1, 4])
@pytest.mark.parametrize("language", COMPILERS)
def test_every_source_and_header_must_compile_for_itself(tmp_path: Path, language: str, lane_words: int) -> None:
    for number, header in enumerate(HEADERS):
        (tmp_path / f"header{number}.c").write_text(f'#include "{header}"\n')
    own = [*sources(), *map(str, sorted(tmp_path.glob("*.c")))]
    flags = (*COMPILERS[language], "-fsyntax-only", f"-I{LIBRARY / 'include'}", f"-DBF_LANE_WORDS={lane_words}")
    done = subprocess.run([*flags, *own], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_int_of_16_bits_must_be_refused(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include "bitflow_port.h"\n')
    flags = ("gcc", "-fsyntax-only", "-U__INT_MAX__", "-D__INT_MAX__=32767", f"-I{LIBRARY / 'include'}")
    done = subprocess.run([*flags, tmp_path / "main.c"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "BitFlow needs an int of at least 32 bits" in done.stderr
