"""Random networks for hypothesis: it draws what a network is to be, and makes one that fails as small as it can."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from bitflow.geometry import InputSpec, Shape
from bitflow.synthetic.coverage import CONVS, INPUTS, THRESHOLDS, Block
from bitflow.synthetic.networks import ENDINGS, MERGES, Recipe

__all__ = ["recipes"]


@st.composite
def _input_specs(draw: st.DrawFn) -> InputSpec:
    shape = Shape(draw(st.integers(1, 9)), draw(st.integers(1, 20)), draw(st.integers(1, 12)))
    if draw(st.booleans()):
        return InputSpec(shape, "int8", draw(st.integers(-128, 127)))
    return InputSpec(shape, "uint8", draw(st.integers(0, 255)))


def _blocks(of: tuple[Block, ...]) -> st.SearchStrategy[Block]:
    return st.builds(replace, st.sampled_from(of), thresholds=st.sampled_from(THRESHOLDS))


def recipes() -> st.SearchStrategy[Recipe]:
    """Up to three blocks; the simplest has one threshold and no padding, stride, groups, pool and merge."""
    return st.builds(
        Recipe,
        seed=st.integers(0, 2**20),
        input_spec=_input_specs(),
        stem=_blocks(INPUTS),
        blocks=st.lists(_blocks(CONVS), max_size=3).map(tuple),
        merge=st.sampled_from(MERGES),
        ending=st.sampled_from(ENDINGS),
        plain=st.sampled_from((True, False)),
    )
