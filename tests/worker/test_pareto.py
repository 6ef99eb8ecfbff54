from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.pareto import find_front


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.25, 0.5, 0.75, 1.0])), max_size=8))
def test_on_the_front_is_what_no_other_beats(points: list[tuple[int, float]]) -> None:
    def is_beaten(size: int, accuracy: float) -> bool:
        return any(s <= size and a >= accuracy and (s, a) != (size, accuracy) for s, a in points)

    assert find_front(points) == [not is_beaten(*point) for point in points]
