"""`python -m service.keys`: make, list and revoke the API keys of this service's database."""

from __future__ import annotations

import argparse
import logging
import sys

from storage.database import Database
from storage.errors import NotFound
from storage.keys import OWNER, create_key, list_keys, revoke_key
from storage.settings import load_settings
from storage.startup import check_data


def main() -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m service.keys", description="API keys: who may come in, and as whom."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key and show it, this once")
    create.add_argument("--owner", required=True, type=_parse_owner, help="whose jobs and models it opens")
    commands.add_parser("list", help="every key: id, owner, when it was made and revoked")
    revoke = commands.add_parser("revoke", help="let nobody in with a key any more")
    revoke.add_argument("id", help="`key_…`, as `list` shows it")
    arguments = parser.parse_args()

    # Of alembic, which tells of every revision: not what was asked for here.
    logging.disable(logging.INFO)
    settings = load_settings()
    check_data(settings)
    database = Database(settings)
    try:
        database.create()
        if arguments.command == "create":
            _create(database, arguments.owner)
        elif arguments.command == "list":
            _list(database)
        else:
            _revoke(database, arguments.id)
    except NotFound as error:
        print(f"tonok: {error.detail}", file=sys.stderr)
        return 1
    finally:
        database.dispose()
    return 0


def _parse_owner(name: str) -> str:
    if OWNER.fullmatch(name) is None:
        raise argparse.ArgumentTypeError("1 to 40 of a-z, 0-9, `.`, `_`, `-`, the first a letter or a digit")
    return name


def _create(database: Database, owner: str) -> None:
    with database.transaction() as session:
        key = create_key(session, owner)
    print(f"{key.id} of {key.owner}. It is shown this once; send it as `Authorization: Bearer …`:", file=sys.stderr)
    # Alone on standard output, for a script to keep.
    print(key.secret)


def _list(database: Database) -> None:
    with database.read() as session:
        keys = list_keys(session)
    for key in keys:
        state = "in force" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d %H:%M:%SZ}"
        print(f"{key.id}  {key.owner:<20}  made {key.created_at:%Y-%m-%d %H:%M:%SZ}  {state}")
    if not keys:
        print("There is no key yet.", file=sys.stderr)


def _revoke(database: Database, key_id: str) -> None:
    with database.transaction() as session:
        revoke_key(session, key_id)
    print(f"{key_id} lets nobody in any more.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
