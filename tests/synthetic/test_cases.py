"""What random networks and hostile images found, and what they could only find by luck: each as a case with a name."""

import numpy as np
import pytest
from tests.c.every_kind import every_kind

from bitflow.engines.host import HostEngine
from bitflow.engines.reference import Trace, run_packed
from bitflow.engines.self_test import random_images
from bitflow.engines.verify import Rung, climb, first_difference, ladder
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.ir import BatchShift, BinaryConv, BinaryDense, InputConv, IntegerLayer, IntegerNetwork, MapType, Scores
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.coverage import CONVS, INPUTS
from bitflow.synthetic.networks import Recipe, cook, random_network


def test_one_layer_must_stand_in_two_places_of_a_network():
    """Sources that were written into the layer itself were those of its last place."""
    shape, ones = Shape(2, 2, 1), np.ones((1, 1, 1, 1), dtype=np.int8)
    input_spec = InputSpec(shape)
    first = IntegerLayer("first", InputConv(shape, ones, Window((1, 1)), input_spec), BatchShift(np.zeros(1)))
    again = IntegerLayer("again", BinaryConv(shape, ones, Window((1, 1))), BatchShift(np.zeros(1)))
    weights = np.ones((2, 2, 2, 1), dtype=np.int8)
    last = IntegerLayer("last", BinaryDense(shape, weights), Scores(np.array([1, -1]), np.zeros(2)))
    network = IntegerNetwork("twice", input_spec, (first, again, again, last))
    assert [layer.sources for layer in network.layers] == [(-1,), (0,), (1,), (2,)]
    assert again.sources is None
    images = random_images(input_spec, 5, 0)
    packed = pack(network)
    assert np.array_equal(HostEngine(packed).scores(images), run_packed(packed, images).scores)


@pytest.mark.parametrize("side", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("plan", [p for p in CONVS if p.padding == "0" and p.stride == 2 and p.residual])
def test_maps_of_one_row_or_position_must_be_equal_everywhere(side, plan):
    """Windows that see nothing but padding, pools that are larger than the map."""
    recipe = Recipe(5, InputSpec(Shape(*side, 3)), INPUTS[0], (plan, plan), "average", "integers")
    network = cook(recipe)
    packed = pack(fuse(network))
    for step in climb(ladder(packed, network), packed, random_images(network.input_spec, 6, 0)):
        assert step.difference is None, str(step.difference)


def test_difference_in_integers_must_be_named():
    """Of every layer that gives integers: its name, the image, the position, the channel and both values."""
    packed = every_kind(0)
    images = random_images(packed.input_spec, 3, 0)
    trace = HostEngine(packed).trace(images)
    wide = [index for index, layer in enumerate(packed.layers) if layer.output_type is MapType.INTEGERS]
    assert len(wide) > 5
    for index in wide:
        hidden = [found.copy() for found in trace.hidden]
        height, width, channels = hidden[index].shape[1:]
        at = (2, height - 1, width - 1, channels - 1)
        hidden[index][at] += 2
        found = first_difference(packed, trace, Trace(tuple(hidden), trace.scores), scores=True)
        assert found is not None
        assert (found.layer, found.image, found.position, found.channel) == (
            packed.layers[index].name, 2, (height - 1, width - 1), channels - 1,
        )  # fmt: skip
        assert found.got - found.expected == 2
        assert f"expected {found.expected:+d}, got {found.got:+d}" in str(found)


def test_first_rung_that_differs_must_be_named():
    """An engine that computes another network: all above it that are equal to each other are not blamed."""
    network = pack(fuse(random_network(9)))
    images = random_images(network.input_spec, 3, 0)

    def wrong(images):
        trace = run_packed(network, images)
        return Trace(trace.hidden, trace.scores + 1)

    rungs = [*ladder(network), Rung("wrong", wrong), Rung("also wrong", wrong)]
    steps = climb(rungs, network, images)
    assert [step.name for step in steps if step.difference is not None] == ["wrong"]
    assert steps[-2].compared_with == "C on the host"
