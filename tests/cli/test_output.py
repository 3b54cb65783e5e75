"""What others put into a file must not reach the terminal as control characters or markup."""

from pathlib import Path

import pytest

from bitflow.cli import output
from bitflow.cli.model import inspect
from bitflow.image.bfn import save
from bitflow.ir import PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.networks import random_network


def test_hostile_names_must_be_shown_as_plain_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = pack(fuse(random_network(0)))
    labels = ("\x1b[31mred", "[/bold]", *(str(c) for c in range(2, random.classes)))
    path = tmp_path / "hostile.bfn"
    save(PackedNetwork("a\nb\x07", random.input_spec, random.layers, labels), path)
    inspect(str(path))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "a?b?" in shown
    assert "?[31mred, [/bold]" in shown


def test_table_must_not_take_cells_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("picture", "label"), [("[red]x.png", "[/]\x1b[2J")])
    shown = capsys.readouterr().out
    assert "[red]x.png" in shown
    assert "[/]?[2J" in shown
