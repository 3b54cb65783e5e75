"""What a command works on: the project, and the network, the board and the test images that flags or project name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bitflow import boards, project
from bitflow.boards import Board
from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.image.bfn import Image, load
from bitflow.ir import Network, PackedNetwork
from bitflow.learn.data.sources import Split, load_data
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.planner.choice import Objective
from bitflow.planner.for_board import plan_for
from bitflow.planner.plan import Plan

__all__ = ["Context", "load_float_network", "nameless_crc32"]


@dataclass(frozen=True, slots=True)
class Context:
    """The project of the current folder, None: there is none. What a flag does not say, the project says."""

    project: project.Project | None

    @classmethod
    def here(cls) -> Context:
        """The context of the current folder."""
        return cls(project.find_project())

    @property
    def folder(self) -> Path:
        """Where builds go."""
        return self.project.folder if self.project else Path.cwd()

    @property
    def budgets(self) -> tuple[int, int]:
        """Bytes of flash and RAM; 0: none."""
        return (self.project.flash_budget, self.project.ram_budget) if self.project else (0, 0)

    def network(self, model: str | None) -> PackedNetwork:
        """The network of a MODEL, by default the project's. Raises InputError where there is none."""
        return load(project.resolve_model(model, self.project))

    def board(self, name: str | None) -> Board:
        """The board of a name, by default the project's."""
        return boards.board(name or (self.project.board if self.project else boards.DEFAULT_BOARD))

    def plan(self, network: PackedNetwork, board: Board, objective: Objective) -> Plan:
        """The plan of a network for a board, within the budgets."""
        return plan_for(network, board, objective, *self.budgets)

    def test_images(self, network: PackedNetwork, data: str | None) -> Split:
        """The test images of a data source, by default the project's. Raises InputError where they do not fit."""
        source, size = project.resolve_data(data, self.project)
        test = load_data(source, size).test
        try:
            network.input_spec.check(test.images[:1])
        except InputError as error:
            raise InputError(f"{source} does not fit {network.name}: {error}") from None
        top = int(test.labels.max())
        require(top < network.classes, f"{source} has a label {top}, {network.name} has {network.classes} classes")
        return test

    def trained_module(self, network: PackedNetwork, against: Path | None) -> Path | None:
        """The model.pt that a network was made from: as given, or the project's if it fuses to the same image."""
        if against is not None:
            return against
        path = self.project.module_path if self.project else None
        return path if path is not None and path.is_file() and _fuses_to(path, network) else None


def load_float_network(path: Path, name: str | None = None) -> Network:
    """The float network of a model.pt, by another name where one is given."""
    from bitflow.importers.torch.module import network_from_module
    from bitflow.learn.training.checkpoint import load_module

    module, facts = load_module(path)
    shape = facts.input_spec.shape
    return network_from_module(
        module,
        (shape.height, shape.width, shape.channels),
        name or facts.name,
        facts.labels,
        facts.input_spec.dtype,
        facts.input_spec.channel_order,
    )


def nameless_crc32(network: PackedNetwork) -> int:
    """The CRC-32 of the image without the network's name, which `fuse --name` changes."""
    return Image.of(replace(network, name="")).crc32


def _fuses_to(path: Path, network: PackedNetwork) -> bool:
    """Whether a model.pt is what a network was made from; a model.pt that does not say so is fused."""
    from bitflow.learn.training.checkpoint import image_crc32

    known = image_crc32(path)
    found = nameless_crc32(pack(fuse(load_float_network(path)))) if known is None else known
    return found == nameless_crc32(network)
