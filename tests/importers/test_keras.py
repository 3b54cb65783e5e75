"""Larq and Keras files: layers decide as TensorFlow and Larq define them; hostile files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.importers.keras_models import (
    Layers,
    conv,
    dense,
    forward,
    network,
    norm,
    save_connected,
    save_h5,
    save_keras,
)
from tests.tiers import seeds

from bitflow.engines.host import HostEngine
from bitflow.errors import ImportRefused, InputError
from bitflow.importers.keras.file import import_keras
from bitflow.importers.source import Settings, open_source
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack


@pytest.mark.parametrize("seed", seeds(20, sample=4))
@pytest.mark.parametrize("kind", ["h5", "functional", "keras"])
def test_larq_network_must_decide_as_its_layers_are_defined(tmp_path: Path, seed: int, kind: str) -> None:
    layers, shape = network(seed)
    images = np.random.default_rng(seed).integers(0, 256, (30, *shape), np.uint8)
    want = forward(layers, images.astype(np.float64))
    path = tmp_path / ("net.keras" if kind == "keras" else "net.h5")
    if kind == "keras":
        save_keras(path, layers, shape)
    else:
        save_h5(path, layers, shape, functional=kind == "functional")
    opened = open_source(path, Settings())
    packed = pack(fuse(opened.imported.network))
    assert packed.logits is not None
    got = packed.logits.scale * HostEngine(packed).scores(images) + packed.logits.offset
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()
    assert np.abs(opened.run(images) - want).max() <= 1e-4 * np.abs(want).max()
    assert len(np.unique(want, axis=0)) > 5


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "is a Lambda": ("Lambda", {"function": "evil"}),
    "activation relu": ("Activation", {"activation": "relu"}),
    "input quantizer dorefa": ("QuantDense", {"units": 3, "input_quantizer": "dorefa_quantizer", "use_bias": False}),
    "kernel quantizer": ("QuantDense", {"units": 3, "kernel_quantizer": "dorefa_quantizer", "use_bias": False}),
    "float weights": ("Dense", {"units": 3, "use_bias": False}),
    "is a LSTM": ("LSTM", {"units": 4}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_binary_must_be_refused_by_name(tmp_path: Path, reason: str) -> None:
    kind, config = REFUSED[reason]
    rng = np.random.default_rng(0)
    layers: Layers = [conv(rng, 4, 1, input_quantizer=None), ("Flatten", {}, {})]
    layers += [(kind, config, {"kernel": rng.normal(size=(16, 3))})]
    save_h5(tmp_path / "net.h5", layers, (4, 4, 1))
    with pytest.raises(ImportRefused, match=f"'layer_2': .*{reason}"):
        import_keras(tmp_path / "net.h5")


def hostile(path: Path, change: str) -> None:
    layers, shape = network(4)
    forward(layers, np.random.default_rng(0).random((9, *shape)))
    save_h5(path, layers, shape)
    other = path.with_name("other.h5")
    with h5py.File(other, "w") as file:
        file["kernel"] = np.zeros((3, 3, 1, 8), np.float32)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/layer_0/layer_0"]
        if change != "configuration":
            kernel = group["kernel:0"][()]
            del group["kernel:0"]
        match change:
            case "configuration":
                file.attrs["model_config"] = "[" * 100_000
            case "missing":
                pass
            case "shape":
                group["kernel:0"] = kernel.reshape(-1)
            case "external link":
                group["kernel:0"] = h5py.ExternalLink("other.h5", "/kernel")
            case "soft link":
                group["kernel:0"] = h5py.SoftLink("/model_weights")
            case "external storage":
                (path.with_name("raw.bin")).write_bytes(bytes(kernel.size * 4))
                group.create_dataset(
                    "kernel:0", kernel.shape, "f4", external=[(str(path.with_name("raw.bin")), 0, kernel.size * 4)]
                )
            case "virtual":
                layout = h5py.VirtualLayout(kernel.shape, "f4")
                layout[:] = h5py.VirtualSource(str(other), "kernel", kernel.shape)
                group.create_virtual_dataset("kernel:0", layout)
            case "huge":
                group.create_dataset("kernel:0", (2**20, 2**20), "f4", chunks=(1, 1024))
            case "circle":
                group["again"] = group
            case "text":
                group["kernel:0"] = "kernel"


@pytest.mark.parametrize(
    "change",
    [
        "configuration",
        "missing",
        "shape",
        "external link",
        "soft link",
        "external storage",
        "virtual",
        "huge",
        "circle",
        "text",
    ],
)
def test_hostile_file_must_get_one_line(tmp_path: Path, change: str) -> None:
    hostile(tmp_path / "net.h5", change)
    with pytest.raises(InputError) as caught:
        import_keras(tmp_path / "net.h5")
    assert "\n" not in str(caught.value)


def test_weights_alone_must_be_refused_with_what_to_do(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["layer/kernel:0"] = np.zeros(3)
    with pytest.raises(InputError, match="save the whole model"):
        import_keras(tmp_path / "net.h5")


def test_nothing_in_the_current_folder_must_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, shape = network(4)
    forward(layers, np.random.default_rng(0).random((9, *shape)))
    save_h5(tmp_path / "net.h5", layers, shape)
    for name in ("bitflow", "h5py", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w').close()")
    monkeypatch.chdir(tmp_path)
    assert import_keras(Path("net.h5")).network.layers
    assert not (tmp_path / "executed").exists()


def test_a_sequence_must_be_a_map_of_height_one(tmp_path: Path) -> None:
    """1-D layers against the same network in 2-D, over signals of two channels; "same" and "causal" padding."""
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=(5, 2, 8)), rng.normal(size=(3, 8, 6))]
    head = dense(rng, 4, None)
    flat: Layers = [
        (
            "QuantConv1D",
            {"strides": [2], "padding": "same", "use_bias": False, "kernel_quantizer": "ste_sign"},
            {"kernel": kernels[0]},
        ),
        ("MaxPooling1D", {"pool_size": [2], "strides": [2], "padding": "valid"}, {}),
        (
            "QuantConv1D",
            {"padding": "causal", "use_bias": False, "kernel_quantizer": "ste_sign", "input_quantizer": "ste_sign"},
            {"kernel": kernels[1]},
        ),
        ("Flatten", {}, {}),
        head,
    ]
    square: Layers = [
        ("QuantConv2D", flat[0][1] | {"strides": [1, 2], "pad_values": 0.0}, {"kernel": kernels[0][None]}),
        ("MaxPooling2D", {"pool_size": [1, 2], "strides": [1, 2], "padding": "valid"}, {}),
        ("Activation", {"activation": "ste_sign"}, {}),
        ("ZeroPadding2D", {"padding": [[0, 0], [2, 0]]}, {}),
        ("QuantConv2D", flat[2][1] | {"padding": "valid", "input_quantizer": None}, {"kernel": kernels[1][None]}),
        ("Flatten", {}, {}),
        head,
    ]
    head[2]["kernel"] = rng.normal(size=(8 * 6, 4))
    head[2]["bias"] = rng.normal(size=4)
    save_h5(tmp_path / "flat.h5", flat, (32, 2))
    save_h5(tmp_path / "square.h5", square, (1, 32, 2))
    images = rng.integers(0, 256, (50, 1, 32, 2)).astype(np.uint8)
    one, two = (pack(fuse(import_keras(tmp_path / f"{name}.h5").network)) for name in ("flat", "square"))
    assert one.input_spec.shape == two.input_spec.shape
    scores = HostEngine(one).scores(images)
    assert np.array_equal(scores, HostEngine(two).scores(images))
    assert len(np.unique(scores, axis=0)) > 10


@pytest.mark.parametrize("style", ["shifts", "norms", "joined first"])
def test_joined_signs_of_a_map_must_be_one_layer(tmp_path: Path, style: str) -> None:
    rng = np.random.default_rng(len(style))
    gamma = rng.choice([-1.0, 1.0], 4)  # equal directions, or the bits would be of two maps

    def normed() -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
        kind, config, weights = norm(rng, 4)
        numbers = {"gamma": gamma * rng.uniform(0.5, 2, 4), "moving_mean": rng.normal(size=4) * 99}
        return kind, config, weights | numbers | {"moving_variance": rng.uniform(1e4, 1e5, 4)}

    layers: dict[str, tuple[str, dict[str, Any], dict[str, np.ndarray]]] = {
        "stem": conv(rng, 4, 1, input_quantizer=None)
    }
    sources = {"stem": ["image"]}
    base = "stem"
    if style != "norms":
        layers["base"], sources["base"], base = normed(), ["stem"], "base"
    for t in range(3):
        shift = ("Rescaling", {"scale": 1.0, "offset": rng.normal(scale=0.7, size=4).tolist()}, {})
        layers[f"moved{t}"], sources[f"moved{t}"] = normed() if style == "norms" else shift, [base]
        layers[f"bits{t}"], sources[f"bits{t}"] = ("Activation", {"activation": "ste_sign"}, {}), [f"moved{t}"]
    if style == "joined first":
        layers = {name: layer for name, layer in layers.items() if not name.startswith("bits")}
    parts = [f"{'moved' if style == 'joined first' else 'bits'}{t}" for t in range(3)]
    layers["join"], sources["join"] = ("Concatenate", {"axis": -1}, {}), parts
    layers["conv"] = conv(rng, 6, 12, input_quantizer="ste_sign" if style == "joined first" else None)
    layers["flat"], layers["head"] = ("Flatten", {}, {}), dense(rng, 5, None)
    layers["head"][2]["kernel"], layers["head"][2]["bias"] = rng.normal(size=(6 * 5 * 4, 5)), rng.normal(size=5)
    sources |= {"conv": ["join"], "flat": ["conv"], "head": ["flat"]}
    save_connected(tmp_path / "net.h5", layers, sources, (9, 8, 1))
    opened = open_source(tmp_path / "net.h5", Settings())
    network = opened.imported.network
    assert [layer.thresholds for layer in network.layers] == [3, 1, 1]
    images = rng.integers(0, 256, (40, 9, 8, 1)).astype(np.uint8)
    packed = pack(fuse(network))
    assert packed.logits is not None
    got = packed.logits.scale * HostEngine(packed).scores(images) + packed.logits.offset
    np.testing.assert_allclose(got, opened.run(images), 0, 1e-3)
    assert len(np.unique(got, axis=0)) > 10
