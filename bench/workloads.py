"""The benchmarks. Each answers a dictionary, of figures or of sides with figures; `show` prints
it. The first line of what a benchmark says of itself is its title."""

import json
import pathlib
import random
import re
import shutil
import tempfile
import time

import duckdb

import measure
import transactions
from measure import ROOT, evenkeel

EXPRESSION_ROWS = 2_000_000

# The features of the service `fraud_model`, over a table with one row per transaction.
CUSTOMER = {
    "customer_count_{}": "count(*)",
    "customer_amount_avg_{}": "avg(tx_amount)",
    "customer_cents_{}": "sum(tx_cents)",
}
TERMINAL = {
    "terminal_count_{}": "count(*)",
    "terminal_fraud_{}": "count(nullif(tx_fraud, 0))",
    "terminal_risk_{}": "avg(tx_fraud)",
}
FRAMES = {"1d": (1, 8), "7d": (7, 14), "30d": (30, 37)}


class World:
    """A project with generated transactions in a folder that is deleted at the end."""

    def __enter__(self):
        measure.cargo("build", "--release", "--package", "evenkeel")
        self.temporary = tempfile.TemporaryDirectory(prefix="evenkeel-bench-")
        self.folder = pathlib.Path(self.temporary.name)
        for name in ("evenkeel.toml", "definitions.sql"):
            shutil.copy(ROOT / "bench/fraud" / name, self.folder)
        self.file = self.folder / "transactions.parquet"
        self.rows = transactions.write(self.file)
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def empty_store(self):
        shutil.rmtree(self.folder / ".evenkeel", ignore_errors=True)
        evenkeel(self.folder, "apply")


def connect(path=":memory:", threads=None):
    db = duckdb.connect(path)
    db.execute("SET TimeZone = 'UTC'")
    if threads:
        db.execute(f"SET threads = {threads}")
    return db


def table(file):
    return f"""SELECT * REPLACE (tx_datetime::TIMESTAMP AS tx_datetime),
                      CAST(round(tx_amount * 100) AS BIGINT) AS tx_cents FROM '{file}'"""


def same(ours, theirs):
    """Both sides have counted the same: a benchmark of two different answers says nothing."""
    if ours != theirs:
        raise SystemExit(f"error: evenkeel counts {ours}, duckdb {theirs}")


def train():
    """A training set of 19 features over windows of 1, 7 and 30 days, a row per transaction."""
    with World() as world:
        world.empty_store()
        evenkeel(world.folder, "ingest")
        ours, theirs = world.folder / "ours.parquet", world.folder / "theirs.parquet"

        def window(key, frame):
            return f"OVER (PARTITION BY {key} ORDER BY tx_datetime RANGE BETWEEN INTERVAL {frame})"

        columns = ["sum(tx_amount) " + window("customer_id", "30 DAY PRECEDING AND CURRENT ROW")]
        for name, (last, delayed) in FRAMES.items():
            for key, frame, aggregates in [
                ("customer_id", f"{last} DAY PRECEDING AND CURRENT ROW", CUSTOMER),
                ("terminal_id", f"{delayed} DAY PRECEDING AND INTERVAL 7 DAY PRECEDING", TERMINAL),
            ]:
                for feature, aggregate in aggregates.items():
                    columns.append(f'{aggregate} {window(key, frame)} AS "{feature.format(name)}"')

        def duckdb_train():
            query = f"SELECT *, {', '.join(columns)} FROM ({table(world.file)}) ORDER BY transaction_id"
            connect().execute(f"COPY ({query}) TO '{theirs}'")

        def evenkeel_train():
            evenkeel(world.folder, "train", "fraud_model", "--spine", world.file, "--out", ours)

        report = measure.in_turns(evenkeel=(nothing, evenkeel_train), duckdb=(nothing, duckdb_train))
        counted = [f"sum({n}_{d})" for n in ("customer_count", "terminal_fraud") for d in FRAMES]
        sums = [
            connect().execute(f"SELECT {', '.join(counted)} FROM '{file}'").fetchone()
            for file in (ours, theirs)
        ]
        same(*sums)
        return {"rows": world.rows, **report}


