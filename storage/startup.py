"""What a process looks at before it does anything else: can the data be had at all?"""

from __future__ import annotations

import sys

from sqlalchemy.exc import DatabaseError

from storage.database import Database
from storage.settings import Settings


def check_data(settings: Settings) -> None:
    """Makes the data directory, and opens the database once. Leaves with one line where that cannot be."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _leave(f"TONOK_DATA_DIR: {settings.data_dir} cannot be made: {error.strerror or error}")
    database = None
    try:
        database = Database(settings)
        database.now()
    except OSError as error:
        _leave(f"TONOK_DATABASE_URL: the folder of the database cannot be made: {error.strerror or error}")
    except DatabaseError as error:
        _leave(f"the database cannot be read ({error.orig}): it is left as it is. Is {_name(settings)} the right one?")
    finally:
        if database is not None:
            database.dispose()


def _name(settings: Settings) -> str:
    return "TONOK_DATABASE_URL" if settings.database_url is not None else str(settings.data_dir / "tonok.db")


def _leave(reason: str) -> None:
    print(f"tonok: {reason}", file=sys.stderr)
    raise SystemExit(1)
