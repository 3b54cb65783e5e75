"""How the sources of MicroPython are found and brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitflow.deploy import micropython_source as sources
from bitflow.errors import InputError, MissingError


def test_named_checkout_must_be_used_and_left_alone(
    toolchain: sources.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sources.VARIABLE, str(toolchain.folder))
    found = sources.find()
    assert found.folder == toolchain.folder
    assert toolchain.folder not in found.built.parents


def test_folder_that_is_no_checkout_must_be_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a checkout of MicroPython"):
        sources.find(tmp_path)


def test_old_version_must_be_refused(tmp_path: Path) -> None:
    (tmp_path / "py").mkdir()
    lines = (f"#define MICROPY_VERSION_{part} {number}" for part, number in (("MAJOR", 1), ("MINOR", 24), ("MICRO", 1)))
    (tmp_path / "py" / "mpconfig.h").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"1\.24\.1; 1\.25 or newer"):
        sources.find(tmp_path)


def test_missing_sources_must_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sources.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingError, match="bitflow micropython setup"):
        sources.find()


def test_file_with_another_sum_must_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "release.tar.xz"
    file.write_bytes(b"something else")
    with pytest.raises(MissingError, match="SHA-256"):
        sources._checked(file, "0" * 64)


def test_cache_with_a_space_must_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "with a space"))
    with pytest.raises(InputError, match="the path has a space"):
        sources.find()
