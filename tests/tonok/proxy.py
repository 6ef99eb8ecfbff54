"""A line between client and service that breaks where it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, repeat


@contextmanager
def run_proxy(port: int, cuts: Sequence[int | None]) -> Iterator[str]:
    """Yields an address that leads to `port`. cuts: bytes of its answer that each connection gets, in order, before it
    is cut; None for all. Those that come later get all.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    limits = chain(cuts, repeat(None))

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=_forward, args=(connection, port, next(limits)), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _forward(client: socket.socket, port: int, limit: int | None) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        threading.Thread(target=_copy_request, args=(client, server), daemon=True).start()
        left = limit
        with suppress(OSError):
            while (left is None or left > 0) and (content := server.recv(1 << 16)):
                client.sendall(content[:left])
                left = None if left is None else left - len(content)
            if limit == 0:
                server.recv(1)  # what was asked for has been done when its answer is lost
            # The other thread still reads: closing alone would tell nobody.
            client.shutdown(socket.SHUT_RDWR)


def _copy_request(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while content := client.recv(1 << 16):
            server.sendall(content)
