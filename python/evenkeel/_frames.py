"""Any data frame as a table of the extension module, without copies where Arrow allows it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from ._errors import InvalidError
from ._evenkeel import Table

Time = Union[str, date, datetime]


def time_text(time: Any) -> Optional[str]:
    """A time in words; one without a zone is UTC."""
    if time is None or isinstance(time, str):
        return time
    if isinstance(time, date):  # datetime is one
        return time.isoformat()
    return str(time)


def is_rows(data: Any) -> bool:
    """Whether these are dictionaries: one, or a list of them."""
    return isinstance(data, Mapping) or (
        isinstance(data, (list, tuple)) and all(isinstance(row, Mapping) for row in data)
    )


def rows_of(data: Any) -> List[Dict[str, Any]]:
    """Dictionaries as a list of plain ones."""
    rows: Sequence[Mapping[str, Any]] = [data] if isinstance(data, Mapping) else data
    return [row if type(row) is dict else dict(row) for row in rows]


def table_of(data: Any) -> Table:
    """A table of anything with an Arrow interface, or of dictionaries."""
    if isinstance(data, Table):
        return data
    if is_rows(data):
        return Table.from_rows(rows_of(data))
    if _is_pandas(data):
        data = _pandas_columns(data)
    if hasattr(data, "__arrow_c_stream__"):
        return Table.from_arrow_stream(data.__arrow_c_stream__())
    if hasattr(data, "__arrow_c_array__"):
        return Table.from_arrow_array(*data.__arrow_c_array__())
    if hasattr(data, "collect") and type(data).__module__.startswith("polars"):
        raise InvalidError("a lazy frame has no rows yet", hint="collect it first")
    kind = f"{type(data).__module__}.{type(data).__qualname__}"
    raise InvalidError(
        f"a `{kind}` is no data frame",
        hint="give pandas, Polars, pyarrow, DuckDB, anything else with "
        "`__arrow_c_stream__`, or a list of dictionaries",
    )


def _is_pandas(data: Any) -> bool:
    return type(data).__module__.split(".")[0] == "pandas" and hasattr(data, "columns")


def _pandas_columns(frame: Any) -> Any:
    """pandas hands an index over as a column if it is no plain count: one that nobody named
    is left out."""
    if not hasattr(frame, "__arrow_c_stream__"):
        raise InvalidError(
            "this version of pandas has no Arrow interface", hint="install pandas 2.2 or newer"
        )
    if frame.index.nlevels == 1 and frame.index.name is None:
        return frame.reset_index(drop=True)
    return frame
