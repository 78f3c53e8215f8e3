"""What goes over HTTP: rows and fields as JSON, and reports of JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ._connection import ARROW, JSON
from ._errors import InvalidError
from ._evenkeel import Table
from ._frames import is_rows, rows_of, table_of
from ._reports import Explanation, IngestReport, Mismatch, Step, VerifyReport, of_dict
from ._results import Answers

# A body is at most half of what servers take if nobody set another limit.
_BODY_BYTES = 8 << 20
_BODY_ROWS = 50_000


def json_of(value: Any) -> Any:
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
        return {str(name): json_of(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_of(item) for item in value]
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if type(value).__module__ == "numpy":
        return json_of(value.tolist())
    raise InvalidError(f"a `{type(value).__name__}` is no value of a column")


def bodies(data: Any) -> Iterator[Tuple[bytes, str]]:
    """Rows in bodies of a size that servers take."""
    if is_rows(data):
        rows = [json.dumps(json_of(row)) for row in rows_of(data)]
        start = 0
        while start < len(rows) or start == 0:
            end, size = start, 0
            while end < len(rows) and end - start < _BODY_ROWS:
                size += len(rows[end]) + 1
                if size > _BODY_BYTES and end > start:
                    break
                end += 1
            yield (f"[{','.join(rows[start:end])}]".encode(), JSON)
            start = max(end, 1)
        return
    table = table_of(data)
    whole = table.to_ipc()
    if len(table) <= _BODY_ROWS and len(whole) <= _BODY_BYTES:
        yield (whole, ARROW)
        return
    step = max(1, min(_BODY_ROWS, len(table) * _BODY_BYTES // len(whole)))
    for start in range(0, len(table), step):
        yield (table.slice(start, start + step).to_ipc(), ARROW)


def joined(session: Optional[str], more: Optional[str]) -> Optional[str]:
    """The session of who knows what both sessions know."""
    ends: Dict[str, int] = {}
    times: List[str] = []
    for text in filter(None, (session, more)):
        cut, _, time = text.partition(";")
        for part in filter(None, cut.split(",")):
            place, _, end = part.rpartition("@")
            ends[place] = max(int(end), ends.get(place, 0))
        times += filter(None, [time])
    if not ends and not times:
        return session or more
    cut = ",".join(f"{place}@{end}" for place, end in sorted(ends.items()))
    return f"{cut};{max(times, key=time_of)}" if times else cut


def added(total: IngestReport, pushed: Mapping[str, Any], session: Optional[str]) -> IngestReport:
    """A report with what became of some more rows."""
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


def rows_report_of(report: Mapping[str, Any]) -> IngestReport:
    """What became of rows of a file, or of dead letters, of a server's report."""
    return IngestReport(
        source=report["source"],
        rows=report["rows"],
        recorded=report["recorded"],
        duplicates=report["known_already"],
        left_out=report["left_out"],
        conflicts=report["conflicts"],
        rejected=report["rejected_by_reason"],
        first_rejected=report["first_rejected"],
    )


def summed(source: str, reports: Sequence[IngestReport]) -> IngestReport:
    """What became of rows that were sent in several requests."""
    rejected: Dict[str, int] = {}
    for report in reports:
        for code, rows in report.rejected.items():
            rejected[code] = rejected.get(code, 0) + rows
    return IngestReport(
        source=source,
        rows=sum(report.rows for report in reports),
        recorded=sum(report.recorded for report in reports),
        duplicates=sum(report.duplicates for report in reports),
        left_out=sum(report.left_out for report in reports),
        conflicts=sum(report.conflicts for report in reports),
        rejected=rejected,
        first_rejected=next((r.first_rejected for r in reports if r.first_rejected), None),
    )


def parts_of(table: Table) -> Dict[str, Any]:
    """What a server's answer says of itself, in its metadata."""
    metadata = {k.split(".", 1)[-1]: v for k, v in table.metadata.items()}
    degraded = metadata.get("degraded")
    version = metadata.get("version")
    return {
        "features": _features([name for name, _ in table.columns]),
        "service": metadata.get("service"),
        "version": None if version is None else int(version),
        "dataset": metadata.get("dataset"),
        "as_of": time_of(metadata["as_of"]),
        "known_at": time_or_none(metadata.get("known_at")),
        "cut": metadata["cut"],
        "definition": metadata["definition"],
        "degraded": None if degraded is None else json.loads(degraded),
    }


def row_answers_of(answer: bytes) -> Tuple[Mapping[str, Any], Answers]:
    """The features that were read with one row, behind the inputs; and what stands before them."""
    table = Table.from_ipc(answer)
    head = json.loads(table.metadata["evenkeel.head"])
    return (head, Answers(Table.from_rows([head["inputs"]]).beside(table), parts_of(table)))


def number_of(version: str) -> Any:
    """A version of a name, if it has one; what is no number is refused where it goes."""
    if not version:
        return None
    return int(version) if version.isdigit() else version


def _features(columns: List[str]) -> List[str]:
    """Features among the columns: each is followed by its status."""
    pairs = zip(columns, columns[1:])
    return [name for name, following in pairs if following == f"{name}__status"]


_TIME = re.compile(r"(\d+-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z")


def time_of(text: str) -> datetime:
    """A time that a server wrote."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidError(f"the server's `{text}` is no time")
    micros = int((found.group(2) or "0").ljust(6, "0"))
    time = datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S")
    return time.replace(microsecond=micros, tzinfo=timezone.utc)


def time_or_none(text: Optional[str]) -> Optional[datetime]:
    """A time that a server wrote, where it has one."""
    return None if text is None else time_of(text)


def json_fields(fields: Mapping[str, Any], features: List[str]) -> Dict[str, Any]:
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




def training_of(report: Mapping[str, Any]) -> Dict[str, Any]:
    """The parts of a training set, of a server's report."""
    rows_at = {found["source"]: found["rows"] for found in report["coincident"]}
    return {**report, "coincident": rows_at}


def verification_of(report: Mapping[str, Any]) -> VerifyReport:
    """A verification of its report."""
    examples = [_mismatch_of(found) for found in report["examples"]]
    return of_dict(VerifyReport, {**report, "examples": examples})


def _mismatch_of(found: Mapping[str, Any]) -> Mismatch:
    return Mismatch(
        feature=found["feature"],
        key=[_words(value) for value in found["key"]],
        time=time_of(found["time"]),
        cut=found["cut"],
        known_at=time_or_none(found["known_at"]),
        answers=[(a["path"], _words(a["value"]), a["status"]) for a in found["answers"]],
    )


def _words(value: Any) -> str:
    """A value of JSON as text; fractions are texts already."""
    if isinstance(value, str):
        return value
    return "NULL" if value is None else json.dumps(value)


def explanation_of(told: Mapping[str, Any], value: Any) -> Explanation:
    """An explanation of a server's report; the value has its type."""
    answer = told["answer"]
    return Explanation(
        feature=told["feature"],
        value=value,
        status=answer["status"],
        event_time=time_or_none(answer["event_time"]),
        as_of=time_of(told["as_of"]),
        cut=told["cut"],
        evidence=[_step_of(step) for step in told["evidence"]],
    )


def _step_of(step: Mapping[str, Any]) -> Step:
    facts = {name: fact for name, fact in step.items() if name not in ("depth", "text")}
    if "event_time" in facts:
        facts["event_time"] = time_of(facts["event_time"])
    return Step(depth=step["depth"], text=step["text"], facts=facts)
