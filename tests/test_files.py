"""Files are written whole, locked across processes, and kept by their content."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from bitflow import files
from bitflow.errors import InputError

CONTEXT = multiprocessing.get_context("spawn")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the user's that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- Written whole. ----


@pytest.mark.usefixtures("umask")
def test_a_new_file_must_have_the_mode_of_any_other(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "a", b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert mode(tmp_path / "a") == mode(tmp_path / "b") == 0o640


@pytest.mark.parametrize("before", [0o600, 0o755, 0o444])
def test_a_replaced_file_must_keep_its_mode(tmp_path: Path, before: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(before)
    files.write_atomic(path, "new")
    assert (path.read_text(), mode(path)) == ("new", before)


def test_an_error_must_leave_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(ZeroDivisionError), files.written(tmp_path / "file") as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_full_disk_must_be_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*file: No space left on device"):  # noqa: SIM117
        with files.written(tmp_path / "file"):
            raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["a folder that is missing", "a folder", "a file as folder", "nothing to be found"])
def test_a_place_that_cannot_be_written_must_be_one_clear_error(tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = {
        "a folder that is missing": tmp_path / "none" / "x",
        "a folder": tmp_path / "folder",
        "a file as folder": tmp_path / "file" / "x",
        "nothing to be found": tmp_path / "loop" / "x",
    }[what]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="cannot write") as found:
        files.write_atomic(path, b"")
    assert "\n" not in str(found.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_read_only_folder_must_be_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> int:  # who runs the tests may be root, whom no mode stops
        raise PermissionError(13, "Permission denied", "inner")

    monkeypatch.setattr(os, "open", refuses)
    with pytest.raises(InputError, match=r"^cannot write \S+/file: Permission denied$"):
        files.write_atomic(tmp_path / "file", b"")


def test_a_link_must_stay_and_its_target_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    files.write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_pipe_must_be_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    files.write_atomic(tmp_path / "pipe", "through")
    reader.join()
    assert read == ["through"]


def test_a_name_of_the_greatest_length_must_be_written(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / ("n" * 255), "long")
    assert (tmp_path / ("n" * 255)).read_text() == "long"


def _write_often(path: Path, letter: str) -> None:
    for _ in range(100):
        files.write_atomic(path, letter * 100_000)


def test_a_reader_must_see_one_writer_s_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_atomic(path, "a" * 100_000)
    with ProcessPoolExecutor(2, CONTEXT) as processes:
        writers = [processes.submit(_write_often, path, letter) for letter in "bc"]
        while not all(writer.done() for writer in writers):
            text = path.read_text()
            assert (len(text), len(set(text))) == (100_000, 1)
        for writer in writers:
            writer.result()
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


# ---- Locks. ----


def _count_up(folder: Path) -> None:
    for _ in range(50):
        with files.locked(folder / "locks" / "lock"):
            number = int((folder / "number").read_text())
            (folder / "number").write_text(str(number + 1))


def test_a_lock_must_hold_across_processes(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    with ProcessPoolExecutor(2, CONTEXT) as processes:
        list(processes.map(_count_up, [tmp_path] * 2))
    assert (tmp_path / "number").read_text() == "100"


def _die_with(lock: Path) -> None:
    with files.locked(lock):
        os._exit(1)


def test_a_lock_must_end_with_its_holder(tmp_path: Path) -> None:
    process = CONTEXT.Process(target=_die_with, args=(tmp_path / "lock",))
    process.start()
    process.join()
    with files.locked(tmp_path / "lock", patience_s=0):
        pass


def test_a_lock_must_be_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    with files.locked(tmp_path / "lock"), pytest.raises(TimeoutError), files.locked(tmp_path / "lock", patience_s=0):
        pass


def test_a_lock_that_cannot_be_made_must_be_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot lock .*: (File exists|Not a directory)"):  # noqa: SIM117
        with files.locked(tmp_path / "file" / "lock"):
            pass


# ---- Names and digests. ----


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digits", "digits"),
        ("a b/c\\d", "a-b-c-d"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "model"),
        ("...", "model"),
        ("-rf", "rf"),
        ("\0\n\x1b[31m", "31m"),
        ("con", "con_"),
        ("LPT1", "LPT1_"),
        ("größe", "gr-e"),
        ("x" * 300, "x" * 100),
        ("x" * 99 + "/y", "x" * 99),
    ],
)
def test_any_text_must_give_a_harmless_name(text: str, name: str) -> None:
    assert files.file_name(text) == name


def test_digests_must_tell_borders_apart() -> None:
    assert files.digest("ab", "c") != files.digest("a", "bc") != files.digest("abc")
    assert files.digest("a") == files.digest(b"a")


def test_a_tree_s_digest_must_be_that_of_its_paths_and_bytes(tmp_path: Path) -> None:
    def made(name: str, **content: str) -> str:
        for path, text in content.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return files.tree_digest(tmp_path / name, without=(".md",))

    one = made("one", a="1", b="2")
    assert made("same", b="2", a="1") == one
    assert made("bytes", a="1", b="3") != one
    assert made("names", a="1", c="2") != one
    assert made("more", a="1", b="2", d="") != one
    assert made("one", **{".hidden": "x", "__pycache__/x": "y", "read.md": "z"}) == one


# ---- What was built. ----


def _build(place: Path, cache: Path) -> bool:
    os.environ["XDG_CACHE_HOME"] = str(cache)

    def make(folder: Path) -> None:
        with (place / "builds").open("a") as log:
            log.write("1\n")
        (folder / "result").write_text("made")

    folder, fresh = files.built("test", "key", make)
    assert (folder / "result").read_text() == "made"
    return fresh


def test_of_processes_that_build_the_same_one_must_build(tmp_path: Path, cache: Path) -> None:
    with ProcessPoolExecutor(2, CONTEXT) as processes:
        fresh = list(processes.map(_build, [tmp_path] * 8, [cache] * 8))
    assert sorted(fresh) == [False] * 7 + [True]
    assert (tmp_path / "builds").read_text() == "1\n"


@pytest.mark.usefixtures("cache")
def test_half_a_build_must_not_be_used() -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.built("test", "key", fails)
    folder, fresh = files.built("test", "key", lambda folder: None)
    assert fresh
    assert not (folder / "half").exists()


def killed(folder: Path) -> None:
    (folder / "half").write_text("")
    os._exit(9)


def _build_and_die(cache: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(cache)
    files.built("test", "key", killed)


def test_a_kill_must_leave_nothing_that_is_used(cache: Path) -> None:
    process = CONTEXT.Process(target=_build_and_die, args=(cache,))
    process.start()
    process.join()
    assert process.exitcode == 9
    folder, fresh = files.built("test", "key", lambda folder: None)
    assert fresh
    assert not (folder / "half").exists()


DAY_S = 24 * 3600.0


def make_of_1000_bytes(folder: Path) -> None:
    (folder / "result").write_bytes(bytes(1000))


@pytest.mark.usefixtures("cache")
def test_what_is_old_or_too_much_must_go() -> None:
    made = {name: files.built("test", name, make_of_1000_bytes)[0] for name in ("oldest", "old", "young", "now")}
    now = (made["now"] / ".built").stat().st_mtime
    for days, name in ((40, "oldest"), (20, "old"), (10, "young")):
        os.utime(made[name] / ".built", (now - days * DAY_S,) * 2)
    files.sweep(now=now)
    assert [name for name, folder in made.items() if folder.exists()] == ["old", "young", "now"]
    files.sweep(kept_bytes=2500, now=now)
    assert [name for name, folder in made.items() if folder.exists()] == ["young", "now"]
    files.sweep(kept_s=0, kept_bytes=0, now=now)
    assert [name for name, folder in made.items() if folder.exists()] == ["now"], "it is in use"


@pytest.mark.usefixtures("cache")
def test_what_is_used_again_must_stay() -> None:
    folder, _ = files.built("test", "key", make_of_1000_bytes)
    os.utime(folder / ".built", (0, 0))
    assert files.built("test", "key", make_of_1000_bytes) == (folder, False)
    files.sweep()
    assert folder.exists()


@pytest.mark.usefixtures("cache")
def test_what_is_being_built_must_stay() -> None:
    def make(folder: Path) -> None:
        os.utime(folder, (0, 0))
        files.sweep()
        (folder / "result").write_text("made")

    folder, _ = files.built("test", "key", make)
    assert (folder / "result").exists()


@pytest.mark.usefixtures("cache")
def test_a_first_build_must_sweep_and_the_next_must_not() -> None:
    files.built("test", "first", make_of_1000_bytes)
    old, _ = files.built("test", "old", make_of_1000_bytes)
    os.utime(old / ".built", (0, 0))
    files.built("test", "next", make_of_1000_bytes)
    assert old.exists()
    os.utime(old.parent.parent / ".swept", (0, 0))
    files.built("test", "last", make_of_1000_bytes)
    assert not old.exists()


def test_a_cache_that_cannot_be_written_must_be_one_clear_error(cache: Path) -> None:
    cache.write_text("no folder")
    with pytest.raises(InputError, match="cannot lock"):
        files.built("test", "key", make_of_1000_bytes)
