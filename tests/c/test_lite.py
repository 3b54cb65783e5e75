"""The lite forms of kernels: what they cover gives the reference's words, what they do not is refused."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.c.compiling import HERE, SANITIZERS, compile_c, sources
from tests.c.test_random import framed, run
from tests.tiers import turns

from bitflow.cores import CORES, Core
from bitflow.emit.codegen import render_model
from bitflow.emit.text import rows
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.geometry import Pool, Window
from bitflow.ir import LayerKind, PackedNetwork
from bitflow.planner import plan_format
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan, default_plan
from bitflow.synthetic.layer_plans import every_plan
from bitflow.synthetic.single_layers import Spec, parse, random_spec, single_layer

pytestmark = pytest.mark.usefixtures("few_tries")
LAYERS = 60
# The forms of a kernel, the one with the least code first; by the symbols of full kernels, what lite.h has in a table.
NAMES = ("lite", "several", "strided")


def form_of(symbols: tuple[str, ...], name: str) -> str:
    return next((symbol for symbol in symbols if symbol.endswith(name)), symbols[-2])


FORMS = {
    name: {spec.symbol: form_of(spec.symbols, name) for spec in KERNELS.values() if spec.forms[1:]} for name in NAMES
}
BY_TWO = Pool(Window((2, 2), (2, 2)))


def lite_spec(seed: int, name: str) -> Spec:
    """A convolution, or a first layer, that the forms of this name cover: of any height, kernel and dilation."""
    rng = np.random.default_rng((seed, 6))
    spec = random_spec(seed)
    window = spec.window
    top, _, bottom, _ = window.padding
    beside = window.dilation[1] * (window.kernel[1] - 1)
    left = int(rng.integers(0, beside + 1))
    if name == "strided":
        spec = replace(spec, pad_value=spec.pad_value or 1, pool=None)
    else:
        window = replace(window, stride=(1, 1), padding=(top, left, bottom, beside - left))
        spec = replace(spec, window=window, pad_value=-1, pool=None)
    if rng.random() < 0.2:
        window = replace(
            window, dilation=(1, 1), padding=(1, 1, 1, 1), kernel=(3, 3), stride=(int(rng.integers(1, 3)),) * 2
        )
        source = replace(spec.source, channels=min(spec.source.channels, 14))
        spec = replace(spec, kind=LayerKind.INPUT_CONV, source=source, window=window, pad_value=0)
    pooled = min(spec.conv_map.height, spec.conv_map.width) > 1 and rng.random() < 0.5
    spec = replace(spec, pool=BY_TWO) if pooled else spec
    return replace(spec, thresholds=1 if name == "lite" else int(rng.integers(1, 9)))


def is_by(plan: Plan, name: str) -> bool:
    """Whether the kernels of a table run the plan: those of this name, or smaller ones."""
    smaller = {symbol for other in NAMES[: NAMES.index(name) + 1] for symbol in FORMS[other].values()}
    larger = {symbol for forms in FORMS.values() for pair in forms.items() for symbol in pair} - smaller
    return not larger & set(plan.symbols)


def plans_of(core: Core, name: str) -> Iterator[tuple[int, PackedNetwork, Plan]]:
    for seed in range(LAYERS):
        network = single_layer(lite_spec(seed, name), seed)
        for _, plan in every_plan(network, core):
            if is_by(plan, name):
                yield seed, network, plan


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """stream.c with the lite forms: with lanes of one word and of four, with no other kernels beside."""
    folder = tmp_path_factory.mktemp("lite")
    ways = {"1": ("-DBF_LANE_WORDS=1",), "4": ("-DBF_LANE_WORDS=4",), "only": ("-DONLY_LITE",)}
    for form, (name, flags) in itertools.product(FORMS, ways.items()):
        command = ("gcc", *SANITIZERS, f"-DLITE={form}_kernels", *flags)
        compile_c(command, folder / f"{form} {name}", [*sources(), str(HERE / "stream.c")])
    return {f"{form} {name}": folder / f"{form} {name}" for form in FORMS for name in ways}


@pytest.mark.parametrize(("name", "core"), turns(FORMS, ["v7m", "mve"]))
def test_lite_forms_must_give_the_reference_s_words(programs, core, name):
    cases, ran = [], set()
    for seed, network, plan in plans_of(replace(CORES[core], lists8=True), name):
        cases.append(framed(network, seed, plan_format.encode(network, plan)))
        ran |= set(plan.symbols)
    assert ran >= set(FORMS[name].values())
    assert run(programs[f"{name} {CORES[core].lane_words}"], b"".join(cases)) == (0, f"{len(cases)} networks\n")


STRIDED = {
    "stride": parse("conv3x3:12x12x8-8/s2"),
    "outside is +1": parse("conv3x3:12x12x8-8/p+1"),
    "narrower": replace(parse("conv3x3:12x12x8-8"), window=Window((3, 3), (1, 1), (1, 1, 1, 0))),
}
FULL_ONLY = {
    "exact zeros": parse("conv3x3:12x12x8-8/p0"),
    "pool of 3 x 3": replace(parse("conv3x3:12x12x8-8"), pool=Pool(Window((3, 3), (3, 3)))),
    "pool beside the map": replace(parse("conv3x3:12x12x8-8"), pool=Pool(Window((2, 2), (2, 2), (1, 0, 1, 0)))),
    "first, pool of 3 x 3": replace(parse("first3x3:12x12x1-8"), pool=Pool(Window((3, 3), (2, 2)))),
}


@pytest.mark.parametrize(
    ("name", "what"),
    [(name, what) for name in FORMS for what in (*(() if name == "strided" else STRIDED), *FULL_ONLY)],
)
def test_layers_for_full_forms_must_be_refused_where_only_lite_ones_run(programs, name, what):
    spec = (STRIDED | FULL_ONLY)[what]
    spec = spec if name == "lite" else replace(spec, thresholds=2)
    network = single_layer(spec, 1)
    refused = "refused: no kernel for a layer is linked in\nnetwork 0 of the stream\n"
    assert not is_by(default_plan(network), name)
    assert run(programs[f"{name} only"], framed(network, 1)) == (1, refused)
    refused = "refused: the plan behind the image is damaged, or made for another one\nnetwork 0 of the stream\n"
    for kernel, plan in every_plan(network, CORES["v7m"]):
        if KERNELS[kernel].forms[1:]:
            assert not is_by(plan, name)
            assert run(programs[f"{name} 1"], framed(network, 1, plan_format.encode(network, plan))) == (1, refused)


def test_several_thresholds_must_be_refused_where_only_lite_forms_run(programs):
    network = single_layer(parse("conv3x3:12x12x8-8/t2"), 1)
    refused = "refused: no kernel for a layer is linked in\nnetwork 0 of the stream\n"
    assert run(programs["several only"], framed(network, 1))[1] != refused
    assert run(programs["lite only"], framed(network, 1)) == (1, refused)


@pytest.mark.parametrize("form", FORMS)
def test_generated_code_must_run_lite_forms(tmp_path, form):
    """Each kernel that has such a form, in a program that links no other."""
    found: dict[str, tuple[PackedNetwork, Plan, int]] = {}
    for seed, network, plan in plans_of(CORES["v7m"], form):
        found.setdefault(plan.symbols[-1 if len(plan.symbols) < 3 else 1], (network, plan, seed))
    main = ["#include <string.h>"]
    checks, files = [], []
    for number, (network, plan, seed) in enumerate(found.values()):
        name = f"net{number}"
        for file, text in render_model(network, name, plan).items():
            (tmp_path / file).write_text(text)
        code = (tmp_path / f"{name}.c").read_text()
        assert all(f"&{symbol}," in code for symbol in plan.symbols)
        files.append(str(tmp_path / f"{name}.c"))
        images = random_images(network.input_spec, 1, seed)
        pixels, scores = (" ".join(rows(a)) for a in (images.reshape(-1), run_packed(network, images).scores[0]))
        main += [
            f'#include "{name}.h"',
            f"static const uint8_t {name}_pixels[] = {{{pixels}}};",
            f"static const int32_t {name}_scores[] = {{{scores}}};",
            f"static uint32_t {name}_arena[NET{number}_ARENA_WORDS];",
        ]
        checks.append(
            f"bf_run(&{name}_model, {name}_pixels, s, {name}_arena, sizeof {name}_arena) != BF_OK || "
            f"memcmp(s, {name}_scores, sizeof {name}_scores) != 0"
        )
    assert set(FORMS[form].values()) <= {symbol for _, plan, _ in found.values() for symbol in plan.symbols}
    lines = [f"    if ({check}) {{\n        return {number + 1};\n    }}" for number, check in enumerate(checks)]
    main += ["int main(void) {", "    int32_t s[2];", *lines, "    return 0;", "}"]
    (tmp_path / "main.c").write_text("\n".join(main) + "\n")
    compile_c(("gcc", *SANITIZERS), tmp_path / "run", [*sources(), str(tmp_path / "main.c"), *files], tmp_path)
    assert subprocess.run([tmp_path / "run"], check=False).returncode == 0
