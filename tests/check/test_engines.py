"""Float, integer, packed and C give the same hidden bits and labels, scores from the integer network on."""

import numpy as np
import pytest

from bitflow.check.host import HostEngine
from bitflow.check.random_networks import SEEDS, cells, every_cell, random_images, random_network
from bitflow.check.reference import Trace
from bitflow.check.verify import climb, first_difference, ladder
from bitflow.errors import InputError
from bitflow.lower.fuse import explain, fuse
from bitflow.lower.pack import pack
from bitflow.lower.plan import plan


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_rung_must_give_equal_bits(seed):
    network = random_network(seed)
    fused = fuse(network)
    packed = pack(fused)
    images = random_images(network.contract, 12, seed)
    for step in climb(ladder(packed, network), packed, images):
        assert step.difference is None, f"{step.name} against {step.compared_with}: {step.difference}"
    assert plan(packed).arena_bytes == HostEngine(packed).arena_size
    order = explain(network, fused)[-1].order
    assert order is not None
    assert order.pairs == 0


def test_random_networks_must_leave_no_combination_out(capsys):
    seen = set().union(*(cells(random_network(seed)) for seed in range(SEEDS)))
    wanted = every_cell()
    with capsys.disabled():
        print(
            f"\nrandom networks: {len(wanted & seen)} of {len(wanted)} cells (kind x padding x stride x pool x gamma)"
        )
    assert wanted <= seen, f"no network has {sorted(wanted - seen)}"


def test_random_networks_must_tie_on_purpose():
    """At least one reachable accumulator per network makes y exactly 0."""
    from bitflow.lower import arithmetic

    ties = 0
    for seed in range(8):
        layer = random_network(seed).layers[1]
        reach = layer.accumulation.reach
        ties += int((arithmetic.value(layer, np.arange(-reach, reach + 1)[:, None]) == 0).any())
    assert ties >= 4


def test_first_difference_must_name_layer_channel_and_position():
    network = random_network(0)
    packed = pack(fuse(network))
    images = random_images(network.contract, 4, 0)
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
    images = random_images(packed.contract, 2, 0)
    with pytest.raises(InputError, match="images must be"):
        engine.scores(images[:, 1:])
    with pytest.raises(InputError, match="images must be uint8, got float64"):
        engine.scores(images.astype(np.float64))
    assert engine.scores(images[:0]).shape == (0, packed.classes)
