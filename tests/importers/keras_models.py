"""Larq and Keras files as both write them, and what their layers compute by TensorFlow's and Larq's documentation."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

__all__ = ["Layers", "conv", "dense", "forward", "network", "norm", "save_connected", "save_h5", "save_keras"]

Layers = list[tuple[str, dict[str, Any], dict[str, np.ndarray]]]
SIGN = {"class_name": "SteSign", "config": {"name": "ste_sign", "clip_value": 1.0}}


def signs(values: np.ndarray) -> np.ndarray:
    return np.where(values >= 0, 1.0, -1.0)


def conv(
    rng: np.random.Generator, filters: int, channels: int, **options: Any
) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    kernel = options.pop("kernel", 3)
    config = {
        "filters": filters,
        "kernel_size": [kernel, kernel],
        "strides": [1, 1],
        "padding": "valid",
        "use_bias": False,
    }
    config |= {"kernel_quantizer": SIGN, "input_quantizer": SIGN, "pad_values": 0.0} | options
    weights = {"kernel": rng.normal(size=(kernel, kernel, channels // config.get("groups", 1), filters))}
    if config["use_bias"]:
        weights["bias"] = rng.normal(size=filters)
    return "QuantConv2D", config, weights


def norm(rng: np.random.Generator, channels: int, **options: Any) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Its statistics are those of the first images that pass."""
    config = {"axis": [3], "epsilon": 1e-3, "center": True, "scale": True} | options
    weights = {"beta": rng.normal(scale=0.3, size=channels)}
    if config["scale"]:
        weights["gamma"] = rng.normal(size=channels)
    return "BatchNormalization", config, weights


