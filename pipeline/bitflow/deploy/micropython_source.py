"""Finds or downloads MicroPython's sources, and builds what runs on this computer: mpy-cross and the Unix port.

A checkout that the user names comes first (BITFLOW_MICROPYTHON or --source); nothing is written into it. Otherwise a
pinned release is downloaded once into the user's cache, checked by its SHA-256, and used from there without a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bitflow import files, resources
from bitflow.errors import BitflowError, InputError, MissingError

__all__ = ["VARIABLE", "Source", "find", "make", "make_port", "setup"]

VARIABLE = "BITFLOW_MICROPYTHON"

_PINNED = (1, 25, 0)
_RELEASE = "https://github.com/micropython/micropython/releases/download/v1.25.0/micropython-1.25.0.tar.xz"
_RELEASE_SHA256 = "9fe99ad5808e66bb40d374f5cad187c32c7d1c49cf47f72b38fd453c28c2aebe"
_DEBIAN_SUITE = "trixie"
_DEBIAN_FILE = "micropython_1.25.0+ds.orig.tar.xz"
_DEBIAN_SHA256 = "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_CONNECT_S = 10

# Debian's sources lack the third-party libraries that these options would need.
_WITHOUT = dict.fromkeys(("MICROPY_PY_BTREE", "MICROPY_PY_FFI", "MICROPY_PY_SSL", "MICROPY_SSL_AXTLS"), "0")


@dataclass(frozen=True, slots=True)
class Source:
    """Sources of MicroPython.

    built: the folder for everything built from them.
    """

    folder: Path
    version: tuple[int, int, int]
    built: Path

    @property
    def mpy_cross(self) -> Path:
        return self.built / "mpy-cross" / "mpy-cross"

    @property
    def unix(self) -> Path:
        """The Unix port, without bitflow."""
        return self.built / "unix" / "micropython"

    @property
    def empty_library(self) -> Path:
        """An empty folder in place of micropython-lib, which Debian's sources lack; nothing of it is used."""
        return self.built / "library"


def find(source: Path | None = None) -> Source:
    """The installed sources, built or not. Raises MissingError if `bitflow micropython setup` is needed.

    source: a checkout; by default the one that BITFLOW_MICROPYTHON names, else the pinned release in the cache.
    """
    named = source or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    home = _home()
    if named is not None:
        folder = named.expanduser().resolve()
        version = _version_of(folder)
        mark = files.digest(str(folder))[:8]
        return Source(folder, version, home / f"{_dotted(version)}-{mark}")
    folder = home / f"micropython-{_dotted(_PINNED)}"
    if not folder.is_dir():
        raise MissingError("the sources of MicroPython are not here yet: bitflow micropython setup")
    return Source(folder, _version_of(folder), home / _dotted(_PINNED))


def setup(source: Path | None = None) -> Source:
    """Find or download the sources, and build mpy-cross and the Unix port, unless they are built.

    Raises MissingError, with what to do, if the sources cannot be had or a tool is missing, InputError for something
    that is not a checkout.
    """
    _need("make", "sudo apt-get install make")
    _need("gcc", "sudo apt-get install gcc libc6-dev")
    with files.locked(_home() / ".lock"):
        try:
            found = find(source)
        except MissingError:
            _bring(_home())
            found = find(source)
        found.empty_library.mkdir(parents=True, exist_ok=True)
        (found.empty_library / "README.md").write_text("Nothing of micropython-lib is used.\n")
        (found.built / "empty.py").write_text("")
        if not found.mpy_cross.is_file():
            with _fresh(found.mpy_cross.parent) as build:
                make(found.folder / "mpy-cross", {"BUILD": str(build)})
        if not found.unix.is_file():
            with _fresh(found.unix.parent) as build:
                make_port(found, "unix", build)
    return found


def make_port(source: Source, port: str, build: Path, settings: Mapping[str, str] | None = None) -> str:
    """Build a port of MicroPython into a folder, without optional parts. See make()."""
    common = {
        "BUILD": str(build),
        "MICROPY_MPYCROSS": str(source.mpy_cross),
        "MPY_LIB_DIR": str(source.empty_library),
    }
    if port == "unix":
        common |= {"FROZEN_MANIFEST": str(source.built / "empty.py"), **_WITHOUT}
    return make(source.folder / "ports" / port, {**common, **(settings or {})})


