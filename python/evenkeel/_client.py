"""A server that holds the store, over HTTP with the standard library."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from types import TracebackType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, Union
from urllib.parse import quote, urlencode

from ._connection import ARROW, JSON, Body, Connections
from ._errors import DeadlineError, InvalidError
from ._evenkeel import Table, content_type, send_file_rows, warnings
from ._frames import Time, is_rows, rows_of, table_of, time_text
from ._reports import (
    Change,
    CorrectionReport,
    DeadLetter,
    Explanation,
    IngestReport,
    Plan,
    Status,
    VerifyReport,
    correction_of,
    of_dict,
    status_of,
)
from ._results import Answers, Frame, Segment, TrainingSet
from ._store import (
    Definitions,
    What,
    knowledge_of,
    producer_of,
    read_of,
    service_of,
    spine_of,
    texts_of,
)
from ._triggers import Triggered, asked_of, level_of, triggered_of
from ._wire import (
    added,
    joined,
    bodies,
    explanation_of,
    json_fields,
    json_of,
    number_of,
    parts_of,
    row_answers_of,
    rows_report_of,
    summed,
    time_of,
    time_or_none,
    training_of,
    verification_of,
)

__all__ = ["Client", "connect"]

BYTES = "application/octet-stream"
"""A file whose name says what it holds."""


def connect(
    url: str,
    token: Optional[str] = None,
    *,
    timeout: float = 60.0,
    context: Optional[ssl.SSLContext] = None,
) -> Client:
    """A client of the server at `url` (`http://127.0.0.1:6570`).

    `timeout` is in seconds, for each answer or, of long work, the next sign of it (a server
    gives one every five seconds); `context` says which certificates are trusted.
    """
    return Client(url, token, timeout=timeout, context=context)


class Client:
    """A client of one server. Threads may share it; each has a connection of its own.

    A read of this client sees what the client wrote before, unless it names a cut.
    """

    def __init__(
        self,
        url: str,
        token: Optional[str] = None,
        *,
        timeout: float = 60.0,
        context: Optional[ssl.SSLContext] = None,
    ) -> None:
        self._connections = Connections(url, token, timeout, context)
        self.session: Optional[str] = None
        """What this client wrote last; its reads know at least that."""

    def plan(
        self, definitions: Optional[Definitions] = None, *, timeout_ms: Optional[int] = None
    ) -> Plan:
        """What applying SQL, files with it, or the server's project would change."""
        return self._definitions("plan", texts_of(definitions), timeout_ms)

    def apply(
        self, definitions: Optional[Definitions] = None, *, timeout_ms: Optional[int] = None
    ) -> Plan:
        """Applies SQL, files with it (read here), or the server's project, beside its reads."""
        return self._definitions("apply", texts_of(definitions), timeout_ms)

    def _definitions(
        self, does: str, texts: Optional[List[Tuple[str, str]]], timeout_ms: Optional[int]
    ) -> Plan:
        asked: Dict[str, Any] = {"timeout_ms": timeout_ms}
        if texts is not None:
            files = [{"name": name, "text": text} for name, text in texts]
            asked = {**asked, "files": files, "registered": True}
        report, _ = self._connections.long_work(
            f"/v1/definitions/{does}", json.dumps(asked).encode(), JSON, texts=texts or []
        )
        changes = [of_dict(Change, change) for change in report["changes"]]
        return Plan(changes, warnings(report["warnings"], texts or []))

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
        consistency: Optional[str] = None,
        timeout_ms: Optional[int] = None,
        degraded: bool = False,
    ) -> Answers:
        """Reads features, as `Store.get`. `consistency` is `eventual`, `strong`,
        `complete:TIME`, ...; with `degraded`, rather an answer that knows less than none."""
        name, features = read_of(service, entities, dataset)
        version = None
        if name is not None and "@" in name:
            name, _, version = name.partition("@")
        asked: Dict[str, Any] = {
            "service": name,
            "version": version,
            "dataset": dataset,
            "as_of": time_text(as_of),
            "known_at": time_text(known_at),
            "cut": cut,
            "consistency": consistency,
            "session": self.session if cut is None else None,
            "timeout_ms": timeout_ms,
            "degraded": "true" if degraded else None,
            "defaults": "true" if defaults else "false",
        }
        if name is None and dataset is None:
            asked["features"] = ",".join(features)
        query = {field: value for field, value in asked.items() if value is not None}
        if is_rows(entities):
            rows = rows_of(entities)
            given = Table.from_rows(rows)
            fields = {**query, "entities": [json_of(row) for row in rows]}
            body = json.dumps(json_fields(fields, features)).encode()
            path, content = "/v1/features", JSON
        else:
            given = table_of(entities)
            path, content = f"/v1/features?{urlencode(query)}", ARROW
            body = given.to_ipc()
        answer = self._connections.request(
            "POST", path, body, content, accept=ARROW, again=True
        )
        found = Table.from_ipc(answer)
        return Answers(given.beside(found), parts_of(found))

    def call(
        self,
        source: str,
        row: Mapping[str, Any],
        service: What,
        *,
        inputs: Optional[Mapping[str, Any]] = None,
        timeout_ms: Optional[int] = None,
    ) -> Answers:
        """Reads features with one row more than is logged, as `Store.call`."""
        name, features = service_of(service)
        asked: Dict[str, Any] = {
            "source": source,
            "row": json_of(dict(row)),
            "inputs": json_of(dict(inputs or {})),
            "defaults": False,
            "session": self.session,
            "timeout_ms": timeout_ms,
        }
        if name is None:
            asked["features"] = features
        else:
            asked["service"], _, version = name.partition("@")
            asked["version"] = number_of(version)
        answer = self._connections.request(
            "POST", "/v1/calls", json.dumps(asked).encode(), JSON, accept=ARROW, again=True
        )
        return row_answers_of(answer)[1]

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
        deadline_ms: Optional[int] = None,
    ) -> Triggered:
        """Logs a row and reads features at its place in the log, as `Store.trigger`. If they are
        not there within `deadline_ms`, `answers` is none, `result` names them, and `missing` says for
        which watermark they wait."""
        producer = producer_of(producer_id, sequence)
        kind, name = asked_of(service, view)
        name, _, version = name.partition("@")
        asked = {
            "row": json_of(dict(row)),
            kind: name,
            "version": number_of(version),
            "producer_id": None if producer is None else producer[0],
            "sequence": None if producer is None else producer[1],
            "correlation_id": correlation_id,
            "consistency": level_of(consistency),
            "degraded": degraded,
            "deadline_ms": deadline_ms,
            "defaults": False,
        }
        path = f"/v1/triggers/{quote(source, safe='')}"
        answer = self._connections.request(
            "POST", path, json.dumps(asked).encode(), JSON, accept=ARROW
        )
        if answer.startswith(b"{"):
            triggered = triggered_of(json.loads(answer), None)
        else:
            triggered = triggered_of(*row_answers_of(answer))
        self.session = joined(self.session, triggered.session)
        return triggered

    def set(
        self,
        view: str,
        key: Mapping[str, Any],
        features: Mapping[str, Any],
        *,
        at: Optional[Time] = None,
    ) -> Dict[str, Any]:
        """Sets features of a row of a pushed view, as `Store.set`."""
        return self._change(view, {"key": json_of(dict(key)), "features": json_of(dict(features))}, at)

    def delete(
        self, view: str, key: Mapping[str, Any], *, at: Optional[Time] = None
    ) -> Dict[str, Any]:
        """Ends a row of a pushed view, as `Store.delete`."""
        return self._change(view, {"key": json_of(dict(key)), "delete": True}, at)

    def _change(self, view: str, change: Dict[str, Any], at: Optional[Time]) -> Dict[str, Any]:
        path = f"/v1/views/{quote(view, safe='')}/rows"
        body = json.dumps({**change, "at": time_text(at)}).encode()
        told = dict(json.loads(self._connections.request("POST", path, body, JSON)))
        self.session = joined(self.session, told["session"])
        return told

    def result(
        self, id: str, *, degraded: bool = False, wait_ms: Optional[int] = None
    ) -> Answers:
        """What was answered to a trigger, as `Store.result`; waits for it."""
        path = f"/v1/results/{quote(id, safe='')}?defaults=false"
        if degraded:
            path += "&degraded=true"
        if wait_ms is not None:
            path += f"&wait_ms={wait_ms}"
        answer = self._connections.request("GET", path, accept=ARROW, again=True)
        if answer.startswith(b"{"):
            raise DeadlineError("the result is not there yet", hint="wait longer: `wait_ms`")
        return row_answers_of(answer)[1]

    def sql(
        self,
        query: str,
        *,
        as_of: Optional[Time] = None,
        cut: Optional[str] = None,
        limit: Optional[int] = None,
        timeout_ms: Optional[int] = None,
    ) -> Frame:
        """Any SELECT over events, tables and features as of a time, answered where the store is."""
        asked = {
            "query": query,
            "as_of": time_text(as_of),
            "cut": cut,
            "limit": limit,
            "timeout_ms": timeout_ms,
        }
        body = json.dumps({name: value for name, value in asked.items() if value is not None})
        _, made = self._connections.long_work(
            "/v1/sql", body.encode(), JSON, accept=ARROW, texts=[("query", query)]
        )
        return Frame(Table.from_ipc(made))

    def segment(
        self,
        segment: Optional[str] = None,
        *,
        query: Optional[str] = None,
        as_of: Optional[Time] = None,
        known_at: Optional[Time] = None,
        cut: Optional[str] = None,
        limit: int = 100_000,
        after: Optional[Mapping[str, Any]] = None,
        timeout_ms: Optional[int] = None,
    ) -> Segment:
        """The keys that are in a segment (`vip`, `vip@2`) or match a query, with the columns that
        it selects, all of one cut. Where `next` is not none, `after=next` goes on, with the same
        `as_of` and `cut`."""
        asked = {
            "segment": segment,
            "query": query,
            "as_of": time_text(as_of),
            "known_at": time_text(known_at),
            "cut": cut,
            "session": self.session if cut is None else None,
            "limit": limit,
            "after": None if after is None else json_of(dict(after)),
            "timeout_ms": timeout_ms,
        }
        body = json.dumps({name: value for name, value in asked.items() if value is not None})
        told, made = self._connections.long_work(
            "/v1/segments/query",
            body.encode(),
            JSON,
            accept=ARROW,
            texts=[] if query is None else [("query", query)],
        )
        return Segment(Table.from_ipc(made), {**told, "as_of": time_of(told["as_of"])})

    def run(
        self,
        view: str,
        *,
        at: Optional[Time] = None,
        again: bool = False,
        timeout_ms: Optional[int] = None,
    ) -> Dict[str, Any]:
        """Runs a batch view as of a time (default: the last of its schedule), and answers what
        became of it."""
        path = f"/v1/views/{quote(view, safe='')}/run"
        asked = {"at": time_text(at), "again": again, "timeout_ms": timeout_ms}
        report, _ = self._connections.long_work(path, json.dumps(asked).encode(), JSON)
        return dict(report)

    def ingest(
        self,
        source: str,
        data: Any,
        *,
        producer_id: Optional[str] = None,
        sequence: Optional[int] = None,
    ) -> IngestReport:
        """Logs events, as `Store.ingest`: a data frame's rows, dictionaries, or a file (its path),
        which is read here. Many rows go in several requests."""
        producer = producer_of(producer_id, sequence)
        if data is None:
            raise InvalidError(
                "the files of a source's definition are where its store is",
                hint="name a file that is here, or run `evenkeel ingest` there",
            )
        if isinstance(data, (str, os.PathLike)):
            if producer is not None:
                raise InvalidError("a file's rows have the file's identity, and no producer")
            return self._ingest_file(source, os.fspath(data))
        path = f"/v1/sources/{quote(source, safe='')}/events"
        total = IngestReport(source, 0, 0, 0, 0, 0, {}, None)
        for body, content in bodies(data):
            headers = {}
            if producer is not None:
                headers["Evenkeel-Producer-Id"] = producer[0]
                headers["Evenkeel-Sequence"] = str(producer[1] + total.rows)
            answer = self._connections.request("POST", path, body, content, headers=headers)
            pushed = json.loads(answer)
            self.session = joined(self.session, pushed["session"])
            total = added(total, pushed, self.session)
        return total

    def _ingest_file(self, source: str, file: str) -> IngestReport:
        """A file's rows with the identity that they have wherever it is ingested."""
        about = f"/v1/sources/{quote(source, safe='')}"
        described = json.loads(self._connections.request("GET", about, again=True))
        path = f"{about}/file-rows?definition={described['definition']}"
        reports: List[IngestReport] = []

        def send(rows: bytes, has_halves: bool) -> bool:
            # Rows that are known change nothing: they may be sent again.
            said: Optional[bytes]
            if has_halves:
                said = self._connections.request_if_it_fits(path, rows, ARROW)
            else:
                said = self._connections.request("POST", path, rows, ARROW, again=True)
            if said is None:
                return False
            answer = json.loads(said)
            self.session = joined(self.session, answer["session"])
            reports.append(rows_report_of(answer))
            return True

        send_file_rows(described, file, send)
        return summed(source, reports)

    def dead_letters(self, source: str) -> List[DeadLetter]:
        """The rows of a source that were rejected, as `Store.dead_letters`."""
        path = f"/v1/sources/{quote(source, safe='')}/dead-letters?limit=1000"
        letters: List[DeadLetter] = []
        after = ""
        while True:
            page = json.loads(self._connections.request("GET", path + after, again=True))
            for letter in page["dead_letters"]:
                letters.append(
                    of_dict(DeadLetter, {**letter, "logged_at": time_of(letter["logged_at"])})
                )
            if page["next"] is None:
                return letters
            after = f"&after={page['next']}"

    def redrive(self, source: str, ids: Optional[Sequence[int]] = None) -> IngestReport:
        """Judges dead letters again, as `Store.redrive`."""
        path = f"/v1/sources/{quote(source, safe='')}/dead-letters/redrive"
        body = json.dumps({"ids": "all" if ids is None else list(ids)}).encode()
        return rows_report_of(json.loads(self._connections.request("POST", path, body, JSON)))

    def correct(
        self,
        source: str,
        truth: Any,
        start: Time,
        end: Time,
        *,
        dry_run: bool = False,
        timeout_ms: Optional[int] = None,
    ) -> CorrectionReport:
        """Puts a period right, as `Store.correct`. The file is read here, and sent."""
        name = os.fspath(truth)
        fields = {"from": time_text(start), "to": time_text(end), "name": name}
        if dry_run:
            fields["dry_run"] = "true"
        if timeout_ms is not None:
            fields["timeout_ms"] = str(timeout_ms)
        path = f"/v1/sources/{quote(source, safe='')}/corrections?{urlencode(fields)}"
        try:
            opened = open(name, "rb")
        except OSError as error:
            raise InvalidError(f"the truth `{name}` cannot be read: {error.strerror}") from error
        with opened:
            headers = {"Content-Length": str(os.fstat(opened.fileno()).st_size)}
            report, _ = self._connections.long_work(path, opened, BYTES, headers=headers)
        return correction_of(report)

    def exclude(
        self,
        source: str,
        positions: str,
        *,
        dry_run: bool = False,
        timeout_ms: Optional[int] = None,
    ) -> CorrectionReport:
        """Leaves out what was logged at positions, as `Store.exclude`."""
        path = f"/v1/sources/{quote(source, safe='')}/exclusions"
        asked = {"positions": positions, "dry_run": dry_run, "timeout_ms": timeout_ms}
        report, _ = self._connections.long_work(path, json.dumps(asked).encode(), JSON)
        return correction_of(report)

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
        timeout_ms: Optional[int] = None,
    ) -> TrainingSet:
        """Builds a training set, as `Store.train`. A file of a spine is read here, and sent."""
        name, features = service_of(service)
        fields: Dict[str, Any] = {
            "service": name,
            "features": features if name is None else None,
            "knowledge": knowledge_of(knowledge),
            "time_column": time_column,
            "known_at_column": known_at_column,
            "cut": cut,
            "statuses": statuses,
            "timeout_ms": timeout_ms,
        }
        with _spine(spine, fields) as (path, body, content, texts, headers):
            report, made = self._connections.long_work(
                path, body, content, accept=ARROW, headers=headers, texts=texts
            )
        return TrainingSet(Table.from_ipc(made), training_of(report))

    def datasets(self) -> List[Dict[str, Any]]:
        """Training datasets that are defined or built, as `Store.datasets`."""
        answer = self._connections.request("GET", "/v1/datasets", again=True)
        return list(json.loads(answer)["datasets"])

    def dataset(self, name: str) -> Dict[str, Any]:
        """The manifest of a dataset that is built, as `Store.dataset`."""
        path = f"/v1/datasets/{quote(name, safe='')}"
        return dict(json.loads(self._connections.request("GET", path, again=True)))

    def build_dataset(
        self, name: str, spine: Any = None, *, timeout_ms: Optional[int] = None
    ) -> Dict[str, Any]:
        """Builds a version that is defined, as `Store.build_dataset`, where the store is. A spine
        that is a file is read here, and sent: it has to be given."""
        return self._dataset_work("build", name, spine, timeout_ms)

    def rebuild_dataset(
        self, name: str, spine: Any = None, *, timeout_ms: Optional[int] = None
    ) -> Dict[str, Any]:
        """Builds a version again, as `Store.rebuild_dataset`."""
        return self._dataset_work("rebuild", name, spine, timeout_ms)

    def stale_dataset(
        self, name: str, spine: Any = None, *, timeout_ms: Optional[int] = None
    ) -> Dict[str, Any]:
        """What came since that may touch a dataset, as `Store.stale_dataset`."""
        return self._dataset_work("stale", name, spine, timeout_ms)

    def _dataset_work(
        self, work: str, name: str, spine: Any, timeout_ms: Optional[int]
    ) -> Dict[str, Any]:
        path = f"/v1/datasets/{quote(name, safe='')}/{work}"
        if spine is None:
            asked = {"timeout_ms": timeout_ms}
            report, _ = self._connections.long_work(path, json.dumps(asked).encode(), JSON)
            return dict(report)
        fields: Dict[str, Any] = {} if timeout_ms is None else {"timeout_ms": str(timeout_ms)}
        if not isinstance(spine, (str, os.PathLike)):
            path = f"{path}?{urlencode(fields)}"
            report, _ = self._connections.long_work(path, table_of(spine).to_ipc(), ARROW)
            return dict(report)
        file = os.fspath(spine)
        kind = content_type(file)
        try:
            opened = open(file, "rb")
        except OSError as error:
            raise InvalidError(f"the spine `{file}` cannot be read: {error.strerror}") from error
        with opened:
            headers = {"Content-Length": str(os.fstat(opened.fileno()).st_size)}
            path = f"{path}?{urlencode({**fields, 'name': file})}"
            report, _ = self._connections.long_work(path, opened, kind, headers=headers)
        return dict(report)

    def verify(
        self,
        services: Union[str, Sequence[str]] = (),
        *,
        values: int = 100_000,
        oracle_values: int = 500,
        cuts: int = 3,
        seed: int = 1,
        timeout_ms: Optional[int] = None,
    ) -> VerifyReport:
        """Compares the paths of evaluation on a sample, as `Store.verify`, where the store is."""
        asked = {
            "services": [services] if isinstance(services, str) else list(services),
            "values": values,
            "oracle_values": oracle_values,
            "cuts": cuts,
            "seed": seed,
            "timeout_ms": timeout_ms,
        }
        body = json.dumps(asked).encode()
        report, _ = self._connections.long_work("/v1/verify", body, JSON)
        return verification_of(report)

    def explain(
        self,
        feature: str,
        entity: Mapping[str, Any],
        *,
        as_of: Optional[Time] = None,
        known_at: Optional[Time] = None,
        cut: Optional[str] = None,
    ) -> Explanation:
        """How the value of one `view:feature` came about, as `Store.explain`. The values among
        the facts of its steps are as JSON has them."""
        asked = {
            "feature": feature,
            "entity": json_of(dict(entity)),
            "as_of": time_text(as_of),
            "known_at": time_text(known_at),
            "cut": cut,
        }
        body = json.dumps(asked).encode()
        told = json.loads(
            self._connections.request("POST", "/v1/explain", body, JSON, again=True)
        )
        # A story is JSON, which has no type of its value: a read of the same cut has.
        answer = self.get(
            [feature], [entity], as_of=told["as_of"], known_at=known_at, cut=told["cut"]
        )
        return explanation_of(told, answer.scalar())

    def status(self) -> Status:
        """What the server's store holds."""
        parts = json.loads(self._connections.request("GET", "/v1/status", again=True))
        for source in parts["sources"]:
            source["ends"] = {end["partition"]: end["end"] for end in source["partitions"]}
            for name in ("greatest_time", "watermark", "visible_at"):
                source[name] = time_or_none(source[name])
        return status_of(parts)

    def close(self) -> None:
        """Closes this thread's connection; others close with their threads."""
        self._connections.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<evenkeel.Client of {self._connections.url}>"


