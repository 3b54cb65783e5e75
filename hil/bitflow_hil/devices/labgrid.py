"""Boards of a labgrid farm: a place is reserved, acquired and released by labgrid's own client.

labgrid needs an environment of its own, since it replaces pyserial. Its labgrid-client is found on PATH or by
BITFLOW_LABGRID. LG_COORDINATOR names the coordinator, as for every client of labgrid.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from bitflow.errors import DeviceError, InputError, MissingError

__all__ = ["PREFIX", "place"]

PREFIX = "labgrid:"
"""Prefix of a port that is a place of a farm, given by its tags: labgrid:KEY=VALUE[,KEY=VALUE...]."""

_CLIENT = "labgrid-client"
_ANSWER_S = 60.0
_QUEUE_S = 3600.0


@contextlib.contextmanager
def place(port: str) -> Iterator[str]:
    """The pyserial URL of a board with these tags, reserved until the block ends; waits until one is free.

    Raises InputError for malformed tags, MissingError without labgrid's client, DeviceError if the coordinator does not
    answer, no place has the tags, or none becomes free within an hour.
    """
    tags = [tag for tag in port.removeprefix(PREFIX).split(",") if tag]
    if not tags or not all(key and value for key, _, value in (tag.partition("=") for tag in tags)):
        raise InputError(f"--port {port}: must be {PREFIX}KEY=VALUE, with tags of a place of the farm")
    said = _run(["reserve", "--wait", "--shell", *tags], _QUEUE_S)
    token = said.strip().removeprefix("export LG_TOKEN=")
    with contextlib.ExitStack() as stack:
        stack.callback(_quietly, ["cancel-reservation", token])
        _run(["-p", f"+{token}", "acquire"])
        stack.callback(_quietly, ["-p", f"+{token}", "release"])
        yield _url(_run(["-p", f"+{token}", "env"]))


def _url(environment: str) -> str:
    """The URL of the serial port in the environment file that labgrid writes for a place."""
    import yaml  # from the extra `labgrid`

    (target,) = yaml.safe_load(environment)["targets"].values()
    for resource in target["resources"]:
        for kind, serial in resource.items():
            if kind == "NetworkSerialPort":
                scheme = "socket" if serial.get("protocol") == "raw" else "rfc2217"
                return f"{scheme}://{serial['host']}:{serial['port']}"
    raise DeviceError("the place of the farm has no serial port")


def _run(words: Sequence[str], seconds: float = _ANSWER_S) -> str:
    client = os.environ.get("BITFLOW_LABGRID") or shutil.which(_CLIENT)
    if client is None:
        hint = "install labgrid in an environment of its own and set BITFLOW_LABGRID to its labgrid-client"
        raise MissingError(f"{_CLIENT} is missing: {hint}")
    try:
        done = subprocess.run([client, *words], capture_output=True, text=True, check=False, timeout=seconds)
    except OSError as error:
        raise MissingError(f"{client}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{_CLIENT} {' '.join(words)} did not end in {seconds:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise DeviceError(f"{_CLIENT} {' '.join(words)}: {lines[-1]}")
    return done.stdout


def _quietly(words: Sequence[str]) -> None:
    """Run a command that gives a place back. Its errors are ignored, so as not to hide an earlier error."""
    with contextlib.suppress(DeviceError, MissingError):
        _run(words)
