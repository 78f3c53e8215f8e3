"""A server under pressure: payments are pushed while others are read, by an open-loop load
(`http_load`, an example of the server). Windows end now, so the history ends when a run begins."""

import concurrent.futures
import contextlib
import json
import pathlib
import tempfile
import threading
import time
import urllib.request

import numpy
import pyarrow
import pyarrow.parquet

import measure
from measure import ROOT
from serving import Server, ask, free_port

CUSTOMERS, TERMINALS, PAYMENTS = 10_000, 5_000, 500_000
DAY = 86_400_000_000
WINDOWS = {"1h": "1 HOURS", "1d": "1 DAYS", "7d": "7 DAYS", "30d": "30 DAYS"}
AGGREGATES = ["count(*)", "sum(amount)", "avg(amount)", "min(amount)", "max(amount)", "stddev(amount)"]
LOAD = ROOT / "target/release/examples/http_load"
SECONDS = 15
# Who reads comes before all others, as another machine would: what is left of the latency is the
# server's. Where the system does not allow it, `comes_first` says so.
FIRST = ("nice", "-n", "-10")
PUSH_ROWS = 100

READ = {
    "path": "/v1/features",
    "before": '{"service":"fifty","entities":[',
    "row": '{"customer_id":$K,"terminal_id":$K}',
    "after": "]}",
    "keys": TERMINALS,
}
PUSH = {
    "path": "/v1/sources/payments/events",
    "before": "[",
    "row": '{"payment_id":$N,"customer_id":$K,"terminal_id":$K,"amount":$K.25,"at":"$T"}',
    "after": "]",
    "keys": TERMINALS,
    "first": PAYMENTS,
}


TRIGGER = {
    "path": "/v1/triggers/payments",
    "before": '{"service":"decision","row":',
    "row": PUSH["row"],
    "after": "}",
    "rows": 1,
    "keys": TERMINALS,
    "first": PAYMENTS,
}


def definitions():
    """Fifty features: 25 of a customer, 25 of a terminal; and what decides about a payment."""
    yield "CREATE ENTITY customer (customer_id BIGINT); CREATE ENTITY terminal (terminal_id BIGINT);"
    yield """CREATE STREAM payments (payment_id BIGINT, customer_id BIGINT NOT NULL,
      terminal_id BIGINT NOT NULL, amount DOUBLE, at TIMESTAMP, EVENT ID (payment_id), EVENT TIME at)
      WITH (connector = 'file', path = 'data/payments.parquet');"""
    windows = ", ".join(f"w{name} AS (LAST {length})" for name, length in WINDOWS.items())
    for entity in ("customer", "terminal"):
        columns = [
            f"{call} OVER w{name} AS {call.partition('(')[0]}_{name}"
            for name in WINDOWS
            for call in AGGREGATES
        ]
        columns.append("last_value(payment_id) OVER w1h AS last_id")
        yield f"""CREATE FEATURE VIEW of_{entity} ENTITY {entity} AS
        SELECT {entity}_id, {", ".join(columns)} FROM payments WINDOW {windows};"""
    yield """CREATE FEATURE SERVICE fifty VERSION 1 AS
      of_customer (*) AS customer, of_terminal (*) AS terminal;"""
    # A payment with three look-ups: windows of both, and the payment before at the terminal.
    yield """CREATE FEATURE VIEW at_terminal ENTITY terminal AS
      SELECT terminal_id, amount AS last_amount, at AS last_at FROM payments;
    CREATE FEATURE VIEW deciding ENTITY customer AS
      SELECT p.customer_id, p.amount, c.count_1d, c.avg_30d, t.sum_1d AS terminal_sum_1d, l.last_amount
      FROM payments p ASOF JOIN of_customer c ON p.customer_id = c.customer_id
        ASOF JOIN of_terminal t ON p.terminal_id = t.terminal_id
        ASOF JOIN at_terminal l MATCH_CONDITION (p.event_time > l.event_time) ON p.terminal_id = l.terminal_id;
    CREATE FEATURE SERVICE decision AS deciding (*);"""


