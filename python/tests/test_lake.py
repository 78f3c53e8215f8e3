"""What other tools read in the lake is what was logged, and what features are computed from."""

from __future__ import annotations

import json
import math
import os
import subprocess
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import deltalake
import duckdb
import polars as pl
import pytest

import evenkeel

BINARY = os.environ["EVENKEEL_BINARY"]
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
EVENTS = 500
# Delta allows no blanks in names.
FARE = "Fare%20€"

DEFINITIONS = """
CREATE ENTITY rider (rider_id STRING);
CREATE STREAM rides (
  ride_id STRING NOT NULL, rider_id STRING, "Fare €" DOUBLE, seats INT, metres BIGINT, tip FLOAT,
  paid DECIMAL(10, 2), pooled BOOLEAN, day DATE, tags ARRAY<STRING>, place FLOAT[2], raw BYTES, ride_at TIMESTAMP,
  EVENT ID (ride_id), EVENT TIME ride_at, KNOWN AT ride_at
);
CREATE FEATURE VIEW rider_rides ENTITY rider (rider_id) AS
SELECT rider_id, count(*) OVER whole AS rides, sum("Fare €") OVER whole AS fares, max(seats) OVER whole AS seats_max
FROM rides WINDOW whole AS (ALL HISTORY);
CREATE FEATURE SERVICE model AS rider_rides (*);
"""


def rides():
    for number in range(EVENTS):
        at = START + timedelta(minutes=7 * number, microseconds=number)
        yield {
            "ride_id": f"r-{number}",
            "rider_id": ["ada", "bob", None][number % 3],
            "Fare €": None if number % 11 == 0 else number / 4,
            "seats": number % 5,
            "metres": 2**53 + number,
            "tip": number / 8,
            "paid": Decimal(number) / 100,
            "pooled": number % 2 == 0,
            "day": at.date(),
            "tags": [f"t{number % 4}", None] if number % 7 else [],
            "place": [number / 2, -1.5],
            "raw": bytes([number % 256, 0]),
            "ride_at": at,
        }


def command(folder, *arguments):
    done = subprocess.run(
        [BINARY, *arguments, "--dir", str(folder), "--json"], check=True, capture_output=True
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A project whose events were flushed in two parts, the folder of the table, and the events."""
    folder = tmp_path_factory.mktemp("lake")
    (folder / "rides.sql").write_text(DEFINITIONS)
    command(folder, "apply")
    events = list(rides())
    for part in (events[:300], events[300:]):
        with evenkeel.open(folder) as store:
            assert store.ingest("rides", part).recorded == len(part)
        report = command(folder, "flush")
        assert [source["events"] for source in report["sources"]] == [len(part)]
    return folder, folder / ".evenkeel" / "lake" / "rides", events


def test_the_whole_event_set_is_there_in_exact_types(lake):
    _, table, events = lake
    rows = deltalake.DeltaTable(table).to_pyarrow_table().sort_by("_offset")
    assert rows["_offset"].to_pylist() == list(range(EVENTS))
    for name in events[0]:
        column = {"Fare €": FARE}.get(name, name)
        assert rows[column].to_pylist() == [event[name] for event in events], name
    assert rows["_event_time"].to_pylist() == [event["ride_at"] for event in events]
    assert rows["_visible_at"].to_pylist() == [event["ride_at"] for event in events]
    assert set(rows["_operation"].to_pylist()) == {"insert"}
    buckets = rows["_bucket"].to_pylist()
    by_rider = {event["rider_id"]: bucket for event, bucket in zip(events, buckets)}
    assert by_rider[None] == -1 and len(set(by_rider.values())) == 3
    assert all(by_rider[e["rider_id"]] == bucket for e, bucket in zip(events, buckets))


def test_readers_agree_with_each_other_and_with_the_features(lake):
    folder, table, events = lake
    at = START + timedelta(days=1, hours=3, microseconds=17)
    with evenkeel.open(folder) as store:
        answer = store.get("model", [{"rider_id": "ada"}, {"rider_id": "bob"}], as_of=at)
        features = [(row["rides"], row["fares"], row["seats_max"]) for row in answer]
    assert sum(rides for rides, _, _ in features) > 100

    lazy = pl.scan_delta(str(table)).filter(pl.col("_event_time") <= at)
    grouped = lazy.group_by("rider_id").agg(
        pl.len().alias("n"), pl.col(FARE).sum().alias("fares"), pl.col("seats").max().alias("s")
    )
    by_rider = {row["rider_id"]: row for row in grouped.collect().to_dicts()}
    polars = [tuple(by_rider[rider][name] for name in ("n", "fares", "s")) for rider in ("ada", "bob")]

    frame = deltalake.DeltaTable(table).to_pandas()
    frame = frame[frame["_event_time"] <= at].groupby("rider_id")
    pandas = [
        (len(frame.get_group(r)), math.fsum(frame.get_group(r)[FARE].dropna()), frame.get_group(r)["seats"].max())
        for r in ("ada", "bob")
    ]

    dataset = deltalake.DeltaTable(table).to_pyarrow_dataset()
    duck = duckdb.execute(
        f"""SELECT count(*), sum("{FARE}"), max(seats) FROM dataset
           WHERE _event_time <= ? AND rider_id IS NOT NULL GROUP BY rider_id ORDER BY rider_id""",
        [at],
    ).fetchall()
    assert features == polars == pandas == duck


def test_statistics_let_readers_skip_files(lake):
    _, table, events = lake
    delta = deltalake.DeltaTable(table)
    assert len(delta.file_uris()) == 2
    actions = delta.get_add_actions(flatten=True)
    rows = [dict(zip(actions.schema.names, values)) for values in zip(*(
        actions.column(i).to_pylist() for i in range(len(actions.schema.names))
    ))]
    assert sorted(row["num_records"] for row in rows) == [200, 300]
    first = min(rows, key=lambda row: row["min._event_time"])
    assert first["min._event_time"] == events[0]["ride_at"]
    assert first["max._event_time"] == events[299]["ride_at"]


def test_training_is_the_same_and_maintenance_keeps_pinned_versions(lake):
    folder, table, _ = lake
    spine = "SELECT rider_id, ride_id FROM rides"
    train = lambda name: command(
        folder, "train", "model", "--spine", spine, "--out", str(folder / name)
    )["digest"]
    digest = train("a.parquet")
    pinned = command(folder, "lake", "--pin", "before")["pins"]["before"]["rides"]
    done = command(folder, "lake", "--maintain")
    assert done["maintained"][0]["compacted"] == 2 and done["maintained"][0]["removed"] == 0
    assert train("b.parquet") == digest
    assert deltalake.DeltaTable(table, version=pinned).to_pyarrow_table().num_rows == EVENTS
    command(folder, "lake", "--unpin", "before")
    assert command(folder, "lake", "--maintain")["maintained"][0]["removed"] == 2
    assert deltalake.DeltaTable(table).to_pyarrow_table().num_rows == EVENTS
    assert train("c.parquet") == digest
    # Without the lake the log answers the same.
    (folder / ".evenkeel" / "lake").rename(folder / "elsewhere")
    assert train("d.parquet") == digest
