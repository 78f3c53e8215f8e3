"""Benchmarks of derived streams: events that are logged, evaluated and emitted."""

import numpy
import pyarrow
import pyarrow.parquet

import measure
import scale
from measure import ROOT, evenkeel

PAYMENTS = 1_000_000
KEYS = 20_000
SHOPS = 1_000
DAY_US = 86_400 * 1_000_000

SOURCES = """
CREATE STREAM payments (
  id BIGINT NOT NULL, t TIMESTAMP, k BIGINT NOT NULL, shop BIGINT NOT NULL, amount DOUBLE, EVENT ID (id), EVENT TIME t
) WITH (connector = 'file', path = 'payments.parquet');
CREATE TABLE limits (k BIGINT NOT NULL, t TIMESTAMP, most DOUBLE, PRIMARY KEY (k), EVENT TIME t)
  WITH (connector = 'file', path = 'limits.parquet');
CREATE TABLE shops (shop BIGINT NOT NULL, t TIMESTAMP, risk DOUBLE, PRIMARY KEY (shop), EVENT TIME t)
  WITH (connector = 'file', path = 'shops.parquet');
"""
# What the stream reads of its sources is kept in both cases: else its indexes would be counted as its evaluation.
VIEWS = """
CREATE ENTITY customer (k BIGINT);
CREATE ENTITY place (shop BIGINT);
CREATE FEATURE VIEW spent ENTITY customer AS
SELECT k, count(*) OVER d AS n, sum(amount) OVER d AS day, sum(amount) OVER w AS week, max(amount) OVER m AS most
FROM payments WINDOW d AS (LAST 1 DAY), w AS (LAST 7 DAYS), m AS (LAST 30 DAYS);
CREATE FEATURE VIEW limit_now ENTITY customer AS SELECT k, most FROM limits;
CREATE FEATURE VIEW shop_now ENTITY place AS SELECT shop, risk FROM shops;
"""
STREAM = """
CREATE STREAM judged AS
SELECT p.id, p.k, p.amount, l.most AS allowed, s.risk, count(*) OVER d AS n, sum(p.amount) OVER d AS day,
  sum(p.amount) OVER w AS week, max(p.amount) OVER m AS most
FROM payments p ASOF JOIN limits l ON p.k = l.k ASOF JOIN shops s ON p.shop = s.shop
WINDOW d AS (PARTITION BY p.k LAST 1 DAY), w AS (PARTITION BY p.k LAST 7 DAYS), m AS (PARTITION BY p.k LAST 30 DAYS);
"""


def write_payments(file, count):
    draw = numpy.random.default_rng(5)
    times = numpy.sort(draw.integers(0, 90 * DAY_US, count)) + scale.START_US
    columns = {
        "id": numpy.arange(count),
        "t": pyarrow.array(times, pyarrow.timestamp("us", "UTC")),
        "k": draw.integers(0, KEYS, count),
        "shop": draw.integers(0, SHOPS, count),
        "amount": numpy.round(draw.random(count) * 100, 2),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), file)


def write_table(file, key, count, column):
    draw = numpy.random.default_rng(count)
    columns = {
        key: numpy.arange(count),
        "t": pyarrow.array(numpy.full(count, scale.START_US), pyarrow.timestamp("us", "UTC")),
        column: draw.random(count),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), file)


def emissions(factor):
    """A derived stream with two look-ups and four windows: payments logged, evaluated and emitted."""
    count = int(PAYMENTS * factor)
    report = {"payments": count}
    for name, more in (("logged", ""), ("logged and emitted", STREAM)):
        with scale.Store(SOURCES + VIEWS + more) as store:
            write_payments(store.folder / "payments.parquet", count)
            write_table(store.folder / "limits.parquet", "k", KEYS, "most")
            write_table(store.folder / "shops.parquet", "shop", SHOPS, "risk")
            store.begin()
            for table in ("limits", "shops"):
                evenkeel(store.folder, "ingest", table)
            command = [ROOT / "target/release/evenkeel", "--dir", store.folder, "ingest", "payments", "--json"]
            spent = measure.spent_by(command)
            spent["events_per_second"] = count / spent["wall_seconds"]
            report[name] = spent
    alone, both = (report[name] for name in ("logged", "logged and emitted"))
    difference = {what: both[what] - alone[what] for what in ("cpu_seconds", "wall_seconds")}
    # The stream by itself, with its own log, its syncs and its hot tier.
    report["emitted"] = {**difference, "events_per_second": count / difference["wall_seconds"]}
    return report


ALL = {"emissions": emissions}
