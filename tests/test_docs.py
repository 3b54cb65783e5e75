"""Pages that are made from the code are as the code makes them: `make docs`."""

from __future__ import annotations

from pathlib import Path

from bitflow.deploy import boards_page
from bitflow.importers.supported import markdown

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_list_of_layers_must_be_what_the_code_takes() -> None:
    assert (DOCS / "layers.md").read_text() == markdown(), "make docs"


def test_table_of_boards_must_be_the_board_table() -> None:
    page = (DOCS / "boards.md").read_text()
    assert page == boards_page.written(page), "make docs"
