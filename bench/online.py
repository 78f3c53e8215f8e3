"""The online store: batches of look-ups, rows written, reads of keys that are not in memory, and
how reads grow. Nothing stands beside: the figures to reach were published by others, or are ours.
"""

import contextlib
import concurrent.futures
import datetime
import http.client
import io
import json
import os
import pathlib
import tempfile
import time

import numpy
import pyarrow
import pyarrow.parquet

import measure
import serving
from measure import ROOT
from serving import ARROW, Server, free_port

DAY = 86_400_000_000
START = 1_767_225_600_000_000
READS = ROOT / "target/release/examples/hot_reads"
SECONDS = 4
MEMORY = "[limits]\nmemory_bytes = 1500000000\n"


class Store:
    """A project in a folder that is deleted at the end, and a server over it on demand."""

    def __init__(self, definitions, settings=""):
        self.definitions, self.settings = definitions, settings

    def __enter__(self):
        measure.cargo("build", "--release", "--package", "evenkeel")
        measure.cargo("build", "--release", "--package", "evenkeel-engine", "--example", "hot_reads")
        self.exits = contextlib.ExitStack()
        temporary = tempfile.TemporaryDirectory(prefix="evenkeel-bench-")
        self.folder = pathlib.Path(self.exits.enter_context(temporary))
        (self.folder / "data").mkdir()
        (self.folder / "evenkeel.toml").write_text(self.settings)
        (self.folder / "definitions.sql").write_text(self.definitions)
        measure.evenkeel(self.folder, "apply")
        return self

    def __exit__(self, *_):
        self.exits.close()

    def fill(self, name, columns):
        """Ingests rows of a source whose files are `data/NAME.parquet`."""
        pyarrow.parquet.write_table(pyarrow.table(columns), self.folder / f"data/{name}.parquet")
        started = time.perf_counter()
        measure.evenkeel(self.folder, "ingest")
        return time.perf_counter() - started

    @contextlib.contextmanager
    def served(self):
        port = free_port()
        program = ROOT / "target/release/evenkeel"
        command = [program, "--dir", self.folder, "serve", "--bind", f"127.0.0.1:{port}"]
        server = Server("evenkeel", port, command, self.folder)
        try:
            yield server
        finally:
            server.stop()

    def forget_pages(self):
        """Nothing of the files is in memory any more, as far as the system does as it is asked."""
        for path in (self.folder / ".evenkeel").rglob("*"):
            if path.is_file():
                file = os.open(path, os.O_RDONLY)
                os.fdatasync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)

    def reads(self, service, keys, as_of, times=1):
        """In process: first reads, and reads of what is in memory."""
        lines = "".join(f"{key}\n" for key in keys)
        return json.loads(measure.run(READS, self.folder, service, as_of, times, input=lines))


def wide(features):
    """Rows of a key, a time and doubles, a view of them as they are, and a service."""
    names = [f"f{i}" for i in range(features)]
    return f"""CREATE ENTITY user (user_id BIGINT);
    CREATE STREAM s (user_id BIGINT NOT NULL, at TIMESTAMP, {", ".join(f"{n} DOUBLE" for n in names)},
      EVENT TIME at, KNOWN AT at) WITH (connector = 'file', path = 'data/s.parquet');
    CREATE FEATURE VIEW v ENTITY user (user_id) AS SELECT user_id, {", ".join(names)} FROM s;
    CREATE FEATURE SERVICE vectors VERSION 1 AS v (*);"""


def rows(features, count, keys, seed=1, time_us=START):
    random = numpy.random.default_rng(seed)
    columns = {
        "user_id": random.permutation(count) if keys is None else random.integers(0, keys, count),
        "at": pyarrow.array(numpy.arange(count) + time_us, pyarrow.timestamp("us", tz="UTC")),
    }
    return {**columns, **{f"f{i}": random.standard_normal(count) for i in range(features)}}


def lookups():
    """Look-ups per second: batches of 100 vectors of 11 features over HTTP, 1 to 64 clients."""
    users, features = 100_000, 11
    with Store(wide(features), MEMORY) as store:
        store.fill("s", rows(features, users, None))
        with store.served() as server:
            ask = {"service": "vectors", "users": users}
            for _ in range(2):
                serving.load(server, 100, 2, **ask)
            report = {"users": users, "features": features, "vectors_per_request": 100}
            for name, accept in (("json", "application/json"), ("arrow", ARROW)):
                for clients in (1, 4, 16, 64):
                    found = serving.load(server, 100, clients, accept, **ask)
                    found["lookups_per_second"] = found["requests_per_second"] * 100
                    found["server_lookups_per_cpu_second"] = 1e8 / found["cpu_us"]
                    report[f"{name}_{clients}"] = found
            return report


def bodies(features, pushes, push_rows, keys, seed):
    """Arrow streams to push, made before the clock runs."""
    made = []
    for number in range(pushes):
        time_us = START + (seed * pushes + number) * push_rows
        table = pyarrow.table(rows(features, push_rows, keys, seed * pushes + number, time_us))
        sink = io.BytesIO()
        with pyarrow.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        made.append(sink.getvalue())
    return made


def push_all(port, made):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for body in made:
        connection.request("POST", "/v1/sources/s/events", body, {"Content-Type": ARROW})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"error: a push was answered {answer.status}: {text[:200]}")


