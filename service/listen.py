"""Opening the door: settings from the environment, the rule about addresses, the listening socket."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any, NoReturn

from sqlalchemy.exc import OperationalError

from storage.database import Database
from storage.keys import has_keys
from storage.settings import Settings, is_loopback
from storage.startup import check_data

MAX_WAITING = 2048
"""Connections that may wait in the socket to be accepted: while the API is busy, or is started again."""

MAX_UNREAD_S = 120.0
"""How long a client may take in nothing of what is sent to it. Else who reads no more holds its connection for ever,
and who has lost the network for a quarter of an hour. No pace: a slow reader has buffers that it empties meanwhile."""


def open_socket(settings: Settings) -> socket.socket:
    """A listening socket at the settings' host and port. Leaves with one line where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        _refuse_strangers(settings, address)
        # The protocol is named: asyncio turns off Nagle's algorithm for sockets that say TCP and for no other, and
        # with it on, every answer on a kept connection waits 40 ms for the client's delayed acknowledgement.
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":  # each accepted connection has it too
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(MAX_UNREAD_S * 1000))
        listening.bind(address)
        listening.listen(MAX_WAITING)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _leave(
                f"port {settings.port} of {settings.host} is in use: stop what listens there, or choose "
                "another one with TONOK_PORT."
            )
        _leave(f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}")
    return listening


def adopt_socket(settings: Settings, descriptor: int) -> socket.socket:
    """The listening socket behind a file descriptor that was handed down. Leaves as `open_socket` does."""
    listening = socket.socket(fileno=descriptor)
    _refuse_strangers(settings, listening.getsockname())
    return listening


def _refuse_strangers(settings: Settings, address: Any) -> None:
    """The rule: who can be reached from elsewhere asks for a key, and somebody has one. address: of the socket."""
    if not (settings.key_required or is_loopback(address[0])):  # a name that resolves to what one does not expect
        _leave(f"TONOK_HOST={settings.host} is {address[0]} here, which other machines reach: name that address.")
    if settings.key_required and not _has_keys(settings):
        _leave(
            "nobody has an API key yet, and this address asks for one. Make one first: "
            f"`python -m service.keys create --owner NAME`. (TONOK_HOST={settings.host}; 127.0.0.1 needs no key.)"
        )


def _has_keys(settings: Settings) -> bool:
    check_data(settings)
    database = Database(settings)
    try:
        database.create()
        with database.read() as session:
            return has_keys(session)
    except OperationalError:
        _leave("the database does not answer, so that nobody's API key can be checked (TONOK_DATABASE_URL).")
    finally:
        database.dispose()


def format_url(listening: socket.socket) -> str:
    """The address to type into a browser; a wildcard address is reached by loopback."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _leave(reason: str) -> NoReturn:
    print(f"tonok: {reason}", file=sys.stderr)
    raise SystemExit(1)
