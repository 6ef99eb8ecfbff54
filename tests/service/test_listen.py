"""The listening socket, as clients meet it."""

from __future__ import annotations

import asyncio
import socket

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
