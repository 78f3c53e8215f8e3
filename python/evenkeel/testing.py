"""Unit tests of views: a project from SQL text, events from dictionaries, values at a time.

With pytest, ``pytest_plugins = ["evenkeel.testing"]`` in ``conftest.py`` gives the fixture
``evenkeel_project``::

    def test_fares(evenkeel_project):
        project = evenkeel_project(SQL, {"rides": [
            {"rider_id": "ada", "ride_at": "2026-01-05T09:00:00Z", "fare": 20.5},
        ]})
        project.expect("rider_rides:fares_7d", {"rider_id": "ada"}, at="2026-01-06", value=20.5)
        project.verify()

Without pytest, ``with evenkeel.testing.project(SQL, events) as project`` does the same.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Union

from ._errors import InvalidError, VerificationError
from ._frames import Time
from ._reports import IngestReport
from ._store import Store
from ._store import open as open_store

__all__ = ["Project", "project"]

Events = Mapping[str, Any]

_ANY: Any = object()


class Project:
    """A store of its own, thrown away after the test."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def ingest(self, source: str, events: Any) -> IngestReport:
        """Logs events; one that is rejected fails the test."""
        report = self.store.ingest(source, events)
        if report.rejected:
            raise InvalidError(f"{source}, {report.first_rejected}")
        return report

    def value(
        self,
        feature: str,
        entity: Mapping[str, Any],
        at: Time,
        *,
        known_at: Optional[Time] = None,
    ) -> Any:
        """The value of one ``view:feature`` at a time."""
        return self.store.get([feature], [entity], as_of=at, known_at=known_at).scalar()

    def expect(
        self,
        feature: str,
        entity: Mapping[str, Any],
        at: Time,
        value: Any = _ANY,
        *,
        status: Optional[str] = None,
        known_at: Optional[Time] = None,
    ) -> None:
        """Fails if the value, or the status, at a time is another; says how it came about.

        Numbers are compared exactly: NaN equals NaN, and nothing else is nearly equal.
        """
        answers = self.store.get([feature], [entity], as_of=at, known_at=known_at)
        found = answers.scalar()
        found_status = answers.statuses.to_pylist()[0][f"{answers.features[0]}__status"]
        wrong = []
        if value is not _ANY and not _same(found, value):
            wrong.append(f"is {found!r}, expected {value!r}")
        if status is not None and found_status != status:
            wrong.append(f"has the status {found_status}, expected {status}")
        if wrong:
            story = self.store.explain(feature, entity, as_of=at, known_at=known_at)
            raise AssertionError(f"{feature} of {dict(entity)} {' and '.join(wrong)}\n{story}")

    def verify(self, values: int = 1_000) -> None:
        """Fails unless read path, training path and oracle agree on this project's events."""
        report = self.store.verify(values=values, oracle_values=values)
        if not report.ok:
            raise VerificationError(
                f"{report.mismatches} values differ between the paths: {report.examples[0]}",
                code="VERIFICATION",
            )


def _same(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, float) and math.isnan(expected):
        return math.isnan(found)
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    return bool(found == expected)


@contextlib.contextmanager
def project(
    definitions: Union[str, Path, Sequence[Union[str, Path]]],
    events: Optional[Events] = None,
) -> Iterator[Project]:
    """A project from SQL text or paths of files with it, with events by source (lists of
    dictionaries or data frames), logged in the order given."""
    # In memory where the system has that: a store writes its log through to the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="evenkeel-", dir=memory) as folder:
        with open_store(folder) as store:
            made = Project(store)
            store.apply(definitions)
            for source, rows in (events or {}).items():
                made.ingest(source, rows)
            yield made


try:
    import pytest
except ImportError:  # the helpers need no pytest
    pass
else:

    @pytest.fixture
    def evenkeel_project() -> Iterator[Callable[..., Project]]:
        """Makes projects (see ``project``) that live as long as the test."""
        with contextlib.ExitStack() as stack:

            def make(
                definitions: Union[str, Path, List[Union[str, Path]]],
                events: Optional[Events] = None,
            ) -> Project:
                return stack.enter_context(project(definitions, events))

            yield make
