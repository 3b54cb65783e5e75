"""A search as one HTML file, without scripts or anything from a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from bitflow.learn.search.pareto import Limits, Tried, front, winner

__all__ = ["COLUMNS", "cells", "limits_text", "render"]

COLUMNS = ("accuracy", "latency ms", "instructions", "flash", "RAM", "network")


def cells(one: Tried) -> tuple[str, ...]:
    """A network's cells under COLUMNS, except the last one; empty for an unknown number."""
    costs = one.costs
    return (
        "" if one.accuracy is None else f"{one.accuracy:.2%}",
        "" if costs is None or costs.milliseconds is None else f"{costs.milliseconds:.3g}",
        "" if costs is None or costs.instructions is None else f"{costs.instructions:,}",
        "" if costs is None else f"{costs.flash_bytes:,}",
        "" if costs is None else f"{costs.ram_bytes:,}",
    )


def limits_text(limits: Limits) -> str:
    """The limits in words."""
    found = []
    if limits.milliseconds is not None:
        found.append(f"at most {limits.milliseconds:g} ms")
    if limits.flash_bytes is not None:
        found.append(f"{limits.flash_bytes:,} bytes of flash")
    if limits.ram_bytes is not None:
        found.append(f"{limits.ram_bytes:,} bytes of RAM")
    return ", ".join(found) or "no limits"


def render(
    tried: Sequence[Tried], limits: Limits, pictures: tuple[bytes, bytes] | None, texts: Mapping[str, str]
) -> str:
    """The page.

    pictures: the plot, light and dark; None: no plot.
    texts: title, date, commands, footnote.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bitflow.show", ""),
        autoescape=True,  # names of data sets are not trusted
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    best = winner(tried)
    light, dark = (base64.b64encode(picture).decode() for picture in pictures) if pictures else ("", "")
    count = {state: sum(one.state == state for one in tried) for state in ("trained", "stopped", "outside")}
    return environment.get_template("search.html.j2").render(
        **texts,
        limits=limits_text(limits),
        counts=f"{count['trained']} networks trained to the end, {count['stopped']} stopped early, "
        f"{count['outside']} not trained: outside the limits",
        columns=[(name, name != "network") for name in COLUMNS],
        best=best.layers if best else None,
        tiles=_tiles(best, limits) if best else [],
        picture=light,
        dark_picture=dark,
        front=[_row(one, best) for one in front(tried)],
        rows=[_row(one, best) for one in sorted(tried, key=_rank)],
    )


def _tiles(best: Tried, limits: Limits) -> list[tuple[str, str, str]]:
    costs = best.costs
    assert costs is not None
    tiles = [("accuracy", f"{best.accuracy:.2%}", "of validation images")]
    if costs.milliseconds is not None:
        most = "" if limits.milliseconds is None else f"of {limits.milliseconds:g} ms, "
        tiles.append(("latency", f"{costs.milliseconds:.3g} ms", f"{most}predicted"))
    for name, value, limit in (
        ("flash", costs.flash_bytes, limits.flash_bytes),
        ("RAM", costs.ram_bytes, limits.ram_bytes),
    ):
        most = "" if limit is None else f"of {limit / 1024:.4g} KB, "
        tiles.append((name, f"{value / 1024:.1f} KB", f"{most}network and library"))
    return tiles


def _row(one: Tried, best: Tried | None) -> dict[str, Any]:
    remarks = ["winner"] if one == best else []
    remarks += ["base"] if one.base else []
    remarks += ["stopped early"] if one.state == "stopped" else []
    remarks += [one.exceeds] if one.exceeds else []
    return {"cells": cells(one), "layers": one.layers, "remark": " · ".join(remarks), "winner": one == best}


def _rank(one: Tried) -> tuple[bool, bool, float, int]:
    """Sort key: trained networks first, by their accuracy."""
    return one.state == "outside", not one.accepted, -(one.accuracy or 0), one.number
