"""Lines of the log: what stands in them, and what does not."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable

import anyio.to_thread
import pytest

from storage.logs import JsonFormatter, TextFormatter, bind_log_fields

KEY = "tonok_" + "aB3-_" * 8 + "xyz"


def build_record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("tonok.test", logging.WARNING, __file__, 1, message, arguments, info)


def test_as_json_each_line_is_one_object_with_what_is_bound() -> None:
    with bind_log_fields(request_id="req-1", job_id=None), bind_log_fields(job_id="job_1", attempt=2):
        line = JsonFormatter().format(build_record("a line\nand %s", "تُنُک"))
    assert "\n" not in line
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "WARNING", "logger": "tonok.test", "message": "a line\nand تُنُک",
        "request_id": "req-1", "job_id": "job_1", "attempt": 2,
    }  # fmt: skip
    assert "request_id" not in json.loads(JsonFormatter().format(build_record("outside")))


def test_as_json_an_exception_is_a_field_of_its_line() -> None:
    try:
        raise ValueError("here it is")
    except ValueError as error:
        line = JsonFormatter().format(build_record("failed", error=error))
    assert "\n" not in line
    assert "ValueError: here it is" in json.loads(line)["exception"]


def test_as_text_what_came_from_outside_cannot_begin_a_line_of_its_own() -> None:
    with bind_log_fields(request_id="req-1"):
        line = TextFormatter().format(build_record("job %s", "x\r\n2026-11-24 ERROR forged"))
    assert "\n" not in line
    assert line.endswith(r"WARNING tonok.test: job x\r\n2026-11-24 ERROR forged (request_id=req-1)")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer ***"),
        ("https://me:hunter2@mirror.example/data", "https://***@mirror.example/data"),
        ("postgresql+psycopg://tonok:p%40ss@db/x?sslmode=require", "postgresql+psycopg://***@db/x?sslmode=require"),
        ("https://mirror.example/a@b", "https://mirror.example/a@b"),
    ],
)
def test_no_line_holds_a_key_or_the_password_of_a_url(formatter: logging.Formatter, said: str, kept: str) -> None:
    error = RuntimeError(said)
    line = formatter.format(build_record("%s", said, error=error))
    assert KEY not in line
    assert "hunter2" not in line
    assert line.count(kept) == 2, line


def test_threads_that_a_request_starts_know_its_fields_and_others_do_not() -> None:
    def read() -> str:
        return TextFormatter().format(build_record("x"))

    async def serve(request_id: str, wait: Callable[[], None]) -> str:
        with bind_log_fields(request_id=request_id):
            await anyio.to_thread.run_sync(wait)
            return await anyio.to_thread.run_sync(read)

    async def serve_both() -> list[str]:
        both = threading.Barrier(2, timeout=60)
        lines: list[str] = []

        def meet() -> None:
            both.wait()

        async def keep(name: str) -> None:
            lines.append(await serve(name, meet))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep, "req-1")
            tasks.start_soon(keep, "req-2")
        return lines

    lines = anyio.run(serve_both)
    assert sorted(line.rpartition("(")[2] for line in lines) == ["request_id=req-1)", "request_id=req-2)"]
    assert "request_id" not in read()
