"""Client of Tonok: `t = tonok.connect()`, then `t.train("digits", "lenet5").live()`. Needs Python and nothing else."""

from tonok.answers import Comparison, Plot, Prediction
from tonok.client import Client, connect
from tonok.connection import Connection
from tonok.errors import JobFailed, Problem, TonokError, Unreachable, WrongField
from tonok.events import Event
from tonok.resources import Dataset, Job, Model

__all__ = [
    "Client",
    "Comparison",
    "Connection",
    "Dataset",
    "Event",
    "Job",
    "JobFailed",
    "Model",
    "Plot",
    "Prediction",
    "Problem",
    "TonokError",
    "Unreachable",
    "WrongField",
    "connect",
]
