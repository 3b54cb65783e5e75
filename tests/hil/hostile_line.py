"""A line that does its worst: a TCP port before a board's serial port, which spoils what passes and hangs up."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import threading
import time
from collections.abc import Callable

__all__ = ["HostileLine"]

LONGEST_DELAY_S = 0.02
IDLE_S = 0.05


class HostileLine:
    """Use it in a `with` statement. url: where a host connects; one after the other, each on the same board.

    port: gives the path of the board's serial port, asked anew for each connection. rate: how many bytes in one are
    flipped, dropped, doubled or delayed. cut_after: connections are cut after about so many bytes.
    """

    def __init__(self, port: Callable[[], str], rate: float, seed: int, cut_after: int | None = None) -> None:
        self._port, self._rate, self._random, self._cut_after = port, rate, random.Random(seed), cut_after
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(IDLE_S)
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self.spoiled = self.cuts = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                host, _ = self._server.accept()
                with host:
                    self._pass_on(host)

    def _pass_on(self, host: socket.socket) -> None:
        left = self._random.randrange(1, 2 * self._cut_after) if self._cut_after else None
        try:
            board = os.open(self._port(), os.O_RDWR | os.O_NOCTTY)
        except OSError:
            return  # no board now: the host's line is cut
        try:
            while not self._ends.is_set():
                ready, _, _ = select.select([host, board], [], [], IDLE_S)
                for end in ready:
                    data = host.recv(4096) if end is host else os.read(board, 4096)
                    if not data:
                        return
                    if left is not None:
                        left -= len(data)
                        if left < 0:
                            self.cuts += 1
                            return
                    spoiled = self._spoil(data)
                    if end is host:
                        os.write(board, spoiled)
                    else:
                        host.sendall(spoiled)
        except OSError:
            return
        finally:
            os.close(board)

    def _spoil(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self._random.random() >= self._rate:
                out.append(byte)
                continue
            self.spoiled += 1
            what = self._random.randrange(4)
            if what == 0:
                out.append(byte ^ 1 << self._random.randrange(8))
            elif what == 2:
                out += bytes((byte, byte))
            elif what == 3:
                time.sleep(self._random.random() * LONGEST_DELAY_S)
                out.append(byte)
        return bytes(out)

    def __enter__(self) -> HostileLine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._server.close()