def make(folder: Path, settings: Mapping[str, str]) -> str:
    """Run make in a folder and return its output. Raises BitflowError with the first error."""
    _need("make", "sudo apt-get install make")
    words = [f"{name}={value}" for name, value in {"PYTHON": shlex.quote(sys.executable), **settings}.items()]
    # The user's flags are for other programs; make's own come from a make that starts this one.
    keep = {name: value for name, value in os.environ.items() if name not in ("CFLAGS", "LDFLAGS", "MAKEFLAGS", "CC")}
    done = subprocess.run(
        ["make", f"-j{os.cpu_count() or 1}", "-C", str(folder), *words],
        env=keep, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stdout.splitlines()
        first = next((line for line in lines if re.search(r"\berror\b|Error", line)), lines[-1] if lines else "")
        raise BitflowError(f"make failed in {folder}: {first.strip()}")
    return done.stdout


@contextlib.contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    """An empty folder to build in, renamed to its final name on success: an incomplete build is never used."""
    beside = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    yield beside
    beside.rename(folder)


def _home() -> Path:
    home = resources.cache_folder() / "micropython"
    if " " in str(home):
        raise InputError(f"GNU make cannot build below {home}: the path has a space; set XDG_CACHE_HOME to another")
    return home


def _need(program: str, get: str) -> None:
    if shutil.which(program) is None:
        raise MissingError(f"{program} is missing: {get}")


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


def _version_of(folder: Path) -> tuple[int, int, int]:
    """The version of a checkout, from py/mpconfig.h."""
    header = folder / "py" / "mpconfig.h"
    if not header.is_file():
        raise InputError(f"{folder} is not a checkout of MicroPython: it has no py/mpconfig.h")
    text = header.read_text(encoding="utf-8")
    found = [re.search(rf"define MICROPY_VERSION_{part} (\d+)", text) for part in ("MAJOR", "MINOR", "MICRO")]
    major, minor, micro = (int(match[1]) if match else 0 for match in found)
    if (major, minor) < _PINNED[:2]:
        raise InputError(f"{folder} is MicroPython {major}.{minor}.{micro}; 1.25 or newer is needed")
    if " " in str(folder):
        raise InputError(f"GNU make cannot build {folder}: the path has a space")
    return major, minor, micro


def _bring(home: Path) -> None:
    """Download the pinned sources into the cache: the release, else Debian's package of it."""
    reasons = []
    for bring in (_download, _apt):
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            try:
                _unpack(bring(Path(scratch)), Path(scratch) / "tree", home)
                return
            except MissingError as error:
                reasons.append(str(error))
    raise MissingError(
        f"no sources of MicroPython {_dotted(_PINNED)} ({'; '.join(reasons)}): "
        f"name a checkout with --source or {VARIABLE}"
    )


def _download(scratch: Path) -> Path:
    target = scratch / "release.tar.xz"
    try:
        with urllib.request.urlopen(_RELEASE, timeout=_CONNECT_S) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, urllib.error.URLError) as error:
        raise MissingError(f"no release download: {getattr(error, 'reason', error)}") from error
    return _checked(target, _RELEASE_SHA256)


def _apt(scratch: Path) -> Path:
    """Debian's source package by apt, with separate lists and sources: the system's apt is not changed."""
    if shutil.which("apt-get") is None:
        raise MissingError("no apt-get")
    for name in ("parts", "lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    (scratch / "parts" / "source.sources").write_text(
        f"Types: deb-src\nURIs: {_mirror()}\nSuites: {_DEBIAN_SUITE}\nComponents: main\nSigned-By: {_KEYRING}\n"
    )
    own = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": str(scratch / "parts"),
        "Dir::State::Lists": str(scratch / "lists"),
        "Dir::Cache": str(scratch / "cache"),
        "APT::Sandbox::User": "root",  # apt's own user may not write into the cache
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": str(_CONNECT_S),
    }
    options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
    for words in (["update"], ["source", "--download-only", "micropython"]):
        done = subprocess.run(
            ["apt-get", "-q", *options, *words], cwd=scratch, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise MissingError(f"apt-get {words[0]}: {said[0] if said else 'failed'}")
    target = scratch / _DEBIAN_FILE
    if not target.is_file():
        raise MissingError(f"{_DEBIAN_SUITE} has no {_DEBIAN_FILE} any more")
    return _checked(target, _DEBIAN_SHA256)


def _mirror() -> str:
    """Debian's mirror from the system's apt entries, in either of their formats."""
    root = Path("/etc/apt")
    files = [*sorted(root.glob("sources.list.d/*.sources")), root / "sources.list"]
    files += sorted(root.glob("sources.list.d/*.list"))
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        pattern = r"^URIs:\s*(\S+)" if file.suffix == ".sources" else r"^deb\s+(?:\[[^\]]*\]\s*)?(\S+)"
        for uri in re.findall(pattern, text, re.MULTILINE):
            if uri.rstrip("/").endswith("/debian"):
                return str(uri)
    raise MissingError("no Debian mirror in apt's sources")


def _checked(file: Path, expected: str) -> Path:
    got = hashlib.sha256(file.read_bytes()).hexdigest()
    if got != expected:
        raise MissingError(f"{file.name} has SHA-256 {got}, expected {expected}")
    return file


def _unpack(archive: Path, tree: Path, home: Path) -> None:
    """Unpack, then rename into place: nobody sees half of it."""
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(tree, filter="data")
        else:
            tar.extractall(tree)  # Python below 3.11.4 has no filters; the archive's SHA-256 was checked
    name = f"micropython-{_dotted(_PINNED)}"
    if not (tree / name / "py" / "mpconfig.h").is_file():
        raise MissingError(f"{archive.name} has no {name}/py/mpconfig.h")
    (tree / name).rename(home / name)
