"""Single layers for hypothesis: convolutions of any geometry that fast kernels may cover, and of some they do not."""

from __future__ import annotations

from hypothesis import strategies as st

from bitflow.geometry import Pool, Shape, Window
from bitflow.ir import LayerKind
from bitflow.synthetic.single_layers import Spec

__all__ = ["specs"]

_MOST_WORK = 150_000  # taps of all accumulators of a filter: an example takes milliseconds


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """A convolution on bits: its window fits its map."""
    kernel = draw(st.tuples(*[st.sampled_from((1, 3, 2, 5, 4, 7))] * 2))
    dilation = draw(st.tuples(*[st.sampled_from((1, 1, 2, 3))] * 2))
    stride = draw(st.tuples(*[st.sampled_from((1, 2, 3))] * 2))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    least = [max(1, spans[0] - pads[0] - pads[2]), max(1, spans[1] - pads[1] - pads[3])]
    height, width = (draw(st.integers(n, n + 33)) for n in least)
    window = Window(kernel, stride, pads, dilation)
    rows, columns = window.over(height, width)
    most = max(1, _MOST_WORK // (rows * columns * kernel[0] * kernel[1]))
    channels = draw(st.integers(1, min(70, most)))
    conv = Spec(
        LayerKind.CONV,
        Shape(height, width, channels),
        draw(st.sampled_from((4, 8, 12, 36, 5, 1))),
        window,
        pad_value=draw(st.sampled_from((-1, 0, 1))),
        zero_point=draw(st.sampled_from((128, 0, 255, 60))),
        far=draw(st.sampled_from((0, 4, 16))),
    )
    if not draw(st.booleans()):
        return conv
    size = draw(st.tuples(st.integers(1, min(4, rows)), st.integers(1, min(4, columns))))
    steps = draw(st.tuples(*[st.integers(1, 3)] * 2))
    edges = draw(st.tuples(*(st.integers(0, k - 1) for k in (*size, *size))))
    return Spec(**{f: getattr(conv, f) for f in conv.__dataclass_fields__} | {"pool": Pool(Window(size, steps, edges))})
