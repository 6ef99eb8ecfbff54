"""What the client declares of answers is what the document says of them."""

from __future__ import annotations

import inspect
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from service.app import create_app
from storage.settings import Settings
from tonok import answers, exports, records, resources
from tonok.records import Record
from worker.jobs import SPECS

OTHER_NAMES = {
    "Artifact": "ArtifactAnswer",
    "Dataset": "DatasetAnswer",
    "DatasetSummary": "ImportDatasetResult",  # The document says it where it stands; of the result it is a part.
    "Job": "JobAnswer",
    "Model": "ModelDetail",
}
DECLARED = [
    found
    for module in (records, answers, exports, resources)
    for _, found in inspect.getmembers(module, inspect.isclass)
    if issubclass(found, Record)
    and found.__module__ == module.__name__
    and get_type_hints(found).keys() - {"data"}
    # What several answers have in common, and no answer of its own.
    and found not in (records.ModelResult, records.StoredModelResult, resources.Network, resources._Stored)
]
JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null", tuple: "array"}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    document = create_app(Settings(data_dir=tmp_path_factory.mktemp("data"))).openapi()
    found: dict[str, Any] = document["components"]["schemas"]
    return found


def list_types(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """JSON's names of the types that a schema allows."""
    if "$ref" in schema:
        return list_types(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return set().union(*(list_types(choice, schemas) for choice in schema["anyOf"]))
    return {schema["type"]}


def list_declared(hint: Any) -> set[str]:
    """The same of a field of a record."""
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*map(list_declared, get_args(hint)))
    kind = get_origin(hint) or hint
    return {"object"} if kind is dict or issubclass(kind, Record) else {JSON_TYPES[kind]}


@pytest.mark.parametrize("record", DECLARED, ids=lambda record: record.__name__)
def test_every_field_is_one_of_the_document_and_may_be_what_it_says(
    record: type[Record], schemas: dict[str, Any]
) -> None:
    schema = schemas[OTHER_NAMES.get(record.__name__, record.__name__)]
    for name, hint in get_type_hints(record).items():
        if name == "data":
            continue
        declared = list_declared(hint)
        assert list_types(schema["properties"][name], schemas) <= declared | (
            {"integer"} if "number" in declared else set()
        ), name
        for inside in (hint, *get_args(hint)):
            if isinstance(inside, type) and issubclass(inside, Record):
                place = str(schema["properties"][name])
                assert f"schemas/{inside.__name__}'" in place or f"'title': '{inside.__name__}'" in place, name


def test_every_kind_of_job_has_a_result() -> None:
    assert resources.RESULTS.keys() == SPECS.keys()


def test_a_newer_service_may_say_more_and_an_older_one_less() -> None:
    said = records.Evaluation({"num_correct": 9, "accuracy": 0.9, "calibration": {"bins": [1, 2]}})
    assert said.interval is None
    assert said.data["calibration"] == {"bins": [1, 2]}
    assert said == records.Evaluation(dict(said.data))
