"""What evenkeel reports, as dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, TypeVar

__all__ = [
    "Change",
    "Explanation",
    "FeatureReport",
    "IngestReport",
    "LabelReport",
    "Mismatch",
    "Plan",
    "ServiceStatus",
    "SourceStatus",
    "Status",
    "Step",
    "VerifyReport",
    "ViewStatus",
]

T = TypeVar("T")


def of_dict(kind: Type[T], parts: Mapping[str, Any]) -> T:
    """A dataclass of a dictionary; what it has no field for is left out."""
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in parts.items() if name in names})


@dataclass(frozen=True)
class Change:
    """What `apply` would do, or did, with one object."""

    object: str
    name: str
    version: int
    change: str
    """`create`, `new version`, `metadata`, `unchanged` or `not in files`"""
    notes: List[str]
    """What it is in words: kind of view, window edges, cost."""
    statement: Optional[str] = None
    """Of a source from a file: the statement that is frozen."""
    statement_now: Optional[str] = None
    """Where the file is not as the frozen columns are."""


@dataclass(frozen=True)
class Plan:
    """What definitions would change, or changed."""

    changes: List[Change]
    warnings: List[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = list(self.warnings)
        for change in self.changes:
            lines.append(f"{change.change:12} {change.object} {change.name} v{change.version}")
            lines.extend(f"             {note}" for note in change.notes)
        return "\n".join(lines)


@dataclass(frozen=True)
class IngestReport:
    """What an ingestion did with its rows."""

    source: str
    rows: int
    recorded: int
    """Events logged."""
    duplicates: int
    """Rows that were logged already."""
    left_out: int
    """Rows that the source's WHERE left out."""
    conflicts: int
    """Rows whose identity was known with another payload."""
    rejected: Dict[str, int]
    """Rows that are dead letters, by reason."""
    first_rejected: Optional[str]
    """The first of them in words."""
    session: Optional[str] = None
    """A read with it sees what was written."""


@dataclass(frozen=True)
class ViewEffect:
    """What follows of a correction for a view that reads the source by its own key."""

    view: str
    keys: int
    """The keys of events that were changed."""
    compared: int
    """Those whose values were compared where the last event that changes begins to count; 0 if there was too much to read."""
    features: Dict[str, int]
    """By feature: the compared keys whose value differs between the cuts."""


@dataclass(frozen=True)
class CorrectionReport:
    """What a correction or an exclusion did, or would do."""

    source: str
    dry_run: bool
    rows: int
    """Rows of the truth's files."""
    left_out: int
    """Of these, rows that the source's WHERE leaves out."""
    outside: int
    """Of these, rows outside the period."""
    unchanged: int
    replaced: int
    removed: int
    added: int
    meanwhile: int
    """Events of the period that others logged meanwhile: they were not compared."""
    cut_before: str
    cut_after: str
    views: List[ViewEffect]
    """Values are compared where the last event of each key that changes begins to count."""
    through_look_ups: List[str]
    """Views that read the source by a key of another, or through a derived stream."""


def correction_of(report: Mapping[str, Any]) -> CorrectionReport:
    """A correction of its report."""
    views = [
        ViewEffect(**{**view, "features": {f["name"]: f["changed"] for f in view["features"]}})
        for view in report["views"]
    ]
    return of_dict(CorrectionReport, {**report, "views": views})


@dataclass(frozen=True)
class DeadLetter:
    """A row that was rejected."""

    id: int
    """Its number, to drive it again."""
    reason: str
    """In a word: `DECODE`, `CHECK`, `CONFLICT`, ..."""
    text: str
    """In words."""
    origin: str
    """Where it came from."""
    record: str
    """The original record, as JSON."""
    logged_at: datetime


@dataclass(frozen=True)
class FeatureReport:
    """A feature of a training set."""

    name: str
    type: str
    missing: int
    """Rows without a value."""


@dataclass(frozen=True)
class LabelReport:
    """A label of a training set."""

    name: str
    within: str
    immature: int
    """Rows whose future is not known yet."""
    missing: int


@dataclass(frozen=True)
class Mismatch:
    """A value that was not the same everywhere."""

    feature: str
    key: List[str]
    time: datetime
    cut: str
    known_at: Optional[datetime]
    answers: List[Tuple[str, str, str]]
    """Path of evaluation, value, status."""


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found."""

    seed: int
    values_checked: int
    oracle_checked: int
    points: int
    cuts: int
    mismatches: int
    examples: List[Mismatch]
    answers_digest: str
    emissions_checked: int = 0
    """Emissions of derived streams that were compared with what their queries say at their cuts."""
    revised_by_late_input: int = 0
    """Those of them that would be others by what came later."""

    @property
    def ok(self) -> bool:
        """Whether all bits were equal."""
        return self.mismatches == 0


@dataclass(frozen=True)
class Step:
    """One line of an explanation."""

    depth: int
    text: str
    facts: Dict[str, Any]
    """What it states: `value`, `inside`, `counted`, `event_time`, `position`, `values`, ..."""


@dataclass(frozen=True)
class Explanation:
    """How one value came about."""

    feature: str
    value: Any
    status: str
    event_time: Optional[datetime]
    as_of: datetime
    cut: str
    evidence: List[Step]

    def __str__(self) -> str:
        value = self.value if self.status == "PRESENT" else self.status
        lines = [f"{self.feature} as of {self.as_of.isoformat()}: {value}"]
        lines.extend("  " * (step.depth + 1) + step.text for step in self.evidence)
        lines.append(f"cut {self.cut}")
        return "\n".join(lines)


@dataclass(frozen=True)
class SourceStatus:
    """The state of a source."""

    name: str
    kind: str
    events: int
    dead_letters: int
    ends: Dict[int, int]
    """Per partition the first offset that is not applied."""
    greatest_time: Optional[datetime]
    watermark: Optional[datetime]
    visible_at: Optional[datetime]


@dataclass(frozen=True)
class ViewStatus:
    """A view that is defined."""

    name: str
    version: int
    kind: str
    features: int


@dataclass(frozen=True)
class ServiceStatus:
    """A feature service that is defined."""

    name: str
    version: int
    features: int


@dataclass(frozen=True)
class Status:
    """What a store holds."""

    store: str
    sources: List[SourceStatus]
    views: List[ViewStatus]
    services: List[ServiceStatus]
    log_bytes: int
    recovery: Optional[str]
    #: What had left the hot tier and was brought back: ``scans``, ``keys``, ``events``.
    brought_back: Mapping[str, int]

    def source(self, name: str) -> SourceStatus:
        """A source by its name."""
        return next(source for source in self.sources if source.name == name)


def status_of(parts: Mapping[str, Any]) -> Status:
    """A status of its dictionary."""
    return Status(
        store=str(parts["store"]),
        sources=[of_dict(SourceStatus, s) for s in parts["sources"]],
        views=[of_dict(ViewStatus, v) for v in parts["views"]],
        services=[of_dict(ServiceStatus, s) for s in parts["services"]],
        log_bytes=parts["log_bytes"],
        recovery=parts["recovery"],
        brought_back=dict(parts["brought_back"]),
    )
