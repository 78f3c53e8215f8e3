"""Any data frame in, any data frame out, and the same values whichever it is."""

from __future__ import annotations

import math
import struct
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import RIDES, ride

import evenkeel

ROWS = [
    ride(1, fare=1.25, tip=0.5, seats=2, paid=Decimal("1.75")),
    ride(2, rider_id="bob", fare=None, tip=None, seats=None, paid=None),
    ride(3, fare=0.1, tip=0.25, seats=4, paid=Decimal("0.35")),
    ride(4, rider_id=None, city_id=None, fare=7.5, tip=1.0, seats=1, paid=Decimal("8.50")),
]
TIMES = [datetime(2026, 1, day, 12, tzinfo=timezone.utc) for day in (1, 2, 3, 4)]


def arrow_table():
    column = lambda name: [row[name] for row in ROWS]
    return pa.table(
        {
            "ride_id": column("ride_id"),
            "rider_id": column("rider_id"),
            "city_id": pa.array(column("city_id"), pa.int64()),
            "fare": pa.array(column("fare"), pa.float64()),
            "tip": pa.array(column("tip"), pa.float32()),
            "seats": pa.array(column("seats"), pa.int32()),
            "paid": pa.array(column("paid"), pa.decimal128(10, 2)),
            "ride_at": pa.array(TIMES, pa.timestamp("us", "UTC")),
        }
    )


class OnlyArray:
    """What has the interface of one record batch alone."""

    def __init__(self, batch):
        self.batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self.batch.__arrow_c_array__(requested_schema)


def relation(given):
    """A relation of DuckDB, which finds the rows by their variable's name."""
    return duckdb.sql("SELECT * FROM given")


FRAMES = {
    "dictionaries": lambda: ROWS,
    "pyarrow table": arrow_table,
    "pyarrow batch": lambda: arrow_table().to_batches()[0],
    "pyarrow in pieces": lambda: pa.concat_tables([arrow_table()[:1], arrow_table()[1:]]),
    "array interface": lambda: OnlyArray(arrow_table().to_batches()[0]),
    "pandas": lambda: arrow_table().to_pandas(types_mapper=pd.ArrowDtype),
    "Polars": lambda: pl.DataFrame(arrow_table()),
    "DuckDB": lambda: relation(arrow_table()),
    "dictionary columns": lambda: arrow_table().set_column(
        1, "rider_id", arrow_table()["rider_id"].dictionary_encode()
    ),
    "large strings": lambda: arrow_table().set_column(
        1, "rider_id", arrow_table()["rider_id"].cast(pa.large_string())
    ),
    "string views": lambda: arrow_table().set_column(
        1, "rider_id", arrow_table()["rider_id"].cast(pa.string_view())
    ),
    "narrow integers": lambda: arrow_table().set_column(
        2, "city_id", arrow_table()["city_id"].cast(pa.int8())
    ),
    "milliseconds": lambda: arrow_table().set_column(
        7, "ride_at", arrow_table()["ride_at"].cast(pa.timestamp("ms", "Europe/Berlin"))
    ),
    "times without a zone": lambda: arrow_table().set_column(
        7, "ride_at", arrow_table()["ride_at"].cast(pa.timestamp("us"))
    ),
}


def answers(project):
    return project.store.get(
        "model",
        [{"rider_id": "ada", "city_id": 7}, {"rider_id": "bob", "city_id": 9}],
        as_of="2026-01-05",
    )


@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_gives_the_same_answers(evenkeel_project, rides, kind):
    rides.ingest("rides", ROWS)
    report = rides.ingest("rides", FRAMES[kind]())
    assert (report.recorded, report.duplicates, report.conflicts) == (0, 4, 0), "the same events"
    other = evenkeel_project(RIDES)
    report = other.ingest("rides", FRAMES[kind]())
    assert (report.rows, report.recorded) == (4, 4)
    assert answers(other).values.digest() == answers(rides).values.digest()
    found = answers(other).to_pylist()
    assert found[0]["rides_7d"] == 2
    assert found[0]["paid_7d"] == Decimal("2.10")
    assert found[0]["last_rides"] == ["r-1", "r-3"]
    assert found[1]["fares_7d"] is None and found[1]["fares_7d__status"] == "NULL_VALUE"


