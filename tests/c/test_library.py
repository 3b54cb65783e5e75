"""The C library: one unit test natively, with sanitizers and on emulated cores; hostile images; the fuzzer."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.c import fuzzing, hostile
from tests.c.compiling import HERE, SANITIZERS, arm_sources, compile_c, run_emulated, sources
from tests.c.every_kind import every_kind

from bitflow import resources
from bitflow.emit.codegen import render_model
from bitflow.emit.text import rows
from bitflow.engines.host import library
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.errors import ImageError
from bitflow.image.read import decode
from bitflow.ir import PackedNetwork
from bitflow_hil.link.frames import status_text

ARM = ("arm-none-eabi-gcc", "-mthumb", "-O2", "--specs=rdimon.specs", "-Wl,--section-start=.vectors=0")
LIBGCC = ("__aeabi_", "__gnu_thumb1_case_")
STATUS = dict(re.findall(r"X\(BF_ERR_(\w+), (-\d+)", (resources.c_library() / "include" / "bitflow.h").read_text()))


@pytest.fixture(scope="module")
def golden(tmp_path_factory) -> Path:
    """A network with every kind of layer, source and output, with what every layer must give."""
    return written(every_kind(1, channels=34), tmp_path_factory.mktemp("golden"))


def written(found: PackedNetwork, folder: Path) -> Path:
    """The network under the name of golden, as C, with images and what they must give."""
    network = PackedNetwork("golden", found.input_spec, found.layers, found.labels, found.logits)
    images = random_images(network.input_spec, 4, seed=1)
    trace = run_packed(network, images)
    for name, text in render_model(network).items():
        (folder / name).write_text(text)
    hidden = np.concatenate([h.view(np.uint32).reshape(len(images), -1) for h in trace.hidden], axis=1)
    largest = max(h[0].size for h in trace.hidden)
    text = [
        f"#define GOLDEN_IMAGES {len(images)}u",
        f"#define GOLDEN_HIDDEN_WORDS {largest}u",
        f"static const uint8_t golden_images[][{images[0].size}] = {{",
        *("{" + " ".join(rows(i.reshape(-1).view(np.uint8), 1000)) + "}," for i in images),
        f"}};\nstatic const uint32_t golden_hidden[][{hidden.shape[1]}] = {{",
        *("{" + " ".join(rows(h, 1000)) + "}," for h in hidden),
        f"}};\nstatic const int32_t golden_scores[][{network.classes}] = {{",
        *("{" + " ".join(rows(s)) + "}," for s in trace.scores),
        "};",
    ]
    (folder / "golden_cases.h").write_text("\n".join(text) + "\n")
    return folder


@pytest.mark.parametrize(
    "compiler",
    [("gcc", "-O3"), ("gcc", "-O0", "-DBF_NO_BUILTINS"), ("gcc", *SANITIZERS), ("clang", *SANITIZERS)],
    ids=["gcc", "gcc-plain", "gcc-sanitized", "clang-sanitized"],
)
def test_library_must_hold_on_the_host(golden, tmp_path, compiler):
    compile_c(compiler, tmp_path / "unit", [*sources(), str(golden / "golden.c"), str(HERE / "unit.c")], golden)
    done = subprocess.run([tmp_path / "unit"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "0 failures\n"), done.stderr


@pytest.mark.parametrize(
    ("cpu", "machine"),
    [
        ("cortex-m0", "mps2-an385"),
        ("cortex-m3", "mps2-an385"),
        ("cortex-m4", "mps2-an386"),
        ("cortex-m7", "mps2-an500"),
    ],
)
def test_library_must_hold_on_an_emulated_core(golden, tmp_path, cpu, machine):
    elf = tmp_path / "unit.elf"
    files = [*arm_sources(), str(golden / "golden.c"), str(HERE / "unit.c"), str(HERE / "vectors.c")]
    compile_c((*ARM, f"-mcpu={cpu}"), elf, files, golden)
    assert run_emulated(elf, machine) == (0, "0 failures\n")


def test_library_must_need_no_libc_and_no_writable_memory(tmp_path):
    """Undefined symbols are libgcc's alone; .data and .bss are empty."""
    for cpu in ("cortex-m0", "cortex-m4", "cortex-m55"):
        linked = tmp_path / f"{cpu}.o"
        flags = ("-mthumb", f"-mcpu={cpu}", "-Os", "-r", "-nostdlib")
        compile_c(("arm-none-eabi-gcc", *flags), linked, arm_sources())
        undefined = subprocess.run(
            ["arm-none-eabi-nm", "-u", linked], capture_output=True, text=True, check=True
        ).stdout
        assert [s for s in undefined.split() if s != "U" and not s.startswith(LIBGCC)] == []
        assert not re.search(r"memcpy|memset|memmove", undefined)
        sizes = subprocess.run(["arm-none-eabi-size", linked], capture_output=True, text=True, check=True).stdout
        _, data, bss = (int(n) for n in sizes.splitlines()[1].split()[:3])
        assert (data, bss) == (0, 0)


