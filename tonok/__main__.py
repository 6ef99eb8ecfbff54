"""`tonok`: submit jobs, watch them, list and fetch what they made, and compare models."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tonok.client import Client, connect
from tonok.display import LiveLine
from tonok.errors import TonokError
from tonok.markup import format_cell
from tonok.resources import Job, Network


def parse_fields(given: Sequence[str]) -> dict[str, Any]:
    """`name=value` → JSON where the value is some, else text. Raises TonokError."""
    fields = {}
    for item in given:
        name, is_given, value = item.partition("=")
        if not is_given:
            raise TonokError(f"{item}: write it as FIELD=VALUE")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return fields


def submit(client: Client, arguments: argparse.Namespace) -> None:
    """Queues a job, and follows it where that is asked for."""
    spec = json.loads(Path(arguments.spec).read_text("utf-8")) if arguments.spec else {}
    _tell(client.submit(arguments.kind, **{**spec, **parse_fields(arguments.fields)}), arguments.watch)


def upload(client: Client, arguments: argparse.Namespace) -> None:
    """Brings a file, and follows the job that reads it where that is asked for."""
    send: Callable[..., Job[Any]] = client.upload_model if arguments.what == "model" else client.upload_dataset
    line = LiveLine(sys.stderr, arguments.file)
    _tell(send(arguments.file, line.show_bytes, **parse_fields(arguments.fields)), arguments.watch)


def watch(client: Client, arguments: argparse.Namespace) -> None:
    """Follows a job to its end, and names the model that it made."""
    _follow(client.job(arguments.job))


def list_stored(client: Client, arguments: argparse.Namespace) -> None:
    """Lists what is stored, the newest first."""
    filters = parse_fields(arguments.filters)
    rows: list[Sequence[Any]]
    if arguments.what == "jobs":
        jobs = islice(client.jobs(**filters), arguments.number)
        rows = [(job.id, job.kind, job.data["status"], job.progress.percent, job.name) for job in jobs]
        header: tuple[str, ...] = ("id", "kind", "status", "%", "name")
    elif arguments.what == "models":
        models = islice(client.models(**filters), arguments.number)
        rows = [(one.id, one.name, one.dataset, one.accuracy, one.sparsity, one.num_bytes) for one in models]
        header = ("id", "name", "data set", "accuracy", "sparsity", "bytes")
    else:
        datasets = islice(client.datasets(), arguments.number)
        rows = [(one.id, one.name, len(one.summary.class_names)) for one in datasets]
        header = ("id", "name", "classes")
    _print_table(header, rows)


def get(client: Client, arguments: argparse.Namespace) -> None:
    """Prints what is stored under an id as JSON, or downloads a file of it."""
    getters = {"mdl": client.model, "dst": client.dataset}
    found = getters.get(arguments.id.partition("_")[0], client.job)(arguments.id)
    if arguments.output is None:
        print(json.dumps(found.data, indent=2, ensure_ascii=False))
    elif isinstance(found, Network):
        print(found.save(arguments.output))
    else:
        raise TonokError("a data set has no file to download")


def compare(client: Client, arguments: argparse.Namespace) -> None:
    """Prints models side by side, the first as the reference, and what that says."""
    comparison = client.compare(*arguments.models)
    _print_table(list(comparison.rows[0]), [list(row.values()) for row in comparison.rows])
    print("", *comparison.verdict, sep="\n")


def _tell(job: Job[Any], is_followed: bool) -> None:
    print(job.id, flush=True)
    if is_followed:
        _follow(job)


def _follow(job: Job[Any]) -> None:
    job.live(LiveLine(sys.stderr, f"{job.kind} {job.id}"))
    if job.output_model_id is not None:
        print(job.output_model_id)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [[format_cell(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command line."""
    parser = argparse.ArgumentParser(prog="tonok", description=__doc__)
    parser.add_argument("--url", help="of the service; else TONOK_URL, else this machine")
    parser.add_argument("--key", help="an API key; else TONOK_KEY")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[Client, argparse.Namespace], None]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        return command

    command = add("submit", submit)
    command.add_argument("kind", help="train, prune, quantize, compress, study")
    command.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="of the spec, such as sparsity=0.8")
    command.add_argument("--spec", metavar="FILE", help="a JSON file with the other fields")
    command.add_argument("--watch", action="store_true", help="follow it to its end")
    command = add("upload", upload)
    command.add_argument("what", choices=["model", "dataset"])
    command.add_argument("file")
    command.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="of the upload, such as name=mine")
    command.add_argument("--watch", action="store_true", help="follow the job that reads it")
    add("watch", watch).add_argument("job", nargs="?", default="latest")
    command = add("ls", list_stored)
    command.add_argument("what", nargs="?", default="jobs", choices=["jobs", "models", "datasets"])
    command.add_argument("filters", nargs="*", metavar="FIELD=VALUE", help="such as status=running")
    command.add_argument("-n", dest="number", type=int, default=20, help="how many (20)")
    command = add("get", get)
    command.add_argument("id", help="of a job, a model or a data set")
    command.add_argument("-o", dest="output", metavar="PATH", help="the file that has this name or ending, into PATH")
    add("compare", compare).add_argument("models", nargs="+", metavar="MODEL")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 1 when it failed, 130 when interrupted."""
    parsed = build_parser().parse_args(arguments)
    try:
        parsed.run(connect(parsed.url, parsed.key), parsed)
    except (TonokError, OSError, ValueError) as error:
        print(f"tonok: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntonok: interrupted; a job that was begun goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