def write_payments(folder):
    folder.mkdir()
    random = numpy.random.default_rng(1)
    now = time.time_ns() // 1_000
    columns = {
        "payment_id": numpy.arange(PAYMENTS),
        "customer_id": random.integers(0, CUSTOMERS, PAYMENTS),
        "terminal_id": random.integers(0, TERMINALS, PAYMENTS),
        "amount": random.integers(100, 100_000, PAYMENTS) / 100,
        "at": pyarrow.array(
            numpy.sort(now - random.integers(0, 30 * DAY, PAYMENTS)), pyarrow.timestamp("us", tz="UTC")
        ),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "payments.parquet")
    spine = {name: columns[name][:50_000] for name in ("customer_id", "terminal_id")}
    spine["event_time"] = columns["at"][:50_000]
    pyarrow.parquet.write_table(pyarrow.table(spine), folder / "spine.parquet")


def comes_first():
    """Whether the system lets anybody come first: `nice` prints what it got."""
    return int(measure.run(*FIRST, "nice")) < 0


class World:
    """A server over a month of payments, in a folder that is deleted at the end."""

    def __enter__(self):
        measure.cargo("build", "--release", "--package", "evenkeel")
        measure.cargo("build", "--release", "--package", "evenkeel-server", "--example", "http_load")
        self.exits = contextlib.ExitStack()
        try:
            self.begin()
        except BaseException:
            self.exits.close()
            raise
        return self

    def begin(self):
        name = self.exits.enter_context(tempfile.TemporaryDirectory(prefix="evenkeel-bench-"))
        self.folder = pathlib.Path(name)
        write_payments(self.folder / "data")
        (self.folder / "definitions.sql").write_text("\n".join(definitions()))
        measure.evenkeel(self.folder, "apply")
        measure.evenkeel(self.folder, "ingest")
        port = free_port()
        command = [ROOT / "target/release/evenkeel", "--dir", self.folder, "serve", "--bind"]
        self.server = Server("evenkeel", port, [*command, f"127.0.0.1:{port}"], self.folder)
        self.exits.callback(self.server.stop)
        # Every key has been read once.
        for first in range(0, CUSTOMERS, 500):
            keys = [{"customer_id": k, "terminal_id": k % TERMINALS} for k in range(first, first + 500)]
            ask(self.server, "/v1/features", {"service": "fifty", "entities": keys})

    def __exit__(self, *_):
        self.exits.close()

    def load(self, *streams, seconds=SECONDS):
        """What became of streams of requests, by name; with the server's CPU seconds."""
        before = self.server.cpu_seconds()

        def one(stream):
            first = FIRST if stream.get("first_of_all") else ()
            out = measure.run(*first, LOAD, self.server.port, seconds, input=json.dumps(stream) + "\n")
            return {**json.loads(out), "comes_first": bool(first) and comes_first()}

        with concurrent.futures.ThreadPoolExecutor(len(streams)) as pool:
            found = {report["name"]: report for report in pool.map(one, streams)}
        found["server_cpu_s"] = self.server.cpu_seconds() - before
        return found

    def reads(self, rate, connections=16, first_of_all=True):
        stream = {"name": "reads", "rate": rate, "connections": connections}
        return {**stream, "first_of_all": first_of_all, **READ}

    def pushes(self, rows_per_second, first=PAYMENTS):
        rate = rows_per_second / PUSH_ROWS
        return {
            **{"name": "pushes", "rate": rate, "rows": PUSH_ROWS, "connections": 8},
            **PUSH,
            "first": first,
        }

    def holds(self):
        """How long reads could not begin, each time: how many, the seconds, and by upper end."""
        url = f"http://127.0.0.1:{self.server.port}/metrics"
        with urllib.request.urlopen(url) as answer:
            lines = answer.read().decode().splitlines()
        name = "evenkeel_engine_held_seconds_"
        return dict(line[len(name) :].rsplit(" ", 1) for line in lines if line.startswith(name))

    def capacity(self, stream):
        """Requests per second that are answered when more are due than can be."""
        found = self.load({**stream, "rate": 1e6}, seconds=5)
        return found[stream["name"]]["answered_per_second"]


