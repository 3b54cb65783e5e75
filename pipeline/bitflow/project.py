"""bitflow.toml -> frozen settings, and what MODEL and data sources on the command line mean."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from bitflow import resources
from bitflow.errors import InputError
from bitflow.files import write_atomic
from bitflow.geometry import require
from bitflow.learn.data.sources import PICTURE_SOURCES
from bitflow.learn.recipe import Recipe, recipe_for, recipe_names

__all__ = [
    "FILE_NAME",
    "Project",
    "find_project",
    "load_project",
    "parse_size",
    "project_text",
    "resolve_data",
    "resolve_model",
]

T = TypeVar("T", str, int, float)

FILE_NAME = resources.PROJECT_FILE
BUILTIN = "builtin:"
MLPERF = ("", "ic01", "kws01", "vww01", "ad01")

_TEMPLATE = """\
# A BitFlow project. Commands in this folder read it; a flag on the command line wins over it.

name = {name}

[data]
# digits, idx:DIR, npz:FILE, cifar10:DIR, sound:FILE, folder:DIR, imagenet:DIR, hands:DIR[@COLUMN] or signs:DIR[@two];
# paths are relative to this file
source = {data}
{size}

[train]
# a name or layers: {names}, or as "conv3x3:32 conv3x3:64/pool2"
architecture = {architecture}
width = {width}            # multiplies all channels: 0.25 of bitflow-alexnet fits a chip
epochs = {recipe.epochs}
batch = {recipe.batch}
learning_rate = {recipe.learning_rate}
seed = {recipe.seed}               # equal seeds give equal networks on one machine
shift = {recipe.shift}              # while training, images are moved by up to this many pixels
validation = {recipe.validation}       # fraction of the training images that chooses the best epoch
threads = {recipe.threads}

[board]
name = {board}      # see: bitflow boards
mlperf = ""            # MLPerf Tiny test that the firmware reports: ic01, kws01, vww01, ad01; "": by the input's shape

[budget]               # 0: none
flash = 0              # bytes; a build beyond it fails
ram = 0                # bytes, the same
accuracy = 0.0         # bitflow hil fails below this fraction of right labels
latency_ms = 0.0       # and above this median time of an image, by the board's own timer. Not checked on emulated
                       # boards: an emulator counts instructions, not time.

[check]
tolerance = 0.0        # the device may be less accurate than the float network by this fraction
"""


@dataclass(frozen=True, slots=True)
class Project:
    """The settings of a project folder.

    folder: the folder of the bitflow.toml.
    data: the data source; its path already includes the project's folder.
    size: (height, width[, channels]) to which pictures are resized; None: the source's default.
    architecture: a name or a description of layers.
    width: factor for the channels of all layers.
    mlperf: the MLPerf Tiny test that the firmware reports; "": by the input's shape.
    flash_budget, ram_budget: bytes, at most; 0: no budget.
    accuracy_budget: fraction of right labels, at least; 0: no budget.
    latency_budget_ms: time of an image on the device, at most; 0: no budget.
    tolerance: fraction of the images by which the device may be less accurate than the float network.
    """

    folder: Path
    name: str = "model"
    data: str = "digits"
    size: tuple[int, ...] | None = None
    architecture: str = "bitflow-tiny"
    width: float = 1.0
    recipe: Recipe = Recipe()  # noqa: RUF009  a frozen value
    board: str = "qemu-m4"
    mlperf: str = ""
    flash_budget: int = 0
    ram_budget: int = 0
    accuracy_budget: float = 0.0
    latency_budget_ms: float = 0.0
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.tolerance <= 1, f"tolerance {self.tolerance} is outside 0..1")
        require(0.03 <= self.width <= 4, f"width {self.width} is outside 0.03..4")
        require(self.mlperf in MLPERF, f"mlperf {self.mlperf!r} is not one of {', '.join(MLPERF[1:])}")
        require(self.flash_budget >= 0 and self.ram_budget >= 0, "a budget is negative")
        require(0 <= self.accuracy_budget <= 1, f"budget.accuracy {self.accuracy_budget} is outside 0..1")
        require(0 <= self.latency_budget_ms < inf, f"budget.latency_ms {self.latency_budget_ms} is not a time")
        require(bool(self.name) and "/" not in self.name, f"name {self.name!r} is empty or has a slash")

    @property
    def module_path(self) -> Path:
        """The trained torch module."""
        return self.folder / "model.pt"

    @property
    def model_path(self) -> Path:
        """The packed network."""
        return self.folder / "model.bfn"


def find_project(start: Path | None = None) -> Project | None:
    """The project of a folder (by default the current one) or of the nearest folder above it; None without one."""
    folder = resources.project_folder(start)
    return None if folder is None else load_project(folder / FILE_NAME)


def load_project(path: Path) -> Project:
    """Read a bitflow.toml. Raises InputError that names the file and the key."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    try:
        return _parse(path.parent, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def project_text(name: str, data: str, size: str | None, architecture: str, board: str, width: float = 1.0) -> str:
    """A commented bitflow.toml. Raises InputError for an unknown architecture."""
    return _TEMPLATE.format(
        name=json.dumps(name),
        data=json.dumps(data),
        size=f"size = {json.dumps(size)}" if size else '# size = "32x32x3"    # pictures of a folder are brought to it',
        names=", ".join(recipe_names()),
        architecture=json.dumps(architecture),
        width=width,
        recipe=recipe_for(architecture),
        board=json.dumps(board),
    )


def write_project(folder: Path, text: str, overwrite: bool) -> Path:
    """Check `text` and write it as a bitflow.toml. Raises InputError if the file exists, unless overwrite is set."""
    path = folder / FILE_NAME
    require(overwrite or not path.exists(), f"{path} exists already; --force overwrites it")
    _parse(folder, tomllib.loads(text))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text)
    return path