@contextlib.contextmanager
def _spine(
    spine: Any, fields: Dict[str, Any]
) -> Iterator[Tuple[str, Body, str, Sequence[Tuple[str, str]], Mapping[str, str]]]:
    """A spine with the other fields: the path, the body and its type, texts that mistakes may
    be in, headers."""
    table, file, query = spine_of(spine, fields["time_column"], fields["known_at_column"])
    fields = {name: value for name, value in fields.items() if value is not None}
    path = "/v1/training"
    if query is not None:
        body = json.dumps({**fields, "query": query}).encode()
        yield (path, body, JSON, [("spine", query)], {})
        return
    if "features" in fields:
        fields["features"] = ",".join(fields["features"])
    fields["statuses"] = "true" if fields["statuses"] else "false"
    if table is not None:
        yield (f"{path}?{urlencode(fields)}", table.to_ipc(), ARROW, (), {})
        return
    name = str(file)
    kind = content_type(name)
    try:
        opened = open(name, "rb")
    except OSError as error:
        raise InvalidError(f"the spine `{name}` cannot be read: {error.strerror}") from error
    with opened:
        headers = {"Content-Length": str(os.fstat(opened.fileno()).st_size)}
        yield (f"{path}?{urlencode({**fields, 'name': name})}", opened, kind, (), headers)