def ingest():
    """Logging the transactions, on disk at the end; DuckDB loads the same file into a database."""
    with World() as world:
        database = world.folder / "theirs.db"

        def remove():
            database.unlink(missing_ok=True)

        def duckdb_ingest():
            with connect(str(database)) as db:
                db.execute(f"CREATE TABLE transactions AS FROM '{world.file}'; CHECKPOINT")

        def evenkeel_ingest():
            evenkeel(world.folder, "ingest", "transactions")

        report = measure.in_turns(
            evenkeel=(world.empty_store, evenkeel_ingest), duckdb=(remove, duckdb_ingest)
        )
        log = (world.folder / ".evenkeel/log").rglob("*")
        sizes = {
            "evenkeel": sum(file.stat().st_size for file in log if file.is_file()),
            "duckdb": database.stat().st_size,
        }
        for name, size in sizes.items():
            report[name]["bytes_per_event"] = size / world.rows
            report[name]["events_per_second"] = world.rows / report[name]["wall_seconds"]
        return {"rows": world.rows, **report}


def flush():
    """Logged transactions into a Delta table, durable; DuckDB writes the same rows to one Parquet file."""
    with World() as world:
        world.empty_store()
        evenkeel(world.folder, "ingest", "transactions")
        lake = world.folder / ".evenkeel/lake"
        theirs = world.folder / "theirs.parquet"
        counted = []

        def remove():
            shutil.rmtree(lake, ignore_errors=True)

        def evenkeel_flush():
            report = json.loads(evenkeel(world.folder, "flush", "transactions"))
            counted.append(report["sources"][0]["events"])

        def duckdb_copy():
            connect().execute(f"COPY (FROM '{world.file}') TO '{theirs}' (COMPRESSION zstd)")

        report = measure.in_turns(evenkeel=(remove, evenkeel_flush), duckdb=(nothing, duckdb_copy))
        sources = json.loads(evenkeel(world.folder, "status"))["sources"]
        events = next(s["events"] for s in sources if s["name"] == "transactions")
        same(counted[-1], events)
        files = [file for file in lake.rglob("*.parquet")]
        sizes = {"evenkeel": sum(f.stat().st_size for f in files), "duckdb": theirs.stat().st_size}
        for name, size in sizes.items():
            report[name]["bytes_per_event"] = size / events
            report[name]["events_per_second"] = events / report[name]["wall_seconds"]
        return {"rows": events, **report}