def network(seed: int) -> tuple[Layers, tuple[int, int, int]]:
    rng = np.random.default_rng(seed)
    channels = (1, 3)[seed % 2]
    same = {"padding": "same", "pad_values": (0.0, 1.0, -1.0)[seed % 3]}
    layers: Layers = [conv(rng, 8, channels, input_quantizer=None, kernel=(3, 5)[seed % 2])]
    layers += [("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2], "padding": ("valid", "same")[seed % 2]}, {})]
    layers += [norm(rng, 8, scale=bool(seed % 3))]
    if seed % 4 == 0:
        layers += [conv(rng, 12, 8, strides=[2, 2], **same)]
    elif seed % 4 == 1:
        kernel = rng.normal(size=(3, 3, 8, 2))
        config = {"kernel_size": [3, 3], "strides": [1, 1], "use_bias": False, "depth_multiplier": 2}
        quantizers = {"depthwise_quantizer": "ste_sign", "input_quantizer": "ste_sign"}
        layers += [("QuantDepthwiseConv2D", config | quantizers | same, {"depthwise_kernel": kernel})]
    elif seed % 4 == 2:
        layers += [conv(rng, 12, 8, groups=2, dilation_rate=[2, 2], kernel_quantizer="magnitude_aware_sign")]
    else:
        layers += [("Activation", {"activation": "ste_sign"}, {}), ("ZeroPadding2D", {"padding": [[0, 0], [1, 0]]}, {})]
        layers += [conv(rng, 12, 8, input_quantizer=None, use_bias=True)]
    layers += [norm(rng, 16 if seed % 4 == 1 else 12)]
    layers += [("Dropout", {"rate": 0.1}, {})]
    if seed % 5 == 0:
        layers += [("Activation", {"activation": "approx_sign"}, {}), ("GlobalAveragePooling2D", {}, {})]
        layers += [dense(rng, 5, 16 if seed % 4 == 1 else 12, quantizer=None)]
    else:
        layers += [("Flatten", {}, {}), dense(rng, 5, None)]
    layers += [("Activation", {"activation": "softmax"}, {})] if seed % 2 else []
    return layers, (13, 12, channels)


def dense(rng: np.random.Generator, units: int, inputs: int | None, quantizer: Any = SIGN) -> Any:
    config = {
        "units": units,
        "use_bias": bool(rng.random() < 0.5),
        "kernel_quantizer": SIGN,
        "input_quantizer": quantizer,
    }
    return "QuantDense", config, {"inputs": inputs, "rng": rng}


# ---- What the layers compute, written from TensorFlow's and Larq's documentation, one number after the other ----


def forward(layers: Layers, x: np.ndarray) -> np.ndarray:
    for kind, config, weights in layers:
        x = {"QuantConv2D": run_conv, "QuantDepthwiseConv2D": run_conv, "MaxPooling2D": run_pool}.get(kind, run_other)(
            x, config, weights, kind
        )
    return x


def same_sides(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def run_conv(x: np.ndarray, config: Any, weights: Any, kind: str) -> np.ndarray:
    if config["input_quantizer"]:
        x = signs(x)
    depthwise = kind == "QuantDepthwiseConv2D"
    kernel = weights["depthwise_kernel" if depthwise else "kernel"].astype(np.float32).astype(np.float64)
    factor = np.abs(kernel).mean(axis=(0, 1, 2)) if config.get("kernel_quantizer") == "magnitude_aware_sign" else 1.0
    kernel = signs(kernel) * factor
    groups = x.shape[3] if depthwise else config.get("groups", 1)
    if depthwise:
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    step = config["strides"][0]
    bound = config.get("dilation_rate", [1])[0]
    span = bound * (kernel.shape[0] - 1) + 1
    if config["padding"] == "same":
        sides = [same_sides(n, span, step) for n in x.shape[1:3]]
        x = np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=config["pad_values"])
    rows, columns = ((n - span) // step + 1 for n in x.shape[1:3])
    out = np.zeros((len(x), rows, columns, kernel.shape[3]))
    each, made = x.shape[3] // groups, kernel.shape[3] // groups
    for y in range(rows):
        for c in range(columns):
            part = x[:, y * step : y * step + span : bound, c * step : c * step + span : bound]
            for group in range(groups):
                taken = part[..., group * each : (group + 1) * each]
                chosen = slice(group * made, (group + 1) * made)
                out[:, y, c, chosen] = np.tensordot(taken, kernel[..., chosen], 3)
    return out + weights["bias"].astype(np.float32) if config["use_bias"] else out


def run_pool(x: np.ndarray, config: Any, weights: Any, kind: str) -> np.ndarray:
    if config["padding"] == "same":
        x = np.pad(x, ((0, 0), *(same_sides(n, 2, 2) for n in x.shape[1:3]), (0, 0)), constant_values=-np.inf)
    rows, columns = (n // 2 for n in x.shape[1:3])
    return x[:, : rows * 2, : columns * 2].reshape(len(x), rows, 2, columns, 2, -1).max(axis=(2, 4))


def run_other(x: np.ndarray, config: Any, weights: Any, kind: str) -> np.ndarray:
    match kind:
        case "BatchNormalization":
            weights.setdefault("moving_mean", x.mean(axis=(0, 1, 2)))
            weights.setdefault("moving_variance", x.var(axis=(0, 1, 2)))
            w = {name: array.astype(np.float32).astype(np.float64) for name, array in weights.items()}
            return (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w.get("gamma", 1.0) + w["beta"]
        case "ZeroPadding2D":
            return np.pad(x, ((0, 0), *config["padding"], (0, 0)))
        case "Activation":
            return signs(x) if config["activation"] != "softmax" else x
        case "GlobalAveragePooling2D":
            return x.mean(axis=(1, 2))
        case "Flatten":
            return x.reshape(len(x), -1)
        case "QuantDense":
            x = signs(x) if config["input_quantizer"] else x
            made = weights.setdefault("kernel", weights["rng"].normal(size=(x.shape[1], config["units"])))
            bias = weights.setdefault("bias", weights["rng"].normal(size=config["units"]))
            return x @ signs(made) + (bias.astype(np.float32) if config["use_bias"] else 0)
    return x


# ---- Files as Keras writes them ----


def configuration(layers: Layers, shape: tuple[int, ...], functional: bool) -> dict[str, Any]:
    items = [{"class_name": "InputLayer", "config": {"name": "image", "batch_input_shape": [None, *shape]}}]
    for index, (kind, config, _) in enumerate(layers):
        items.append({"class_name": kind, "config": {"name": f"layer_{index}"} | config})
    if not functional:
        return {"class_name": "Sequential", "config": {"name": "net", "layers": items}}
    names = ["image", *(f"layer_{i}" for i in range(len(layers)))]
    for item, name, before in zip(items, names, [None, *names], strict=False):
        item |= {"name": name, "inbound_nodes": [[[before, 0, 0, {}]]] if before else []}
    order = list(reversed(items))  # the order in the file says nothing
    return {
        "class_name": "Functional",
        "config": {
            "name": "net",
            "layers": order,
            "input_layers": [["image", 0, 0]],
            "output_layers": [[names[-1], 0, 0]],
        },
    }


def save_h5(path: Path, layers: Layers, shape: tuple[int, ...], functional: bool = False) -> None:
    named = {f"layer_{index}": weights for index, (_, _, weights) in enumerate(layers)}
    _save_h5(path, configuration(layers, shape, functional), named)


def save_connected(path: Path, layers: dict[str, Any], sources: dict[str, list[str]], shape: tuple[int, ...]) -> None:
    """Layers that read several others, by name; the input is `image`, the last one is the output."""
    entry = {"name": "image", "batch_input_shape": [None, *shape]}
    items: list[Any] = [{"class_name": "InputLayer", "name": "image", "config": entry, "inbound_nodes": []}]
    for name, (kind, config, _) in layers.items():
        inbound = [[[source, 0, 0, {}] for source in sources[name]]]
        items.append({"class_name": kind, "name": name, "config": {"name": name} | config, "inbound_nodes": inbound})
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [[list(layers)[-1], 0, 0]]}
    model = {"class_name": "Functional", "config": {"name": "net", "layers": items} | ends}
    _save_h5(path, model, {name: weights for name, (_, _, weights) in layers.items()})


def _save_h5(path: Path, model: dict[str, Any], named: dict[str, dict[str, Any]]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        for layer, weights in named.items():
            group = file.create_group(f"model_weights/{layer}/{layer}")
            for name, array in weights.items():
                if isinstance(array, np.ndarray):
                    group[f"{name}:0"] = array.astype(np.float32)


ORDER = ("gamma", "beta", "moving_mean", "moving_variance", "kernel", "depthwise_kernel", "bias")
PLACES = {
    "QuantConv2D": "quant_conv2d", "QuantDepthwiseConv2D": "quant_depthwise_conv2d", "QuantDense": "quant_dense",
    "BatchNormalization": "batch_normalization",
}  # fmt: skip


def save_keras(path: Path, layers: Layers, shape: tuple[int, ...]) -> None:
    """Keras 3's archive: numbered variables below the kind of the layer."""
    memory = io.BytesIO()
    seen: dict[str, int] = {}
    with h5py.File(memory, "w") as file:
        for kind, config, weights in layers:
            if kind not in PLACES:
                continue
            place = PLACES[kind] + (f"_{seen[kind]}" if kind in seen else "")
            seen[kind] = seen.get(kind, 0) + 1
            group = file.create_group(f"layers/{place}/vars")
            kept = [n for n in ORDER if isinstance(weights.get(n), np.ndarray) and (n != "bias" or config["use_bias"])]
            for number, name in enumerate(kept):
                group[str(number)] = weights[name].astype(np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(configuration(layers, shape, False)))
        archive.writestr("model.weights.h5", memory.getvalue())
