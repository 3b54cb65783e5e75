"""A plan's sizes and its choice of kernels are the C library's; objectives and budgets are kept."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, note, settings
from tests.c.compiling import HERE, compile_c, sources
from tests.c.every_kind import every_kind
from tests.c.planned import plan_of, planned_network
from tests.synthetic.specs import specs

from bitflow import resources
from bitflow.cores import CORES
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.geometry import Pool, Shape, Window
from bitflow.image.bfn import Image
from bitflow.ir import LayerKind, PackedLayer, PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.planner import plan_format
from bitflow.planner.choice import choose
from bitflow.planner.kernels.spec import Form, Kernel
from bitflow.planner.kernels.table import KERNELS, candidates
from bitflow.planner.plan import Plan, default_plan
from bitflow.synthetic.layer_plans import every_plan
from bitflow.synthetic.networks import random_network
from bitflow.synthetic.single_layers import Spec, random_spec, single_layer, typical_spec

pytestmark = pytest.mark.usefixtures("few_tries")
NETWORKS = 150
LAYERS = 300

FORMS = ("lite", "several", "strided")  # of kernels, as plan_library.c counts them


@dataclass
class Library:
    """The C library for lanes of so many words."""

    lane_words: int
    code: ctypes.CDLL
    model: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

    def open(self, network: PackedNetwork, plan: bytes = b"") -> int:
        """Bytes of the arena, or a negative status."""
        words = np.frombuffer(Image.of(network).data + plan, dtype=np.uint32).copy()
        self.bytes = words  # a model points into its image
        return int(self.code.plan_library_open(*map(_pointer, (self.model, words)), ctypes.c_size_t(words.nbytes)))

    def shared(self) -> tuple[int, int]:
        """Where an input may lie in the arena, and the size of one with room for it."""
        return tuple(self.code.plan_library_shared(_pointer(self.model), ctypes.c_int(k)) for k in (1, 0))

    def covered(self, layer: int, form: str = "") -> tuple[Kernel, ...]:
        """The kernels that cover a layer; with the name of a form, those of which this form does."""
        number = ("", *FORMS).index(form)
        found = self.code.plan_library_covered(_pointer(self.model), ctypes.c_uint(layer), ctypes.c_uint(number))
        return tuple(kernel for kernel in Kernel if found >> kernel & 1)


def _pointer(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@pytest.fixture(scope="module", params=[1, 4], ids=["lanes of 32 bits", "lanes of 128 bits"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    target = tmp_path_factory.mktemp("library") / "plan.so"
    flags = ("gcc", "-O1", "-fPIC", "-shared", f"-DBF_LANE_WORDS={request.param}")
    own = Path(__file__).with_name("plan_library.c")
    compile_c(flags, target, [*sources(), str(own)], resources.c_library() / "src", HERE)
    code = ctypes.CDLL(str(target))
    code.plan_library_model_size.restype = ctypes.c_size_t
    code.plan_library_open.restype = ctypes.c_longlong
    return Library(request.param, code, np.zeros(code.plan_library_model_size(), dtype=np.uint8))


def odd_specs() -> list[Spec]:
    """At the edges of what kernels cover, and just beyond."""
    conv = LayerKind.CONV
    one, three = Window((1, 1)), Window((3, 3), (1, 1), (1, 1, 1, 1))
    found = [Spec(conv, Shape(2, 3, c), 8, one, pad_value=-1) for c in (4094, 4095, 4096, 2729, 2731, 2732, 511, 512)]
    found += [Spec(conv, Shape(4, 4, 8), n, three, pad_value=p) for n in (1, 4, 6, 8) for p in (-1, 0, 1)]
    found += [
        Spec(conv, Shape(2, 4, 4), 4, one),
        Spec(conv, Shape(1, 7, 4), 4, one),
        Spec(conv, Shape(1, 8, 4), 4, one),
    ]
    found += [Spec(conv, Shape(20, 20, 2), 4, Window((k, 17 - k))) for k in (1, 16)]
    found += [Spec(conv, Shape(30, 30, 1), 4, Window((17, 1))), Spec(conv, Shape(30, 30, 1), 4, Window((1, 17)))]
    found += [
        Spec(conv, Shape(20, 20, 1), 4, Window((9, 9), (1, 1), (top, left, 8, right)), pad_value=0)
        for top, left, right in ((7, 3, 2), (8, 3, 2), (7, 3, 3))
    ]
    found += [Spec(conv, Shape(9, 9, 8), 8, three, groups=g) for g in (2, 8)]
    found += [Spec(conv, Shape(9, 9, 4), 4, replace(three, stride=(s, 3 - s))) for s in (1, 2)]
    found += [Spec(LayerKind.DENSE, Shape(1, 1, c), 33, one) for c in (32, 1023, 1024, 2729, 2731, 4096, 16383)]
    found += [Spec(LayerKind.INPUT_CONV, Shape(9, 9, c), 8, three, pad_value=0) for c in (1, 14, 15)]
    return [*found, Spec(conv, Shape(8, 40, 4), 4, three, pool=Pool(Window((2, 33))))]


def networks() -> list[PackedNetwork]:
    random = [pack(fuse(random_network(seed))) for seed in range(NETWORKS)]
    layers = [single_layer(random_spec(seed), seed) for seed in range(LAYERS)]
    layers += [single_layer(typical_spec(seed), seed) for seed in range(LAYERS // 10)]
    layers += [single_layer(spec, 0) for spec in odd_specs()]
    return [*random, *(every_kind(seed, 4 + 2 * seed) for seed in range(4)), *layers]


def kernels_of(layer: PackedLayer, lane_words: int) -> tuple[Kernel, ...]:
    return tuple(spec.kernel for spec in candidates(layer, lane_words))


def forms_of(kernel: Kernel, name: str) -> list[Form]:
    """The form that lite.h has in a table: the one of this name, else the next smaller one."""
    forms = KERNELS[kernel].forms[:-1]
    return [form for form in forms if form.symbol.endswith(name)] or list(forms[-1:])


def run_by_form(layer: PackedLayer, covered: Sequence[Kernel], name: str) -> tuple[Kernel, ...]:
    """The kernels of which a form covers a layer that they cover."""
    return tuple(kernel for kernel in covered if any(form.runs(layer) for form in forms_of(kernel, name)))


def test_sizes_and_kernels_without_a_plan_must_be_the_c_library_s(library):
    seen: set[str] = set()
    for network in networks():
        plan = default_plan(network, library.lane_words)
        assert library.open(network) == plan.arena_bytes, network.name
        assert library.shared() == (plan.input_at, plan.shared_bytes), network.name
        for index, layer in enumerate(network.layers):
            covered = library.covered(index)
            assert kernels_of(layer, library.lane_words) == covered, (network.name, layer.name)
            seen |= {KERNELS[kernel].symbol for kernel in covered}
            for name in FORMS:
                by_form = library.covered(index, name)
                assert run_by_form(layer, covered, name) == by_form, (network.name, layer.name)
                seen |= {form.symbol for kernel in by_form for form in forms_of(kernel, name)}
    assert seen == {symbol for spec in KERNELS.values() for symbol in spec.symbols}


def planned_right(library: Library, network: PackedNetwork, plan: Plan) -> None:
    found = plan_format.encode(network, plan)
    assert len(found) == plan_format.size(network, plan)
    assert library.open(network, found) == plan.arena_bytes
    assert library.shared() == (plan.input_at, plan.shared_bytes)
    assert library.code.plan_library_has_plan(_pointer(library.model)) == 1


def core_of(library: Library) -> str:
    return "mve" if library.lane_words == 4 else "v7m"


def test_sizes_with_a_plan_must_be_the_c_library_s(library):
    core = replace(CORES[core_of(library)], lists8=True)
    ran: set[Kernel] = set()
    for spec, seed in [(random_spec(seed), seed) for seed in range(LAYERS // 5)] + [(s, 0) for s in odd_specs()[8:]]:
        network = single_layer(spec, seed)
        for kernel, plan in every_plan(network, core):
            planned_right(library, network, plan)
            ran.add(kernel)
    multiplies = {LayerKind.INPUT_CONV, LayerKind.CONV, LayerKind.DENSE}
    assert ran == {kernel for kernel, spec in KERNELS.items() if multiplies & set(spec.kinds)}
    planned_right(library, planned_network(), plan_of(planned_network(), library.lane_words))


@settings(max_examples=150)
@given(spec=specs())
def test_any_layer_must_be_covered_as_the_c_library_says(library, spec):
    network = single_layer(spec, 1)
    note(str(spec))
    assert library.open(network) == default_plan(network, library.lane_words).arena_bytes
    for index, layer in enumerate(network.layers):
        covered = library.covered(index)
        assert kernels_of(layer, library.lane_words) == covered
        for name in FORMS:
            assert run_by_form(layer, covered, name) == library.covered(index, name)


def test_engine_with_a_plan_must_give_the_reference_s_words():
    network = planned_network()
    images = random_images(network.input_spec, 5, 0)
    plan = plan_of(network, 1)
    engine = HostEngine(network, plan)
    assert engine.arena_size == plan.arena_bytes
    want, found = run_packed(network, images), engine.trace(images)
    assert np.array_equal(found.scores, want.scores)
    assert all(np.array_equal(a, b) for a, b in zip(found.hidden, want.hidden, strict=True))


# ---- Objectives and budgets. ----

CHOSEN = [single_layer(typical_spec(seed), seed) for seed in range(7)]


def instructions(plan: Plan) -> int:
    return sum(layer.instructions or 0 for layer in plan.layers)


def flash(network: PackedNetwork, plan: Plan) -> int:
    """Of weights and lists: lists take the weights' place."""
    weights = sum(
        layer.weights_bytes
        for layer, own in zip(network.layers, plan.layers, strict=True)
        if not KERNELS[own.kernel].planned
    )
    return weights + sum(own.data_bytes for own in plan.layers)


