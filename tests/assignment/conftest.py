"""One warm server for the tests of a process; solutions of students are no tests."""

from collections.abc import Iterator

import pytest

from downslope.assignment import Checker, Limits

collect_ignore = ["solutions"]


@pytest.fixture(scope="session")
def warm_checker() -> Iterator[Checker]:
    """A checker, which takes seconds to start."""
    with Checker() as checker:
        yield checker


@pytest.fixture(scope="module")
def checker(warm_checker: Checker, request: pytest.FixtureRequest) -> Checker:
    """The same with a module's own LIMITS, if it has some."""
    warm_checker.limits = getattr(request.module, "LIMITS", Limits())
    return warm_checker
