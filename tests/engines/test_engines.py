"""Float, integer, packed and C give the same hidden bits and labels, scores from the integer network on."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, note, settings
from tests.synthetic.recipes import recipes
from tests.tiers import seeds

from bitflow.engines.host import HostEngine
from bitflow.engines.reference import Trace, run_packed
from bitflow.engines.self_test import random_images
from bitflow.engines.verify import climb, first_difference, ladder
from bitflow.errors import InputError
from bitflow.ir import Network, PackedNetwork
from bitflow.lower.fuse import explain, fuse
from bitflow.lower.pack import pack
from bitflow.planner.plan import default_plan
from bitflow.synthetic.coverage import GAMMAS, PLACES, THRESHOLDS, Cell, Pair, cells, every_cell, every_pair, pairs
from bitflow.synthetic.networks import SEEDS, cook, random_network


def climbs(network: Network, seed: int) -> PackedNetwork:
    """Every rung gives equal bits, the plan the arena of the C library."""
    packed = pack(fuse(network))
    images = random_images(network.input_spec, 12, seed)
    for step in climb(ladder(packed, network), packed, images):
        assert step.difference is None, f"{step.name} against {step.compared_with}: {step.difference}"
    assert default_plan(packed).arena_bytes == HostEngine(packed).arena_size
    return packed


@pytest.mark.parametrize("seed", seeds(SEEDS))
def test_every_rung_must_give_equal_bits(seed):
    network = random_network(seed)
    climbs(network, seed)
    order = explain(network, fuse(network))[-1].order
    assert order is not None
    assert order.pairs == 0


@settings(max_examples=100)
@given(recipe=recipes())
def test_every_rung_must_give_equal_bits_for_any_recipe(recipe):
    note(f"cook({recipe})")
    climbs(cook(recipe), recipe.seed)


def test_random_networks_must_leave_no_combination_out(capsys):
    """Kind x padding x stride x groups x place of the pool x residual x sign of gamma; each of these x thresholds."""
    seen, paired = Counter(), Counter()
    for seed in range(SEEDS):
        network = random_network(seed)
        seen.update(cells(network))
        paired.update(pairs(network))
    wanted, together = every_cell(), every_pair()
    rows = Counter({key: seen[key] for key in wanted})
    with capsys.disabled():
        print(f"\nrandom networks: {sum(map(bool, rows.values()))} of {len(wanted)} cells; networks in each:")
        for line in table(rows):
            print(line)
        print(f"and {len(together & set(paired))} of {len(together)} pairs with T thresholds; networks in each:")
        for line in table_of_pairs(Counter({key: paired[key] for key in together})):
            print(line)
    empty = [*sorted(wanted - set(seen)), *sorted(together - set(paired))]
    assert not empty, f"no network has {empty}"


def table(count: Counter[Cell]) -> Iterator[str]:
    """A row for each layer and window; for each place of the pool the networks with gamma -, 0, +."""
    yield f"{'kind':24}{'padding':>8}{'stride':>7}  {'groups':10}" + "".join(f"{place:>14}" for place in PLACES)
    for row in sorted({(c.kind, c.residual, c.padding, c.stride, c.groups) for c in count}):
        kind, residual, padding, stride, groups = row
        fields = []
        for place in PLACES:
            found = [count.get(Cell(kind, padding, stride, groups, place, residual, gamma)) for gamma in GAMMAS]
            fields.append("" if found[0] is None else "/".join(map(str, found)))
        name = f"{kind}, residual" if residual else kind
        yield f"{name:24}{padding:>8}{stride:7}  {groups:10}" + "".join(f"{field:>14}" for field in fields)


def table_of_pairs(count: Counter[Pair]) -> Iterator[str]:
    """A row for each feature of a kind; for each number of thresholds the networks."""
    yield f"{'kind':14}{'feature':12}{'value':14}" + "".join(f"{f'T = {number}':>7}" for number in THRESHOLDS)
    for kind, feature, value in sorted({(pair.kind, pair.feature, pair.value) for pair in count}):
        found = (count[Pair(kind, feature, value, number)] for number in THRESHOLDS)
        yield f"{kind:14}{feature:12}{value:14}" + "".join(f"{number:7}" for number in found)


def test_random_networks_must_give_labels_and_bits_that_vary():
    """A class that always wins, and bits that are constants, would hide a difference."""
    labels, bits = [], []
    for seed in range(100):
        network = random_network(seed)
        trace = run_packed(pack(fuse(network)), random_images(network.input_spec, 12, seed))
        labels.append(len(set(trace.labels.tolist())))
        bits.append(any(bool((found != found[:1]).any()) for found in trace.hidden[-1:]))
    assert np.mean(np.array(labels) > 1) > 0.8
    assert np.mean(bits) > 0.8


def test_random_networks_must_tie_on_purpose():
    """At least one reachable accumulator per network makes y exactly 0."""
    from bitflow.lower import arithmetic

    ties = 0
    for seed in range(8):
        layer = random_network(seed).layers[1]
        bound = layer.accumulation.bound
        ties += int((arithmetic.value(layer, np.arange(-bound, bound + 1)[:, None]) == 0).any())
    assert ties >= 4


def test_first_difference_must_name_layer_channel_and_position():
    network = random_network(0)
    packed = pack(fuse(network))
    images = random_images(network.input_spec, 4, 0)
    trace = HostEngine(packed).trace(images)
    hidden = [h.copy() for h in trace.hidden]
    channel = packed.layers[0].target.channels - 1
    hidden[0][2, 1, 2, channel // 32] ^= 1 << channel % 32
    found = first_difference(packed, trace, Trace(tuple(hidden), trace.scores), scores=True)
    assert found is not None
    assert (found.layer, found.image, found.position, found.channel) == ("first", 2, (1, 2), channel)
    scores = trace.scores.copy()
    scores[1, 2] += 1
    found = first_difference(packed, trace, Trace(trace.hidden, scores), scores=True)
    assert found is not None
    assert (found.image, found.channel, found.got - found.expected) == (1, 2, 1)


def test_engines_must_refuse_images_of_another_shape_or_type():
    packed = pack(fuse(random_network(1)))
    engine = HostEngine(packed)
    images = random_images(packed.input_spec, 2, 0)
    with pytest.raises(InputError, match="images must be"):
        engine.scores(images[:, 1:])
    with pytest.raises(InputError, match="images must be uint8, got float64"):
        engine.scores(images.astype(np.float64))
    assert engine.scores(images[:0]).shape == (0, packed.classes)
