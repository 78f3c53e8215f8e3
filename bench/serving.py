"""Reading over HTTP: servers beside each other, each over the same 50 features of the same users.

Evenkeel on its embedded store; Feast's server on Redis, with one worker, no access log, a registry
that is kept, and workers that are never replaced; nginx with the bytes of Evenkeel's answer. wrk
asks them in turns. CPU is that of the server's processes, and of Redis, per request."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy
import pyarrow
import pyarrow.parquet

import measure
from measure import ROOT

HERE = ROOT / "bench/serving"
VIEWS, FEATURES = 5, 10
USERS = 100_000
SECONDS = 4
TICKS = os.sysconf("SC_CLK_TCK")
ARROW = "application/vnd.apache.arrow.stream"
SILENT = {**os.environ, "FEAST_USAGE": "False", "PYTHONDONTWRITEBYTECODE": "1"}
PERIOD = ["2025-01-01T00:00:00", "2027-01-01T00:00:00"]
NEEDED = {"wrk": "wrk", "nginx": "nginx", "redis-server": "redis-server"}


def needed():
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if missing:
        raise SystemExit(f"error: `{' '.join(missing)}` missing: apt-get install {' '.join(missing)}")


def feast():
    """Feast's program, in an environment that is made once."""
    folder = ROOT / "target/feast"
    program = folder / "bin/feast"
    if not program.exists():
        measure.run(sys.executable, "-m", "venv", "--clear", folder)
        measure.run(
            folder / "bin/pip",
            *["install", "--quiet", "--disable-pip-version-check"],
            *["--requirement", HERE / "requirements.txt"],
        )
    return program


def feast_project(folder, redis_port):
    """A project of Feast in a folder, whose online store is Redis."""
    (folder / "feature_store.yaml").write_text(
        f"""project: bench
provider: local
registry: {{path: registry.db, cache_ttl_seconds: 300}}
online_store: {{type: redis, connection_string: "127.0.0.1:{redis_port}"}}
offline_store: {{type: file}}
entity_key_serialization_version: 3
"""
    )


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write_users(folder, users):
    """One file per view: a row per user."""
    folder.mkdir()
    random = numpy.random.default_rng(1)
    start = 1_767_225_600_000_000
    for v in range(VIEWS):
        times = numpy.full(users, start) + random.integers(0, 10**9, users)
        columns = {
            "user_id": pyarrow.array(numpy.arange(users)),
            "at": pyarrow.array(times, pyarrow.timestamp("us", tz="UTC")),
        }
        for f in range(FEATURES):
            columns[f"f{v * FEATURES + f}"] = pyarrow.array(random.standard_normal(users))
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"s{v}.parquet")


def definitions():
    yield "CREATE ENTITY user (user_id BIGINT);"
    for v in range(VIEWS):
        names = [f"f{v * FEATURES + f}" for f in range(FEATURES)]
        columns = ", ".join(f"{name} DOUBLE" for name in names)
        yield f"""CREATE STREAM s{v} (user_id BIGINT NOT NULL, at TIMESTAMP, {columns},
          EVENT TIME at, KNOWN AT at) WITH (connector = 'file', path = 'data/s{v}.parquet');
        CREATE FEATURE VIEW v{v} ENTITY user (user_id) AS
        SELECT user_id, {", ".join(names)} FROM s{v};"""
    views = ", ".join(f"v{v} (*)" for v in range(VIEWS))
    yield f"CREATE FEATURE SERVICE fifty VERSION 1 AS {views};"


class Server:
    """A process that listens, ended by its own process id."""

    def __init__(self, side, port, command, folder, environment=None):
        self.side, self.port = side, port
        self.log = open(folder / f"{side}.log", "w")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            stdout=self.log,
            stderr=self.log,
            env={**os.environ, **(environment or {})},
        )
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise SystemExit(f"error: {side} does not listen, see {self.log.name}")
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
        self.log.close()

    def cpu_seconds(self):
        """Of the process and those that it started, which are alive all the time."""
        return sum(cpu_seconds_of(pid) for pid in family(self.process.pid))

    def memory_bytes(self):
        return sum(resident_bytes_of(pid) for pid in family(self.process.pid))


