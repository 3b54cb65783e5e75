"""pytest plugin: fixtures for tests that run against boards, one or several.

pytest --bitflow-board qemu-m7                                  an emulated board, built and started
pytest --bitflow-board stm32h7 --bitflow-port /dev/ttyACM0      a board that runs its firmware
pytest --bitflow-board qemu-m3,qemu-m4,stm32h7                  each test on each board
pytest -n 3 --bitflow-board qemu-m3,qemu-m4,stm32h7             the same, the boards at the same time (pytest-xdist)

Fixtures: `device`, a bitflow_hil.devices.device.Device that runs the network; `bitflow_board`, its row of the board
table; `bitflow_network`, the network of --bitflow-model. The mark bitflow_board("stm32h7", "qemu-m7") limits a test to
these boards. Tests for a board that is not plugged in are skipped. A board or port serves one test at a time, across
all processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bitflow.boards import Board
    from bitflow.ir import PackedNetwork
    from bitflow_hil.devices.device import Device

__all__ = [
    "bitflow_board",
    "bitflow_network",
    "device",
    "pytest_addoption",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_xdist_make_scheduler",
]

_MARK = "bitflow_board(*names): run the test only on these boards of --bitflow-board"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bitflow")
    group.addoption(
        "--bitflow-board",
        metavar="NAME[,NAME...]",
        default="qemu-m4",
        help="boards, separated by commas (see: bitflow boards)",
    )
    group.addoption("--bitflow-port", metavar="URL", help="serial port of a single board that runs its firmware")
    group.addoption("--bitflow-model", metavar="MODEL", default="builtin:digits", help="network on the boards")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)
    if config.getoption("--bitflow-port") is not None and len(_names(config)) > 1:
        raise pytest.UsageError("--bitflow-port belongs to one board: name one with --bitflow-board")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run boards at the same time: all tests for a board go to one of pytest-xdist's workers, which builds it once.

    None, for pytest-xdist's own scheduler, with a single board, and if --dist asks for another one.
    """
    from bitflow.boards import board

    # The longest name first: qemu-m0-4m is not qemu-m0.
    names = sorted((board(name).name for name in _names(config)), key=len, reverse=True)
    if len(names) < 2 or config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByBoard(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            _, _, parameters = nodeid.partition("[")
            return next((name for name in names if name in parameters), nodeid)

    return ByBoard(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "bitflow_board" not in metafunc.fixturenames:
        return
    from bitflow.errors import BitflowError

    try:
        params = _params(metafunc)
    except BitflowError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize("bitflow_board", params, indirect=True, scope="session")


def _params(metafunc: pytest.Metafunc) -> list[object]:
    """The boards for a test. If none is left, one that it must not run on, to say why the test is skipped."""
    from bitflow.boards import board

    names = [board(name).name for name in _names(metafunc.config)]
    marks = list(metafunc.definition.iter_markers("bitflow_board"))
    kept = [name for name in names if all(name in {board(one).name for one in mark.args} for mark in marks)]
    if not kept:
        asked = ", ".join(str(one) for mark in marks for one in mark.args)
        return [pytest.param(names[0], marks=pytest.mark.skip(reason=f"the test is for {asked}"))]
    return list(kept)


def _names(config: pytest.Config) -> list[str]:
    return [name for part in config.getoption("--bitflow-board").split(",") if (name := part.strip())] or ["qemu-m4"]


@pytest.fixture(scope="session")
def bitflow_board(request: pytest.FixtureRequest) -> Board:
    """Each of the boards of --bitflow-board."""
    from bitflow.boards import board

    return board(request.param)


@pytest.fixture(scope="session")
def bitflow_network(pytestconfig: pytest.Config) -> PackedNetwork:
    """The network of --bitflow-model."""
    from bitflow import project
    from bitflow.image.bfn import load

    return load(project.resolve_model(pytestconfig.getoption("--bitflow-model")))


@pytest.fixture(scope="session")
def device(
    pytestconfig: pytest.Config,
    bitflow_board: Board,
    bitflow_network: PackedNetwork,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Device]:
    """A device that runs the network: at --bitflow-port, the board that is plugged in, or an emulated one.

    Skips if no such board is plugged in. The board is locked while the device is used.
    """
    from bitflow.deploy.build import build
    from bitflow.errors import DeviceError
    from bitflow_hil.devices import connect as bound
    from bitflow_hil.devices import lock, ports
    from bitflow_hil.devices.device import Device
    from bitflow_hil.link.transport import SerialTransport

    port = pytestconfig.getoption("--bitflow-port")
    if port is None and bitflow_board.buildable and not bitflow_board.emulated:
        try:
            port = str(ports.find(bitflow_board).device)
        except DeviceError as error:
            pytest.skip(str(error))

    def firmware() -> Path:
        return build(bitflow_network, bitflow_board, tmp_path_factory.mktemp("firmware")).elf

    with (
        lock.held(port or bitflow_board.name),
        bound.open_port(bitflow_board, port, firmware) as url,
        Device(SerialTransport(url, bitflow_board.baud)) as found,
    ):
        yield found
