"""Networks that others trained: labels and integers equal to their reference predictions on every image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitflow.engines.host import HostEngine
from bitflow.errors import ImportRefused
from bitflow.importers.keras.file import import_keras
from bitflow.importers.onnx.file import import_onnx
from bitflow.importers.source import Settings, open_source
from bitflow.learn.data.sources import load_data
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack


def test_qonnx_perceptron_must_equal_its_reference_on_all_of_mnist(shared_models: Path, shared_data: Path) -> None:
    packed = pack(fuse(import_onnx(shared_models / "qonnx" / "TFC_1W1A.onnx").network))
    want = np.load(shared_models / "qonnx" / "TFC_1W1A_ref_mnist10k.npz")
    test = load_data(f"idx:{shared_data / 'mnist'}").test
    scores = HostEngine(packed).scores(test.images)
    assert np.array_equal(scores.argmax(axis=1), want["pred_first"])
    assert np.array_equal(scores, want["int_logits"])
    assert np.mean(scores.argmax(axis=1) == test.labels) == 0.9296
    assert packed.logits is not None
    logits = packed.logits.scale * scores + packed.logits.offset
    assert np.abs(logits - want["float_logits"]).max() <= 1e-6 * np.abs(want["float_logits"]).max()


def test_larq_network_must_equal_its_reference(shared_models: Path) -> None:
    imported = import_keras(shared_models / "larq" / "30_16_32_BN_ep30.h5")
    assert imported.notes[:2] == ("input: the source got p for a pixel p", "sign(0) = +1, as Larq has it")
    packed = pack(fuse(imported.network))
    want = np.load(shared_models / "larq" / "30_16_32_BN_ep30_first1000.npz")
    scores = HostEngine(packed).scores(want["images"])
    assert np.array_equal(scores.argmax(axis=1), want["predictions"])
    assert np.array_equal(scores, want["logits"])


def test_qonnx_perceptron_of_two_bits_must_decide_as_its_reference(shared_models: Path, shared_data: Path) -> None:
    source = open_source(shared_models / "qonnx" / "TFC_1W2A.onnx", Settings())
    layers = source.imported.network.layers
    assert [layer.thresholds for layer in layers] == [2, 2, 2, 2, 1]
    assert all(layer.accumulation.shared for layer in layers[1:])
    test = load_data(f"idx:{shared_data / 'mnist'}").test
    images, labels = test.images[:2000], test.labels[:2000]
    scores = HostEngine(pack(fuse(source.imported.network))).scores(images)
    assert np.array_equal(scores.argmax(axis=1), source.run(images).argmax(axis=1))
    assert np.mean(scores.argmax(axis=1) == labels) == 0.9295  # as with the package qonnx itself


def test_float_network_must_be_refused_by_its_first_layer(shared_models: Path) -> None:
    with pytest.raises(ImportRefused, match="'Convolution28': is a convolution with float weights"):
        import_onnx(shared_models / "float" / "mnist-conv.onnx")
