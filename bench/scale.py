"""Benchmarks of training sets by size: as-of joins and windows, beside DuckDB and Polars.

Each side starts from files on disk and ends with a Parquet file: Evenkeel from its own log, the
others from Parquet. Sizes grow with `--scale`. What both count is compared before anything is
printed.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import duckdb
import numpy
import pyarrow
import pyarrow.parquet

import measure
import transactions
from measure import ROOT, evenkeel

YEAR_US = 365 * 86_400 * 1_000_000
START_US = 1_600_000_000 * 1_000_000
KEYS_PER_EVENT = 100

PROJECT = 'name = "scale"\ndefinitions = ["definitions.sql"]\n\n[store]\npath = ".evenkeel"\n'


class Store:
    """A project of the given definitions in a folder that is deleted at the end."""

    def __init__(self, definitions):
        self.definitions = definitions

    def __enter__(self):
        measure.cargo("build", "--release", "--package", "evenkeel")
        self.temporary = tempfile.TemporaryDirectory(prefix="evenkeel-bench-")
        self.folder = pathlib.Path(self.temporary.name)
        (self.folder / "evenkeel.toml").write_text(PROJECT)
        (self.folder / "definitions.sql").write_text(self.definitions)
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def begin(self):
        shutil.rmtree(self.folder / ".evenkeel", ignore_errors=True)
        evenkeel(self.folder, "apply")

    def fill(self):
        self.begin()
        evenkeel(self.folder, "ingest")


def write_events(file, count, keys, columns, seed, shuffled, compression="snappy"):
    """Rows of a key, a time and doubles, in the order of time or shuffled."""
    draw = numpy.random.default_rng(seed)
    times = numpy.sort(draw.integers(0, YEAR_US, count)) + START_US
    order = draw.permutation(count) if shuffled else slice(None)
    arrays = {
        "k": draw.integers(0, keys, count)[order],
        "t": pyarrow.array(times[order], pyarrow.timestamp("us", "UTC")),
        **{name: draw.random(count)[order] for name in columns},
    }
    pyarrow.parquet.write_table(pyarrow.table(arrays), file, compression=compression)


def write_spine(file, count, keys, seed):
    draw = numpy.random.default_rng(seed)
    times = draw.integers(0, YEAR_US, count) + START_US
    arrays = {
        "k": draw.integers(0, keys, count),
        "event_time": pyarrow.array(times, pyarrow.timestamp("us", "UTC")),
        "id": numpy.arange(count),
    }
    pyarrow.parquet.write_table(pyarrow.table(arrays), file)


def source(name, columns):
    doubles = ", ".join(f"{column} DOUBLE" for column in columns)
    return f"""
CREATE STREAM {name} (k BIGINT NOT NULL, t TIMESTAMP, {doubles}, EVENT TIME t)
  WITH (connector = 'file', path = '{name}.parquet');