class Training:
    """Builds training sets through the server, one after the other, until it is left."""

    def __init__(self, world):
        self.world, self.built, self.over = world, 0, threading.Event()
        self.thread = threading.Thread(target=self.build)

    def build(self):
        data = self.world.folder / "data"
        while not self.over.is_set():
            arguments = ["--spine", data / "spine.parquet", "--out", data / "set.parquet"]
            measure.evenkeel(self.world.folder, "train", "fifty", *arguments)
            self.built += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def payment():
    """2,000 reads/s of 50 features, while 20,000 events/s are pushed and training sets are built."""
    with World() as world:
        away = measure.processors_away()
        alone = world.load(world.reads(2_000))
        with Training(world) as training:
            found = world.load(world.reads(2_000), world.pushes(20_000))
        with Training(world):
            equal = world.load(world.reads(2_000, first_of_all=False), world.pushes(20_000, first=2 * PAYMENTS))
        return {
            "features": 50,
            "processors_away": away,
            "reads_alone": alone["reads"],
            "reads": found["reads"],
            "pushes": found["pushes"],
            "reads_of_a_load_that_waits_for_processors": equal["reads"],
            "engine_held": world.holds(),
            "server_cpu_s": found["server_cpu_s"],
            "training_sets": training.built,
            "resident_bytes": world.server.memory_bytes(),
        }


def freshness():
    """From a push's answer to a read that shows it, while 20,000 events/s are pushed."""
    with World() as world:
        # Of keys that nobody else pushes to, so that the last payment is the probe's.
        own = {name: part["row"].replace("$K", "9000000$K", 2) for name, part in (("read", READ), ("push", PUSH))}
        question = READ["before"] + own["read"] + READ["after"]
        probe = {
            **{"name": "probe", "rate": 200, "connections": 4, **PUSH},
            **{"row": own["push"], "rows": 1, "keys": 1_000_000_000},
            **{"first": 1 << 40, "then": [READ["path"], question]},
        }
        found = world.load(world.pushes(20_000), probe)
        return {"probe": found["probe"], "pushes": found["pushes"]}


def open_loop():
    """Latency of single reads at 70 % of what the server can answer, and at half of it."""
    with World() as world:
        away = measure.processors_away()
        capacity = world.capacity(world.reads(0, connections=8))
        report = {"processors_away": away, "capacity_per_second": capacity}
        for share in (50, 70):
            found = world.load(world.reads(capacity * share / 100, connections=32))
            reads = found["reads"]
            report[f"at_{share}"] = {**reads, "p999_of_p50": reads["p999_us"] / reads["p50_us"]}
        return report


def push():
    """Events per second that a server takes, in pushes of 1,000 rows, one client after the other."""
    with World() as world:
        report = {}
        for connections, rows in ((1, 1), (8, 1), (1, 1_000), (4, 1_000)):
            stream = {
                **{"name": "pushes", "rate": 1e6, "rows": rows, "connections": connections},
                **PUSH,
                "first": (1 << 32) * (connections * rows),
            }
            found = world.load(stream, seconds=8)
            report[f"rows_{rows}_connections_{connections}"] = {
                **found["pushes"],
                "server_cpu_s": found["server_cpu_s"],
            }
        return report


def trigger():
    """1,000 triggers/s with three look-ups each, logged durably and answered; beside it, pushes of one row."""
    with World() as world:
        away = measure.processors_away()
        stream = {"name": "triggers", "rate": 1_000, "connections": 16, **TRIGGER}
        # What the disk takes is in both.
        pushes = {"name": "pushes", "rate": 1_000, "rows": 1, "connections": 16, **PUSH, "first": 1 << 40}
        alone = world.load(pushes)
        found = world.load(stream)
        one = world.load({**stream, "rate": 1e6, "connections": 1, "first": 1 << 41}, seconds=5)
        return {
            "triggers": found["triggers"],
            "pushes_of_one_row": alone["pushes"],
            "one_after_the_other": one["triggers"],
            "processors_away": away,
            "server_cpu_s": found["server_cpu_s"],
        }


def overload():
    """Five times more reads than the server can answer, from 400 connections."""
    with World() as world:
        capacity = world.capacity(world.reads(0, connections=64))
        before = world.server.memory_bytes()
        found = world.load(world.reads(capacity * 5, connections=400))
        after = world.load(world.reads(capacity / 2, connections=16), seconds=5)
        return {
            "capacity_per_second": capacity,
            "reads": found["reads"],
            "goodput_share": found["reads"]["answered_per_second"] / capacity,
            "resident_bytes": [before, world.server.memory_bytes()],
            "afterwards": after["reads"],
        }


ALL = {f.__name__: f for f in (payment, freshness, open_loop, push, trigger, overload)}
