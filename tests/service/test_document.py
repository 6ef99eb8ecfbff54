"""What makes the document readable for generators of clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from service.app import create_app
from storage.settings import Settings

_OF_ONE = ("items", "not", "contains", "if", "then", "else", "propertyNames")
_OF_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "$defs")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("data"))).openapi()


def list_schemas(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every schema of a document and its place, those of examples left out."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from list_schemas(item, f"{place}/{number}")
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        here = f"{place}/{name}"
        if name in ("example", "examples", "default", "const", "enum"):
            continue
        if name in _OF_ONE or name == "schema":
            yield here, value
        elif name in _OF_MANY:
            yield from ((f"{here}/{number}", schema) for number, schema in enumerate(value))
        elif name in (*_BY_NAME, "schemas") and isinstance(value, dict):
            yield from ((f"{here}/{key}", schema) for key, schema in value.items())
        yield from list_schemas(value, here)


def test_no_schema_is_a_bare_true_or_false(document: dict[str, Any]) -> None:
    # JSON Schema allows it, and openapi-python-client refuses the whole document for one.
    schemas = dict(list_schemas(document))
    assert len(schemas) > 500
    assert [place for place, schema in schemas.items() if not isinstance(schema, dict)] == []


def test_every_answer_has_a_type_that_generators_read(document: dict[str, Any]) -> None:
    unread = [
        (operation["operationId"], status)
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if (types := answer.get("content", {}).keys())
        and not any(name.startswith("text/") or name.endswith(("json", "/octet-stream")) for name in types)
    ]
    assert unread == []


@pytest.mark.parametrize(
    ("given", "is_valid"),
    [((), False), (("layer_sizes",), True), (("layers",), True), (("layer_sizes", "layers"), False)],
)
def test_an_estimate_is_of_a_chain_or_of_layers(
    given: tuple[str, ...], is_valid: bool, document: dict[str, Any]
) -> None:
    parts = {"layer_sizes": [784, 10], "layers": [{"in_features": 784, "out_features": 10}]}
    body = {"bit_widths": [4], **{name: parts[name] for name in given}}
    schema = {"$ref": "#/components/schemas/SizeEstimateRequest", "components": document["components"]}
    assert jsonschema_rs.is_valid(schema, body) is is_valid
