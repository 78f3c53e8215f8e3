"""The example runs, and what it prints is what it says."""

from __future__ import annotations

import subprocess
import sys


def test_the_flights(repository, tmp_path):
    script = repository / "python" / "examples" / "flights.py"
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "all bits equal" in ran.stdout
    assert "the training set has the same numbers as the reads: True" in ran.stdout