def parse_size(text: str, any_channels: bool = False) -> tuple[int, ...]:
    """ "32x32" or "32x32x1" -> (height, width[, channels]).

    any_channels: allow other numbers of channels than the 1 or 3 of a picture.
    """
    parts = text.lower().split("x")
    good = len(parts) in (2, 3) and all(part.isdecimal() and 1 <= int(part) <= 4096 for part in parts)
    good = good and (any_channels or len(parts) < 3 or parts[2] in "13")
    channels = "CHANNELS" if any_channels else "<1|3>"
    require(good, f"size {text!r} is not HEIGHTxWIDTH or HEIGHTxWIDTHx{channels}")
    return tuple(int(part) for part in parts)


def resolve_data(spec: str | None, project: Project | None) -> tuple[str, tuple[int, ...] | None]:
    """The data source and the size of its pictures: `spec`, else the project's, else digits."""
    if spec is None:
        return (project.data, project.size) if project else ("digits", None)
    pictures = spec.partition(":")[0] in PICTURE_SOURCES
    return spec, project.size if project and pictures else None


def resolve_model(model: str | None, project: Project | None = None) -> Path:
    """The file that MODEL means: a path, `builtin:NAME`, or (None) the project's model.bfn.

    Raises InputError if there is no such file; the message says how to get one.
    """
    if model is None:
        project = project or find_project()
        if project is None:
            raise InputError(
                f"no MODEL given and no {FILE_NAME} here: give a .bfn file or builtin:digits, or bitflow init"
            )
        if not project.model_path.is_file():
            raise InputError(f"{project.model_path} does not exist yet: bitflow train")
        return project.model_path
    if model.startswith(BUILTIN):
        path = resources.builtin_model(model.removeprefix(BUILTIN))
        if not path.is_file():
            raise InputError(f"there is no built-in network {model!r}; there is builtin:digits")
        return path
    if not Path(model).is_file():
        raise InputError(f"{model} does not exist")
    if model.endswith(".pt"):
        raise InputError(f"{model} is a torch file; make a packed network of it: bitflow fuse {model} -o model.bfn")
    return Path(model)


def _parse(folder: Path, content: Mapping[str, Any]) -> Project:
    tables = {"data": {"source", "size"}, "board": {"name", "mlperf"}, "check": {"tolerance"}}
    tables["budget"] = {"flash", "ram", "accuracy", "latency_ms"}
    tables["train"] = {"architecture", "width", *(f.name for f in fields(Recipe))}
    _check_keys(content, {"name", *tables}, "")
    parts: dict[str, Mapping[str, Any]] = {}
    for table, keys in tables.items():
        parts[table] = content.get(table, {})
        require(isinstance(parts[table], dict), f"{table} must be a table: [{table}]")
        _check_keys(parts[table], keys, f"{table}.")
    default = Project(folder)
    architecture = _value(parts["train"], "train", "architecture", default.architecture)
    size = _value(parts["data"], "data", "size", "")
    return Project(
        folder,
        name=_value(content, "", "name", default.name),
        data=_anchored(folder, _value(parts["data"], "data", "source", default.data)),
        size=parse_size(size) if size else None,
        architecture=architecture,
        width=_value(parts["train"], "train", "width", default.width),
        recipe=_recipe(recipe_for(architecture), parts["train"]),
        board=_value(parts["board"], "board", "name", default.board),
        mlperf=_value(parts["board"], "board", "mlperf", default.mlperf),
        flash_budget=_value(parts["budget"], "budget", "flash", default.flash_budget),
        ram_budget=_value(parts["budget"], "budget", "ram", default.ram_budget),
        accuracy_budget=_value(parts["budget"], "budget", "accuracy", default.accuracy_budget),
        latency_budget_ms=_value(parts["budget"], "budget", "latency_ms", default.latency_budget_ms),
        tolerance=_value(parts["check"], "check", "tolerance", default.tolerance),
    )


def _recipe(default: Recipe, table: Mapping[str, Any]) -> Recipe:
    return replace(
        default, **{f.name: _value(table, "train", f.name, getattr(default, f.name)) for f in fields(Recipe)}
    )


def _check_keys(table: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise InputError(f"unknown key {prefix}{key}; {hint}")


def _value(table: Mapping[str, Any], where: str, key: str, default: T) -> T:
    """The value of a key, which has the type of the default; an int is accepted for a float."""
    value = table.get(key, default)
    want = type(default)
    if want is float and type(value) is int:
        value = float(value)
    dotted = f"{where}.{key}" if where else key
    require(type(value) is want, f"{dotted} must be {want.__name__}, got {value!r}")
    return want(value)


def _anchored(folder: Path, spec: str) -> str:
    """A data source whose path is relative to the project's folder."""
    source, mark, place = spec.partition(":")
    return f"{source}:{folder / Path(place).expanduser()}" if mark else spec
