"""Base of every answer, and the shape of every failure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(from_attributes=True)


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
