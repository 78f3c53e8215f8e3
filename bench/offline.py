"""Sets of keys and results of batch views: what a person or a schedule asks of a whole store.

DuckDB filters the same rows in a Parquet file; Feast brings the same rows to its online store. What
both sides count is compared before anything is printed.
"""

import json
import shutil

import duckdb
import pyarrow
import pyarrow.parquet

import measure
import online
import serving

FEAST_USERS = 100_000


def query(name):
    return f"SELECT user_id FROM {name} WHERE f0 > 0.5 AND f1 < 0.0 AND f2 > -1.0"


def segment(scale):
    """The keys among 1,000,000 for which three conditions over 10 features hold."""
    users, features = int(1_000_000 * scale), 10
    with online.Store(online.wide(features), online.MEMORY) as store:
        store.fill("s", online.rows(features, users, None))
        out = {side: store.folder / f"{side}.parquet" for side in ("evenkeel", "duckdb")}
        counted = {}

        def ours():
            asked = ["segment", "query", "--query", query("v"), "--out", out["evenkeel"]]
            counted["evenkeel"] = json.loads(measure.evenkeel(store.folder, *asked))["matched"]

        def theirs():
            found = duckdb.connect().execute(
                f"COPY ({query(repr(str(store.folder / 'data/s.parquet')))}) TO '{out['duckdb']}'"
            )
            counted["duckdb"] = found.fetchone()[0]

        report = measure.in_turns(evenkeel=(int, ours), duckdb=(int, theirs))
        if len(set(counted.values())) != 1:
            raise SystemExit(f"error: both count different keys: {counted}")
        with store.served() as server:
            report["served"] = served(server, counted["duckdb"])
        return {"keys": users, "matched": counted["duckdb"], **report}


def served(server, matched):
    """The same over HTTP, only counted, of a server that has answered it before."""
    ask = {"query": query("v"), "count": True}
    for _ in range(2):
        before = server.cpu_seconds()
        answer = json.loads(serving.ask(server, "/v1/segments/query", ask))
        spent = server.cpu_seconds() - before
    if answer["matched"] != matched:
        raise SystemExit(f"error: the server counts {answer['matched']} keys, not {matched}")
    return {"cpu_seconds": spent}


def batch_sync(scale):
    """1,000,000 rows of 11 features, computed by a batch view, to be read; beside Feast's materialize."""
    users, features = int(1_000_000 * scale), 11
    names = ", ".join(f"f{i}" for i in range(features))
    nightly = f"""CREATE BATCH FEATURE VIEW nightly ENTITY user (user_id) SCHEDULE '0 3 * * *' AS
      SELECT user_id, {names} FROM s;"""
    with online.Store(online.wide(features) + nightly) as store:
        store.fill("s", online.rows(features, users, None))
        run = ["run", "nightly", "--at", "2026-06-01T03:00:00Z"]
        program = measure.ROOT / "target/release/evenkeel"
        spent = measure.spent_by([program, "--dir", store.folder, *run, "--json"])
        spent["rows_per_second"] = users / spent["wall_seconds"]
        spent["rows_per_cpu_second"] = users / spent["cpu_seconds"]
        spent["bytes_on_disk"] = sum(
            file.stat().st_size for file in (store.folder / ".evenkeel").rglob("*") if file.is_file()
        )
        feast = materialized(store.folder, features)
        return {
            "rows": users,
            "features": features,
            "peer": "feast materialize, to Redis",
            "ours_cpu_s": spent["cpu_seconds"] / users,
            "peer_cpu_s": 1 / feast["rows_per_cpu_second"],
            "ratio": spent["rows_per_cpu_second"] / feast["rows_per_cpu_second"],
            "evenkeel": spent,
            "feast": feast,
        }


def materialized(folder, features):
    """What Feast needs for fewer such rows, as it takes minutes for all of them."""
    program, port = serving.feast(), serving.free_port()
    folder = folder / "feast"
    (folder / "data").mkdir(parents=True)
    table = pyarrow.table(online.rows(features, FEAST_USERS, None))
    pyarrow.parquet.write_table(table, folder / "data/s.parquet")
    shutil.copy(serving.HERE / "feast_batch.py", folder)
    serving.feast_project(folder, port)
    silent = serving.SILENT
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    redis = serving.Server("redis", port, command, folder)
    try:
        measure.run(program, "apply", cwd=folder, env=silent)
        before = measure.cpu_seconds() + redis.cpu_seconds()
        measure.run(program, "materialize", *serving.PERIOD, cwd=folder, env=silent)
        spent = measure.cpu_seconds() + redis.cpu_seconds() - before
    finally:
        redis.stop()
    return {"rows": FEAST_USERS, "cpu_seconds": spent, "rows_per_cpu_second": FEAST_USERS / spent}


ALL = {"segment": segment, "batch_sync": batch_sync}
