"""`python -m service`: the API alone. `--fd N` takes over a listening socket, as the supervisor hands it down."""

from __future__ import annotations

import argparse
import socket

import uvicorn

from service.app import create_app
from service.listen import MAX_WAITING, adopt_socket, format_url, open_socket
from service.protocol import MAX_ACCEPTED_AT_ONCE, ProblemProtocol
from storage.logs import configure_logging
from storage.settings import load_settings
from storage.startup import check_data

_GRACE_S = 3
"""How long open streams may go on after the order to stop: they never end by themselves."""


class _Server(uvicorn.Server):
    """uvicorn's, where asyncio's `backlog` is only what it accepts at once, and not how many may wait."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once, to begin to accept."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(MAX_WAITING)


def main() -> None:
    """Serves until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m service", description="Tonok's API.")
    parser.add_argument("--fd", type=int, help="file descriptor of a listening socket")
    arguments = parser.parse_args()
    settings = load_settings()
    listening = open_socket(settings) if arguments.fd is None else adopt_socket(settings, arguments.fd)
    check_data(settings)
    configure_logging(settings)
    if arguments.fd is None:
        print(f"Tonok's API: {format_url(listening)}/docs", flush=True)
    config = uvicorn.Config(
        create_app(settings),
        http=ProblemProtocol,
        backlog=MAX_ACCEPTED_AT_ONCE,
        log_config=None,
        log_level=settings.log_level.lower(),
        # Each request is counted in /metrics; a line for each would bury the warnings.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    _Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
