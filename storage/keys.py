"""API keys. A key is 256 random bits, so that one SHA-256 is enough: there is nothing to guess and nothing to salt."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from sqlalchemy import exists, update
from sqlmodel import Session, col, select

from storage.errors import NotFound
from storage.ids import new_id
from storage.tables import ApiKey, utc_now

OWNER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}", re.ASCII)
"""What an owner may be called."""

# The prefix lets scanners for leaked secrets know one when they see it.
KEY = re.compile(r"tonok_[A-Za-z0-9_-]{43}", re.ASCII)
_NUM_BYTES = 32


@dataclass(frozen=True)
class NewKey:
    """A key just made: `secret` is told here and never again."""

    id: str
    owner: str
    secret: str = field(repr=False)


def create_key(session: Session, owner: str) -> NewKey:
    """A new key of this owner (who need not exist before). owner: matches `OWNER`."""
    secret = f"tonok_{secrets.token_urlsafe(_NUM_BYTES)}"
    row = ApiKey(id=new_id("key"), owner=owner, sha256=_hash(secret), created_at=utc_now())
    session.add(row)
    return NewKey(row.id, owner, secret)


def find_key(session: Session, secret: str) -> ApiKey | None:
    """The key that this is, unless it is unknown or was revoked.

    Found by its hash: how long the search takes says nothing about a secret that nobody can turn back from its hash.
    """
    query = select(ApiKey).where(col(ApiKey.sha256) == _hash(secret), col(ApiKey.revoked_at).is_(None))
    return session.exec(query).first()


def has_keys(session: Session) -> bool:
    """Whether anybody could come in with a key."""
    return session.exec(select(exists().where(col(ApiKey.revoked_at).is_(None)))).one()


def is_in_force(session: Session, key_id: str) -> bool:
    """Whether the key with this id has not been revoked."""
    in_force = exists().where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
    return session.exec(select(in_force)).one()


def list_keys(session: Session) -> list[ApiKey]:
    """Every key, revoked ones too, in the order they were made."""
    return list(session.exec(select(ApiKey).order_by(col(ApiKey.created_at), col(ApiKey.id))).all())


def revoke_key(session: Session, key_id: str) -> None:
    """Lets nobody in with this key any more. Raises NotFound where no such key is in force."""
    in_force = update(ApiKey).where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
    if session.exec(in_force.values(revoked_at=utc_now())).rowcount == 0:
        raise NotFound("there is no key in force with this id")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