CREATE FEATURE VIEW {name}_latest ENTITY customer (k) AS SELECT k, {", ".join(columns)} FROM {name};
"""


def polars(code, *arguments):
    """Runs Polars in a process of its own, as Evenkeel runs: its threads are those of the machine."""
    command = [sys.executable, "-c", "import sys, polars as pl\n" + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: polars failed\n{done.stderr}")


def sums(file, columns):
    """What is compared: how many values there are, and their sum to a millionth."""
    parts = ", ".join(f"count({c}), round(sum({c}), 3)" for c in columns)
    return duckdb.connect().execute(f"SELECT count(*), {parts} FROM '{file}'").fetchone()


def report(rows, sides, peers, **more):
    """One object: ours, the best peer, and the rest."""
    best = min(peers, key=lambda name: sides[name]["cpu_seconds"])
    ours, theirs = sides["evenkeel"]["cpu_seconds"], sides[best]["cpu_seconds"]
    ratios = {
        f"ratio_{name}": sides[name]["cpu_seconds"] / ours for name in peers if name != best
    }
    return {
        "rows": rows,
        "ours_cpu_s": ours,
        "peer": best,
        "peer_cpu_s": theirs,
        "ratio": theirs / ours,
        **ratios,
        **more,
        **sides,
    }


def join(scale, views, spine_rows, event_rows, shuffled, at_rest=False):
    spine_rows, event_rows = int(spine_rows * scale), int(event_rows * scale)
    keys = max(event_rows // KEYS_PER_EVENT, 1)
    columns = {f"v{view}": [f"c{view}_{i}" for i in range(4 if views == 1 else 1)] for view in range(views)}
    definitions = "CREATE ENTITY customer (k BIGINT);" + "".join(
        source(name, names) for name, names in columns.items()
    )
    items = ", ".join(f"{name}_latest (*)" for name in columns)
    with Store(f"{definitions}\nCREATE FEATURE SERVICE latest AS {items};") as store:
        folder = store.folder
        spine = folder / "spine.parquet"
        write_spine(spine, spine_rows, keys, 7)
        for seed, (name, names) in enumerate(columns.items()):
            file = folder / f"{name}.parquet"
            write_events(file, event_rows, keys, names, seed, shuffled, "zstd" if at_rest else "snappy")
        store.fill()
        if at_rest:
            evenkeel(folder, "flush")
            evenkeel(folder, "log", "truncate")
        out = {name: folder / f"{name}-out.parquet" for name in ("ours", "duckdb", "polars")}

        def ours():
            evenkeel(folder, "train", "latest", "--spine", spine, "--out", out["ours"])

        def with_duckdb():
            joins = " ".join(
                f"ASOF LEFT JOIN '{folder}/{name}.parquet' {name}"
                f" ON s.k = {name}.k AND s.event_time >= {name}.t"
                for name in columns
            )
            values = ", ".join(f"{n}.{c}" for n, names in columns.items() for c in names)
            query = f"SELECT s.*, {values} FROM '{spine}' s {joins}"
            duckdb.connect().execute(f"COPY ({query}) TO '{out['duckdb']}'")

        def with_polars():
            polars(
                """
folder, spine, out, *names = sys.argv[1:]
rows = pl.read_parquet(spine).sort("event_time")
for name in names:
    events = pl.read_parquet(f"{folder}/{name}.parquet").sort("t")
    rows = rows.join_asof(events, left_on="event_time", right_on="t", by="k", check_sortedness=False)
    rows = rows.drop("t", strict=False)
rows.write_parquet(out)
""",
                folder,
                spine,
                out["polars"],
                *columns,
            )

        nothing = lambda: None  # noqa: E731
        sides = measure.in_turns(
            evenkeel=(nothing, ours), duckdb=(nothing, with_duckdb), polars=(nothing, with_polars)
        )
        names = [c for names in columns.values() for c in names]
        counted = {name: sums(file, names) for name, file in out.items()}
        # Among events of one key and time both may choose another: none here.
        if len(set(counted.values())) != 1:
            raise SystemExit(f"error: the sides count {counted}")
        return report(
            spine_rows, sides, ["duckdb", "polars"], events=event_rows * views, keys=keys
        )


def asof(scale):
    """As-of join of 100,000 rows to 1,000,000 shuffled rows with four values, 10,000 keys."""
    return join(scale, 1, 100_000, 1_000_000, True)


def asof_ordered(scale):
    """The same as-of join to rows that were logged in the order of time."""
    return join(scale, 1, 100_000, 1_000_000, False)


def five_views(scale):
    """Five views of 200,000 rows each for 100,000 rows, against five chained ASOF joins."""
    return join(scale, 5, 100_000, 200_000, False)


def five_views_at_rest(scale):
    """The same, from zstd Parquet: the lake, with the log truncated, against the same rows in files."""
    return join(scale, 5, 100_000, 200_000, False, at_rest=True)


WINDOWS = """
CREATE ENTITY customer (customer_id BIGINT);
CREATE ENTITY terminal (terminal_id BIGINT);
CREATE STREAM transactions (
  transaction_id BIGINT NOT NULL, tx_datetime TIMESTAMP, customer_id BIGINT NOT NULL,
  terminal_id BIGINT NOT NULL, tx_amount DOUBLE, tx_fraud BIGINT,
  EVENT ID (transaction_id), EVENT TIME tx_datetime, KNOWN AT tx_datetime
) WITH (connector = 'file', path = 'transactions.parquet');
CREATE FEATURE VIEW customer_windows ENTITY customer (customer_id) AS SELECT customer_id, {customer}
  FROM transactions WINDOW w1 AS (LAST 1 DAY), w7 AS (LAST 7 DAYS), w30 AS (LAST 30 DAYS);
