"""Models, beside onnxruntime on the same files and rows, one thread each."""

import json
import pathlib
import sys
import tempfile

import measure

HERE = pathlib.Path(__file__).parent / "models"
ROWS = 100_000
# As far as sums of answers may be apart, per row: floats of both round differently.
APART_MAX = 1e-6


def interpreter():
    """Python with onnxruntime, in an environment that is made once."""
    folder = measure.ROOT / "target/models"
    program = folder / "bin/python"
    if not program.exists():
        measure.run(sys.executable, "-m", "venv", "--clear", folder)
        measure.run(
            folder / "bin/pip",
            *["install", "--quiet", "--disable-pip-version-check"],
            *["--requirement", HERE / "requirements.txt"],
        )
    return program


def model():
    """Scores of a row: 100 boosted trees of 31 leaves and a logistic regression, of 20 numbers."""
    measure.cargo("build", "--release", "-p", "evenkeel-model", "--example", "model_speed")
    speed = measure.ROOT / "target/release/examples/model_speed"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        theirs = json.loads(measure.run(interpreter(), HERE / "peer.py", folder, ROWS))
        report = {"rows": ROWS}
        for name, peer in theirs.items():
            with open(folder / "rows.txt") as rows:
                said = measure.run(speed, folder / f"{name}.onnx", stdin=rows)
            batch, single, total = (float(word) for word in said.split())
            if abs(total - peer["sum"]) > APART_MAX * ROWS:
                raise SystemExit(f"error: {name}: the answers differ: {total}, {peer['sum']}")
            report[name] = {
                "evenkeel": {"batch_seconds_per_row": batch, "single_seconds": single},
                "onnxruntime": {key: peer[key] for key in peer if key != "sum"},
            }
    return report


ALL = {"model": model}
