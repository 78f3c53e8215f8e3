"""A server that holds the store, over HTTP with the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import math
import os
import re
import ssl
import threading
from datetime import date, datetime, timezone
from decimal import Decimal
from types import TracebackType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Type
from urllib.parse import quote, urlencode, urlsplit

from ._errors import InvalidError, OverloadedError, UnavailableError, error_of
from ._evenkeel import Table
from ._frames import Time, is_rows, rows_of, table_of, time_text
from ._reports import IngestReport, Status, status_of
from ._results import Answers
from ._store import What, producer_of, service_of

__all__ = ["Client", "connect"]

_ARROW = "application/vnd.apache.arrow.stream"
_JSON = "application/json"

# A body is at most half of what servers take if nobody set another limit.
_BODY_BYTES = 8 << 20
_BODY_ROWS = 50_000


def connect(
    url: str,
    token: Optional[str] = None,
    *,
    timeout: float = 60.0,
    context: Optional[ssl.SSLContext] = None,
) -> Client:
    """A client of the server at `url` (`http://127.0.0.1:6570`).

    `timeout` is in seconds, for each answer; `context` says which certificates are trusted.
    """
    return Client(url, token, timeout=timeout, context=context)


class Client:
    """A client of one server. Threads may share it; each has a connection of its own.

    A read of this client sees what the client wrote before.
    """

    def __init__(
        self,
        url: str,
        token: Optional[str] = None,
        *,
        timeout: float = 60.0,
        context: Optional[ssl.SSLContext] = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidError(f"`{url}` is no address", hint="write http://127.0.0.1:6570")
        self._url = url.rstrip("/")
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._context = context
        self._threads = threading.local()
        self.session: Optional[str] = None
        """What this client wrote last; its reads know at least that."""

    def get(
        self,
        service: What,
        entities: Any,
        *,
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
        name, features = service_of(service)
        version = None
        if name is not None and "@" in name:
            name, _, version = name.partition("@")
        asked: Dict[str, Any] = {
            "service": name,
            "version": version,
            "as_of": time_text(as_of),
            "known_at": time_text(known_at),
            "cut": cut,
            "consistency": consistency,
            "session": self.session,
            "timeout_ms": timeout_ms,
            "degraded": "true" if degraded else None,
            "defaults": "true" if defaults else "false",
        }
        if name is None:
            asked["features"] = ",".join(features)
        query = {field: value for field, value in asked.items() if value is not None}
        if is_rows(entities):
            rows = rows_of(entities)
            given = Table.from_rows(rows)
            fields = {**query, "entities": [_json(row) for row in rows]}
            body = json.dumps(_json_fields(fields, features)).encode()
            answer = self._request("POST", "/v1/features", body, _JSON, accept=_ARROW, again=True)
        else:
            given = table_of(entities)
            path = f"/v1/features?{urlencode(query)}"
            answer = self._request("POST", path, given.to_ipc(), _ARROW, accept=_ARROW, again=True)
        found = Table.from_ipc(answer)
        return Answers(given.beside(found), _parts(found))

    def ingest(
        self,
        source: str,
        data: Any,
        *,
        producer_id: Optional[str] = None,
        sequence: Optional[int] = None,
    ) -> IngestReport:
        """Logs events, as `Store.ingest`: a data frame's rows, or dictionaries. Many rows go in
        several requests."""
        producer = producer_of(producer_id, sequence)
        if data is None or isinstance(data, (str, os.PathLike)):
            raise InvalidError(
                "files are ingested where the store is", hint="send their rows as a data frame"
            )
        path = f"/v1/sources/{quote(source, safe='')}/events"
        total = IngestReport(source, 0, 0, 0, 0, 0, {}, None)
        for body, content in _bodies(data):
            headers = {}
            if producer is not None:
                headers["Evenkeel-Producer-Id"] = producer[0]
                headers["Evenkeel-Sequence"] = str(producer[1] + total.rows)
            answer = self._request("POST", path, body, content, headers=headers)
            pushed = json.loads(answer)
            self.session = pushed["session"] or self.session
            total = _added(total, pushed, self.session)
        return total

    def status(self) -> Status:
        """What the server's store holds."""
        parts = json.loads(self._request("GET", "/v1/status", again=True))
        for source in parts["sources"]:
            source["ends"] = {end["partition"]: end["end"] for end in source["partitions"]}
            for name in ("greatest_time", "watermark", "visible_at"):
                source[name] = _time(source[name])
        return status_of(parts)

    def close(self) -> None:
        """Closes this thread's connection; others close with their threads."""
        connection = self._threads.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

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
        return f"<evenkeel.Client of {self._url}>"

    def _connection(self) -> Tuple[http.client.HTTPConnection, bool]:
        """This thread's connection, and whether it was used before."""
        kept = self._threads.__dict__.get("connection")
        if kept is not None:
            return (kept, True)
        made: http.client.HTTPConnection
        if self._is_secure:
            made = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._context
            )
        else:
            made = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        self._threads.connection = made
        return (made, False)

    def _request(
        self,
        method: str,
        path: str,
        body: Optional[bytes] = None,
        content: Optional[str] = None,
        *,
        accept: str = _JSON,
        headers: Optional[Mapping[str, str]] = None,
        again: bool = False,
    ) -> bytes:
        """Sends a request; `again`: once more if a kept connection turns out to be closed."""
        sent = {"Accept": accept, **(headers or {})}
        if content is not None:
            sent["Content-Type"] = content
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        while True:
            connection, was_used = self._connection()
            try:
                connection.request(method, self._path + path, body, sent)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if again and was_used and not isinstance(error, TimeoutError):
                    continue
                raise UnavailableError(
                    f"no answer from {self._url}: {error}",
                    code="UNAVAILABLE",
                    hint="is `evenkeel serve` running there?",
                ) from error
            if response.status < 300:
                return answer
            raise _error(response.status, answer)


