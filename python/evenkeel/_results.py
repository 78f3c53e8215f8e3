"""Results: columns in Arrow's memory, with conversions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ._errors import InvalidError
from ._evenkeel import Table
from ._reports import FeatureReport, LabelReport, of_dict

__all__ = ["Answers", "Frame", "Segment", "TrainingSet"]


def _module(name: str, why: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise InvalidError(
            f"`{name}` is not installed", hint=f"install it for `{why}`"
        ) from error


class Frame:
    """Columns of one length. Anything that reads Arrow's PyCapsule interface takes it as it
    is: ``polars.DataFrame(frame)``, ``pyarrow.table(frame)``, DuckDB's ``FROM frame``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        return iter(self.to_pylist())

    @property
    def columns(self) -> List[str]:
        """Names of the columns, in order."""
        return [name for name, _ in self._table.columns]

    @property
    def schema(self) -> Dict[str, str]:
        """Types of the columns by name."""
        return dict(self._table.columns)

    def select(self, columns: List[str]) -> Frame:
        """These columns only, in this order."""
        return Frame(self._table.select(list(columns)))

    def digest(self) -> str:
        """Digest of the values to the last bit, whatever their layout in memory."""
        return self._table.digest()

    def to_pylist(self) -> List[Dict[str, Any]]:
        """A dictionary per row; times are aware, in UTC. Needs no other package."""
        return self._table.to_pylist()

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` over the same memory."""
        return _module("pyarrow", "to_arrow()").table(self)

    def to_pandas(self, **options: Any) -> Any:
        """A ``pandas.DataFrame``; options are those of ``pyarrow.Table.to_pandas``."""
        _module("pandas", "to_pandas()")
        return self.to_arrow().to_pandas(**options)

    def to_polars(self) -> Any:
        """A ``polars.DataFrame`` over the same memory."""
        return _module("polars", "to_polars()").DataFrame(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} rows, columns {', '.join(self.columns)}>"


class Answers(Frame):
    """Features of entities: the entities as they were given, then per feature its value,
    ``NAME__status`` and ``NAME__event_time`` (and ``NAME__default`` where defaults were asked
    for). Rows are in the request's order."""

    def __init__(self, table: Table, parts: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.features: List[str] = list(parts["features"])
        """Names of the features, in order."""
        self.service: Optional[str] = parts["service"]
        """The service; none for a list of features."""
        self.version: Optional[int] = parts["version"]
        """Its version."""
        self.dataset: Optional[str] = parts.get("dataset")
        """The dataset whose vector it is, as `name:version`."""
        self.as_of: datetime = parts["as_of"]
        """When the features were read."""
        self.known_at: Optional[datetime] = parts["known_at"]
        """What bounded the knowledge besides the cut."""
        self.cut: str = parts["cut"]
        """How far each source was known: a read that names it gives the same bits."""
        self.definition: str = parts["definition"]
        """Digest of the definitions."""
        self.degraded: Optional[Mapping[str, Any]] = parts.get("degraded")
        """What was promised and not kept, where that was allowed."""

    def _of_features(self, suffixes: Tuple[str, ...]) -> List[str]:
        names = set(self.columns)
        wanted = (name + suffix for name in self.features for suffix in suffixes)
        return [name for name in wanted if name in names]

    @property
    def entities(self) -> Frame:
        """The entities alone."""
        suffixes = ("", "__status", "__event_time", "__default")
        of_features = set(self._of_features(suffixes))
        return self.select([name for name in self.columns if name not in of_features])

    @property
    def values(self) -> Frame:
        """The values alone."""
        return self.select(self._of_features(("",)))

    @property
    def statuses(self) -> Frame:
        """The statuses alone: PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE, ERROR."""
        return self.select(self._of_features(("__status",)))

    @property
    def event_times(self) -> Frame:
        """The event times alone."""
        return self.select(self._of_features(("__event_time",)))

    def scalar(self) -> Any:
        """The one value of one feature of one entity."""
        if len(self) != 1 or len(self.features) != 1:
            raise InvalidError(
                f"{len(self)} entities with {len(self.features)} features are no single value"
            )
        return self.values.to_pylist()[0][self.features[0]]


class Segment(Frame):
    """Keys of an entity that are in a segment, with what it selects of them."""

    def __init__(self, table: Table, parts: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.as_of: datetime = parts["as_of"]
        """When the condition was asked."""
        self.cut: str = parts["cut"]
        """How far each source was known."""
        self.matched: int = parts["matched"]
        """Keys that are in it, as far as they were asked."""
        self.asked: int = parts["asked"]
        """Keys that were asked."""
        self.undecided: int = parts["undecided"]
        """Keys whose condition is an error."""
        self.complete: bool = parts["complete"]
        """Whether every key was asked."""
        self.next: Optional[Mapping[str, Any]] = parts.get("next")
        """The key behind which the next page begins; none if there is none."""


class TrainingSet(Frame):
    """A training set: the spine as it was given, row by row, then the features."""

    def __init__(self, table: Table, parts: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.features: List[FeatureReport] = [of_dict(FeatureReport, f) for f in parts["features"]]
        """The features, and how many rows have none."""
        self.labels: List[LabelReport] = [of_dict(LabelReport, f) for f in parts["labels"]]
        """The labels of the spine's query."""
        self.coincident: Dict[str, int] = dict(parts["coincident"])
        """Rows at exactly the time of an event, by source: their windows hold that event
        unless they say EXCLUDE GROUP."""
        self.cut: str = parts["cut"]
        """How far each source was known."""
        self.definition: str = parts["definition"]
        """Digest of the definitions."""
        self.values_digest: str = parts["digest"]
        """Digest of the values; that of the same training set built again."""
