"""What keeps web pages out of a service that asks nobody for a key.

A page of any site can make its visitor's browser send requests to 127.0.0.1. By the name of its own site, made to
resolve to 127.0.0.1 (DNS rebinding), it could even read the answers. Browsers say in Host and Origin which site it is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import Request

from service.errors import RequestRefused

_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})


def refuse_foreign_pages(request: Request, allowed_hosts: Collection[str]) -> None:
    """allowed_hosts: names besides localhost and bare addresses. Raises RequestRefused (403, 421)."""
    host = request.headers.get("host", "")
    if not _is_own_name(host, allowed_hosts):
        raise RequestRefused(
            421,
            "host_not_allowed",
            "Ask for 127.0.0.1 or localhost: other names in `Host` must be listed in TONOK_ALLOWED_HOSTS.",
            pointer="Host",
        )
    if request.method in _CHANGES_NOTHING:
        return
    # Old browsers leave one of the two out, none leaves out both; programs that are no browsers send neither.
    origin = request.headers.get("origin")
    if origin is not None and _find_authority(origin) != host:
        raise _refuse_page("Origin")
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise _refuse_page("Sec-Fetch-Site")


def _is_own_name(host: str, allowed_hosts: Collection[str]) -> bool:
    """A bare address cannot be rebound: only names are asked for at a name server."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or (name and name in allowed_hosts) or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _find_authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # `http://[`: no browser says so, and nobody is at home there
        return None


def _refuse_page(header: str) -> RequestRefused:
    return RequestRefused(
        403, "foreign_page", "A page of another site sent this; only the service's own pages may.", pointer=header
    )
