"""How a network is trained: the settings, and the recipes that come with BitFlow, a TOML file each. No torch here:
settings must load quickly.
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
# Pictures with a shorter side get the layers of `layers_small` where a recipe has them.
_SMALL = 128


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    epochs: passes over the training images. batch: images per step, of all processes together. optimiser: `adam`, or
    `bop`, which flips binary weights where gradients agree for long (learn.optimise), and gives Adam the rest.
    learning_rate: of Adam, at the start; flip_rate and flip_threshold: of Bop. schedule: of the rates, down to 0
    (`constant`: not at all), after `warmup` epochs up. seed: of weights, order and moves.

    Images are changed while training: moved by up to `shift` pixels, turned by up to `rotate` degrees, stretched in
    each direction by up to the fraction `stretch`, mirrored (`flip`), and a square of `cutout` pixels is blanked.

    estimator: the gradient of a sign: `clip` (1 inside of +-1), `polynomial` (1.5 - 1.5 x^2), `bireal` (2 - 2 |x|).
    label_smoothing: this share of a label goes to all classes alike. float_weights: for this share of the epochs, at
    the start, only activations are binary. average: decay per step of an average of the weights, which then is what is
    judged and kept; 0: none. norm_images: so many training images give BatchNorm its statistics anew before each
    judgement; 0: its running averages.

    teacher: a network, by name or layers, whose float twin is trained first, for `teacher_epochs`; then `teacher_share`
    of the loss is how far the logits are from its own, both divided by `temperature`.

    validation: the share of the training images that picks the best epoch and is not trained on. threads: of torch;
    with batches so small one thread is often the quickest, and the only one that does not suffer where another program
    needs a core. device: `auto` is the GPU where there is one. precision: of the arithmetic while training; `auto`:
    bfloat16 where the device has units for it. compile: by torch.compile, which takes a minute at the start, a C++
    compiler and Python's headers. workers: processes that decode pictures ahead.
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
            require(value in choices, f"{name} {value!r} is none of {', '.join(choices)}")


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
    """The networks that come with BitFlow, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def recipe_for(architecture: str) -> Recipe:
    """The recipe that comes with a network; for a description (`learn.layers`) the usual one.

    Raises InputError for an unknown name.
    """
    return Recipe() if _described(architecture) else Recipe(**_file(architecture).get("train", {}))


def layers_of(architecture: str, picture: tuple[int, int, int] | None = None) -> str:
    """The description of a network for pictures (height, width, channels); a description is its own.

    Raises InputError for an unknown name.
    """
    text = architecture
    if not _described(architecture):
        content = _file(architecture)
        small = picture is not None and min(picture[:2]) < _SMALL
        text = str(content.get("layers_small", content["layers"]) if small else content["layers"])
    return " ".join(text.split())  # equal networks have equal texts, however a file or a person wrote them


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
