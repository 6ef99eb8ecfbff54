"""The listening socket, as clients meet it."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import sys

import pytest

from service.listen import open_socket
from storage.settings import Settings


def test_an_answer_in_two_writes_does_not_wait_for_the_clients_acknowledgement(settings: Settings) -> None:
    """asyncio turns Nagle's algorithm off for sockets that name TCP as their protocol, and for no other."""
    found: list[int] = []

    async def serve() -> None:
        def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with open_socket(settings.model_copy(update={"port": 0})) as listening:
            address = listening.getsockname()
            async with await asyncio.start_server(answer, sock=listening):
                reader, writer = await asyncio.open_connection(*address[:2])
                await reader.read()
                writer.close()

    asyncio.run(serve())
    assert found == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
def test_a_client_that_stays_and_reads_no_more_is_dropped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.listen.MAX_UNREAD_S", 0.5)
    with open_socket(settings.model_copy(update={"port": 0})) as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            accepted.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:  # until nothing more fits between the two
                    accepted.send(bytes(65536))
            ends = select.poll()
            ends.register(accepted, 0)  # errors and hang-ups are always told
            assert ends.poll(60_000) != []
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
