"""Builds, runs and measures: CPU and wall seconds of a piece of work, children included."""

import contextlib
import multiprocessing
import os
import pathlib
import platform
import resource
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
REPEATS = 3


def run(*command, **options):
    """Runs a command; what it prints. Its failure ends the benchmark."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"error: `{' '.join(words)}` failed\n{done.stdout}{done.stderr}")
    return done.stdout


def cargo(*arguments):
    return run(os.environ.get("CARGO", "cargo"), *arguments, cwd=ROOT)


def evenkeel(folder, *arguments):
    return run(ROOT / "target/release/evenkeel", "--dir", folder, *arguments, "--json")


def spent_by(command):
    """CPU and wall seconds, and the most memory, of one process. Its failure ends the benchmark."""
    words = [str(word) for word in command]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(words, stdout=said, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"error: `{' '.join(words)}` failed\n{said.read().decode()}")
    return {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "wall_seconds": time.perf_counter() - start,
        "peak_mb": used.ru_maxrss / 1024,
    }


def cpu_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def in_turns(**sides):
    """Each side's least CPU and wall seconds, of runs that take turns: the machine may be shared.
    A side is a pair: what makes ready, unmeasured, and what is measured."""
    least = {name: {"cpu_seconds": None, "wall_seconds": None} for name in sides}
    for _ in range(REPEATS):
        for name, (prepare, work) in sides.items():
            prepare()
            cpu, wall = cpu_seconds(), time.perf_counter()
            work()
            spent = {"cpu_seconds": cpu_seconds() - cpu, "wall_seconds": time.perf_counter() - wall}
            for what, seconds in spent.items():
                before = least[name][what]
                least[name][what] = seconds if before is None else min(before, seconds)
    return least


def as_pair(report):
    """A report with our CPU seconds beside the peer's, where it has two sides of them."""
    ours, theirs = report.get("evenkeel", {}), report.get("duckdb", {})
    if "ratio" in report or "cpu_seconds" not in ours or "cpu_seconds" not in theirs:
        return report
    pair = {
        "ours_cpu_s": ours["cpu_seconds"],
        "peer": "duckdb",
        "peer_cpu_s": theirs["cpu_seconds"],
        "ratio": theirs["cpu_seconds"] / ours["cpu_seconds"],
    }
    return {**pair, **report}


def percentiles(seconds):
    ordered = sorted(seconds)
    return {
        f"p{p}_us": ordered[min(len(ordered) - 1, len(ordered) * p // 100)] * 1e6 for p in (50, 99)
    }


def times_away(processor, seconds):
    """How long each time, in ns, a process that always wants a processor was without it; of how long."""
    os.sched_setaffinity(0, {processor})
    with contextlib.suppress(OSError):
        os.nice(-20)
    away, first = [], time.perf_counter_ns()
    last = first
    while last - first < seconds * 1e9:
        now = time.perf_counter_ns()
        if now - last > 100_000:
            away.append(now - last)
        last = now
    return away, last - first


def processors_away(seconds=2):
    """How long the processors are away from what always wants them, for others, the system, or the machine
    below this one: that much of a tail is not the server's."""
    processors = sorted(os.sched_getaffinity(0))
    with multiprocessing.get_context("fork").Pool(len(processors)) as pool:
        found = pool.starmap(times_away, [(p, seconds) for p in processors], chunksize=1)
    away = [ns for of_one, _ in found for ns in of_one]
    return {
        "over_1_ms_per_second": sum(ns > 1_000_000 for ns in away) / seconds,
        "longest_us": max(away, default=0) / 1_000,
        "share": sum(away) / sum(whole for _, whole in found),
    }


def circumstances():
    """What a figure means nothing without."""
    commit = run("git", "rev-parse", "HEAD", cwd=ROOT).strip()
    if run("git", "status", "--porcelain", "--untracked-files=no", cwd=ROOT):
        commit += " with changes"
    return {
        "commit": commit,
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine()},
    }
