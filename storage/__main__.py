"""`python -m storage backup|verify|restore|check`: copies of the data, and whether it is whole."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from storage.backup import BackupFailed, Manifest, create_backup, restore_backup, verify_backup
from storage.database import Database, load_sqlite
from storage.errors import DiskFull, SchemaTooNew
from storage.files import FileStore
from storage.integrity import ORPHAN_GRACE_S, check_database, find_broken, find_orphans
from storage.settings import Settings, load_settings


def main() -> int:
    """0 where all is well, 1 with the reason on stderr where it is not."""
    parser = argparse.ArgumentParser(prog="python -m storage", description="Copies of Tonok's data, and its health.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("backup", help="copy everything to a new folder; the service may run").add_argument(
        "folder", type=Path
    )
    commands.add_parser("verify", help="read every byte of a backup").add_argument("folder", type=Path)
    commands.add_parser("restore", help="fill an empty data directory from a backup").add_argument("folder", type=Path)
    commands.add_parser("check", help="is the data of the service whole?").add_argument(
        "--read", action="store_true", help="also read every file and compare its SHA-256"
    )
    arguments = parser.parse_args()
    settings = load_settings()
    try:
        if arguments.command == "check":
            return _check(settings, read_all=arguments.read)
        folder = arguments.folder.absolute()
        if arguments.command == "backup":
            manifest = create_backup(settings, folder)
        elif arguments.command == "verify":
            manifest = verify_backup(folder)
        else:
            manifest = restore_backup(settings, folder)
    except (BackupFailed, DiskFull, SchemaTooNew, OSError) as error:
        print(f"tonok: {error}", file=sys.stderr)
        return 1
    except (DBAPIError, load_sqlite().Error) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        print(f"tonok: the database cannot be read: {reason}", file=sys.stderr)
        return 1
    _describe(arguments.command, folder, settings, manifest)
    # The backup stands and is as whole as it can be; what calls it by a timer must learn of it all the same.
    return 1 if manifest.broken and arguments.command == "backup" else 0


def _describe(command: str, folder: Path, settings: Settings, manifest: Manifest) -> None:
    done = {
        "backup": f"saved to {folder}",
        "verify": f"whole in {folder}",
        "restore": f"restored to {settings.data_dir}",
    }
    size_mb = manifest.num_bytes / 1e6
    taken = f"{manifest.created_at:%Y-%m-%d %H:%M:%S} UTC"
    print(f"{manifest.num_jobs} jobs, {manifest.num_files} files ({size_mb:.1f} MB) of {taken}: {done[command]}")
    for sha256 in manifest.broken:
        print(f"tonok: was missing or damaged before the backup: sha256 {sha256}", file=sys.stderr)


def _check(settings: Settings, *, read_all: bool) -> int:
    url = make_url(settings.resolved_database_url)
    # Looked at before it is opened: SQLite would create it, and a restore then finds the folder occupied.
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        print(f"tonok: there is no database at {url.database}", file=sys.stderr)
        return 1
    database, files = Database(settings), FileStore(settings)
    try:
        with database.read() as session:
            faults = check_database(session)
            faults += [str(broken) for broken in find_broken(session, files, read_all=read_all)]
            orphans = find_orphans(session, files, ORPHAN_GRACE_S)
    finally:
        database.dispose()
    for fault in faults:
        print(f"tonok: {fault}", file=sys.stderr)
    print(f"{len(faults)} fault(s); {len(orphans)} file(s) that no row names, which the worker will remove")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
