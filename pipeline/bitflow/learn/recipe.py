"""How a network is trained: the settings, and BitFlow's own recipes, one TOML file each. No torch here: settings must
load quickly.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bitflow.errors import InputError
from bitflow.geometry import require

__all__ = [
    "DEVICES",
    "ESTIMATORS",
    "OPTIMISERS",
    "PRECISIONS",
    "SCHEDULES",
    "Recipe",
    "layers_of",
    "recipe_for",
    "recipe_names",
]

OPTIMISERS = ("adam", "bop")
ESTIMATORS = ("clip", "polynomial", "bireal")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")

_FOLDER = Path(__file__).resolve().parent / "recipes"
# Pictures with a shorter side get `layers_small`, if the recipe has them.
_SMALL = 128


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    epochs: passes over the training images.
    batch: images per step, over all processes.
    optimiser: `adam`, or `bop` (`learn.training.optimiser`), which flips binary weights on which gradients agree for
        long, and leaves the other weights to Adam.
    learning_rate: Adam's, at the start.
    flip_rate, flip_threshold: Bop's.
    schedule: how the rates fall to 0 (`constant`: they do not).
    warmup: epochs at the start in which the rates rise.
    seed: for weights, order of the images and augmentation.

    Augmentation of the training images:
    shift: moved by up to this many pixels.
    rotate: turned by up to this many degrees.
    stretch: stretched in each direction by up to this fraction.
    flip: mirrored at random.
    cutout: side of a square that is blanked, in pixels; 0: none.

    estimator: the gradient of a sign: `clip` (1 inside +-1), `polynomial` (1.5 - 1.5 x^2) or `bireal` (2 - 2 |x|).
    label_smoothing: fraction of each label that is spread over all classes.
    float_weights: fraction of the epochs, at the start, in which only the activations are binary.
    teacher: a network, by name or layers, whose float variant is trained first and teaches this one; "": none.
    teacher_epochs: epochs of the teacher.
    teacher_share: fraction of the loss that is the distance from the teacher's logits.
    temperature: divides both logits in that distance.
    average: decay per step of an average of the weights, which is then evaluated and kept; 0: no average.
    norm_images: number of training images from which BatchNorm's statistics are computed before each evaluation; 0: its
        running averages.

    validation: fraction of the training images that picks the best epoch and is not trained on.
    threads: torch's threads. With such small batches one thread is often fastest, and other programs disturb it least.
    device: `auto`: a GPU if there is one.
    precision: of the arithmetic in training; `auto`: bfloat16 if the device has units for it.
    compile: use torch.compile, which needs a minute at the start, a C++ compiler and Python's headers.
    workers: processes that decode pictures ahead.
    """

    epochs: int = 60
    batch: int = 64
    optimiser: str = "adam"
    learning_rate: float = 0.01
    flip_rate: float = 0.001
    flip_threshold: float = 1e-7
    schedule: str = "cosine"
    warmup: float = 0.0
    seed: int = 1
    shift: int = 1
    rotate: float = 0.0
    stretch: float = 0.0
    flip: bool = False
    cutout: int = 0
    estimator: str = "clip"
    label_smoothing: float = 0.0
    float_weights: float = 0.0
    teacher: str = ""
    teacher_epochs: int = 20
    teacher_share: float = 0.7
    temperature: float = 4.0
    average: float = 0.0
    norm_images: int = 0
    validation: float = 0.1
    threads: int = 1
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            require(low <= value <= high, f"{name} {value} is outside {low}..{high}")
        require(self.learning_rate > 0, "learning_rate 0 learns nothing")
        require(0 < self.validation < 1, f"validation {self.validation} is outside 0..1")
        require(self.average < 1, f"average {self.average} would never move")
        require(
            not self.average or self.norm_images > 1, "average needs norm_images: averaged weights have no statistics"
        )
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            require(value in choices, f"{name} {value!r} is not one of {', '.join(choices)}")


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 100_000),
    "batch": (2, 65536),
    "learning_rate": (0, 1),
    "flip_rate": (0, 1),
    "flip_threshold": (0, 1),
    "warmup": (0, 1000),
    "seed": (0, 2**31 - 1),
    "shift": (0, 64),
    "rotate": (0, 180),
    "stretch": (0, 0.9),
    "cutout": (0, 4096),
    "label_smoothing": (0, 0.9),
    "float_weights": (0, 0.9),
    "teacher_epochs": (1, 100_000),
    "teacher_share": (0, 1),
    "temperature": (0.1, 100),
    "average": (0, 1),
    "norm_images": (0, 10**6),
    "threads": (1, 256),
    "workers": (0, 256),
}
_CHOICES = {
    "optimiser": OPTIMISERS,
    "schedule": SCHEDULES,
    "estimator": ESTIMATORS,
    "device": DEVICES,
    "precision": PRECISIONS,
}


def recipe_names() -> tuple[str, ...]:
    """The names of BitFlow's own networks, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def recipe_for(architecture: str) -> Recipe:
    """The recipe of a network; for a description (`learn.networks.layers`) the default one.

    Raises InputError for an unknown name.
    """
    return Recipe() if _described(architecture) else Recipe(**_file(architecture).get("train", {}))


def layers_of(architecture: str, picture: tuple[int, int, int] | None = None) -> str:
    """The description of a network for pictures (height, width, channels); a description is returned unchanged.

    Raises InputError for an unknown name.
    """
    text = architecture
    if not _described(architecture):
        content = _file(architecture)
        small = picture is not None and min(picture[:2]) < _SMALL
        text = str(content.get("layers_small", content["layers"]) if small else content["layers"])
    return " ".join(text.split())  # one text per network, however it was written


def _described(architecture: str) -> bool:
    return ":" in architecture


@functools.cache
def _file(name: str) -> dict[str, Any]:
    names = recipe_names()
    if name not in names:
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}, or describe its layers"
        raise InputError(f"architecture {name!r} is unknown; {hint}")
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
