"""What `duckdb.rs` compares the binary's training sets with: DuckDB where integers decide, and
exact arithmetic for sums and means of floats. Any difference is printed, and exits with 1.

Usage: compare_duckdb.py COMMAND FOLDER [RAW]; the commands are the functions at the end.
"""

import bisect
import math
import pathlib
import sys
from fractions import Fraction

import duckdb

EDGES_MAX = 20_000
EXACT_ROWS_MAX = 5_000


def connect(folder):
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    db.execute(f"SET file_search_path = '{folder}'")
    return db


def write_spine(db, folder, rows, days):
    """All of `rows` (keys and event_time), and for some of them the edges of windows: the time
    later by so many days, to the microsecond and one microsecond beside it."""
    db.execute(f"CREATE TABLE rows AS SELECT row_number() OVER (ORDER BY r) AS n, * FROM ({rows}) r")
    (count,) = db.execute("SELECT count(*) FROM rows").fetchone()
    every = count * len(days) * 3 // EDGES_MAX + 1
    db.execute(
        f"""COPY (
          SELECT row_number() OVER (ORDER BY edge, n, event_time) AS spine_row, * EXCLUDE (edge, n)
          FROM (
            SELECT 0 AS edge, * FROM rows
            UNION ALL
            SELECT 1, rows.* REPLACE (event_time + to_days(d) + to_microseconds(us) AS event_time)
            FROM rows, unnest({days}) AS of_days(d), unnest([-1, 0, 1]) AS beside(us)
            WHERE n % {every} = 0
          ) ORDER BY spine_row
        ) TO '{folder}/spine.parquet'"""
    )


def differences(db, ours, expected, columns):
    """How many values of our file are not those of the query, by `spine_row`."""
    db.execute(f"CREATE OR REPLACE TABLE expected AS {expected}")
    (rows,) = db.execute(f"SELECT count(*) FROM '{ours}'").fetchone()
    different = 0
    for column, theirs in columns:
        joined = f"FROM '{ours}' a FULL JOIN expected b USING (spine_row)"
        # As text, to see a BIGINT and a HUGEINT, or a float's sign, as what they are.
        wrong = db.execute(
            f"""SELECT spine_row, a."{column}", b."{theirs}", COLUMNS(a.*) {joined}
                WHERE a."{column}"::VARCHAR IS DISTINCT FROM b."{theirs}"::VARCHAR
                ORDER BY spine_row"""
        ).fetchall()
        for row in wrong[:5]:
            print(f"{ours} {column} (spine_row, ours, DuckDB, the row): {row}")
        different += len(wrong)
    print(f"{ours}: {rows} rows, {rows * len(columns)} values, {different} differences")
    return different


def windows(key, frames, suffixes, aggregates):
    """`aggregate AS name_suffix` over each of the frames."""
    return ", ".join(
        f"""{aggregate} OVER (PARTITION BY {key} ORDER BY event_time RANGE BETWEEN {frame})
            AS {name}_{suffix}"""
        for frame, suffix in zip(frames, suffixes)
        for name, aggregate in aggregates.items()
    )


def fraud_spine(folder):
    db = connect(folder)
    rows = """SELECT customer_id, terminal_id, CAST(tx_datetime AS TIMESTAMP) AS event_time
              FROM 'transactions.parquet'"""
    write_spine(db, folder, rows, [1, 7, 8, 14, 30, 37])
    return 0


def fraud(folder):
    db = connect(folder)
    db.execute(
        """CREATE TABLE rows AS
           SELECT NULL AS spine_row, customer_id, terminal_id,
                  CAST(tx_datetime AS TIMESTAMP) AS event_time,
                  CAST(round(tx_amount * 100) AS BIGINT) AS cents, tx_fraud
           FROM 'transactions.parquet'
           UNION ALL
           SELECT spine_row, customer_id, terminal_id, event_time, NULL, NULL FROM 'spine.parquet'"""
    )
    days = ["1d", "7d", "30d"]
    count = "count(tx_fraud)"
    frauds = "count(*) FILTER (WHERE tx_fraud = 1)"
    customer = windows(
        "customer_id",
        [f"INTERVAL {n} DAY PRECEDING AND CURRENT ROW" for n in (1, 7, 30)],
        days,
        {"customer_count": count, "customer_cents": "sum(cents)"},
    )

    def labels(end):
        frames = [f"INTERVAL {n} DAY PRECEDING AND {end}" for n in (8, 14, 37)]
        of_frames = windows("terminal_id", frames, days, {"n": count, "fraud": frauds})
        risk = ", ".join(f"fraud_{d} / nullif(n_{d}, 0) AS risk_{d}" for d in days)
        return f"SELECT *, {risk} FROM (SELECT *, {customer}, {of_frames} FROM rows) WHERE spine_row IS NOT NULL"

    def columns(prefix):
        pairs = [("count", "n"), ("fraud", "fraud"), ("risk", "risk")]
        return [(f"{prefix}_{ours}_{d}", f"{theirs}_{d}") for ours, theirs in pairs for d in days]

    of_customer = [(f"customer_{name}_{d}",) * 2 for name in ("count", "cents") for d in days]
    a_week_ago = labels("INTERVAL 7 DAY PRECEDING")
    different = (
        differences(db, "latest.parquet", a_week_ago, of_customer + columns("terminal"))
        # What was visible: the same windows, though they are spelled to end at `t`.
        + differences(db, "served.parquet", a_week_ago, columns("label"))
        + differences(db, "labels_latest.parquet", labels("CURRENT ROW"), columns("label"))
    )
    # The two spellings, without DuckDB between them.
    pairs = [(f"terminal_{n}_{d}", f"label_{n}_{d}") for n in ("count", "fraud", "risk") for d in days]
    different += differences(db, "latest.parquet", "FROM 'served.parquet'", pairs)
    return different + exact_sums(db)


