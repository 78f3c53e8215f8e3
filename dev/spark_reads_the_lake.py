"""PySpark reads the lake's tables, and gives the answers that features have.

    python dev/spark_reads_the_lake.py EVENKEEL [--connector]

Needs java 17 and `pip install pyspark` (over 400 MB, so no test of the project runs it). EVENKEEL is the binary. With
`--connector` the tables are read by Delta's own connector, whose jars Spark fetches (`pip install delta-spark`). Without,
Spark's readers of JSON and Parquet read what the Delta protocol says: the last checkpoint, the commits behind it, and
the data files that these leave.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
FLUSHES, EVENTS = 13, 40
DEFINITIONS = """
CREATE ENTITY rider (rider STRING);
CREATE STREAM rides (ride STRING, rider STRING, fare DOUBLE, seats INT, paid DECIMAL(10, 2), day DATE, ride_at TIMESTAMP,
  EVENT ID (ride), EVENT TIME ride_at, KNOWN AT ride_at) WITH (connector = 'file', path = 'rides*.jsonl');
CREATE FEATURE VIEW of_rider ENTITY rider AS
SELECT rider, count(*) OVER w AS rides, sum(fare) OVER w AS fares, max(seats) OVER w AS seats, sum(paid) OVER w AS paid,
  max(day) OVER w AS last_day FROM rides WINDOW w AS (ALL HISTORY);
CREATE FEATURE SERVICE model AS of_rider (*);
"""


def ride(number):
    at = BEGIN + timedelta(minutes=11 * number, microseconds=number)
    return {
        "ride": f"r-{number}",
        "rider": ["ada", "bob", None][number % 3],
        # Quarters, whose sums are exact in whichever order they are taken.
        "fare": None if number % 7 == 0 else number / 4,
        "seats": number % 5,
        "paid": f"{number}.{number % 100:02}",
        "day": at.date().isoformat(),
        "ride_at": at.isoformat(),
    }


def project(folder, run):
    """Rides that are flushed often enough for a checkpoint; the folder of the table."""
    (folder / "rides.sql").write_text(DEFINITIONS)
    run("apply")
    for part in range(FLUSHES):
        rows = [json.dumps(ride(n)) + "\n" for n in range(part * EVENTS, (part + 1) * EVENTS)]
        (folder / f"rides-{part:02}.jsonl").write_text("".join(rows))
        run("ingest", "rides")
        run("flush")
        if part == FLUSHES // 2:
            run("lake", "--maintain")
    return folder / ".evenkeel" / "lake" / "rides"


def by_the_protocol(spark, table):
    """The rows of the newest version, read with Spark's own readers."""
    log = table / "_delta_log"
    actions = spark.createDataFrame([], "version INT, path STRING, is_there BOOLEAN")

    def of(frame, version):
        there = [
            frame.where(f.col(kind).isNotNull()).select(version, f"{kind}.path", f.lit(kind == "add").alias("is_there"))
            for kind in ("add", "remove")
            if kind in frame.columns
        ]
        together = there[0]
        for further in there[1:]:
            together = together.unionByName(further)
        return together

    last = json.loads((log / "_last_checkpoint").read_text())["version"]
    checkpoint = spark.read.parquet(str(log / f"{last:020}.checkpoint.parquet"))
    actions = actions.unionByName(of(checkpoint, f.lit(last).alias("version")))
    newer = [path for path in sorted(log.glob("*.json")) if int(path.stem) > last]
    for path in newer:
        commit = spark.read.json(str(path))
        if {"add", "remove"} & set(commit.columns):
            actions = actions.unionByName(of(commit, f.lit(int(path.stem)).alias("version")))
    newest = actions.groupBy("path").agg(f.max_by("is_there", "version").alias("is_there"))
    files = [row.path for row in newest.where("is_there").collect()]
    assert newer and files, "there is a checkpoint, and something behind it"
    return spark.read.parquet(*(str(table / path) for path in files))


def main():
    binary, connector = sys.argv[1], "--connector" in sys.argv[2:]
    # Spark takes the zone of its session for what it hands over.
    os.environ["TZ"] = "UTC"
    builder = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
    )
    if connector:
        from delta import configure_spark_with_delta_pip

        builder = builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension").config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        builder = configure_spark_with_delta_pip(builder)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)

        def run(*arguments):
            done = subprocess.run(
                [binary, *arguments, "--dir", str(folder), "--json"], check=True, capture_output=True
            )
            return json.loads(done.stdout)

        table = project(folder, run)
        rows = spark.read.format("delta").load(str(table)) if connector else by_the_protocol(spark, table)
        assert rows.count() == FLUSHES * EVENTS
        assert [row._offset for row in rows.orderBy("_offset").collect()] == list(range(FLUSHES * EVENTS))
        at = BEGIN + timedelta(days=2, hours=5, microseconds=17)
        known = rows.where(f.col("_event_time") <= f.lit(at.isoformat()).cast("timestamp"))
        found = known.groupBy("rider").agg(
            f.count("*").alias("rides"),
            f.sum("fare").alias("fares"),
            f.max("seats").alias("seats"),
            f.sum("paid").alias("paid"),
            f.max("day").alias("last_day"),
        )
        by_rider = {row.rider: row for row in found.collect()}
        for rider in ("ada", "bob"):
            answer = run("get", "--service", "model", "--entity", f"rider={rider}", "--as-of", at.isoformat())
            told = {name: feature["value"] for name, feature in answer["rows"][0]["features"].items()}
            spark_says = {
                "rides": by_rider[rider].rides,
                "fares": by_rider[rider].fares,
                "seats": by_rider[rider].seats,
                "paid": str(by_rider[rider].paid),
                "last_day": by_rider[rider].last_day.isoformat(),
            }
            told["paid"] = str(told["paid"])
            assert told == spark_says, (rider, told, spark_says)
    how = "Delta's connector" if connector else "its readers of JSON and Parquet"
    print(f"PySpark {spark.version} with {how}: {FLUSHES * EVENTS} events, the answers of features")


main()
