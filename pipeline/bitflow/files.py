"""Files: written whole or not at all, locked, told apart by their content; and the cache of what was built.

All that BitFlow writes for its users, logs apart, goes through `write_atomic` or `written`; every lock is `locked`; and
what takes a compiler to make is kept by `built` in the user's cache, where all projects share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from bitflow import resources
from bitflow.errors import InputError

__all__ = [
    "KEPT_BYTES",
    "KEPT_S",
    "built",
    "digest",
    "file_name",
    "locked",
    "program",
    "sweep",
    "tree_digest",
    "write_atomic",
    "written",
]

KEPT_S = 30 * 24 * 3600.0
"""How long what was built stays after it was used last."""
KEPT_BYTES = 4 * 2**30
"""How much of it stays: what was used least recently goes first."""

_IN_USE_S = 3600.0  # what was used since then stays in any case
_SWEEP_S = 3600.0
_STAMP = ".built"  # in a folder that is complete; its time is when the folder was used last
_LONGEST_NAME = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # Windows keeps them to itself


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Write a file as a whole: who reads it meanwhile sees the old one or the new one. Text is written in UTF-8.

    See written() for modes and errors.
    """
    data = content.encode() if isinstance(content, str) else content
    with written(path) as beside:
        beside.write_bytes(data)


@contextlib.contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """The path of an empty file to fill, which takes the name `path` at the end and is gone after any error.

    The file has the mode of the one that it replaces, else what `open` would give. A link stays and its target is
    replaced; a device or pipe is written to. Raises InputError, naming `path`, where it cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            yield target
            return
        beside = target.with_name(f".{secrets.token_hex(6)}.new")
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the umask has its say here
        try:
            if mode is not None:
                beside.chmod(stat.S_IMODE(mode))
            yield beside
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def locked(path: Path, patience_s: float = -1) -> Iterator[None]:
    """Hold the lock of a file, which is made, across processes; the system lets it go when its holder ends.

    patience_s: how long to wait, negative: as long as it takes. Raises TimeoutError after that, InputError where the
    file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        lock.acquire(timeout=patience_s)
    except TimeoutError:
        raise
    except OSError as error:
        raise InputError(f"cannot lock {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def file_name(text: str, default: str = "model") -> str:
    """A name for a file or folder that any system takes, made of any text: letters, digits, - and _."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:_LONGEST_NAME].strip("-")
    return f"{name}_" if _RESERVED.fullmatch(name) else name or default


def digest(*parts: str | bytes) -> str:
    """SHA-256 of parts, in hexadecimal; other borders between them give another one."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()


def tree_digest(*roots: Path, without: tuple[str, ...] = ()) -> str:
    """Digest of all files below folders: their paths in them and their bytes.

    Hidden files and folders do not count, nor such as begin with "__". without: endings of names that do not count.
    """
    parts: list[str | bytes] = []
    for root in roots:
        parts.append("folder")
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root)
            hidden = any(part.startswith((".", "__")) for part in relative.parts)
            if not hidden and path.is_file() and not path.name.endswith(without):
                parts += [relative.as_posix(), path.read_bytes()]
    return digest(*parts)


def program(name: str) -> str:
    """What tells a program, a compiler say, from another one or an older one; "" where there is none on PATH."""
    found = shutil.which(name)
    if found is None:
        return ""
    path = Path(found).resolve()
    facts = path.stat()
    return f"{path} {facts.st_size} {facts.st_mtime_ns}"


def built(kind: str, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
    """The folder in the user's cache that `make` filled for a key, and whether it did so now.

    kind: a name of what is built. key: a digest of all that it depends on. Of several processes that ask for the same,
    one builds and the others wait. A folder that an error or a kill left half full is made anew. What was not used for
    KEPT_S, and what is too much for KEPT_BYTES, goes. Raises what `make` raises, InputError where the cache cannot be
    written.
    """
    folder = _place() / kind / key
    if _touched(folder):
        return folder, False
    with locked(_lock_of(folder)):
        if _touched(folder):
            return folder, False
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
        try:
            make(folder)
            (folder / _STAMP).touch()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    with contextlib.suppress(InputError):  # it is a matter of another day
        _sweep_now_and_then()
    return folder, True


def sweep(kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES, now: float | None = None) -> None:
    """Remove from the cache what was not used for kept_s seconds, then what is more than kept_bytes, the oldest first.

    What was used within the last hour stays, and so does what is being built. now: seconds since 1970.
    """
    now = time.time() if now is None else now
    left = 0
    found = [(_last_use(folder), folder) for folder in _place().glob("*/[!.]*") if folder.is_dir()]
    for used, folder in sorted(found, reverse=True):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        spared = now - used < _IN_USE_S or (now - used < kept_s and left + size <= kept_bytes)
        if spared or not _removed(folder):
            left += size


def _place() -> Path:
    return resources.cache_folder() / "built"


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _touched(folder: Path) -> bool:
    """Whether a folder is complete; it counts as used now."""
    try:
        os.utime(folder / _STAMP)
    except FileNotFoundError:
        return False
    except OSError:  # somebody else's: it may be read
        return (folder / _STAMP).exists()
    return True


def _last_use(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return (folder / _STAMP).stat().st_mtime
    with contextlib.suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _removed(folder: Path) -> bool:
    """Remove it, unless it is being built.

    The lock's file stays: were it removed, a process that waits for it and one that comes later would both hold a lock.
    """
    try:
        with locked(_lock_of(folder), patience_s=0):
            (folder / _STAMP).unlink(missing_ok=True)  # first: half a folder is never found complete
            shutil.rmtree(folder, ignore_errors=True)
    except (OSError, InputError):
        return False
    return True


def _sweep_now_and_then() -> None:
    mark = _place() / ".swept"
    try:
        with locked(_place() / ".swept.lock", patience_s=0):
            if not mark.exists() or time.time() - mark.stat().st_mtime > _SWEEP_S:
                mark.touch()
                sweep()
    except TimeoutError:  # another process does
        pass
