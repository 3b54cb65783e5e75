"""Search for the most accurate network within limits of flash, RAM and latency."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bitflow import boards, project
from bitflow.cli import options, output, search_files
from bitflow.cores import cycles_of
from bitflow.errors import CheckFailed, InputError
from bitflow.geometry import Shape, require
from bitflow.ir import PackedNetwork
from bitflow.learn.data.sources import Dataset, load_data
from bitflow.learn.default_network import default_network
from bitflow.learn.networks.layers import widened_text
from bitflow.learn.recipe import Recipe, layers_of, recipe_for
from bitflow.learn.search import pareto
from bitflow.learn.search.pareto import Costs, Limits
from bitflow.planner.choice import Objective
from bitflow.planner.for_board import plan_for
from bitflow.show import search_page
from bitflow.show.report import report

if TYPE_CHECKING:
    from bitflow.learn.search.search import Search, SearchPlan, Standing

__all__ = ["amount", "search"]

_BYTES = {"": 1, "B": 1, "K": 1024, "KB": 1024, "M": 1024**2, "MB": 1024**2}
_MILLISECONDS = {"ms": 1.0, "us": 1e-3, "s": 1e3}
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TRIALS = 50
# Of the recipe's epochs: enough to tell networks apart, and four times as many networks as at full length.
_SHARE_OF_EPOCHS = 4
# Of the training images, at least: with as few as pick the best epoch of one training the luckiest network wins.
_JUDGED = 0.2
_COMMANDS = "bitflow train\nbitflow report{objective}\nbitflow eval"


def search(
    board_name: options.Board = None,
    data: options.Data = None,
    size: options.Size = None,
    max_latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="Limit of predicted time for an image: 50ms, 800us. [no limit]")
    ] = None,
    max_flash: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Limit of flash for network and C library: 128K. [the board's]")
    ] = None,
    max_ram: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Limit of RAM for arena, image and scores: 32K. [the board's]")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help=f"Networks to train, by all processes of the study together. [{_TRIALS}, without --time]"),
    ] = None,
    time: Annotated[str | None, typer.Option(metavar="TIME", help="Stop after this time: 2h, 30m.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training images for each network. [a quarter of the recipe's]")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK", help="Network to start with: a name or layers. [the project's, or chosen for the data]"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of proposals, weights and order of images.")] = None,
    cycles: Annotated[
        float | None,
        typer.Option(
            "--cycles-per-instruction",
            metavar="CYCLES",
            help="Cycles that predictions of time assume. [1 to 1.5, by core]",
        ),
    ] = None,
    objective: options.Optimize = "balanced",
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Database that several machines can share. [search.db in DIR]")
    ] = None,
    study: Annotated[str, typer.Option(metavar="NAME", help="Name of the search in the database.")] = "search",
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write the results.")] = Path(
        "search"
    ),
    as_json: options.Json = False,
) -> None:
    """Search for the most accurate network within limits of flash, RAM and latency.

    Costs are predicted before a network is trained, and only networks within the limits are trained. Accuracy is
    judged on the validation split. DIR gets search.html, search.json, pareto.png, and the winner's bitflow.toml.
    Ctrl-C stops and keeps what was found; the same command continues. Latency is predicted instructions x cycles per
    instruction / clock: the cycles are assumed, not measured.

    Examples: bitflow search --board stm32f4 --data idx:mnist --max-latency 20ms --max-flash 64K --time 2h; bitflow
    search --max-flash 24K --trials 20 --base "conv3x3:32 conv3x3:64/pool2 conv3x3:64"
    """
    settings = project.find_project()
    board = boards.board(board_name or (settings.board if settings else boards.DEFAULT_BOARD))
    cycles = cycles or cycles_of(board.cpu)
    limits = _limits(board, cycles, max_flash, max_ram, max_latency)
    search_files.check_folder(folder)
    source, lite_size = project.resolve_data(data, settings)
    sides = project.parse_size(size) if size else lite_size
    dataset = load_data(source, sides)
    name, full = _base(base, source, dataset.input_spec.shape, settings if data is None else None)
    full = full if seed is None else replace(full, seed=seed)
    plan = _plan(name, full, limits, board, epochs, trials, time)
    found = _run(plan, dataset, _price(board, objective, cycles), storage, study, folder)
    footnote = _footnote(board, cycles)
    written = search_files.write_results(folder, found, _texts(dataset, board, objective, footnote))
    written += search_files.write_project(folder, found, full, source, sides)
    _show(found, folder, written, footnote, as_json)


def amount(text: str | None, units: dict[str, int], what: str, default: int | None) -> int | None:
    """A number of bytes as a person writes it, "128K"; None: the default. Raises InputError."""
    return default if text is None else round(_number(text, units, what))


def _number(text: str, units: dict[str, Any], what: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    known = {name.lower(): value for name, value in units.items()}
    good = found is not None and found[2].lower() in known and float(found[1]) > 0
    if found is None or not good:
        names = ", ".join(name for name in units if name)
        raise InputError(f"{what} {text!r} is not a number with one of {names}")
    return float(found[1]) * float(known[found[2].lower()])


def _limits(
    board: boards.Board, cycles: float | None, flash: str | None, ram: str | None, latency: str | None
) -> Limits:
    """The limits as they were asked for, else the board's."""
    limits = Limits(
        amount(flash, _BYTES, "--max-flash", board.flash),
        amount(ram, _BYTES, "--max-ram", board.ram),
        None if latency is None else _number(latency, _MILLISECONDS, "--max-latency"),
    )
    require(
        limits.milliseconds is None or (cycles is not None and board.clock_hz is not None),
        f"how long a network takes on {board.name} cannot be predicted: no --max-latency for it",
    )
    require(cycles is None or cycles > 0, f"{cycles} cycles per instruction")
    return limits


