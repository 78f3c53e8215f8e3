"""A project's store in this process."""

from __future__ import annotations

import builtins
import json
import os
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

from . import _evenkeel
from ._errors import InvalidError
from ._frames import Time, is_rows, rows_of, table_of, time_text
from ._reports import (
    Change,
    CorrectionReport,
    DeadLetter,
    Explanation,
    IngestReport,
    Mismatch,
    Plan,
    Status,
    Step,
    VerifyReport,
    correction_of,
    of_dict,
    status_of,
)
from ._results import Answers, TrainingSet
from ._triggers import Triggered, asked_of, triggered_of

__all__ = ["Store", "open"]

Definitions = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
What = Union[str, Sequence[str]]


def open(  # noqa: A001 - `evenkeel.open`
    dir: Union[str, "os.PathLike[str]"] = ".",
    env: Optional[str] = None,
    *,
    read_only: bool = False,
) -> Store:
    """Opens the project in a folder; its store is made if it is not there.

    A store has one writer at a time; with `read_only` what was logged when it was opened is
    read beside that writer. `env` is an environment of `evenkeel.toml`.
    """
    return Store(_evenkeel.Store.open(os.fspath(dir), env, read_only))


def texts_of(definitions: Optional[Definitions]) -> Optional[List[Tuple[str, str]]]:
    """Definitions as names with texts: SQL itself, or paths of files with it."""
    if definitions is None:
        return None
    if isinstance(definitions, (str, os.PathLike)):
        definitions = [definitions]
    texts = []
    for item in definitions:
        is_path = isinstance(item, os.PathLike) or (
            item.strip().endswith(".sql") and "\n" not in item and ";" not in item
        )
        if is_path:
            path = os.fspath(item)
            try:
                with builtins.open(path, encoding="utf-8") as file:
                    texts.append((path, file.read()))
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidError(f"`{path}` cannot be read: {error}") from error
        else:
            name = "sql" if not texts else f"sql {len(texts) + 1}"
            texts.append((name, str(item)))
    return texts


def service_of(what: What) -> Tuple[Optional[str], List[str]]:
    """A service's name, or a list of features. A name with a colon is a feature."""
    if isinstance(what, str):
        return (None, [what]) if ":" in what else (what, [])
    return (None, list(what))


def read_of(
    service: Optional[What], entities: Any, dataset: Optional[str]
) -> Tuple[Optional[str], List[str]]:
    """What is read: a service, a list of features, or a dataset, for some entities."""
    if (service is None) == (dataset is None):
        raise InvalidError("give a service, a list of features or `dataset`: one of them")
    if entities is None:
        raise InvalidError("give the entities", hint="a data frame, dictionaries, or one")
    return (None, []) if service is None else service_of(service)


def spine_of(
    spine: Any, time_column: Optional[str], known_at_column: Optional[str]
) -> Tuple[Optional[_evenkeel.Table], Optional[str], Optional[str]]:
    """A spine as a table, a path or a query, which has no columns of times to choose."""
    if isinstance(spine, os.PathLike):
        return (None, os.fspath(spine), None)
    if isinstance(spine, str):
        words = spine.split(None, 1)
        if not words or words[0].lower() != "select":
            return (None, spine, None)
        if time_column is not None or known_at_column is not None:
            raise InvalidError(
                "a query has no column of times to choose",
                hint="its times are the event times of the source in FROM",
            )
        return (None, None, spine)
    return (table_of(spine), None, None)


def knowledge_of(knowledge: str) -> str:
    """What a training set knows, if it is one of the words for it."""
    if knowledge not in ("latest", "as_served"):
        raise InvalidError(
            f"`{knowledge}` is no knowledge of a training set",
            hint="write `latest` or `as_served`",
        )
    return knowledge