@pytest.mark.parametrize("core", ["v6m", "v7m", "mve"])
@pytest.mark.parametrize("network", CHOSEN, ids=range(len(CHOSEN)))
def test_objectives_must_be_ordered(network, core):
    found = {objective: choose(network, CORES[core], objective) for objective in ("speed", "balanced", "flash", "ram")}
    assert instructions(found["speed"]) <= instructions(found["balanced"]) <= instructions(found["flash"])
    assert flash(network, found["flash"]) <= flash(network, found["balanced"])
    assert flash(network, found["flash"]) <= flash(network, found["speed"])
    assert found["ram"].arena_bytes <= min(plan.arena_bytes for plan in found.values())
    for objective, plan in found.items():
        assert (plan.core, plan.objective, len(plan.layers)) == (core, objective, len(network.layers))


@pytest.mark.parametrize("network", CHOSEN, ids=range(len(CHOSEN)))
def test_budgets_must_be_kept_or_come_as_near_as_can_be(network):
    core = CORES["v7m"]
    fast = choose(network, core, "speed")
    least = flash(network, choose(network, core, "flash"))
    for part in (1.0, 0.5, 0.25, 0.0):
        budget = round(least + part * (flash(network, fast) - least))
        plan = choose(network, core, "speed", flash_budget=budget)
        assert flash(network, plan) <= budget, part
        assert instructions(plan) >= instructions(fast)
    none = choose(network, core, "speed", flash_budget=0)
    assert flash(network, none) == least
    small = choose(network, core, "ram").arena_bytes
    for budget in (fast.arena_bytes, (fast.arena_bytes + small) // 2, small):
        plan = choose(network, core, "speed", ram_budget=budget)
        assert plan.arena_bytes <= budget
    assert choose(network, core, "speed", ram_budget=0).arena_bytes <= small
