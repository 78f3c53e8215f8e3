"""`evenkeel serve` in a process of its own, for the tests that speak to it."""

from __future__ import annotations

import os
import subprocess

BINARY = os.environ["EVENKEEL_BINARY"]


def sample(folder):
    """The project of `evenkeel init` with its events: `orders/0` has five."""
    for command in ("init", "apply", "ingest"):
        subprocess.run([BINARY, command, "--dir", folder], check=True, capture_output=True)
    return folder


class Server:
    """Serves a project's folder on a free port until it is stopped."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.process = subprocess.Popen(
            [BINARY, "serve", "--dir", str(folder), "--bind", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.url = line.split()[-1]

    def stop(self):
        self.process.terminate()
        code = self.process.wait()
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