def _base(base: str | None, source: str, shape: Shape, settings: project.Project | None) -> tuple[str, Recipe]:
    """The network to begin with, and how it is trained."""
    if base is not None:
        return base, recipe_for(base)
    if settings is not None:
        layers = layers_of(settings.architecture, (shape.height, shape.width, shape.channels))
        usual = settings.width == 1
        return settings.architecture if usual else widened_text(layers, settings.width), settings.recipe
    name = default_network(source, (shape.height, shape.width))
    return name, recipe_for(name)


def _plan(
    base: str,
    full: Recipe,
    limits: Limits,
    board: boards.Board,
    epochs: int | None,
    trials: int | None,
    time: str | None,
) -> SearchPlan:
    """What is searched, with a part of the base's epochs, and more images to judge by."""
    from bitflow.learn.search.search import SearchPlan

    epochs = max(1, full.epochs // _SHARE_OF_EPOCHS) if epochs is None else epochs
    recipe = replace(full, epochs=epochs, validation=max(full.validation, _JUDGED))
    seconds = None if time is None else _number(time, _SECONDS, "--time")
    return SearchPlan(base, recipe, limits, board.name, _TRIALS if trials is None and time is None else trials, seconds)


def _price(board: boards.Board, objective: Objective, cycles: float | None) -> Callable[[PackedNetwork], Costs]:
    """What a network takes on a board, by the plan that `bitflow report` prints."""

    def price(network: PackedNetwork) -> Costs:
        found = report(network, board.name, plan_for(network, board, objective))
        count = found.instructions
        known = count is not None and cycles is not None and board.clock_hz is not None
        milliseconds = round(1e3 * count * cycles / board.clock_hz, 4) if known else None  # type: ignore[operator]
        return Costs(found.flash_bytes, found.ram_bytes, count, milliseconds)

    return price


# ---- While it runs. ----


def _run(
    plan: SearchPlan,
    dataset: Dataset,
    price: Callable[[PackedNetwork], Costs],
    storage: str | None,
    study: str,
    folder: Path,
) -> Search:
    """Search; the folder is there from its start, as the database lies in it, but not before all is known to fit."""
    from bitflow.learn.search.search import Search

    found = Search(plan, dataset, price, storage or f"sqlite:///{(folder / 'search.db').resolve()}", study)
    if storage is None:
        folder.mkdir(parents=True, exist_ok=True)
    with _watched(plan) as found.watch:
        found.run()
    return found


@contextmanager
def _watched(plan: SearchPlan) -> Iterator[Callable[[Standing], None]]:
    """A line on stderr: how far the search is, what is best, the time left; where that is no terminal, a line for each
    network that was trained.
    """
    epochs = plan.recipe.epochs
    if not sys.stderr.isatty():
        before: list[int] = []

        def tell(now: Standing) -> None:
            if before and now.trained > before[-1]:
                output.note(f"search: {_said(now, plan)}")
            before[:] = [now.trained]

        yield tell
        return
    columns = (TextColumn("search"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        timed = plan.trials is None
        task = bar.add_task("", total=plan.seconds if timed else plan.trials)

        def move(now: Standing) -> None:
            own = f", epoch {now.epoch} of {epochs}" if now.epoch else ""
            done = bar.tasks[0].elapsed if timed else now.trained + now.epoch / epochs
            bar.update(task, completed=done or 0, description=_said(now, plan) + own)

        yield move


def _said(now: Standing, plan: SearchPlan) -> str:
    most = "" if plan.trials is None else f" of {plan.trials}"
    best = "" if now.best is None else f", best {now.best:.2%}"
    return f"{now.trained}{most} trained, {now.outside} outside{best}"


# ---- What is said of it. ----


def _texts(dataset: Dataset, board: boards.Board, objective: Objective, footnote: str) -> dict[str, str]:
    """The texts of the page."""
    return {
        "title": f"{dataset.name} on {board.name}",
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commands": _COMMANDS.format(objective="" if objective == "balanced" else f" --optimize {objective}"),
        "footnote": footnote,
    }


def _footnote(board: boards.Board, cycles: float | None) -> str:
    if cycles is None or not board.clock_hz:
        return ""
    megahertz = board.clock_hz / 1e6
    return f"Latency is predicted: instructions x {cycles:g} cycles (assumed, not measured) / {megahertz:g} MHz."


def _show(found: Search, folder: Path, written: list[str], footnote: str, as_json: bool) -> None:
    tried, plan = found.results(), found.plan
    best = pareto.winner(tried)
    if found.interrupted:
        output.note("interrupted; the same command goes on")
    if as_json:
        output.print_json(json.loads((folder / "search.json").read_text(encoding="utf-8")))
    elif best is not None:
        rows = [(*search_page.cells(one), one.layers) for one in pareto.front(tried)]
        output.print_table(search_page.COLUMNS, rows)
        count = sum(one.state != "outside" for one in tried)
        output.print_facts(
            {
                "winner": best.layers,
                "limits": search_page.limits_text(plan.limits),
                "networks": f"{count} trained, {len(tried) - count} outside of the limits",
                "wrote": f"{', '.join(written)} in {folder}",
            }
        )
        if footnote:
            output.note(footnote)
        output.note(f"next: cd {folder} && bitflow train")
    if best is None and not found.interrupted:
        raise CheckFailed(
            f"no network within the limits ({search_page.limits_text(plan.limits)}) was trained to its end"
        )