def exact_sums(db):
    """`math.fsum`, and means as fractions that are rounded once, bit for bit."""
    amounts = {}
    for customer, micros, amount in db.execute(
        """SELECT customer_id, epoch_us(tx_datetime), tx_amount FROM 'transactions.parquet'
           ORDER BY tx_datetime"""
    ).fetchall():
        times, values = amounts.setdefault(customer, ([], []))
        times.append(micros)
        values.append(amount)
    sample = db.execute(
        f"""SELECT customer_id, epoch_us(event_time), customer_amount_30d, customer_amount_avg_1d,
                   customer_amount_avg_7d, customer_amount_avg_30d
            FROM 'latest.parquet'
            WHERE spine_row % (SELECT count(*) // {EXACT_ROWS_MAX} + 1 FROM 'latest.parquet') = 0"""
    ).fetchall()
    different = inexact = 0
    for customer, t, total, *means in sample:
        times, values = amounts[customer]

        def last(days):
            start = bisect.bisect_left(times, t - days * 86_400_000_000)
            return values[start : bisect.bisect_right(times, t)]

        def mean(of):
            return float(sum(map(Fraction, of)) / len(of)) if of else None

        month = last(30)
        expected = [math.fsum(month) if month else None, *(mean(last(d)) for d in (1, 7, 30))]
        inexact += bool(month) and sum(month) != expected[0]
        if expected != [total, *means]:
            print(f"customer {customer} at {t}: {[total, *means]}, exactly {expected}")
            different += 1
    if not inexact:
        print("no sum of the sample depends on its rounding: they prove nothing")
        different += 1
    print(f"exact sums: {len(sample)} rows, {inexact} differ from a naive sum, {different} from ours")
    return different


def flights_data(folder, raw):
    """The raw tables with one instant per row: clock times as if they were UTC."""
    db = connect(folder)
    db.execute(
        f"""COPY (
              SELECT row_number() OVER () AS flight_id, origin, tailnum, dep_delay,
                     make_timestamp(year, month, day, 0, 0, 0)
                       + to_hours(hour::BIGINT) + to_minutes(minute::BIGINT) AS departed_at
              FROM '{raw}/flights.parquet' WHERE dep_time IS NOT NULL
            ) TO '{folder}/departures.parquet';
            COPY (
              SELECT origin, make_timestamp(date::BIGINT * 1000000) AS observed_at, wind_speed, visib
              FROM '{raw}/weather.parquet'
            ) TO '{folder}/weather.parquet'"""
    )
    rows = "SELECT flight_id, origin, tailnum, departed_at AS event_time FROM 'departures.parquet'"
    write_spine(db, folder, rows, [0, 1, 7])
    return 0


def flights(folder):
    db = connect(folder)
    db.execute(
        """CREATE TABLE rows AS
           SELECT NULL AS spine_row, origin, tailnum, departed_at AS event_time, true AS departed, dep_delay
           FROM 'departures.parquet'
           UNION ALL
           SELECT spine_row, origin, tailnum, event_time, NULL, NULL FROM 'spine.parquet'"""
    )
    hours = "INTERVAL 3 HOUR PRECEDING AND CURRENT ROW"
    day = "INTERVAL 24 HOUR PRECEDING AND CURRENT ROW EXCLUDE GROUP"
    late = "count(*) FILTER (WHERE dep_delay > 15)"
    of_origin = {
        "departures": "count(departed)",
        "late": late,
        "delay_min": "min(dep_delay)",
        "delay_max": "max(dep_delay)",
    }
    airports = windows("origin", [hours, day], ["3h", "24h"], of_origin)
    names = [f"{name}_{frame}" for name in of_origin for frame in ("3h", "24h")]
    different = differences(
        db,
        "train.parquet",
        f"SELECT * FROM (SELECT *, {airports} FROM rows) WHERE spine_row IS NOT NULL",
        [(name, name) for name in names],
    )
    # A look-up, unique per airport and hour.
    different += differences(
        db,
        "train.parquet",
        """SELECT s.spine_row, w.wind_speed, w.visib
           FROM 'spine.parquet' s
           ASOF LEFT JOIN 'departures.parquet' d ON s.flight_id = d.flight_id AND s.event_time >= d.departed_at
           ASOF LEFT JOIN 'weather.parquet' w ON d.origin = w.origin AND d.departed_at >= w.observed_at""",
        [("wind_speed", "wind_speed"), ("visib", "visib")],
    )
    # The departure before. No aircraft departs twice in a minute: which of two is the last would
    # be this project's rule, and unknown to DuckDB.
    return different + differences(
        db,
        "train.parquet",
        """SELECT s.spine_row, d.dep_delay
           FROM 'spine.parquet' s
           ASOF LEFT JOIN 'departures.parquet' d ON s.tailnum = d.tailnum AND s.event_time > d.departed_at""",
        [("dep_delay_before", "dep_delay")],
    )


COMMANDS = {
    "fraud-spine": fraud_spine,
    "fraud": fraud,
    "flights-data": flights_data,
    "flights": flights,
}

if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    sys.exit(1 if COMMANDS[command](pathlib.Path(folder).resolve(), *rest) else 0)