def family(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def load(
    server,
    entities,
    connections,
    accept="application/json",
    beside=(),
    users=USERS,
    service="fifty",
):
    """Asks for some seconds, as fast as it is answered; what one request cost."""
    servers = [server, *beside]
    before = sum(s.cpu_seconds() for s in servers)
    text = measure.run(
        *["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", HERE / "load.lua"],
        f"http://127.0.0.1:{server.port}/",
        env={
            **os.environ,
            "SIDE": server.side,
            "SERVICE": service,
            "ENTITIES": str(entities),
            "USERS": str(users),
            "ACCEPT": accept,
        },
    )
    spent = sum(s.cpu_seconds() for s in servers) - before
    requests = int(re.search(r"(\d+) requests in", text)[1])
    if re.search(r"Non-2xx|Socket errors", text):
        raise SystemExit(f"error: {server.side} did not answer everything\n{text}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1}

    def latency(percent):
        value, name = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", text).groups()
        return float(value) * unit[name] * 1e6

    return {
        "cpu_us": spent / requests * 1e6,
        "requests_per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p50_us": latency(50),
        "p99_us": latency(99),
    }


def ask(server, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return answer.read()


class World:
    """The servers, over the same users, in a folder that is deleted at the end."""

    def __enter__(self):
        needed()
        measure.cargo("build", "--release", "--package", "evenkeel")
        self.exits = contextlib.ExitStack()
        try:
            self.begin()
        except BaseException:
            # Servers that were started do not outlive what failed.
            self.exits.close()
            raise
        return self

    def begin(self):
        name = self.exits.enter_context(tempfile.TemporaryDirectory(prefix="evenkeel-bench-"))
        self.folder = pathlib.Path(name)
        write_users(self.folder / "data", USERS)
        self.evenkeel = self.start_evenkeel()
        self.redis, self.feast = self.start_feast()
        self.one = ask(self.evenkeel, "/v1/features", {"service": "fifty", "entities": [{"user_id": 7}]})
        self.same()
        self.nginx = self.start_nginx(self.one)

    def __exit__(self, *_):
        self.exits.close()

    def start(self, *arguments, **options):
        server = Server(*arguments, folder=self.folder, **options)
        self.exits.callback(server.stop)
        return server

    def start_evenkeel(self):
        # Room for all users: 500,000 keys.
        (self.folder / "evenkeel.toml").write_text("[limits]\nmemory_bytes = 1500000000\n")
        (self.folder / "definitions.sql").write_text("\n".join(definitions()))
        measure.evenkeel(self.folder, "apply")
        measure.evenkeel(self.folder, "ingest")
        port = free_port()
        program = ROOT / "target/release/evenkeel"
        bind = f"127.0.0.1:{port}"
        return self.start("evenkeel", port, [program, "--dir", self.folder, "serve", "--bind", bind])

    def start_feast(self):
        program, port = feast(), free_port()
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        redis = self.start("redis", port, command)
        shutil.copy(HERE / "feast_definitions.py", self.folder)
        feast_project(self.folder, port)
        measure.run(program, "apply", cwd=self.folder, env=SILENT)
        measure.run(program, "materialize", *PERIOD, cwd=self.folder, env=SILENT)
        port = free_port()
        command = [program, "serve", "--port", port, "--no-access-log", "--workers", 1, "--max-requests", 0]
        return redis, self.start("feast", port, command, environment=SILENT)

    def start_nginx(self, body):
        port = free_port()
        # A word of its settings has 4,096 bytes at most.
        parts = re.findall(".{1,2000}", body.decode())
        words = "".join(f"set $part{i} '{part}'; " for i, part in enumerate(parts))
        text = "".join(f"$part{i}" for i in range(len(parts)))
        (self.folder / "nginx.conf").write_text(
            f"""daemon off; worker_processes 1; error_log stderr; pid nginx.pid;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{port};
    location / {{ default_type application/json; {words} return 200 "{text}"; }} }} }}
"""
        )
        return self.start("nginx", port, ["nginx", "-p", self.folder, "-c", "nginx.conf"])

    def same(self):
        """Both servers say the same of one user, or a figure would say nothing."""
        ours = json.loads(self.one)["rows"][0]["values"]
        answer = json.loads(
            ask(self.feast, "/get-online-features", {"feature_service": "fifty", "entities": {"user_id": [7]}})
        )
        names = answer["metadata"]["feature_names"]
        theirs = {name: result["values"][0] for name, result in zip(names, answer["results"])}
        if ours != [theirs[f"f{i}"] for i in range(VIEWS * FEATURES)]:
            raise SystemExit("error: evenkeel and feast answer different values")


def serve():
    """Reading 50 features over HTTP, of one user and of 100; beside Feast on Redis, and nginx."""
    rounds = 3
    with World() as world:
        cases = {
            "one": (1, 4, "application/json"),
            "hundred": (100, 2, "application/json"),
            "hundred_arrow": (100, 2, ARROW),
        }
        # Everything that is asked for has been read once.
        for _ in range(2):
            load(world.evenkeel, 100, 2)
        found = {}
        for _ in range(rounds):
            for name, (entities, connections, accept) in cases.items():
                sides = {"evenkeel": load(world.evenkeel, entities, connections, accept)}
                if accept != ARROW:
                    sides["feast"] = load(
                        world.feast, entities, connections, accept, beside=[world.redis]
                    )
                if entities == 1:
                    sides["nginx"] = load(world.nginx, entities, connections, accept)
                for side, figures in sides.items():
                    found.setdefault((name, side), []).append(figures)
        least = {
            key: min(runs, key=lambda figures: figures["cpu_us"]) for key, runs in found.items()
        }
        report = {
            "users": USERS,
            "features": VIEWS * FEATURES,
            "peer": "feast, one worker, on Redis",
            "ours_cpu_s": least["one", "evenkeel"]["cpu_us"] / 1e6,
            "peer_cpu_s": least["one", "feast"]["cpu_us"] / 1e6,
        }
        report["ratio"] = report["peer_cpu_s"] / report["ours_cpu_s"]
        for (name, side), figures in least.items():
            report[f"{name}_{side}"] = figures
        one, hundred = least["one", "feast"]["cpu_us"], least["hundred", "feast"]["cpu_us"]
        report["feast_cpu_ratio"] = {
            "one": one / least["one", "evenkeel"]["cpu_us"],
            "hundred": hundred / least["hundred", "evenkeel"]["cpu_us"],
            "hundred_arrow": hundred / least["hundred_arrow", "evenkeel"]["cpu_us"],
        }
        report["nginx_requests_share"] = {
            "one": least["one", "evenkeel"]["requests_per_second"]
            / least["one", "nginx"]["requests_per_second"]
        }
        report["resident_megabytes"] = {
            server.side: server.memory_bytes() / 1e6
            for server in (world.evenkeel, world.feast, world.redis)
        }
        return report


ALL = {"serve": serve}
