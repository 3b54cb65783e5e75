"""`bitflow convert`: a network of an older format in, the same one in today's out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Refused
from tests.image.test_convert import of_version_2, simple
from typer.testing import CliRunner

from bitflow.cli.app import app
from bitflow.image.bfn import Image, load


def old(folder: Path) -> Path:
    path = folder / "old.bfn"
    path.write_bytes(of_version_2(simple(0)))
    return path


def done(*arguments: str | Path) -> str:
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_convert_must_bring_an_old_network_up_to_date_in_its_place(tmp_path: Path) -> None:
    path = old(tmp_path)
    path.chmod(0o640)
    found = json.loads(done("convert", path, "--json"))
    image = Image.of(simple(0))
    assert path.read_bytes() == image.data
    assert found == {"output": str(path), "bytes": len(image.data), "crc32": f"{image.crc32:08x}"}
    assert [each.name for each in tmp_path.iterdir()] == ["old.bfn"]
    assert path.stat().st_mode & 0o777 == 0o640
    done("convert", path)
    assert path.read_bytes() == image.data


def test_convert_must_leave_the_old_network_where_another_file_is_named(tmp_path: Path) -> None:
    path, to = old(tmp_path), tmp_path / "new.bfn"
    before = path.read_bytes()
    done("convert", path, "-o", to)
    assert path.read_bytes() == before
    assert Image.of(load(to)).data == Image.of(simple(0)).data


def test_a_command_that_meets_an_old_network_must_name_convert(here: Refused, tmp_path: Path) -> None:
    message = here(2, "inspect", old(tmp_path).name)
    assert "version 2" in message
    assert "bitflow convert" in message


@pytest.mark.parametrize(
    ("version", "message"),
    [(1, "version 1, this BitFlow reads 3: it is too old"), (4, "version 4, this BitFlow reads 3: it needs a newer")],
)
def test_convert_must_refuse_what_it_cannot_read(here: Refused, tmp_path: Path, version: int, message: str) -> None:
    data = of_version_2(simple(0))
    data[4] = version
    (tmp_path / "x.bfn").write_bytes(data)
    assert message in here(2, "convert", "x.bfn")
    assert (tmp_path / "x.bfn").read_bytes() == data


def test_convert_must_leave_a_damaged_network_as_it_is(here: Refused, tmp_path: Path) -> None:
    data = of_version_2(simple(0))
    data[100] ^= 1
    (tmp_path / "x.bfn").write_bytes(data)
    assert "x.bfn: the image is damaged" in here(2, "convert", "x.bfn")
    assert (tmp_path / "x.bfn").read_bytes() == data


def test_convert_must_say_where_a_network_cannot_be_written(here: Refused, tmp_path: Path) -> None:
    message = here(2, "convert", old(tmp_path).name, "-o", "absent/new.bfn")
    assert "absent/new.bfn" in message


def test_convert_must_say_that_there_is_no_such_file(here: Refused) -> None:
    assert "cannot read absent.bfn" in here(2, "convert", "absent.bfn")