CREATE FEATURE VIEW terminal_windows ENTITY terminal (terminal_id) AS SELECT terminal_id, {terminal}
  FROM transactions WINDOW w1 AS (LAST 1 DAY), w7 AS (LAST 7 DAYS), w30 AS (LAST 30 DAYS);
CREATE FEATURE SERVICE windows AS customer_windows (*), terminal_windows (*);
"""
DAYS = (1, 7, 30)
TWELVE = {
    "customer": {"customer_count_{}": "count(*)", "customer_avg_{}": "avg(tx_amount)"},
    "terminal": {"terminal_count_{}": "count(*)", "terminal_risk_{}": "avg(tx_fraud)"},
}


def windows(scale):
    """Training set of 12 exact window features of card payments, a row per payment.

    The payments are generated, or those of the file that `EVENKEEL_TRANSACTIONS` names: then the join over
    the range is left out, which takes minutes where there are millions.
    """
    parts = {
        key: ", ".join(
            f"{call} OVER w{days} AS {name.format(days)}"
            for name, call in calls.items()
            for days in DAYS
        )
        for key, calls in TWELVE.items()
    }
    with Store(WINDOWS.format(**parts)) as store:
        file = store.folder / "transactions.parquet"
        given = os.environ.get("EVENKEEL_TRANSACTIONS")
        if given:
            os.symlink(pathlib.Path(given).resolve(), file)
            rows = pyarrow.parquet.read_metadata(file).num_rows
        else:
            rows = transactions.write(file, int(1_500 * scale), int(3_000 * scale))
        store.fill()
        out = {n: store.folder / f"{n}-out.parquet" for n in ("evenkeel", "frames", "joins")}

        def ours():
            evenkeel(store.folder, "train", "windows", "--spine", file, "--out", out["evenkeel"])

        def frames():
            columns = [
                f"{call} OVER {key}_{days} AS {name.format(days)}"
                for key, calls in TWELVE.items()
                for name, call in calls.items()
                for days in DAYS
            ]
            named = [
                f"{key}_{days} AS (PARTITION BY {key}_id ORDER BY tx_datetime"
                f" RANGE BETWEEN INTERVAL {days} DAY PRECEDING AND CURRENT ROW)"
                for key in TWELVE
                for days in DAYS
            ]
            query = f"SELECT *, {', '.join(columns)} FROM '{file}' WINDOW {', '.join(named)}"
            duckdb.connect().execute(f"COPY ({query}) TO '{out['frames']}'")

        def joins():
            aggregated = " ".join(
                f"""JOIN (SELECT s.transaction_id AS id, {", ".join(
                    f"{call.replace('(tx', '(e.tx')} FILTER (WHERE e.tx_datetime >= s.tx_datetime"
                    f" - INTERVAL {days} DAY) AS {name.format(days)}"
                    for name, call in calls.items() for days in DAYS
                )} FROM '{file}' s JOIN '{file}' e ON s.{key}_id = e.{key}_id
                   AND e.tx_datetime <= s.tx_datetime
                   AND e.tx_datetime >= s.tx_datetime - INTERVAL 30 DAY
                   GROUP BY s.transaction_id) {key} ON {key}.id = p.transaction_id"""
                for key, calls in TWELVE.items()
            )
            names = [n.format(d) for calls in TWELVE.values() for n in calls for d in DAYS]
            query = f"SELECT p.*, {', '.join(names)} FROM '{file}' p {aggregated}"
            duckdb.connect().execute(f"COPY ({query}) TO '{out['joins']}'")

        nothing = lambda: None  # noqa: E731
        works = {"evenkeel": ours, "duckdb_range_frames": frames}
        if given:
            del out["joins"]
        else:
            works["duckdb_range_joins"] = joins
        sides = measure.in_turns(**{name: (nothing, work) for name, work in works.items()})
        names = [n.format(d) for calls in TWELVE.values() for n in calls for d in DAYS]
        counted = {name: sums(file, names) for name, file in out.items()}
        if len(set(counted.values())) != 1:
            raise SystemExit(f"error: the sides count {counted}")
        bytes_of = {f"{name}_file_bytes": file.stat().st_size for name, file in out.items()}
        peers = [name for name in works if name != "evenkeel"]
        return report(rows, sides, peers, features=12, **bytes_of)


ALL = {"asof": asof, "asof_ordered": asof_ordered, "five_views": five_views,
       "five_views_at_rest": five_views_at_rest, "windows": windows}