def _error(status: int, answer: bytes) -> Exception:
    try:
        error = json.loads(answer)["error"]
        return error_of(error["code"], error["message"], error["hint"], error["place"])
    except (ValueError, KeyError, TypeError):
        message = f"the answer has the status {status} and is not evenkeel's"
        kind = OverloadedError if status == 429 else UnavailableError
        return kind(message, code=f"HTTP_{status}")


def _json_fields(fields: Mapping[str, Any], features: List[str]) -> Dict[str, Any]:
    """A request's fields as JSON has them, where a query has texts."""
    made = dict(fields)
    for name in ("degraded", "defaults"):
        if name in made:
            made[name] = made[name] == "true"
    if made.get("version") is not None:
        made["version"] = int(made["version"]) if made["version"].isdigit() else made["version"]
    if "features" in made:
        made["features"] = features
    level = made.get("consistency")
    if level is not None and level.startswith("complete:"):
        made["consistency"] = {"complete": level[len("complete:") :]}
    return made


def _json(value: Any) -> Any:
    """A value in JSON, from which the server reads what the column's type says."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidError(
                f"{value} cannot be sent in a dictionary", hint="send it in a data frame"
            )
        return value
    if isinstance(value, Mapping):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if type(value).__module__ == "numpy":
        return _json(value.tolist())
    raise InvalidError(f"a `{type(value).__name__}` is no value of a column")


def _bodies(data: Any) -> Iterator[Tuple[bytes, str]]:
    """Rows in bodies of a size that servers take."""
    if is_rows(data):
        rows = [json.dumps(_json(row)) for row in rows_of(data)]
        start = 0
        while start < len(rows) or start == 0:
            end, size = start, 0
            while end < len(rows) and end - start < _BODY_ROWS:
                size += len(rows[end]) + 1
                if size > _BODY_BYTES and end > start:
                    break
                end += 1
            yield (f"[{','.join(rows[start:end])}]".encode(), _JSON)
            start = max(end, 1)
        return
    table = table_of(data)
    whole = table.to_ipc()
    if len(table) <= _BODY_ROWS and len(whole) <= _BODY_BYTES:
        yield (whole, _ARROW)
        return
    step = max(1, min(_BODY_ROWS, len(table) * _BODY_BYTES // len(whole)))
    for start in range(0, len(table), step):
        yield (table.slice(start, start + step).to_ipc(), _ARROW)


def _added(total: IngestReport, pushed: Mapping[str, Any], session: Optional[str]) -> IngestReport:
    counts = pushed["counts"]
    rejected = dict(total.rejected)
    first = total.first_rejected
    for number, row in enumerate(pushed["rows"], total.rows):
        if row["status"] == "rejected":
            rejected[row["code"]] = rejected.get(row["code"], 0) + 1
            first = first or f"row {number}: {row['reason']}"
    return IngestReport(
        source=total.source,
        rows=total.rows + len(pushed["rows"]),
        recorded=total.recorded + counts["logged"] + counts["conflict"],
        duplicates=total.duplicates + counts["duplicate"],
        left_out=total.left_out + counts["left_out"],
        conflicts=total.conflicts + counts["conflict"],
        rejected=rejected,
        first_rejected=first,
        session=session,
    )


def _parts(table: Table) -> Dict[str, Any]:
    """What a server's answer says of itself, in its metadata."""
    metadata = {k.split(".", 1)[-1]: v for k, v in table.metadata.items()}
    degraded = metadata.get("degraded")
    version = metadata.get("version")
    return {
        "features": _features([name for name, _ in table.columns]),
        "service": metadata.get("service"),
        "version": None if version is None else int(version),
        "as_of": _time(metadata["as_of"]),
        "known_at": _time(metadata.get("known_at")),
        "cut": metadata["cut"],
        "definition": metadata["definition"],
        "degraded": None if degraded is None else json.loads(degraded),
    }


def _features(columns: List[str]) -> List[str]:
    """Features among the columns: each is followed by its status."""
    pairs = zip(columns, columns[1:])
    return [name for name, following in pairs if following == f"{name}__status"]


_TIME = re.compile(r"(\d+-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z")


def _time(text: Optional[str]) -> Optional[datetime]:
    if text is None:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidError(f"the server's `{text}` is no time")
    micros = int((found.group(2) or "0").ljust(6, "0"))
    time = datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S")
    return time.replace(microsecond=micros, tzinfo=timezone.utc)
