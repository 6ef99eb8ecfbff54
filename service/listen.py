"""Opening the door: settings from the environment, the rule about addresses, the listening socket."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from typing import NoReturn

from pydantic import ValidationError

from storage.settings import Settings


def load_settings() -> Settings:
    """The settings of this process. Leaves with one line for each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            print(f"TONOK_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}", file=sys.stderr)
        raise SystemExit(2) from None


def open_socket(settings: Settings) -> socket.socket:
    """A listening socket at the settings' host and port. Leaves with one line where that cannot be."""
    if not (is_loopback(settings.host) or settings.allow_remote):
        _leave(
            f"TONOK_HOST={settings.host} would let other machines in, and nothing asks them for a key. "
            "Use 127.0.0.1, or set TONOK_ALLOW_REMOTE=true where the network itself keeps strangers out."
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # The protocol is named: asyncio turns off Nagle's algorithm for sockets that say TCP and for no other, and
        # with it on, every answer on a kept connection waits 40 ms for the client's delayed acknowledgement.
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _leave(
                f"port {settings.port} of {settings.host} is in use: stop what listens there, or choose "
                "another one with TONOK_PORT."
            )
        _leave(f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}")
    return listening


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def format_url(listening: socket.socket) -> str:
    """The address to type into a browser; a wildcard address is reached by loopback."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _leave(reason: str) -> NoReturn:
    print(f"tonok: {reason}", file=sys.stderr)
    raise SystemExit(1)
