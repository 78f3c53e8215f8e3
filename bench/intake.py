"""Benchmarks of taking events in: how it grows with keys and late events, what the hot tier takes
on the disk, and what one core does to an event without files.
"""

import os
import pathlib

import numpy
import pyarrow
import pyarrow.parquet

import measure
import scale
import transactions
from measure import ROOT

DAY_US = 86_400 * 1_000_000
EVENTS = 1_000_000
KEYS = (10_000, 100_000, 1_000_000, 10_000_000)
LATE = (0, 0.01, 0.3)
KEYS_WHERE_LATE = 100_000

WINDOWS = """
CREATE ENTITY customer (k BIGINT);
CREATE STREAM payments (
  id BIGINT NOT NULL, t TIMESTAMP, k BIGINT NOT NULL, amount DOUBLE, EVENT ID (id), EVENT TIME t
) WITH (connector = 'file', path = 'payments.parquet');
CREATE FEATURE VIEW payments_of_customer ENTITY customer (k) AS
SELECT k, {columns} FROM payments
WINDOW w1 AS (LAST 1 DAY), w7 AS (LAST 7 DAYS), w30 AS (LAST 30 DAYS);
"""
CALLS = ("count(*)", "sum(amount)", "min(amount)", "max(amount)")


def write_payments(file, count, keys, late):
    """In the order of arrival: of `late` of them up to a day after they happened."""
    draw = numpy.random.default_rng(3)
    times = numpy.sort(draw.integers(0, scale.YEAR_US, count)) + scale.START_US
    delays = draw.integers(0, DAY_US, count) * (draw.random(count) < late)
    order = numpy.argsort(times + delays, kind="stable")
    # Every key occurs, if there are as many payments.
    owners = numpy.where(numpy.arange(count) < keys, numpy.arange(count), draw.integers(0, keys, count))
    draw.shuffle(owners)
    columns = {
        "id": numpy.arange(count)[order],
        "t": pyarrow.array(times[order], pyarrow.timestamp("us", "UTC")),
        "k": owners[order],
        "amount": numpy.round(draw.random(count) * 100, 2)[order],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), file)


def ingest_growth(factor):
    """Parquet to the durable hot tier: 10,000 to 10 M keys, late events. 10 M from `--scale 10` on."""
    columns = ", ".join(f"{call} OVER w{days}" for call in CALLS for days in scale.DAYS)
    named = ", ".join(
        f"{part} AS c{number}" for number, part in enumerate(columns.split(", "))
    )
    count = int(EVENTS * factor)
    cases = [(keys, 0) for keys in KEYS if keys <= count]
    cases += [(KEYS_WHERE_LATE, late) for late in LATE if late]
    report = {"events": count}
    with scale.Store(WINDOWS.format(columns=named)) as store:
        for keys, late in cases:
            write_payments(store.folder / "payments.parquet", count, keys, late)
            store.begin()
            command = [ROOT / "target/release/evenkeel", "--dir", store.folder, "ingest", "--json"]
            spent = measure.spent_by(command)
            spent["events_per_second"] = count / spent["wall_seconds"]
            report[f"{keys:,} keys, {late:.0%} late"] = spent
    return report


def hot_bytes(factor):
    """Bytes of the hot tier per (event, entity) of payments: of rows, and of its files."""
    measure.cargo("build", "--release", "-p", "evenkeel-store", "--example", "hot_bytes")
    given = os.environ.get("EVENKEEL_TRANSACTIONS")
    parts = {
        key: ", ".join(
            f"{call} OVER w{days} AS {name.format(days)}"
            for name, call in calls.items()
            for days in scale.DAYS
        )
        for key, calls in scale.TWELVE.items()
    }
    with scale.Store(scale.WINDOWS.format(**parts)) as store:
        file = store.folder / "transactions.parquet"
        if given:
            os.symlink(pathlib.Path(given).resolve(), file)
            events = pyarrow.parquet.read_metadata(file).num_rows
        else:
            events = transactions.write(file, int(1_500 * factor), int(3_000 * factor))
        store.fill()
        folder = store.folder / ".evenkeel"
        example = ROOT / "target/release/examples/hot_bytes"
        found = {}
        for line in measure.run(example, folder).splitlines():
            space, rows, keys, values = line.split()
            found[space] = {"rows": int(rows), "bytes": int(keys) + int(values)}
        pairs = events * len(scale.TWELVE)
        blocks = sum(found[space]["bytes"] for space in ("runs", "blocks"))
        files = sum(f.stat().st_size for f in (folder / "hot").rglob("*") if f.is_file())
        log = sum(f.stat().st_size for f in (folder / "log").rglob("*") if f.is_file())
        return {
            "events": events,
            "bytes_per_event_and_entity": blocks / pairs,
            "identity_bytes_per_event": found["identities"]["bytes"] / events,
            "hot_file_bytes_per_event": files / events,
            "log_bytes_per_event": log / events,
            **found,
        }


def apply_kernel(factor):
    """One core, three windows x count, sum, min, max, 300,000 keys: ns per event, no peer."""
    measure.cargo("build", "--release", "-p", "evenkeel-store", "--example", "apply_kernel")
    example = ROOT / "target/release/examples/apply_kernel"
    events, keys = int(2_000_000 * factor), int(300_000 * factor)
    least = {}
    for _ in range(measure.REPEATS):
        for line in measure.run(example, events, keys).splitlines():
            name, nanoseconds = line.split()
            least[name] = min(least.get(name, float("inf")), float(nanoseconds))
    report = {"events": events, "keys": keys}
    for name, nanoseconds in least.items():
        report[name] = {"ns_per_event": nanoseconds, "events_per_second": 1e9 / nanoseconds}
    return report


ALL = {"ingest_growth": ingest_growth, "hot_bytes": hot_bytes, "apply_kernel": apply_kernel}