KERNEL_PARTS = ("kernels", "patterns", "planes", "generic")
FOR_WIDE_MAPS = {"border.c", "pool_by_two.c"}  # the fuzzer's images are too small for some of their lines
KERNEL_FILES = {Path(path).name for path in sources() if Path(path).parent.name in KERNEL_PARTS} - FOR_WIDE_MAPS | {
    "plan.c"
}


def opened(data: bytes) -> int:
    words = np.zeros(len(data) // 4 + 1, dtype=np.uint32)
    words.view(np.uint8)[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    model = np.zeros(library().bitflow_host_model_size(), dtype=np.uint8)
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (model, words))
    return int(library().bitflow_host_open(*pointers, ctypes.c_size_t(len(data))))


@pytest.mark.parametrize(("data", "status"), [c[1:] for c in hostile.cases()], ids=[c[0] for c in hostile.cases()])
def test_hostile_image_must_be_refused_with_its_reason(data, status):
    assert opened(data) == int(STATUS[status])
    with pytest.raises(ImageError):
        decode(data)


def test_each_status_must_be_told_in_one_line_and_another_version_with_what_to_do():
    """A device has its own library, and the host's text of its status: which of both is older is not known."""
    text = (resources.c_library() / "include" / "bitflow.h").read_text()
    texts = dict(re.findall(r'X\(BF_(?:ERR_)?(\w+), -?\d+, "([^"\\]+)"\)', text))
    assert {"OK", *STATUS} <= set(texts)
    assert max(map(len, texts.values())) < 90
    assert "convert the image, or update this library" in texts["VERSION"]
    assert status_text(int(STATUS["VERSION"])) == texts["VERSION"]


@pytest.fixture(scope="module", params=[2_000, pytest.param(20_000, marks=pytest.mark.long)])
def fuzzed(request, tmp_path_factory) -> Path:
    """The fuzz target with sanitizers and coverage, run for a fixed number of images from a fixed seed."""
    folder = tmp_path_factory.mktemp("fuzz")
    fuzzing.write_seeds(folder / "seeds")
    fuzzing.build(folder / "fuzz", "-fprofile-instr-generate", "-fcoverage-mapping")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("LLVM_PROFILE_FILE", str(folder / "raw"))
    fuzzing.run(folder / "fuzz", folder / "seeds", request.param)
    monkeypatch.undo()
    return folder


def llvm(tool: str) -> str:
    """llvm-cov and llvm-profdata of the clang that is used: Debian names them with or without a version."""
    version = re.search(r"version (\d+)", subprocess.run(["clang", "--version"], capture_output=True, text=True).stdout)
    found = shutil.which(f"{tool}-{version[1]}" if version else tool) or shutil.which(tool)
    assert found, f"{tool} is missing: apt-get install llvm"
    return found


def test_fuzzer_must_find_nothing_and_reach_every_refusal(fuzzed):
    profile, binary = fuzzed / "profile", fuzzed / "fuzz"
    subprocess.run([llvm("llvm-profdata"), "merge", fuzzed / "raw", "-o", profile], check=True)
    command = [llvm("llvm-cov"), "export", binary, f"-instr-profile={profile}"]
    exported = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    files = {Path(f["filename"]).name: f for f in exported["data"][0]["files"]}
    unreached = []
    for name in ("open.c", "check.c", "plan.c"):
        unreached += never_refused(files[name], (resources.c_library() / "src" / "run" / name).read_text().splitlines())
    assert unreached == []
    lines = {name: files[name]["summary"]["lines"]["percent"] for name in KERNEL_FILES}
    print(lines)
    assert {name: percent for name, percent in lines.items() if percent < 100} == {}


def never_refused(file: dict[str, Any], text: list[str]) -> list[str]:
    """The lines with checks that no image failed."""
    checks = [e for e in file["expansions"] if "BF_CHECK" in text[e["source_region"][0] - 1]]
    # A region is [line, column, end line, end column, count, file, expanded file, kind]; those of the expansion's own
    # file are the macro's body, and the least of their counts is that of the refusal.
    reached: dict[int, int] = {}
    for check in checks:
        line, own = check["source_region"][0], check["source_region"][6]
        count = min(region[4] for region in check["target_regions"] if region[5] == own and region[7] == 0)
        reached[line] = min(count, reached.get(line, count))
    unreached = sorted(line for line, count in reached.items() if count == 0)
    print(f"{len(reached)} lines with checks, never refused: {[text[line - 1].strip() for line in unreached]}")
    return [text[line - 1].strip() for line in unreached]