class Store:
    """A project's store in this process. Threads may share it."""

    def __init__(self, store: _evenkeel.Store) -> None:
        self._store = store

    def plan(self, definitions: Optional[Definitions] = None) -> Plan:
        """What applying SQL, files with it, or the project's files would change."""
        changes, warnings = self._store.plan(texts_of(definitions))
        return Plan([of_dict(Change, c) for c in changes], warnings)

    def apply(self, definitions: Optional[Definitions] = None) -> Plan:
        """Applies SQL, files with it, or the project's files; says what changed."""
        changes, warnings = self._store.apply(texts_of(definitions))
        return Plan([of_dict(Change, c) for c in changes], warnings)

    def ingest(
        self,
        source: str,
        data: Any = None,
        *,
        producer_id: Optional[str] = None,
        sequence: Optional[int] = None,
    ) -> IngestReport:
        """Logs events: a data frame's rows, dictionaries, a file (its path), or without
        `data` the files of the source's definition.

        Rows are matched to columns by name; a row that does not fit is a dead letter, and
        the report says so. What was logged before is told by the event id if the source
        declares one; else by `producer_id` with the `sequence` of the first row; else rows
        that are ingested twice are logged twice. A frame is logged in several commits.
        """
        producer = producer_of(producer_id, sequence)
        if data is None or isinstance(data, (str, os.PathLike)):
            if producer is not None:
                raise InvalidError("a file's rows have the file's identity, and no producer")
            path = None if data is None else os.fspath(data)
            report = self._store.ingest_files(source, path)
        elif is_rows(data):
            report = self._store.ingest_rows(source, rows_of(data), producer)
        else:
            report = self._store.ingest_table(source, table_of(data), producer)
        return of_dict(IngestReport, report)

    def dead_letters(self, source: str) -> List[DeadLetter]:
        """The rows of a source that were rejected and not driven again."""
        return [of_dict(DeadLetter, letter) for letter in self._store.dead_letters(source)]

    def redrive(self, source: str, ids: Optional[Sequence[int]] = None) -> IngestReport:
        """Judges dead letters again by today's definition: those of these numbers, or all.
        Those that become events are done; the others stay."""
        given = None if ids is None else list(ids)
        return of_dict(IngestReport, self._store.redrive(source, given))

    def correct(
        self, source: str, truth: Any, start: Time, end: Time, *, dry_run: bool = False
    ) -> CorrectionReport:
        """Logs the difference between the events of a source from `start` up to, but without
        `end`, and a file (its path) that says what they are. The same truth again changes
        nothing; with `dry_run` nothing is logged. Times without a zone are UTC."""
        times = (time_text(start), time_text(end))
        return correction_of(self._store.correct(source, os.fspath(truth), times, dry_run))

    def exclude(self, source: str, positions: str, *, dry_run: bool = False) -> CorrectionReport:
        """Leaves out what was logged at positions, `PARTITION@FROM..TO` with commas in between;
        `TO` is the first position that stays."""
        return correction_of(self._store.exclude(source, positions, dry_run))

    def get(
        self,
        service: Optional[What] = None,
        entities: Any = None,
        *,
        dataset: Optional[str] = None,
        as_of: Optional[Time] = None,
        known_at: Optional[Time] = None,
        cut: Optional[str] = None,
        defaults: bool = False,
    ) -> Answers:
        """Reads features: a service (`model`, `model@2`) or a list of `view:feature`, for the
        rows of a data frame, for dictionaries, or for one.

        In place of a service, `dataset` is a training dataset (`delay`, `delay:1`): its vector,
        with the versions of views that it was built with, in its order, transformed.

        `as_of` is the time of the read (default: now), `known_at` and `cut` bound what is
        known. A missing value is NULL; with `defaults` it is the feature's default, marked.
        """
        name, features = read_of(service, entities, dataset)
        moment = _moment(as_of, known_at, cut)
        rows = is_rows(entities)
        table, parts = self._store.get(
            name,
            features,
            None if rows else table_of(entities),
            rows_of(entities) if rows else [],
            moment,
            defaults,
            dataset,
        )
        return Answers(table, parts)

    def call(
        self,
        source: str,
        row: Mapping[str, Any],
        service: What,
        *,
        inputs: Optional[Mapping[str, Any]] = None,
    ) -> Answers:
        """Reads features with one row more than is logged, at the row's own time; nothing is
        left of it. `inputs` are those of the service that the row has no column for."""
        name, features = service_of(service)
        table, parts = self._store.call(source, dict(row), name, features, dict(inputs or {}))
        return Answers(table, parts)

    def trigger(
        self,
        source: str,
        row: Mapping[str, Any],
        *,
        service: Optional[str] = None,
        view: Optional[str] = None,
        producer_id: Optional[str] = None,
        sequence: Optional[int] = None,
        correlation_id: Optional[str] = None,
        consistency: Optional[str] = None,
        degraded: bool = False,
    ) -> Triggered:
        """Logs a row, and reads a service or a view (`model`, `model@2`) at its place in the
        log: with everything before it, and nothing behind.

        A row that was logged before (by event id, or `producer_id` and `sequence`) is answered as
        the first time. What derived streams emit for it has its `correlation_id`. A row that is no event is a dead letter, and says so.

        With `consistency` `complete` it is answered at the first place in the log at which the watermarks
        of all sources that are read are past the row's time; with `complete:limits,taps` of those. If they
        are not yet, that is an error, and the row is logged; with `degraded`, it is answered at its own place.
        """
        names = (producer_of(producer_id, sequence), correlation_id)
        asked = asked_of(service, view)
        promise = (consistency, degraded)
        head, read = self._store.trigger(source, dict(row), asked, names, promise)
        return triggered_of(head, None if read is None else Answers(*read))

    def set(
        self,
        view: str,
        key: Mapping[str, Any],
        features: Mapping[str, Any],
        *,
        at: Optional[Time] = None,
    ) -> Dict[str, Any]:
        """Sets features of a row of a pushed view from `at` on (default: now); the others stay
        as they are at that time. Answers `partition` and `offset`, the version of the row."""
        return dict(self._store.change(view, dict(key), dict(features), time_text(at)))

    def delete(
        self, view: str, key: Mapping[str, Any], *, at: Optional[Time] = None
    ) -> Dict[str, Any]:
        """Ends a row of a pushed view; what it had is still read at earlier times."""
        return dict(self._store.change(view, dict(key), None, time_text(at)))

    def result(self, id: str, *, degraded: bool = False) -> Answers:
        """What was answered to a trigger, by its `result`: computed again, to the same bits."""
        return Answers(*self._store.result(id, degraded))

    def train(
        self,
        service: What,
        spine: Any,
        *,
        knowledge: str = "latest",
        time_column: Optional[str] = None,
        known_at_column: Optional[str] = None,
        cut: Optional[str] = None,
        statuses: bool = False,
    ) -> TrainingSet:
        """Builds a training set: features at each row's own time.

        `spine` is a data frame with keys and a time (`event_time`, or `time_column`), the
        path of a file, or a query (`SELECT ... FROM source`). `knowledge` is `latest`, or
        `as_served`: at each row only what was visible at its `known_at` (default: its time).
        The rows stay in their order.
        """
        name, features = service_of(service)
        table, path, query = spine_of(spine, time_column, known_at_column)
        made, parts = self._store.train(
            name,
            features,
            table,
            path,
            query,
            time_column,
            known_at_column,
            knowledge_of(knowledge) == "as_served",
            cut,
            statuses,
        )
        return TrainingSet(made, parts)

    def datasets(self) -> List[Dict[str, Any]]:
        """Training datasets that are defined or built; of a built one `rows`, `digest`, `cut`
        and `late_events`, which may make it stale."""
        return list(json.loads(self._store.datasets()))

    def dataset(self, name: str) -> Dict[str, Any]:
        """The manifest of a dataset that is built (`delay`, `delay:1`), with `stale`: what was
        logged since that may touch it."""
        return dict(json.loads(self._store.dataset(name)))

    def build_dataset(self, name: str, spine: Any = None) -> Dict[str, Any]:
        """Builds a version that is defined, and answers its manifest. `spine` are the rows (a
        data frame or a file) in place of the file that the definition names."""
        return self._dataset_work("build", name, spine)

    def rebuild_dataset(self, name: str, spine: Any = None) -> Dict[str, Any]:
        """Builds a version again: `digest` and `matches`, or which of `inputs` is gone or
        another."""
        return self._dataset_work("rebuild", name, spine)

    def stale_dataset(self, name: str, spine: Any = None) -> Dict[str, Any]:
        """How many events came since that may touch a dataset, and in `differing` how many of
        its rows would be other ones now."""
        return self._dataset_work("stale", name, spine)

    def _dataset_work(self, work: str, name: str, spine: Any) -> Dict[str, Any]:
        is_path = isinstance(spine, (str, os.PathLike))
        table = None if spine is None or is_path else table_of(spine)
        path = os.fspath(spine) if is_path else None
        return dict(json.loads(self._store.dataset_work(work, name, table, path)))

    def verify(
        self,
        services: Union[str, Sequence[str]] = (),
        *,
        values: int = 100_000,
        oracle_values: int = 500,
        cuts: int = 3,
        seed: int = 1,
    ) -> VerifyReport:
        """Compares the read path, the training path and the naive oracle on a sample of the
        store's own keys and times, to the last bit."""
        names = [services] if isinstance(services, str) else list(services)
        parts = dict(self._store.verify(names, values, oracle_values, cuts, seed))
        parts["examples"] = [of_dict(Mismatch, e) for e in parts["examples"]]
        return of_dict(VerifyReport, parts)

    def explain(
        self,
        feature: str,
        entity: Mapping[str, Any],
        *,
        as_of: Optional[Time] = None,
        known_at: Optional[Time] = None,
        cut: Optional[str] = None,
    ) -> Explanation:
        """How the value of one `view:feature` came about: its events, triggers, look-ups."""
        parts = dict(self._store.explain(feature, dict(entity), _moment(as_of, known_at, cut)))
        parts["evidence"] = [of_dict(Step, s) for s in parts["evidence"]]
        return of_dict(Explanation, parts)

    def status(self) -> Status:
        """What the store holds."""
        return status_of(self._store.status())

    def close(self) -> None:
        """Closes the store; another process can write to it then."""
        self._store.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._store.closed

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        return f"<evenkeel.Store of {os.fspath(self._store.root)!r}{closed}>"


def _moment(as_of: Optional[Time], known_at: Optional[Time], cut: Optional[str]) -> Any:
    return {"as_of": time_text(as_of), "known_at": time_text(known_at), "cut": cut}


def producer_of(
    producer_id: Optional[str], sequence: Optional[int]
) -> Optional[Tuple[str, int]]:
    """Who sends, and the first row's number; both or none."""
    if (producer_id is None) != (sequence is None):
        raise InvalidError("a producer gives `producer_id` and `sequence`, both")
    if producer_id is None or sequence is None:
        return None
    return (producer_id, sequence)
