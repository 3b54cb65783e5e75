"""The board table."""

from __future__ import annotations

import pytest

from bitflow import resources
from bitflow.deploy.boards import DEFAULT_BOARD, board, boards
from bitflow.errors import InputError


def test_names_and_aliases_are_unique() -> None:
    names = [name for row in boards() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    assert board(DEFAULT_BOARD).emulated


def test_alias_is_the_board() -> None:
    assert board("nucleo_h743zi") is board("stm32h7")


def test_unknown_board_names_near_ones() -> None:
    with pytest.raises(InputError, match="did you mean qemu-m7"):
        board("qemu-m77")
    with pytest.raises(InputError, match="there are host"):
        board("zzzz")


def test_every_buildable_board_has_an_environment() -> None:
    text = (resources.firmware() / "platformio.ini").read_text()
    for row in boards():
        assert (f"[env:{row.name}]" in text) == row.buildable
