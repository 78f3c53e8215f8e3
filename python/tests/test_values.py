"""Values cross the border as they are, or they are refused; nothing is coerced."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import RIDES, ride

import evenkeel

AT = "2026-01-20"


def last(project, feature, rider="ada", at=AT):
    return project.value(f"last_ride:{feature}", {"rider_id": rider}, at)


def rejected(project, data):
    report = project.store.ingest("rides", data)
    assert report.recorded == 0 and sum(report.rejected.values()) == 1, report
    return report.first_rejected


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-10T12:00:00Z",
        "2026-01-10 12:00:00",
        "2026-01-10T13:00:00+01:00",
        datetime(2026, 1, 10, 12),
        datetime(2026, 1, 10, 12, tzinfo=timezone.utc),
        datetime(2026, 1, 10, 13, tzinfo=BERLIN),
        datetime(2026, 1, 10, 17, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        pd.Timestamp("2026-01-10 12:00"),
        pd.Timestamp("2026-01-10 13:00", tz="Europe/Berlin"),
        np.datetime64("2026-01-10T12:00:00", "us"),
    ],
    ids=str,
)
def test_times_are_instants(rides, time):
    rides.ingest("rides", [ride(10, ride_at=time)])
    assert last(rides, "last_at") == datetime(2026, 1, 10, 12, tzinfo=timezone.utc)


ZONED = """
CREATE ENTITY rider (rider_id STRING);
CREATE STREAM local (
  rider_id STRING, happened_at TIMESTAMP, EVENT TIME happened_at
) WITH (zone = 'Europe/Berlin');
CREATE FEATURE VIEW seen ENTITY rider (rider_id) AS SELECT rider_id, happened_at FROM local;
"""


@pytest.mark.parametrize("kind", ["dictionaries", "pandas", "Polars", "pyarrow"])
def test_times_without_a_zone_are_in_the_sources(evenkeel_project, kind):
    project = evenkeel_project(ZONED)
    naive = datetime(2026, 7, 1, 12)
    rows = {"rider_id": ["ada"], "happened_at": [naive]}
    data = {
        "dictionaries": lambda: [{"rider_id": "ada", "happened_at": naive}],
        "pandas": lambda: pd.DataFrame(rows),
        "Polars": lambda: pl.DataFrame(rows),
        "pyarrow": lambda: pa.table(rows),
    }[kind]()
    project.ingest("local", data)
    aware = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
    project.ingest("local", [{"rider_id": "bob", "happened_at": aware}])
    value = lambda rider: project.value("seen:happened_at", {"rider_id": rider}, "2026-07-02")
    assert value("ada") == datetime(2026, 7, 1, 10, tzinfo=timezone.utc)
    assert value("bob") == aware
    # An hour that does not exist is no time.
    gap = datetime(2026, 3, 29, 2, 30)
    report = project.store.ingest("local", [{"rider_id": "eve", "happened_at": gap}])
    assert sum(report.rejected.values()) == 1


def test_a_date_is_its_midnight_and_nanoseconds_are_no_microseconds(rides):
    rides.ingest("rides", [ride(3, ride_at=date(2026, 1, 3))])
    assert last(rides, "last_at") == datetime(2026, 1, 3, tzinfo=timezone.utc)
    fine = pd.Timestamp("2026-01-10 12:00:00.000000001")
    assert "microsecond" in rejected(rides, [ride(10, ride_at=fine)])
    assert "ride_at" in rejected(
        rides, pa.table({"ride_id": ["x"], "ride_at": pa.array([1_767_225_600_000_000_001], pa.timestamp("ns"))})
    )
    assert "ride_at" in rejected(rides, [ride(11, ride_at=1_767_225_600)])


@pytest.mark.parametrize(
    "key",
    [7, np.int32(7), np.int64(7), np.uint8(7), np.int8(7), 7.0, np.float64(7)],
    ids=lambda key: type(key).__name__,
)
def test_integers_of_any_width_are_the_same_key(rides, key):
    rides.ingest("rides", [ride(1), ride(2, city_id=key)])
    rides.expect("city_rides:rides_1d", {"city_id": key}, at="2026-01-02T12:00:00Z", value=2)
    for kind in (np.int8, np.int32, np.int64, np.uint16, np.float32, np.float64):
        frame = pd.DataFrame({"city_id": np.array([7, 9], dtype=kind)})
        found = rides.store.get(["city_rides:rides_1d"], frame, as_of="2026-01-02T12:00:00Z")
        assert [row["rides_1d"] for row in found] == [2, 0], kind


@pytest.mark.parametrize("key", [7.5, "7", True, 2**63, Decimal(7), b"7"], ids=repr)
def test_what_is_no_integer_is_no_key(rides, key):
    with pytest.raises(evenkeel.InvalidError) as caught:
        rides.store.get(["city_rides:rides_1d"], {"city_id": key}, as_of=AT)
    assert caught.value.place == {"row": 0, "column": "city_id"}
    assert "city_id" in rejected(rides, [ride(1, city_id=key)])


def test_integers_beyond_doubles_are_exact(rides):
    big = 2**53 + 1
    rides.ingest("rides", [ride(1, city_id=big), ride(2, city_id=big - 1)])
    rides.expect("city_rides:rides_1d", {"city_id": big}, at="2026-01-01T12:00:00Z", value=1)
    frame = pd.DataFrame({"city_id": [big]})
    found = rides.store.get(["city_rides:rides_1d"], frame, as_of="2026-01-01T12:00:00Z")
    assert found.to_pandas()["city_id"][0] == big and found.scalar() == 1
    unsigned = pa.table({"city_id": pa.array([2**64 - 1], pa.uint64())})
    with pytest.raises(evenkeel.InvalidError, match="city_id"):
        rides.store.get(["city_rides:rides_1d"], unsigned, as_of=AT)


@pytest.mark.parametrize("x", [0.1, 1 / 3, 1e-45, 3.4e38, -0.0, math.inf, 16777217.0])
def test_a_float_is_the_nearest_and_comes_back_as_it_is(rides, x):
    rides.ingest("rides", [ride(1, tip=x)])
    wanted = float(np.float32(x))
    found = last(rides, "last_tip")
    assert struct.pack("<d", found) == struct.pack("<d", wanted + 0.0)
    rides.ingest("rides", pa.table({
        "ride_id": ["second"], "rider_id": ["bob"], "tip": pa.array([x], pa.float32()),
        "ride_at": pa.array([datetime(2026, 1, 1)]),
    }))
    assert struct.pack("<d", last(rides, "last_tip", "bob")) == struct.pack("<d", found)
    answer = rides.store.get(["last_ride:last_tip"], {"rider_id": "ada"}, as_of=AT)
    assert answer.to_arrow()["last_tip"].type == pa.float32()


@pytest.mark.parametrize("x", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -2.5, math.inf, -math.inf])
def test_a_double_comes_back_to_the_last_bit(rides, x):
    rides.ingest("rides", [ride(1, fare=x)])
    assert struct.pack("<d", last(rides, "last_fare")) == struct.pack("<d", x)


def test_doubles_are_no_floats_in_a_frame(rides):
    frame = pl.DataFrame({"ride_id": ["r"], "ride_at": [datetime(2026, 1, 1)], "tip": [0.1]})
    with pytest.raises(evenkeel.InvalidError, match="`tip` of .* is Float64, which is not read as FLOAT"):
        rides.store.ingest("rides", frame)
    assert rides.ingest("rides", frame.with_columns(pl.col("tip").cast(pl.Float32))).recorded == 1
    assert "tip" in rejected(rides, [ride(2, tip=1e39)])


def test_nan_is_a_number_and_none_is_not(rides):
    nan = math.nan
    rides.ingest("rides", [ride(1, fare=nan), ride(2, rider_id="bob", fare=None)])
    rides.expect("last_ride:last_fare", {"rider_id": "ada"}, AT, nan, status="PRESENT")
    rides.expect("last_ride:last_fare", {"rider_id": "bob"}, AT, None, status="NULL_VALUE")
    rows = {"ride_id": ["a", "b"], "rider_id": ["p", "q"], "fare": [nan, None],
            "ride_at": [datetime(2026, 1, 3)] * 2}
    rides.ingest("rides", pl.DataFrame(rows, strict=False))
    assert math.isnan(last(rides, "last_fare", "p")) and last(rides, "last_fare", "q") is None
    # pandas has no NULL among its own doubles, and hands NaN over as NULL ...
    frame = pd.DataFrame({**rows, "ride_id": ["c", "d"], "rider_id": ["x", "y"]})
    rides.ingest("rides", frame)
    assert last(rides, "last_fare", "x") is None and last(rides, "last_fare", "y") is None
    # ... and has NaN for missing texts in dictionaries, where it is refused.
    record = frame.assign(rider_id=[None, None]).astype({"rider_id": object}).to_dict("records")[0]
    assert "rider_id" in rejected(rides, [{**record, "ride_id": "e", "rider_id": nan}])


@pytest.mark.parametrize("nothing", [None, pd.NA, pd.NaT], ids=repr)
def test_what_stands_for_nothing_is_null(rides, nothing):
    rides.ingest("rides", [ride(1, fare=nothing, paid=nothing, tip=nothing)])
    assert last(rides, "last_fare") is None and last(rides, "last_paid") is None


def test_decimals_are_exact(rides):
    rides.ingest("rides", [ride(1, paid=Decimal("0.10")), ride(2, paid="0.20"), ride(3, paid=3)])
    rides.expect("rider_rides:paid_7d", {"rider_id": "ada"}, "2026-01-04", Decimal("3.30"))
    assert str(last(rides, "last_paid", at="2026-01-04")) == "3.00"
    for wrong in (Decimal("0.001"), 0.1, Decimal(10**9)):
        assert "paid" in rejected(rides, [ride(4, paid=wrong)])


@pytest.mark.parametrize("text", ["", "ü 漢字 🦀", "x" * 2_000_000, "a\x00b", "line\nline"], ids=len)
def test_texts_come_back_as_they_are(rides, text):
    rides.ingest("rides", [ride(1, rider_id=text)])
    frame = pa.table({"rider_id": pa.array([text], pa.large_string())})
    found = rides.store.get(["rider_rides:rides_7d"], frame, as_of="2026-01-05")
    assert found.to_pylist()[0]["rider_id"] == text and found.scalar() == 1
    assert last(rides, "last_fare", text) == 11.0


def test_half_a_character_is_no_text(rides):
    with pytest.raises(evenkeel.InvalidError):
        rides.store.get("rider_model", {"rider_id": "\ud800"}, as_of=AT)


VECTORS = """
CREATE ENTITY item (item_id STRING);
CREATE STREAM items (
  item_id STRING, at_time TIMESTAMP, embedding FLOAT[3], tags STRING[], body BYTES, born DATE,
  EVENT TIME at_time
);
CREATE FEATURE VIEW item ENTITY item (item_id) AS
SELECT item_id, embedding, tags, body, born FROM items;
"""


def test_lists_vectors_bytes_and_dates(evenkeel_project):
    try:
        project = evenkeel_project(VECTORS)
    except evenkeel.DefinitionError:
        vectors = VECTORS.replace("FLOAT[3]", "VECTOR(FLOAT, 3)").replace("STRING[]", "ARRAY<STRING>")
        project = evenkeel_project(vectors)
    row = {"item_id": "i", "at_time": "2026-01-01", "embedding": [0.5, 1, np.float32(2.5)],
           "tags": ("a", None), "body": b"\x00\xff", "born": date(1815, 12, 10)}
    project.ingest("items", [row])
    project.ingest("items", [{**row, "item_id": "n", "embedding": np.array([0.5, 1, 2.5])}])
    for item in ("i", "n"):
        found = project.store.get(["item:*"], {"item_id": item}, as_of=AT).values.to_pylist()[0]
        assert found == {"embedding": [0.5, 1.0, 2.5], "tags": ["a", None],
                         "body": b"\x00\xff", "born": date(1815, 12, 10)}
    for wrong in ([0.5, 1], [0.5, 1, None], [0.5, 1, "2"], "x"):
        report = project.store.ingest("items", [{**row, "item_id": "w", "embedding": wrong}])
        assert sum(report.rejected.values()) == 1, wrong


def test_a_column_has_one_type(rides):
    spine = lambda *values: [{"rider_id": "ada", "event_time": AT, "x": x} for x in values]
    made = rides.store.train("rider_model", spine(1, 2.5, None))
    assert made.schema["x"] == "DOUBLE"
    assert made.schema["event_time"] == "STRING" and made.to_pylist()[2]["x"] is None
    with pytest.raises(evenkeel.InvalidError, match="row 1, column `x`: STRING in a column of BIGINT"):
        rides.store.train("rider_model", spine(1, "a"))
    with pytest.raises(evenkeel.InvalidError, match="with and without a zone"):
        rides.store.train("rider_model", spine(datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=BERLIN)))


def test_an_index_without_a_name_is_no_column(rides):
    rows = pd.DataFrame([ride(1), ride(2)]).assign(ride_at=pd.to_datetime(["2026-01-01", "2026-01-02"]))
    assert rides.ingest("rides", rows.sort_values("fare", ascending=False)).recorded == 2
    by_key = rows.set_index("rider_id")[[]]
    found = rides.store.get(["rider_rides:rides_7d"], by_key, as_of="2026-01-03")
    assert [row["rides_7d"] for row in found] == [2, 2]


def test_times_beyond_pythons_stay_in_arrow(evenkeel_project):
    project = evenkeel_project(RIDES)
    far = pa.table({"ride_id": ["x"], "rider_id": ["ada"], "ride_at": pa.array([-70_000_000_000_000_000], pa.timestamp("us", "UTC"))})
    report = project.store.ingest("rides", far)
    if report.recorded:
        found = project.store.get(["last_ride:last_at"], {"rider_id": "ada"}, as_of=AT)
        with pytest.raises(OverflowError):
            found.to_pylist()
    else:
        assert sum(report.rejected.values()) == 1
