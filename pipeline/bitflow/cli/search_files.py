"""What a search leaves in its folder: search.json, search.html, pareto.png, and the winner's bitflow.toml."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit

from bitflow import project
from bitflow.cli import output
from bitflow.errors import MissingError
from bitflow.files import write_atomic
from bitflow.geometry import require
from bitflow.learn.recipe import Recipe, recipe_for
from bitflow.learn.search import pareto
from bitflow.learn.search.pareto import Limits, Tried
from bitflow.show import search_page, search_plot

if TYPE_CHECKING:
    from bitflow.learn.search.search import Search

__all__ = ["check_folder", "write_project", "write_results"]


def check_folder(folder: Path) -> None:
    """Raise InputError for a folder with a bitflow.toml that no search wrote: it is somebody's own."""
    own = (folder / project.FILE_NAME).exists() and not (folder / "search.json").exists()
    require(not own, f"{folder} has a {project.FILE_NAME} already; choose another folder with -o")


def write_results(folder: Path, found: Search, texts: Mapping[str, str]) -> list[str]:
    """Write search.json, search.html and, where matplotlib is there, pareto.png; the names of those that were written.

    texts: title, date, commands and footnote of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tried, plan = found.results(), found.plan
    best = pareto.winner(tried)
    facts = {
        "board": plan.board,
        "limits": asdict(plan.limits),
        "recipe": asdict(plan.recipe),
        "winner": None if best is None else best.number,
        "front": [one.number for one in pareto.front(tried)],
        "networks": [asdict(one) for one in tried],
    }
    write_atomic(folder / "search.json", (json.dumps(facts, indent=2) + "\n").encode())
    pictures, names = None, ["search.json", "search.html"]
    try:
        light, dark = (search_plot.plot(tried, texts["title"], plan.limits, dark) for dark in (False, True))
        pictures = light, dark
        write_atomic(folder / "pareto.png", light)
        names.append("pareto.png")
    except MissingError as error:
        output.note(f"no plot: {error}")
    write_atomic(folder / "search.html", search_page.render(tried, plan.limits, pictures, texts).encode())
    return names


def write_project(folder: Path, found: Search, recipe: Recipe, source: str, size: tuple[int, ...] | None) -> list[str]:
    """Write the winner's bitflow.toml; its name, or nothing where no network won.

    recipe: of the base at its full length. source, size: the data and the size of its pictures, as they were asked for.
    """
    best = pareto.winner(found.results())
    if best is None:
        return []
    pixels = None if size is None else "x".join(map(str, size))
    place = _relative(source, folder)
    text = project.project_text(found.data.name, place, pixels, best.layers, found.plan.board)
    text = _with_recipe(text, recipe, best, found.plan.limits)
    return [project.write_project(folder, text, overwrite=True).name]


def _relative(source: str, folder: Path) -> str:
    """A data source as a project in that folder says it."""
    kind, mark, place = source.partition(":")
    return f"{kind}:{os.path.relpath(Path(place).expanduser(), folder)}" if mark else source


def _with_recipe(text: str, recipe: Recipe, best: Tried, limits: Limits) -> str:
    """A bitflow.toml with the recipe of the base at its full length, and the latency as a budget."""
    found: Any = tomlkit.parse(text)
    usual = recipe_for(best.layers)
    for own in fields(Recipe):
        value = getattr(recipe, own.name)
        if value != getattr(usual, own.name):
            found["train"][own.name] = value
    if limits.milliseconds is not None:
        found["budget"]["latency_ms"] = limits.milliseconds
    return tomlkit.dumps(found)
