"""Files that torch writes: `model.pt` (a trained module with its input spec) and checkpoints of a run.

All are renamed into place, and loaded with weights_only=True: a file can hold numbers, strings and tensors, but cannot
run code.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bitflow.errors import InputError
from bitflow.files import written
from bitflow.geometry import ChannelOrder, InputSpec, Shape
from bitflow.learn.networks import architectures

__all__ = ["ModelFile", "NotOurs", "image_crc32", "load_module", "note_image", "read", "save_module", "write"]

FORMAT = 1


class NotOurs(InputError):
    """A torch file that BitFlow did not write."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The contents of a `model.pt` besides the weights.

    metrics: results of the run that made it.
    width: factor of its channels.
    """

    name: str
    architecture: str
    input_spec: InputSpec
    labels: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    width: float = 1.0


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Save with torch and rename into place, so that `path` is complete at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as beside, beside.open("wb") as file:
        torch.save(dict(content), file)


def read(path: Path, kind: str) -> dict[str, Any]:
    """The content of a file that `write` made as `kind`. Raises NotOurs for other torch files, else InputError."""
    try:
        with warnings.catch_warnings(action="ignore"):  # an odd pickle is refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged or not a torch file") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise NotOurs(f"{path} is a torch file, but not a BitFlow {kind}")
    if content.get("format") != FORMAT:
        raise InputError(f"{path} has format {content.get('format')}, this BitFlow reads {FORMAT}")
    return content


def save_module(path: Path, module: nn.Module, model: ModelFile) -> None:
    """Write a trained module and `model` to `path`."""
    input_spec = model.input_spec
    facts = {
        "kind": "model",
        "format": FORMAT,
        "name": model.name,
        "architecture": model.architecture,
        "width": model.width,
        "input": {
            "shape": [input_spec.shape.height, input_spec.shape.width, input_spec.shape.channels],
            "dtype": input_spec.dtype,
            "zero_point": input_spec.zero_point,
            "channel_order": input_spec.channel_order.name,
        },
        "labels": list(model.labels),
        "metrics": dict(model.metrics),
        "state_dict": module.state_dict(),
    }
    write(path, facts)


def note_image(path: Path, crc32: int) -> None:
    """Add to a `model.pt` the CRC-32 of its fused image without a name, so that comparing needs no fusion."""
    write(path, {**read(path, "model"), "image_crc32": crc32})


def image_crc32(path: Path) -> int | None:
    """The CRC-32 from note_image(); None if the file has none."""
    found = read(path, "model").get("image_crc32")
    return found if isinstance(found, int) else None


def load_module(path: Path) -> tuple[nn.Sequential, ModelFile]:
    """The module, in eval mode, and the other contents of a `model.pt`.

    Raises InputError for a file that is missing, damaged, of another format, or contradicts itself.
    """
    content = read(path, "model")
    try:
        given = content["input"]
        input_spec = InputSpec(
            Shape(*given["shape"]), given["dtype"], given["zero_point"], ChannelOrder[given["channel_order"]]
        )
        labels = tuple(str(label) for label in content["labels"])
        shape = (input_spec.shape.height, input_spec.shape.width, input_spec.shape.channels)
        width = float(content.get("width", 1.0))  # files of the first version lack it
        module = architectures.build(content["architecture"], shape, len(labels), input_spec.zero_point, width)
        module.load_state_dict(content["state_dict"])
        metrics = {str(key): float(value) for key, value in content["metrics"].items()}
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        first = str(error).strip().split("\n")[0]
        raise InputError(f"{path} contradicts itself ({first[:120]})") from error
    return module.eval(), ModelFile(str(content["name"]), content["architecture"], input_spec, labels, metrics, width)
