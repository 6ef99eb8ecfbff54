"""`python -m worker.health`: is a worker of this host alive? For a container's health check."""

from __future__ import annotations

import socket
import sys

from storage.database import Database
from storage.settings import load_settings
from storage.workers import list_live_workers


def main() -> int:
    """0 when a worker of this host has sent a heartbeat within the lease's time, else 1 and a line why."""
    settings = load_settings()
    database = Database(settings)
    try:
        with database.read() as session:
            hosts = [worker.host for worker in list_live_workers(session, settings.lease_ttl_s)]
    finally:
        database.dispose()
    if socket.gethostname() in hosts:
        return 0
    print(f"no worker of {socket.gethostname()} in the last {settings.lease_ttl_s:g} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