@pytest.mark.parametrize("kind", ["pyarrow", "pandas", "Polars", "DuckDB", "dictionaries"])
def test_entities_come_back_beside_their_features(rides, kind):
    rides.ingest("rides", ROWS)
    keys = pa.table({"city_id": [7, 9, 7], "rider_id": ["ada", "zoe", "bob"]})
    given = {
        "pyarrow": lambda: keys,
        "pandas": keys.to_pandas,
        "Polars": lambda: pl.DataFrame(keys),
        "DuckDB": lambda: relation(keys),
        "dictionaries": keys.to_pylist,
    }[kind]()
    found = rides.store.get("model", given, as_of="2026-01-05T00:00:00+01:00")
    assert found.as_of == datetime(2026, 1, 4, 23, tzinfo=timezone.utc)
    assert found.cut == "rides/0@4"
    assert len(found) == 3
    assert sorted(found.entities.columns) == ["city_id", "rider_id"]
    assert found.to_arrow()["rider_id"].to_pylist() == ["ada", "zoe", "bob"]
    assert found.to_arrow()["rides_7d"].to_pylist() == [2, 0, 1]
    assert found.statuses.to_pylist()[1]["last_fare__status"] == "NOT_FOUND"
    assert found.event_times.to_pylist()[0]["last_fare__event_time"] == TIMES[2]
    assert found.values.columns == found.features


def test_results_go_everywhere(rides):
    rides.ingest("rides", ROWS)
    found = answers(rides)
    frame = found.to_arrow()
    assert frame.schema.field("tip_max_7d").type == pa.float32()
    assert frame.schema.field("last_at").type == pa.timestamp("us", "UTC")
    assert found.to_polars().equals(pl.DataFrame(frame))
    assert list(found.to_pandas()["rider_id"]) == ["ada", "bob"]
    assert list(pd.DataFrame.from_arrow(found)["rides_7d"]) == [2, 1]
    assert duckdb.sql("SELECT sum(rides_7d) FROM found").fetchall() == [(3,)]
    # A result can be read as often as one likes, and goes in again.
    assert pa.table(found).equals(frame)
    again = rides.store.get("model", found.entities, as_of=found.as_of, cut=found.cut)
    assert again.digest() == found.digest()
    assert [row["rider_id"] for row in found] == ["ada", "bob"]
    assert "rider_id" in repr(found) and found.schema["rides_7d"] == "BIGINT"


def test_nothing_is_copied_on_the_way_through(rides):
    spine = pa.table(
        {"rider_id": ["ada"] * 1000, "event_time": pa.array([TIMES[3]] * 1000), "x": range(1000)}
    )
    made = rides.store.train("rider_model", spine).to_arrow()
    address = lambda table: table["x"].chunk(0).buffers()[1].address
    assert address(made) == address(spine)


def test_a_stream_is_taken_once_and_released(rides):
    keys = pa.table({"rider_id": ["ada"]})
    capsule = keys.__arrow_c_stream__()
    evenkeel._evenkeel.Table.from_arrow_stream(capsule)
    with pytest.raises(evenkeel.InvalidError, match="cannot be taken over"):
        evenkeel._evenkeel.Table.from_arrow_stream(capsule)
    for _ in range(200):
        rides.store.get("rider_model", keys, as_of="2026-01-05").__arrow_c_stream__()
    # A capsule that nobody reads is released with it; one of another kind is refused.
    with pytest.raises(ValueError):
        evenkeel._evenkeel.Table.from_arrow_stream(keys.schema.__arrow_c_schema__())


def bits(value):
    return struct.pack("<d", value) if isinstance(value, float) else value


@pytest.mark.parametrize("knowledge", ["latest", "as_served"])
def test_train_equals_get_to_the_last_bit(rides, knowledge):
    random = np.random.default_rng(7)
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    events = [
        ride(
            i,
            rider_id=str(random.choice(["ada", "bob", "eve"])),
            city_id=int(random.integers(1, 4)),
            fare=float(random.normal(10, 1e3)) if random.random() > 0.1 else None,
            tip=float(np.float32(random.random())),
            paid=Decimal(int(random.integers(-9999, 9999))) / 100,
            ride_at=start + timedelta(minutes=int(random.integers(0, 20_000))),
        )
        for i in range(400)
    ]
    rides.ingest("rides", events)
    # Neither sorted nor free of repetitions, at and between events, with unknown keys.
    spine = [
        {
            "rider_id": str(random.choice(["ada", "bob", "eve", "zoe"])),
            "city_id": int(random.integers(1, 5)),
            "event_time": events[int(random.integers(0, 400))]["ride_at"]
            + timedelta(microseconds=int(random.integers(-1, 2))),
        }
        for _ in range(60)
    ]
    spine += spine[:5]
    made = rides.store.train("model", spine, knowledge=knowledge, statuses=True)
    rows = made.to_pylist()
    assert [row["event_time"] for row in rows] == [row["event_time"] for row in spine]
    names = [feature.name for feature in made.features]
    for row, wanted in zip(rows, spine):
        at = wanted["event_time"]
        found = rides.store.get(
            "model",
            {"rider_id": wanted["rider_id"], "city_id": wanted["city_id"]},
            as_of=at,
            known_at=at if knowledge == "as_served" else None,
            cut=made.cut,
        ).to_pylist()[0]
        for name in names:
            assert bits(row[name]) == bits(found[name]), name
            assert row[f"{name}__status"] == found[f"{name}__status"], name
    again = rides.store.train("model", spine, knowledge=knowledge, statuses=True, cut=made.cut)
    assert again.values_digest == made.values_digest
    assert any(row["rides_7d"] > 0 for row in rows)
    assert not any(isinstance(row["fares_7d"], float) and math.isnan(row["fares_7d"]) for row in rows)


