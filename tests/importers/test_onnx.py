"""ONNX and QONNX: exporters' idioms of opsets 11 to 21 decide as onnxruntime does; what is not binary is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.importers.onnx_models import OPSETS, Model, binary_network, same
from tests.tiers import seeds

from bitflow.errors import ImportRefused, InputError
from bitflow.importers.onnx.file import import_onnx
from bitflow.importers.pixels import Pixels
from bitflow.importers.source import Settings


@pytest.mark.parametrize("seed", seeds(60))
def test_exported_network_must_decide_as_onnxruntime(tmp_path: Path, seed: int) -> None:
    model, shape, pixels = binary_network(seed)
    onnx.save(model, tmp_path / "net.onnx")
    settings = Settings(pixels=Pixels.parse(pixels))
    same(tmp_path / "net.onnx", shape, settings, soft=bool(seed % 2))


@pytest.mark.parametrize("weights", ["bipolar", "one bit", "eight bits"])
@pytest.mark.parametrize("activation", ["bipolar", "quant", "threshold", "thresholds", "scaled"])
def test_qonnx_must_decide_as_its_reference(tmp_path: Path, weights: str, activation: str) -> None:
    rng = np.random.default_rng(len(weights) + len(activation))
    model = Model(rng, 16)

    def quantised(array: np.ndarray) -> str:
        if weights == "bipolar":
            return model.op("BipolarQuant", model.const(array), model.const(0.5), domain="qonnx.custom_op.general")
        bits = 1.0 if weights == "one bit" else 8.0
        scale = model.const(1.0 if weights == "one bit" else 1 / 64)
        extra = (model.const(0.0), model.const(bits))
        signed, narrow = (0, 0) if weights == "one bit" else (1, 1)
        return model.op(
            "Quant", model.const(array), scale, *extra, domain="qonnx.custom_op.general", signed=signed, narrow=narrow
        )

    def bits(x: str, channels: int) -> str:
        if activation in ("bipolar", "scaled"):
            scale = model.const(1.0 if activation == "bipolar" else 0.25)
            return model.op("BipolarQuant", x, scale, domain="qonnx.custom_op.general")
        if activation == "quant":
            parameters = (model.const(0.5), model.const(0.0), model.const(1.0))
            return model.op("Quant", x, *parameters, domain="qonnx.custom_op.general", signed=0, narrow=0)
        rows = 1 if activation == "threshold" else channels
        limits = model.const(rng.normal(scale=2, size=(rows, 1)))
        layout = "NCHW" if channels == 6 else "NC"
        return model.op(
            "MultiThreshold",
            x,
            limits,
            domain="qonnx.custom_op.general",
            out_scale=2.0,
            out_bias=-1.0,
            data_layout=layout,
        )

    x = model.op("Conv", "image", quantised(rng.normal(size=(6, 2, 3, 3))), kernel_shape=[3, 3])
    x = bits(model.norm(x, 6, (6, 1, 1), 40.0, 0), 6)
    x = model.op(
        "MatMul", model.flatten(x, 2), model.op("Transpose", quantised(rng.normal(size=(9, 6 * 12))), perm=[1, 0])
    )
    x = bits(model.norm(x, 9, (9,), 5.0, 0), 9)
    x = model.dense(x, model.signs(5, 9), 0)
    proto = model.proto((1, 2, 5, 6), x, domain="qonnx.custom_op.general")
    onnx.save(proto, tmp_path / "net.onnx")
    same(tmp_path / "net.onnx", (5, 6, 2), Settings(pixels=Pixels.RAW))


@pytest.mark.parametrize("joined", ["signs", "shifted maps", "pooled signs"])
@pytest.mark.parametrize("way", range(5))
def test_joined_signs_of_a_map_must_be_one_layer_that_decides_as_onnxruntime(
    tmp_path: Path, way: int, joined: str
) -> None:
    model = Model(np.random.default_rng(way), OPSETS[way])
    x = model.norm(model.conv("image", model.signs(5, 2, 3, 3), 0), 5, (5, 1, 1), 300.0, way % 2)
    moved = [model.op("Add", x, model.const(model.rng.normal(size=(5, 1, 1)))) for _ in range(3)]
    if joined == "shifted maps":
        x = model.sign(model.op("Concat", *moved, axis=1), way)
    else:
        signs = [model.sign(value, (way + n) % 5) for n, value in enumerate(moved)]
        if joined == "pooled signs":
            signs = [model.op("MaxPool", bits, kernel_shape=[2, 2], strides=[2, 2]) for bits in signs]
        x = model.op("Concat", *signs, axis=1)
    x = model.norm(model.conv(x, model.signs(4, 15, 3, 3), 0), 4, (4, 1, 1), 9.0, 0)
    moved = [model.op("Sub", x, model.const(limit)) for limit in (-0.5, 0.5)]
    x = model.op("Concat", *(model.sign(value, way) for value in moved), axis=-3)
    side = 3 if joined == "pooled signs" else 8
    x = model.dense(model.flatten(x, 0), model.signs(6, 8 * side * side), 0)
    onnx.save(model.proto((1, 2, 12, 12), x), tmp_path / "net.onnx")
    same(tmp_path / "net.onnx", (12, 12, 2), Settings(pixels=Pixels.RAW))
    layers = import_onnx(tmp_path / "net.onnx", pixels=Pixels.RAW).network.layers
    assert [layer.thresholds for layer in layers] == [3, 2, 1]
    zeros = {0: 1, 1: 1, 2: -1, 3: 1, 4: -1}  # of each way to write a sign
    sign = layers[0].sign
    assert sign is not None
    assert sign.zeros == tuple(zeros[way if joined == "shifted maps" else (way + n) % 5] for n in range(3))


def refused(model: Model, x: str, shape: tuple[object, ...], path: Path, **options: object) -> str:
    onnx.save(model.proto(shape, x), path)
    with pytest.raises((ImportRefused, InputError)) as caught:
        import_onnx(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_binary_must_be_refused_by_its_first_layer(tmp_path: Path) -> None:
    model = Model(np.random.default_rng(0), 17)
    x = model.conv("image", model.signs(4, 1, 3, 3), 0)
    x = model.op("Conv", model.sign(x, 0), model.const(model.rng.normal(size=(4, 4, 3, 3))), kernel_shape=[3, 3])
    x = model.op("Relu", x)
    text = refused(model, x, (1, 1, 9, 9), tmp_path / "net.onnx")
    assert text.startswith("layer 'Conv_4': is a convolution with float weights")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("Relu", "more than one bit"), ("LSTM", "unknown"), ("AveragePool", "max-pool"), ("Round", "more than one bit")],
)
def test_operations_that_are_not_binary_must_be_refused_by_name(tmp_path: Path, kind: str, reason: str) -> None:
    model = Model(np.random.default_rng(0), 17)
    x = model.conv("image", model.signs(4, 1, 3, 3), 0)
    attributes = {"kernel_shape": [2, 2]} if kind == "AveragePool" else {}
    text = refused(model, model.op(kind, x, **attributes), (1, 1, 9, 9), tmp_path / "net.onnx")
    assert f"'{kind}_1'" in text and reason in text


def test_a_sign_with_three_values_must_be_refused_or_decided(tmp_path: Path) -> None:
    model = Model(np.random.default_rng(0), 17)
    bits = model.sign(model.op("Sub", model.op("Flatten", "image"), model.const(0.5)), 0)
    x = model.op("Sign", model.dense(bits, model.signs(6, 4), 0))
    x = model.dense(x, model.signs(3, 6), 0)
    path = tmp_path / "net.onnx"
    assert "--sign-zero" in refused(model, x, ("batch", 1, 2, 2), path)
    found = [import_onnx(path, sign_zero=zero).network.layers[1].sign for zero in (1, -1)]
    assert [sign.zero for sign in found if sign] == [1, -1]


# ---- Hostile and damaged files ----


def damaged(change: str) -> bytes:
    model, _, _ = binary_network(0)
    graph = model.graph
    match change:
        case "cycle":
            graph.node[1].input[0] = graph.node[-1].output[0]
        case "missing initialiser":
            del graph.initializer[0]
        case "negative dimension":
            graph.initializer[0].dims[0] = -5
        case "huge dimension":
            graph.initializer[0].dims[0] = 2**60
        case "dimensions beyond the data":
            graph.initializer[0].dims[0] = 1000
        case "a shape of 2^31":
            shape = numpy_helper.from_array(np.array([2**31, 2], np.int64), "shape")
            graph.initializer.append(shape)
            graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["bomb"], name="bomb"))
        case "a product of 2^40":
            for name, dims in (("tall", (2**20, 1)), ("wide", (1, 2**20))):
                graph.initializer.append(numpy_helper.from_array(np.zeros(dims, np.int8), name))
            graph.node.insert(0, helper.make_node("Add", ["tall", "wide"], ["bomb"], name="bomb"))
        case "two inputs":
            graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, (1, 2)))
        case "no input":
            del graph.input[:]
        case "integer input":
            graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
        case "no output":
            del graph.output[:]
        case "another output":
            graph.output[0].name = "nowhere"
        case "a huge map":
            graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**40
        case "stride 0":
            next(n for n in graph.node if n.op_type == "Conv").attribute.append(
                helper.make_attribute("strides", [0, 0])
            )
        case "a graph inside":
            graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "g", [], [])))
        case "no nodes":
            del graph.node[:]
    return model.SerializeToString()


@pytest.mark.parametrize(
    "change",
    [
        "cycle", "missing initialiser", "negative dimension", "huge dimension", "dimensions beyond the data",
        "a shape of 2^31", "a product of 2^40", "two inputs", "no input", "integer input", "no output",
        "another output", "a huge map", "stride 0", "a graph inside", "no nodes",
    ],
)  # fmt: skip
def test_damaged_model_must_get_one_line(tmp_path: Path, change: str) -> None:
    (tmp_path / "net.onnx").write_bytes(damaged(change))
    with pytest.raises(InputError) as caught:
        import_onnx(tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "missing.bin", "link.bin", "short.bin"])
def test_external_data_must_lie_beside_the_model(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "short.bin").write_bytes(b"1234")
    model, _, _ = binary_network(0)
    tensor = model.graph.initializer[0]
    size = len(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, location, offset=0, length=size)
    tensor.ClearField("raw_data")
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"outside|missing|beyond"):
        import_onnx(folder / "net.onnx")


def test_external_data_beside_the_model_must_be_read(tmp_path: Path) -> None:
    model, shape, pixels = binary_network(3)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    same(tmp_path / "net.onnx", shape, Settings(pixels=Pixels.parse(pixels)), soft=True)
