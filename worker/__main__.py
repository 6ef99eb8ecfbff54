"""The worker: `python -m worker [--drain]`.

SIGTERM and SIGINT stop it in good order: running jobs are stopped and queued again, and it costs them none of their
attempts.
"""

from __future__ import annotations

import argparse
import importlib
import signal

from storage.database import Database
from storage.logs import configure_logging
from storage.settings import load_settings
from storage.startup import check_data
from worker.engine.dispatcher import Dispatcher
from worker.engine.local import LocalEngine
from worker.engine.port import Lane
from worker.pulse import Pulse


def main() -> None:
    """Reads the settings from the environment and works until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m worker", description="Runs queued jobs.")
    parser.add_argument("--drain", action="store_true", help="stop once every job that it may run has ended")
    parser.add_argument("--jobs-module", default="worker.jobs", help="module that holds the job kinds")
    parser.add_argument("--light", action="store_true", help="run light jobs alone, such as predictions")
    parser.add_argument("--pulse-fd", type=int, help="file descriptor of a pipe that takes signs of life")
    arguments = parser.parse_args()
    settings = load_settings()
    check_data(settings)
    configure_logging(settings)
    database = Database(settings)
    database.create()
    dispatcher = Dispatcher(
        settings,
        database,
        LocalEngine(settings, jobs_module=arguments.jobs_module),
        light_kinds=importlib.import_module(arguments.jobs_module).LIGHT_KINDS,
        lanes=(Lane.LIGHT,) if arguments.light else tuple(Lane),
        on_round=Pulse(arguments.pulse_fd).beat,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: dispatcher.stop())
    try:
        dispatcher.run(drain=arguments.drain)
    finally:
        database.dispose()


if __name__ == "__main__":
    main()