def get():
    """Reading the 19 features of one customer and one terminal, in process, one thread."""
    reads = 2_000
    with World() as world:
        world.empty_store()
        evenkeel(world.folder, "ingest")
        measure.cargo("build", "--release", "-p", "evenkeel-engine", "--example", "read_speed")
        db = connect(threads=1)
        for key in ("customer", "terminal"):
            # In the order of keys, so that DuckDB skips most of what others have.
            db.execute(
                f"""CREATE TABLE by_{key} AS SELECT * FROM ({table(world.file)})
                    ORDER BY {key}_id, tx_datetime"""
            )
        keys = db.execute(
            """SELECT epoch_us(tx_datetime), customer_id, terminal_id FROM by_customer
               ORDER BY transaction_id"""
        ).fetchall()
        # Of the newer half, whose windows are full.
        sample = random.Random(1).sample(keys[len(keys) // 2 :], reads)

        def aggregates(calls, days):
            return ", ".join(
                f"{call} FILTER (WHERE tx_datetime >= $t - INTERVAL {n} DAY)"
                for call in calls.values()
                for n in days
            )

        last, delayed = zip(*FRAMES.values())
        query = f"""
          SELECT * FROM
            (SELECT {aggregates(CUSTOMER, last)}, sum(tx_amount) FROM by_customer
             WHERE customer_id = $customer AND tx_datetime BETWEEN $t - INTERVAL 30 DAY AND $t),
            (SELECT {aggregates(TERMINAL, delayed)} FROM by_terminal
             WHERE terminal_id = $terminal
               AND tx_datetime BETWEEN $t - INTERVAL 37 DAY AND $t - INTERVAL 7 DAY)"""
        db.execute(f"PREPARE features AS {query}")
        theirs, their_sum = [], 0
        for t, customer, terminal in sample:
            start = time.perf_counter()
            row = db.execute(
                f"EXECUTE features(t := make_timestamp({t}), customer := {customer}, terminal := {terminal})"
            ).fetchone()
            theirs.append(time.perf_counter() - start)
            their_sum += sum(value or 0 for value in row if not isinstance(value, float))
        lines = "".join(f"{t} {customer} {terminal}\n" for t, customer, terminal in sample)
        *ours, our_sum = measure.run(
            ROOT / "target/release/examples/read_speed", world.folder, "fraud_model", input=lines
        ).split()
        same(int(our_sum), their_sum)
        return {
            "rows": world.rows,
            "reads": reads,
            "evenkeel": measure.percentiles(map(float, ours)),
            "duckdb": measure.percentiles(theirs),
        }


def aggregate():
    """States, sweeps and folds by themselves, in nanoseconds; no peer."""
    return {"text": measure.cargo("bench", "--package", "evenkeel-aggregate", "--bench", "speed")}


def expressions():
    """Expressions in batches, nanoseconds per row; DuckDB evaluates the same, one thread."""
    text = measure.cargo("run", "--release", "-p", "evenkeel-expr", "--example", "expression_speed")
    db = connect(threads=1)
    db.execute("SET error_on_division_by_zero = false")
    db.execute(
        f"""CREATE TABLE t AS
            SELECT x / 64.0::DOUBLE AS a, (x * 31 % 1013) / 64.0::DOUBLE AS b, x % 3 AS n,
                   ['DFW', 'ATL', 'JFK', 'SFO'][x % 4 + 1] AS s,
                   make_timestamp(x * 1000000007) AS t
            FROM (SELECT i * 7919 % 1009 AS x FROM range({EXPRESSION_ROWS}) r(i))"""
    )
    zoned = {"hour(t, 'Europe/Berlin')": "hour(t AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin')"}

    def duckdb_nanoseconds(expression):
        def once():
            start = time.perf_counter()
            db.execute(f"SELECT min({expression}) FROM t").fetchone()
            return time.perf_counter() - start

        return min(once() for _ in range(measure.REPEATS)) / EXPRESSION_ROWS * 1e9

    report = {}
    for line in text.splitlines()[1:]:
        expression, batch, alone = re.fullmatch(r"(.+?)\s+([\d.]+)\s+([\d.]+)", line).groups()
        report[expression] = {
            "batch_ns": float(batch),
            "alone_ns": float(alone),
            "duckdb_ns": duckdb_nanoseconds(zoned.get(expression, expression)),
        }
    return report


def nothing():
    pass


def show(report):
    """The report as lines; of two sides also the ratio."""
    for name, value in report.items():
        if name == "text":
            print(value)
        elif isinstance(value, dict):
            figures = ", ".join(f"{what} {figure:,.4g}" for what, figure in value.items())
            print(f"  {name:34} {figures}")
        else:
            print(f"  {name:34} {value}")
    ours, theirs = report.get("evenkeel"), report.get("duckdb")
    if ours and theirs:
        ratios = ", ".join(f"{what} {theirs[what] / ours[what]:.3g}" for what in ours)
        print(f"  {'duckdb / evenkeel':34} {ratios}")
    print()


ALL = {
    "train": train,
    "ingest": ingest,
    "flush": flush,
    "get": get,
    "aggregate": aggregate,
    "expressions": expressions,
}
