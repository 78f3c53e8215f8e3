"""Makes two models and measures onnxruntime on them: `peer.py FOLDER ROWS`.

Writes `NAME.onnx`, the rows as `rows.txt` and prints a JSON object. One thread, as the other side
has.
"""

import json
import pathlib
import statistics
import sys
import time

import lightgbm
import numpy as np
import onnxruntime
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.linear_model import LogisticRegression

FEATURES = 20
REPEATS = 5
SINGLE = 20_000

update_registered_converter(
    lightgbm.LGBMClassifier, "LGBMClassifier", calculate_linear_classifier_output_shapes,
    convert_lightgbm, options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)


def models(x, y):
    trees = lightgbm.LGBMClassifier(n_estimators=100, num_leaves=31, verbose=-1, n_jobs=1)
    for name, model in [("boosting", trees), ("logistic", LogisticRegression())]:
        model.fit(x, y)
        options = {id(model): {"zipmap": False}}
        yield name, to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}, options=options)


def measure(model, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    name = session.get_inputs()[0].name
    batch = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        answers = session.run(["probabilities"], {name: x})[0]
        batch.append(time.perf_counter() - start)
    single = []
    for at in range(min(SINGLE, len(x))):
        row = {name: x[at : at + 1]}
        start = time.perf_counter()
        session.run(["probabilities"], row)
        single.append(time.perf_counter() - start)
    return {
        "batch_seconds_per_row": min(batch) / len(x),
        "single_seconds": statistics.median(single),
        "sum": float(answers[:, 1].astype(np.float64).sum()),
    }


def main():
    folder, rows = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    random = np.random.default_rng(1)
    x = random.normal(size=(rows, FEATURES)).astype(np.float32)
    y = (x[:, 0] - x[:, 1] * x[:, 2] + random.normal(size=rows) > 0).astype(int)
    np.savetxt(folder / "rows.txt", x, fmt="%.9g")
    found = {}
    for name, model in models(x, y):
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
        found[name] = measure(model.SerializeToString(), x)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
