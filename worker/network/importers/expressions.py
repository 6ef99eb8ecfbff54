"""Activations that a file writes as arithmetic with numbers, found again: x * clip(x + 3, 0, 6) / 6 is hard-swish."""

from __future__ import annotations

import math
from dataclasses import dataclass

from worker.network.operations.base import InvalidNetwork, Operation
from worker.network.operations.elementwise import Gelu, HardSigmoid, HardSwish, Silu

_MAX_DEPTH = 4
_MAX_FACTORS = 3


@dataclass(frozen=True)
class Function:
    """`function` of an expression; numbers: what is added, or the bounds."""

    function: str
    numbers: tuple[float, ...]
    argument: Expression


Factor = Function | None
"""None: x itself."""


@dataclass(frozen=True)
class Expression:
    """scale times the product of its factors, each of the same x."""

    scale: float = 1.0
    factors: tuple[Factor, ...] = (None,)

    def apply(self, function: str, *numbers: float) -> Expression:
        """A function of it. Raises InvalidNetwork where it grows beyond all activations."""
        if function == "add" and numbers == (0.0,):
            return self
        if self.depth >= _MAX_DEPTH or any(math.isnan(number) for number in numbers):
            raise InvalidNetwork("arithmetic with constants is not read here")
        return Expression(factors=(Function(function, numbers, self),))

    def scale_by(self, number: float) -> Expression:
        """It, times a number."""
        if not math.isfinite(number):
            raise InvalidNetwork("arithmetic with constants is not read here")
        return Expression(self.scale * number, self.factors)

    def multiply(self, other: Expression) -> Expression:
        """Their product."""
        factors = self.factors + other.factors
        if len(factors) > _MAX_FACTORS:
            raise InvalidNetwork("arithmetic with constants is not read here")
        return Expression(self.scale * other.scale, factors)

    @property
    def depth(self) -> int:
        """Functions within one another, and one."""
        return 1 + max(0 if factor is None else factor.argument.depth for factor in self.factors)

    def write(self) -> str:
        """The same text for all that differ by rounding and by the order of their factors alone."""
        factors = sorted(
            "x"
            if factor is None
            else f"{factor.function}{[f'{number:.6g}' for number in factor.numbers]}({factor.argument.write()})"
            for factor in self.factors
        )
        return f"{self.scale:.6g}*{'*'.join(factors)}"

    @property
    def is_plain(self) -> bool:
        """Whether it is x itself."""
        return self.write() == _X.write()

    def find_operation(self) -> Operation | None:
        """The activation that it is, if it is one."""
        return _KNOWN.get(self.write())


_X = Expression()
_HARD = _X.apply("add", 3.0).apply("clip", 0.0, 6.0).scale_by(1 / 6)
_KNOWN: dict[str, Operation] = {
    expression.write(): operation
    for expression, operation in (
        (_HARD, HardSigmoid()),
        (_X.scale_by(1 / 6).apply("add", 0.5).apply("clip", 0.0, 1.0), HardSigmoid()),
        (_X.multiply(_HARD), HardSwish()),
        (_X.multiply(_X.scale_by(math.sqrt(0.5)).apply("erf").apply("add", 1.0)).scale_by(0.5), Gelu()),
        (_X.multiply(_X.apply("sigmoid")), Silu()),
    )
}
