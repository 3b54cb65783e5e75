"""Activations of 2 and 3 bits become thermometer bits: every value equal to what QONNX's operations compute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.importers.onnx_models import Model, same
from tests.tiers import seeds, turns

from bitflow import bits
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_network, run_packed
from bitflow.errors import ImportRefused
from bitflow.importers.onnx.file import import_onnx
from bitflow.importers.onnx.run import OnnxRunner
from bitflow.importers.pixels import Pixels
from bitflow.importers.source import Settings, open_source
from bitflow.ir import LayerKind, Network
from bitflow.lower.arithmetic import composed
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

COUNT = 16  # pictures
DOMAIN = "qonnx.custom_op.general"
MODES = ["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "ROUND_TO_ZERO", "HALF_UP", "HALF_DOWN"]


@dataclass
class Levels(Model):
    """A model whose numbers are such that float32 rounds none of them, so that ties are ties."""

    def quant(
        self, x: str, width: int, scale: float = 1.0, zero: float = 0.0, signed: int = 1, narrow: int = 0,
        mode: str = "ROUND", kind: str = "Quant",
    ) -> str:  # fmt: skip
        numbers = [self.const(n) for n in (scale, zero, float(width))]
        return self.op(kind, x, *numbers, domain=DOMAIN, signed=signed, narrow=narrow, rounding_mode=mode)

    def threshold(self, x: str, limits: Any, scale: float = 1.0, bias: float = 0.0, layout: str = "") -> str:
        attributes = {"data_layout": layout} if layout else {}
        return self.op(
            "MultiThreshold", x, self.const(limits), domain=DOMAIN, out_scale=scale, out_bias=bias, **attributes
        )

    def exact_norm(self, x: str, channels: int, spread: float) -> str:
        """A BatchNorm of short binary fractions with both signs of gamma, and gamma 0."""
        gamma = self.rng.choice([-1.0, -0.5, 0.5, 1.0, 2.0], channels)
        gamma[0] = 0 if channels > 3 else 1
        beta, mean = self.rng.integers(-6, 7, (2, channels)) / 4
        deviation = 2.0 ** self.rng.integers(-1, 2, channels) * spread
        numbers = (gamma, beta, mean * spread, deviation**2)
        return self.op("BatchNormalization", x, *map(self.const, numbers), epsilon=0.0)

    def pool(self, x: str) -> str:
        return self.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1])


def equal_to_qonnx(model: Model, x: str, shape: tuple[int, int, int], folder: Path) -> Network:
    """The network of a model that takes raw pixels, after each value of each map and each label was compared."""
    height, width, channels = shape
    proto = model.proto((COUNT, channels, height, width), x, domain=DOMAIN)
    onnx.save(proto, folder / "net.onnx")
    imported = import_onnx(folder / "net.onnx", pixels=Pixels.RAW)
    network = imported.network
    images = np.random.default_rng(0).integers(0, 256, (COUNT, *shape), np.uint8)
    images[0], images[1] = 0, 255
    floats = images.transpose(0, 3, 1, 2).astype(np.float32)
    found, packed = run_network(network, images), pack(fuse(network))
    for layer, got, (tensor, steps) in zip(network.layers, found.hidden, imported.tensors, strict=False):
        proto.graph.output[0].CopyFrom(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
        want = OnnxRunner(proto).run(floats)
        channels = layer.target.channels // layer.thresholds
        if layer.sign is not None:
            whole = bits.unpack(got, layer.target.channels).astype(np.int64)
            got = whole.reshape(*whole.shape[:3], layer.thresholds, channels).sum(axis=3)
        slope, offset = composed(steps, channels)
        values = (got * slope + offset).transpose(0, 3, 1, 2).reshape(len(images), -1)
        if layer.sign is None:  # float32 may round an average
            np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-6)
        else:
            assert np.array_equal(values, want), (layer.name, tensor)
        assert len(np.unique(want)) > 1, f"{tensor} is constant"
    logits = open_source(folder / "net.onnx", Settings(pixels=Pixels.RAW)).run(images)
    np.testing.assert_allclose(found.scores, logits, rtol=1e-6, atol=1e-6)
    for ours in (run_packed(packed, images), HostEngine(packed).trace(images)):
        assert np.array_equal(ours.labels, logits.argmax(1))
        for layer, want, got in zip(network.layers, found.hidden, ours.hidden, strict=False):
            assert np.array_equal(want, got), layer.name
    return network


FORMATS: dict[str, dict[str, Any]] = {
    "2 bits": {"width": 2, "signed": 0},
    "2 bits, narrow": {"width": 2, "signed": 0, "narrow": 1},
    "2 bits, signed": {"width": 2},
    "2 bits, signed, narrow": {"width": 2, "narrow": 1},
    "2 bits, zero point": {"width": 2, "signed": 0, "zero": 1.0},
    "3 bits": {"width": 3, "signed": 0},
    "3 bits, signed": {"width": 3},
    "3 bits, signed, narrow": {"width": 3, "narrow": 1},
    "1 bit": {"width": 1, "signed": 0},
    "1 bit, signed": {"width": 1},
}
BITS = {"2 bits": 3, "2 bits, narrow": 2, "2 bits, signed": 4, "2 bits, signed, narrow": 2, "2 bits, zero point": 4,
        "3 bits": 7, "3 bits, signed": 8, "3 bits, signed, narrow": 6, "1 bit": 1, "1 bit, signed": 1}  # fmt: skip


@pytest.mark.parametrize(("kind", "way"), turns(FORMATS, range(4)))
def test_convolutions_must_have_the_levels_of_qonnx(tmp_path: Path, kind: str, way: int) -> None:
    model = Levels(np.random.default_rng(way), 13)
    rng, form = model.rng, FORMATS[kind]
    mode = MODES[(way + 4 * list(FORMATS).index(kind)) % len(MODES)]

    def quantised(x: str, scale: float) -> str:
        name = "IntQuant" if way == 1 else "Quant"
        return model.quant(x, scale=scale, mode=mode, kind=name, **form)

    signs = model.signs(6, 2, 3, 3)
    x = model.conv("image", signs, 0, pads=[1, 1, 1, 1])
    x = model.pool(x) if way == 1 else x
    x = quantised(model.exact_norm(x, 6, 256.0), (0.75, -0.5, 1.5, -0.375)[way])
    x = model.pool(x) if way % 2 == 0 else x
    x = model.conv(x, model.signs(8, 3, 3, 3), 0, pads=[1, 1, 1, 1], group=2)
    x = model.op("Add", x, model.const(rng.integers(-4, 5, (8, 1, 1)) / 4))
    x = model.pool(x) if way == 3 else x
    x = quantised(model.exact_norm(x, 8, 4.0), (-1.0, 0.5, 0.375, 0.75)[way])
    x = model.conv(x, model.signs(8, 1, 3, 3), 0, pads=[0, 1, 1, 0], strides=[2, 2], group=8)
    x = model.pool(quantised(model.exact_norm(x, 8, 2.0), 0.5))
    x = model.conv(x, model.signs(4, 8, 1, 1), 0)
    x = model.op("Relu", x) if way == 2 and form.get("signed") == 0 else x
    x = quantised(x, 0.5)
    x = model.flatten(x, 1)
    features = _features(model, x, (2, 11, 12))
    network = equal_to_qonnx(model, model.dense(x, model.signs(5, features), 0), (11, 12, 2), tmp_path)
    assert [layer.thresholds for layer in network.layers[:2]] == [BITS[kind]] * 2
    assert all(layer.accumulation.shared for layer in network.layers[1:] if layer.accumulation.in_thresholds > 1)


def _features(model: Model, x: str, shape: tuple[int, int, int]) -> int:
    """The length of a flat tensor."""
    proto = model.proto(("batch", *shape), x, domain=DOMAIN)
    return OnnxRunner(proto).run(np.zeros((1, *shape), np.float32)).shape[1]


# ---- One rule for every way to round ----


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_must_have_the_levels_of_qonnx(tmp_path: Path, kind: str, mode: str) -> None:
    """Every pixel value, so every limit is met from both sides and as a tie."""
    turn = MODES.index(mode)
    model = Levels(np.random.default_rng(turn), 13)
    x = model.op("Div", model.op("Sub", "image", model.const(128.0)), model.const(16.0))
    form = {**FORMATS[kind], "zero": FORMATS[kind].get("zero", (0.0, 1.0, -2.0, 0.5)[turn % 4])}
    x = model.quant(x, scale=(1.0, -0.5, 2.0, -1.0)[turn // 2 % 4], mode=mode, **form)
    network = _of_pixels(model, x, tmp_path)
    assert network.layers[0].accumulation.kind is LayerKind.INPUT_CONV
    assert [layer.thresholds for layer in network.layers] == [2 ** form["width"] - 1 - form.get("narrow", 0), 1]


def _of_pixels(model: Levels, x: str, folder: Path) -> Network:
    """The network of all pixel values side by side, and one dense layer over what becomes of them."""
    x = model.op("Reshape", x, model.const([0, -1], np.int64))
    proto = model.proto(("batch", 1, 1, 256), model.dense(x, model.signs(3, 256), 0), domain=DOMAIN)
    onnx.save(proto, folder / "net.onnx")
    network = import_onnx(folder / "net.onnx", pixels=Pixels.RAW).network
    image = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)
    floats = image.reshape(1, 1, 1, 256).astype(np.float32)
    trace = run_network(network, image)
    whole = bits.unpack(trace.hidden[0], network.layers[0].target.channels).astype(np.int64).sum(axis=-1)
    values = OnnxRunner(model.proto((1, 1, 1, 256), x, domain=DOMAIN)).run(floats)
    pairs = np.unique(np.stack([whole.ravel(), values.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1] > 1
    assert len(np.unique(np.diff(pairs[1]) / np.diff(pairs[0]))) <= 1
    np.testing.assert_allclose(trace.scores, OnnxRunner(proto).run(floats))
    assert np.array_equal(HostEngine(pack(fuse(network))).trace(image).hidden[0], trace.hidden[0])
    return network


# ---- Limits of any kind ----


@pytest.mark.parametrize("scale", [1.0, 0.5, -2.0])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 8])
def test_uneven_limits_must_count_as_in_qonnx(tmp_path: Path, count: int, scale: float) -> None:
    """In any order, equal, one row for all channels or one for each, and beyond what can be reached."""
    model = Levels(np.random.default_rng(count), 13)
    limits = model.rng.integers(-1500, 1500, (5, count)) / 2
    limits[0] = limits[0, 0]
    limits[1, 0], limits[2, -1] = np.inf, -np.inf
    x = model.threshold(model.conv("image", model.signs(5, 2, 3, 3), 0), limits, scale, -scale)
    x = model.pool(x) if count % 2 else x
    x = model.conv(x, model.signs(6, 5, 3, 3), 0, pads=[1] * 4 if count > 3 else [0] * 4)
    x = model.threshold(x, model.rng.integers(-3, 4, (1, count)) * scale, 2.0, 1.0, "NCHW")
    x = model.flatten(x, 0)
    head = model.signs(4, _features(model, x, (2, 9, 10)))
    if count > 5:  # a padded 0 is the value of one limit that is reached: as many constant bits would be too many
        with pytest.raises(ImportRefused, match=r"'Conv_\d': pads values of \d bits with what is neither"):
            equal_to_qonnx(model, model.dense(x, head, 0), (9, 10, 2), tmp_path)
        return
    network = equal_to_qonnx(model, model.dense(x, head, 0), (9, 10, 2), tmp_path)
    assert network.layers[1].thresholds == count


def test_the_channels_of_a_sequence_must_be_where_qonnx_has_them(tmp_path: Path) -> None:
    model = Levels(np.random.default_rng(0), 13)
    x = model.op("Conv", "image", model.const(model.signs(4, 2, 3)), kernel_shape=[3])
    x = model.op("Transpose", x, perm=[0, 2, 1])
    x = model.threshold(x, model.rng.integers(-300, 300, (4, 3)))  # [N, W, C], QONNX's own order
    x = model.op("Transpose", x, perm=[0, 2, 1])
    x = model.dense(model.flatten(x, 0), model.signs(3, 4 * 10), 0)
    proto = model.proto((4, 2, 12), x, domain=DOMAIN)
    onnx.save(proto, tmp_path / "net.onnx")
    source = open_source(tmp_path / "net.onnx", Settings(pixels=Pixels.RAW))
    images = np.random.default_rng(0).integers(0, 256, (30, 1, 12, 2), np.uint8)
    np.testing.assert_allclose(run_network(source.imported.network, images).scores, source.run(images))
    assert source.imported.network.layers[0].thresholds == 3


@pytest.mark.parametrize("limits", [(0.0, None), (-1.0, 1.0), (1.0, 2.0), (-3.0, -0.5), (0.5, 0.5), (None, 1.5)])
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_values_that_are_limited_first_must_have_their_levels(
    tmp_path: Path, limits: tuple[float | None, float | None], scale: float
) -> None:
    model = Levels(np.random.default_rng(1), 13)
    x = model.op("Div", model.op("Sub", "image", model.const(128.0)), model.const(32.0))
    x = model.conv(x, np.ones((1, 1, 1, 1), np.float32), 0)
    if limits == (0.0, None):
        x = model.op("Relu", x)
    else:
        ends = ["" if end is None else model.const(end) for end in limits]
        x = model.op("Clip", x, *ends)
    twice = [model.quant(x, 3, scale, zero=zero, mode="FLOOR") for zero in (0.0, 1.0)]
    flat = [model.op("Reshape", one, model.const([0, -1], np.int64)) for one in twice]
    sums = [model.dense(one, model.signs(3, 256), 0) for one in flat]
    proto = model.proto((1, 1, 1, 256), model.op("Add", *sums), domain=DOMAIN)
    onnx.save(proto, tmp_path / "net.onnx")
    source = open_source(tmp_path / "net.onnx", Settings(pixels=Pixels.RAW))
    image = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)
    np.testing.assert_allclose(run_network(source.imported.network, image).scores, source.run(image))


# ---- What adds, averages and multiplies the values ----


@pytest.mark.parametrize("head", ["values", "sum", "quantised sum", "pooled"])
@pytest.mark.parametrize(
    "kinds", [("2 bits", "2 bits"), ("2 bits, signed", "3 bits"), ("3 bits, signed, narrow", "1 bit")]
)
def test_values_of_equal_scale_must_be_added_and_averaged(tmp_path: Path, kinds: tuple[str, str], head: str) -> None:
    model = Levels(np.random.default_rng(len(head)), 13)
    one, other = (FORMATS[kind] for kind in kinds)
    x = model.exact_norm(model.conv("image", model.signs(6, 2, 3, 3), 0), 6, 256.0)
    x = model.quant(x, scale=0.75, **one)
    y = model.exact_norm(model.conv(x, model.signs(6, 6, 3, 3), 0, pads=[1, 1, 1, 1]), 6, 4.0)
    y = model.quant(y, scale=-0.75 if head == "sum" else 0.75, mode="CEIL", **other)
    added = model.op("Add", x, y)
    if head != "sum":
        added = model.quant(model.op("Mul", added, model.const(-0.5)), 2, 0.75, mode="HALF_UP")
    if head == "pooled":
        added = model.pool(model.op("Add", added, model.quant(x, 2, 0.75, narrow=1)))
    if head == "values":
        added = model.quant(model.conv(added, model.signs(6, 6, 3, 3), 0), 3, 0.25, signed=0)
    mean = model.op("GlobalAveragePool", added)
    logits = model.dense(model.flatten(mean, 0), model.signs(4, 6), 0)
    network = equal_to_qonnx(model, logits, (10, 9, 2), tmp_path)
    layers = {layer.accumulation.kind: layer for layer in network.layers}
    assert layers[LayerKind.SUM].accumulation.target.channels == 6
    assert layers[LayerKind.TOTAL].accumulation.target.channels == 6


def test_values_of_several_bits_must_meet_weights_of_eight_bits(tmp_path: Path) -> None:
    model = Levels(np.random.default_rng(0), 13)
    x = model.quant(model.conv("image", model.signs(6, 2, 3, 3), 0), 3, 128.0)
    weights = model.op("Quant", model.const(model.rng.normal(size=(5, 6, 3, 3))), *map(model.const, (0.25, 0.0, 4.0)),
                       domain=DOMAIN, signed=1, narrow=1)  # fmt: skip
    x = model.op("Conv", x, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = model.flatten(model.quant(x, 2, 128.0), 0)
    x = model.dense(x, model.rng.integers(-3, 4, (4, 5 * 7 * 6)).astype(np.float32), 0)
    network = equal_to_qonnx(model, x, (9, 8, 2), tmp_path)
    assert [layer.accumulation.kind for layer in network.layers[1:]] == [LayerKind.WIDE_CONV, LayerKind.WIDE_CONV]
    assert network.layers[1].accumulation.in_thresholds == 8


def test_levels_may_be_the_scores(tmp_path: Path) -> None:
    model = Levels(np.random.default_rng(0), 13)
    x = model.dense(model.quant(model.op("Flatten", "image"), 2, 64.0), model.signs(5, 60), 0)
    network = equal_to_qonnx(model, model.quant(x, 3, 512.0), (5, 6, 2), tmp_path)
    assert network.layers[-1].accumulation.kind is LayerKind.SUM


@pytest.mark.parametrize("seed", seeds(12, sample=4))
def test_any_scales_must_decide_as_in_qonnx(tmp_path: Path, seed: int) -> None:
    """Scales, statistics and pixels as they are trained; only labels that float32 does not decide are compared."""
    model = Levels(np.random.default_rng(seed), (9, 13, 17)[seed % 3])
    rng, form = model.rng, list(FORMATS.values())[seed % 8]
    scale = float(rng.uniform(0.1, 2)) * (-1) ** (seed // 3)
    x = model.op("Sub", model.op("Mul", "image", model.const(2.0)), model.const(1.0))
    x = model.quant(x, scale=scale / 2, **form) if seed % 2 else x
    x = model.norm(model.conv(x, model.signs(8, 1, 3, 3), 0), 8, (8, 1, 1), 2.0, seed % 2)
    x = model.quant(model.op("Relu", x) if form.get("signed") == 0 else x, scale=scale, **form)
    x = model.conv(model.pool(x), model.signs(9, 8, 3, 3), 2, pads=[1, 1, 1, 1])
    x = model.quant(model.norm(x, 9, (9, 1, 1), 3.0, 0), scale=scale, mode=MODES[seed % 9], **form)
    x = model.flatten(x, 1)
    x = model.dense(x, model.signs(6, _features(model, x, (1, 12, 12))), 2)
    onnx.save(model.proto(("batch", 1, 12, 12), x, domain=DOMAIN), tmp_path / "net.onnx")
    same(tmp_path / "net.onnx", (12, 12, 1), Settings())


# ---- What is refused ----


def _refused(model: Levels, x: str, folder: Path) -> str:
    onnx.save(model.proto((1, 2, 9, 9), x, domain=DOMAIN), folder / "net.onnx")
    with pytest.raises(ImportRefused) as caught:
        import_onnx(folder / "net.onnx")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("four bits", "'Quant_1': 4-bit activations; activations of 1, 2 and 3 bits can be taken"),
        ("half a bit", "'Quant_1': 2.5-bit activations"),
        ("nine thresholds", "'MultiThreshold_1': 4-bit activations (9 thresholds); 1 to 8 thresholds can be taken"),
        ("a scale for each channel", "'Quant_1': has a scale for each channel"),
        ("no scale", "'Quant_1': a scale of 0"),
        ("no number", "'Quant_1': a scale, zero point or bias that is not finite"),
        ("no limit", "'MultiThreshold_1': has a limit that is no number"),
        ("one value", "'Quant_1': 1-bit activations of one value only"),
        ("another mode", "'Quant_1': rounding mode STOCHASTIC is unknown"),
        ("different scales", "'Add_3': adds values of different scales"),
        ("joined values", "'Concat_3': concatenates Quant_1, whose values have several bits"),
        ("padding between levels", "'Conv_2': pads values of 7 bits with what is neither their smallest, middle nor"),
        ("tanh", "'Tanh_1': an activation of more than one bit"),
        ("relu alone", "'Relu_1': an activation of more than one bit"),
    ],
)
def test_what_has_no_levels_must_be_refused_by_name(tmp_path: Path, change: str, reason: str) -> None:
    model = Levels(np.random.default_rng(0), 13)
    x = model.conv("image", model.signs(4, 2, 3, 3), 0)
    match change:
        case "four bits":
            x = model.quant(x, 4)
        case "half a bit":
            x = model.quant(x, 2.5)  # type: ignore[arg-type]
        case "nine thresholds":
            x = model.threshold(x, np.zeros((4, 9)))
        case "a scale for each channel":
            x = model.quant(x, 2, np.array([1, 2, 1, 1]).reshape(4, 1, 1))  # type: ignore[arg-type]
        case "no scale":
            x = model.quant(x, 2, 0.0)
        case "no number":
            x = model.quant(x, 2, np.inf)
        case "no limit":
            x = model.threshold(x, np.full((4, 2), np.nan))
        case "one value":
            x = model.quant(x, 1, signed=0, narrow=1)
        case "another mode":
            x = model.quant(x, 2, mode="STOCHASTIC")
        case "different scales":
            x = model.op("Add", model.quant(x, 2), model.quant(x, 2, 0.5))
        case "joined values":
            x = model.op("Concat", model.quant(x, 2), model.quant(x, 2, 0.5), axis=1)
        case "padding between levels":
            x = model.conv(model.quant(x, 3, zero=-2.0), model.signs(4, 4, 3, 3), 0, pads=[1, 1, 1, 1])
        case "tanh":
            x = model.quant(model.op("Tanh", x), 2)
        case "relu alone":
            x = model.op("Relu", x)
    features = 49 * (8 if change == "joined values" else 4)
    text = _refused(model, model.dense(model.flatten(x, 0), model.signs(3, features), 0), tmp_path)
    assert text.startswith(f"layer {reason}")