def test_a_spine_keeps_its_rows_columns_and_order(rides):
    rides.ingest("rides", ROWS)
    frame = pd.DataFrame(
        {
            "rider_id": pd.Categorical(["bob", "ada", "bob", "ada"]),
            "at": pd.to_datetime(["2026-01-05", "2026-01-02", "2026-01-05", "2026-01-04"]),
            "label": [1, 0, 1, 0],
        },
        index=[9, 4, 9, 1],
    )
    made = rides.store.train("rider_model", frame, time_column="at").to_pandas()
    assert list(made.columns[:3]) == ["rider_id", "at", "label"]
    assert list(made["rider_id"]) == ["bob", "ada", "bob", "ada"]
    assert made["rider_id"].dtype == "category"
    assert list(made["rides_7d"]) == [1, 1, 1, 2]


def test_a_spine_may_be_a_file_or_a_query_with_a_label(rides, tmp_path):
    import pyarrow.parquet

    rides.ingest("rides", ROWS)
    spine = pa.table({"rider_id": ["ada"], "event_time": pa.array([TIMES[3]])})
    pyarrow.parquet.write_table(spine, tmp_path / "spine.parquet")
    of_file = rides.store.train("rider_model", tmp_path / "spine.parquet")
    assert of_file.values_digest == rides.store.train("rider_model", spine).values_digest
    query = "SELECT rider_id, ride_id, LABEL last_fare AS next_fare FROM last_ride WITHIN INTERVAL '2' DAY FROM rides"
    try:
        made = rides.store.train("rider_model", query)
    except evenkeel.DefinitionError:
        query = query.replace(" AS next_fare", "")
        made = rides.store.train(["rider_rides:rides_7d"], query)
    assert [label.name for label in made.labels]
    assert len(made) == 4 and made.coincident == {"rides": 3}


def test_empty_frames_have_empty_answers(rides):
    rides.ingest("rides", ROWS)
    for nothing in [
        [],
        pa.table({"rider_id": pa.array([], pa.string())}),
        pd.DataFrame({"rider_id": pd.Series([], dtype="str")}),
        pl.DataFrame({"rider_id": []}, schema={"rider_id": pl.String}),
    ]:
        found = rides.store.get("rider_model", nothing, as_of="2026-01-05")
        assert len(found) == 0 and "rides_7d" in found.columns
        assert found.to_pylist() == []
        assert len(found.to_arrow()) == 0
    assert rides.store.ingest("rides", []).rows == 0
    assert rides.store.ingest("rides", arrow_table()[:0]).rows == 0
    empty = arrow_table().select(["rider_id", "ride_at"])[:0]
    assert len(rides.store.train("rider_model", empty, time_column="ride_at")) == 0


def test_a_big_frame_is_logged_in_commits(rides):
    count = 40_000
    rows = pa.table(
        {
            "ride_id": [str(i) for i in range(count)],
            "rider_id": ["ada"] * count,
            "fare": pa.array([None if i % 7 == 0 else i / 3 for i in range(count)], pa.float64()),
            "seats": pa.array([2**40 if i == 20_000 else 1 for i in range(count)], pa.int64()),
            "ride_at": pa.array([TIMES[0] + timedelta(seconds=i) for i in range(count)]),
        }
    )
    report = rides.store.ingest("rides", rows)
    assert (report.rows, report.recorded, report.rejected) == (count, count - 1, {"DECODE": 1})
    assert report.first_rejected.startswith("row 20000: column `seats`")
    rides.expect("rider_rides:rides_7d", {"rider_id": "ada"}, at="2026-01-03", value=count - 1)
    wanted = math.fsum(i / 3 for i in range(count) if i % 7 and i != 20_000)
    rides.expect("rider_rides:fares_7d", {"rider_id": "ada"}, at="2026-01-03", value=wanted)