def online_rows():
    """Rows of 11, 51 and 101 features that are pushed as Arrow, durable and readable at the end."""
    clients, push_rows, keys = 4, 2_000, 100_000
    report = {"clients": clients, "rows_per_push": push_rows, "keys": keys}
    for features, pushes in ((11, 100), (51, 50), (101, 30)):
        made = [bodies(features, pushes, push_rows, keys, client) for client in range(clients)]
        with Store(wide(features)) as store, store.served() as server:
            before, started = server.cpu_seconds(), time.perf_counter()
            with concurrent.futures.ThreadPoolExecutor(clients) as pool:
                list(pool.map(lambda part: push_all(server.port, part), made))
            wall = time.perf_counter() - started
            count = clients * pushes * push_rows
            report[f"features_{features}"] = {
                "rows": count,
                "rows_per_second": count / wall,
                "server_cpu_us_per_row": (server.cpu_seconds() - before) / count * 1e6,
                "bytes_per_row_sent": len(made[0][0]) / push_rows,
                "resident_bytes": server.memory_bytes(),
            }
    return report


def windows(name="w"):
    """Three exact windows of an entity."""
    spans = {"1d": "1 DAYS", "7d": "7 DAYS", "30d": "30 DAYS"}
    over = ", ".join(f"w{n} AS (LAST {length})" for n, length in spans.items())
    columns = ", ".join(
        f"count(*) OVER w{n} AS count_{n}, sum(amount) OVER w{n} AS sum_{n}" for n in spans
    )
    return f"""CREATE ENTITY card (card_id BIGINT);
    CREATE STREAM payments (payment_id BIGINT, card_id BIGINT NOT NULL, amount DOUBLE, at TIMESTAMP,
      EVENT ID (payment_id), EVENT TIME at, KNOWN AT at)
      WITH (connector = 'file', path = 'data/payments.parquet');
    CREATE FEATURE VIEW {name} ENTITY card AS SELECT card_id, {columns} FROM payments WINDOW {over};
    CREATE FEATURE SERVICE windows VERSION 1 AS {name} (*);"""


def payments(cards, each, seed=1):
    """So many payments of each card, over 30 days, in the order of time."""
    random, count = numpy.random.default_rng(seed), cards * each
    return {
        "payment_id": numpy.arange(count),
        "card_id": random.permutation(count) % cards,
        "amount": random.integers(100, 100_000, count) / 100,
        "at": pyarrow.array(
            numpy.sort(random.integers(0, 30 * DAY, count)) + START, pyarrow.timestamp("us", tz="UTC")
        ),
    }


AS_OF = START + 30 * DAY


def cold():
    """The first read of an entity inside the hot retention, in process and over HTTP."""
    cards, each, sample = 100_000, 10, 5_000
    keys = numpy.random.default_rng(2).permutation(cards)[:sample].tolist()
    with Store(windows()) as store:
        store.fill("payments", payments(cards, each))
        report = {"cards": cards, "events_per_card": each}
        store.forget_pages()
        report["files_not_in_memory"] = store.reads("windows", keys, AS_OF)["first"]
        report["in_process"] = store.reads("windows", keys, AS_OF)["first"]
        with store.served() as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            seconds = []
            time_of_read = datetime.datetime.fromtimestamp(AS_OF / 1e6, datetime.UTC).isoformat()
            for _ in ("first", "again"):
                for key in keys:
                    body = {"service": "windows", "entities": [{"card_id": key}], "as_of": time_of_read}
                    text = json.dumps(body)
                    started = time.perf_counter()
                    connection.request("POST", "/v1/features", text, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    seconds.append(time.perf_counter() - started)
                    if answer.status != 200:
                        raise SystemExit(f"error: a read was answered {answer.status}")
            report["http"] = measure.percentiles(seconds[: len(keys)])
            report["http_again"] = measure.percentiles(seconds[len(keys) :])
        return report


def warm():
    """Three exact windows of one entity from warm state, in process."""
    cards, each = 1_500, 200
    with Store(windows()) as store:
        store.fill("payments", payments(cards, each))
        keys = range(cards)
        found = store.reads("windows", keys, AS_OF, times=40)
        one = store.reads("windows", [7], AS_OF, times=40_000)
        report = {"cards": cards, "events_per_card": each}
        return {**report, "all_cards": found["again"], "one_card": one["again"]}


GROWTH_KEYS = ((10_000, 10), (100_000, 10), (1_000_000, 10), (10_000_000, 1))
GROWTH_EVENTS = ((10_000, 10), (10_000, 100), (1_000, 1_000), (100, 10_000), (10, 100_000))


def growth():
    """How reads of three windows grow: 10,000 to 10 M keys, 10 to 100,000 events per key."""
    report = {}
    for cards, each in dict.fromkeys(GROWTH_KEYS + GROWTH_EVENTS):
        with Store(windows()) as store:
            ingest = store.fill("payments", payments(cards, each))
            sample = min(cards, 20_000)
            keys = numpy.random.default_rng(2).permutation(cards)[:sample].tolist()
            found = store.reads("windows", keys, AS_OF, times=max(1, 20_000 // sample))
            report[f"{cards}_keys_{each}_events"] = {
                "first_p50_us": found["first"]["p50_us"],
                "first_p99_us": found["first"]["p99_us"],
                "again_p50_us": found["again"]["p50_us"],
                "again_p99_us": found["again"]["p99_us"],
                "ingested_per_second": cards * each / ingest,
            }
    return report


ALL = {f.__name__: f for f in (lookups, online_rows, cold, warm, growth)}
