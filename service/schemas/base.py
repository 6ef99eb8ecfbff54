"""Base of every answer, and the shape of every failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(from_attributes=True)


@dataclass(frozen=True)
class DocumentedAs:
    """Has the document describe stored JSON as a type. It is answered as it was stored, by whichever version."""

    documented: Any

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(TypeAdapter(self.documented).core_schema)


class ProblemItem(Answer):
    """One wrong field."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a parameter or header.")
    code: str
    detail: str


class Problem(Answer):
    """RFC 9457, for every failure."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str | None
    errors: list[ProblemItem]
