"""The board table, and boards of the user's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bitflow.boards import DEFAULT_BOARD, board, boards
from bitflow.deploy import environments
from bitflow.errors import InputError

ASKED_FOR = (
    "nucleo_h743zi", "nucleo_h723zg", "nucleo_f767zi", "nucleo_f446re", "nucleo_l476rg", "blackpill_f411ce",
    "bluepill_f103c8", "nucleo_g071rb", "pico", "pico2", "nrf52840_dk", "teensy41", "portenta_h7_m7", "nano_33_ble",
)  # fmt: skip

OWN = """\
[my-board]
title = "My own"
status = "built"
cpu = "cortex-m4"
flash = 262144
ram = 65536
clock_hz = 16000000
bare.port = ["stm32f4", "stm32_usart"]
bare.flash_at = 0x08000000
bare.ram_at = 0x20000000
bare.stack = 4096
"""


def test_names_and_aliases_are_unique() -> None:
    names = [name for row in boards() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    assert board(DEFAULT_BOARD).emulated


def test_alias_is_the_board() -> None:
    assert board("nucleo_h743zi") is board("stm32h7")


@pytest.mark.parametrize("name", ASKED_FOR)
def test_real_boards_have_all_that_flashing_needs(name: str) -> None:
    row = board(name)
    assert row.buildable
    assert row.upload is not None
    assert row.upload.methods
    assert all(re.fullmatch("[0-9a-f]{4}:[0-9a-f]{4}", usb) for usb in row.upload.usb)
    assert "stlink" not in row.upload.methods or row.bare is None or row.upload.openocd
    assert "pyocd" not in row.upload.methods or row.upload.pyocd
    assert row.cpu is not None
    assert row.flash
    assert row.ram
    assert row.clock_hz


def test_unknown_board_names_near_ones() -> None:
    with pytest.raises(InputError, match="did you mean qemu-m7"):
        board("qemu-m77")
    with pytest.raises(InputError, match="known are host"):
        board("zzzz")


def test_every_buildable_board_has_an_environment() -> None:
    files = environments.files(0)
    for row in boards():
        assert (f"[env:{row.name}]" in files["boards.ini"]) == row.buildable
        assert (f"platform/ld/{row.name}.ld" in files) == (row.bare is not None)


def test_arena_lies_in_tightly_coupled_memory_where_it_fits() -> None:
    assert 'REGION_ALIAS("ARENA", DTCM)' in environments.files(100_000)["platform/ld/stm32h7.ld"]
    assert 'REGION_ALIAS("ARENA", RAM)' in environments.files(125_000)["platform/ld/stm32h7.ld"]


def test_method_of_upload_is_platformios_protocol() -> None:
    env = environments.files(0, methods={"portenta_h7_m7": "stlink"})["boards.ini"].partition("[env:portenta_h7_m7]")[2]
    assert env.partition("upload_protocol = ")[2].startswith("stlink\n")
    assert environments.protocol(board("portenta_h7_m7")) == "dfu"
    assert environments.protocol(board("pico")) == "picotool"


def test_own_boards_come_from_a_file_beside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bitflow.toml").write_text('name = "x"\n')
    (tmp_path / "boards.toml").write_text(OWN)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert board("my-board").ram == 65536
    assert "[env:my-board]" in environments.files(0)["boards.ini"]
    monkeypatch.chdir("/")
    with pytest.raises(InputError, match="no board"):
        board("my-board")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("ram = 65536", 'ram = "64K"'), r"my-board.ram is '64K', not int"),
        (("ram = 65536", "ram = -1"), "my-board.ram is negative"),
        (("clock_hz", "clock"), "unknown key my-board.clock; did you mean clock_hz"),
        (('title = "My own"\n', ""), "my-board.title is missing"),
        (("[my-board]", "[qemu-m4]"), "a board qemu-m4 already exists"),
        (('status = "built"', 'status = "new"'), "my-board.status is 'new', not one of"),
        (('["stm32f4", "stm32_usart"]', '"stm32f4"'), "my-board.bare.port is 'stm32f4', not a list"),
        (("[my-board]", "[my-board"), "boards.toml: "),
        (("[my-board]", "x = 1\n[my-board]"), "x is no table"),
    ],
)
def test_own_table_that_is_wrong_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], says: str
) -> None:
    (tmp_path / "boards.toml").write_text(OWN.replace(*change))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=says) as refused:
        boards()
    assert "\n" not in str(refused.value)
