"""What the description of the API says of every path is what the server does.

Schemathesis makes requests from the description, those that it allows and those that it does
not, the same ones in every run, and holds the answers against it.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from serving import BINARY, Server, sample

DESCRIPTION = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"

# Drawn per operation, beside the fixed cases at the bounds of its parameters and fields.
EXAMPLES = 100

# The description says what a request looks like, not what it may mean: a name that nobody
# defined, a text that is no time are refused. 504 is an answer where a request says how long.
NOT_PROMISED = [positive_data_acceptance, not_a_server_error]

# What the sample project has, by the name of a parameter or a field.
KNOWN = {
    "source": "orders",
    "topic": "order_amounts",
    "view": "customer_orders",
    "service": "customer_model",
    "services": ["customer_model"],
    "features": ["customer_orders:*"],
    "feature": "customer_orders:orders_7d",
    "entities": [{"customer_id": "ada"}, {"customer_id": "nobody"}],
    "entity": {"customer_id": "ada"},
    "as_of": "2026-01-12T00:00:00Z",
    "known_at": "2026-01-12T00:00:00Z",
    "cut": "orders/0@5",
    "session": "orders/0@5;2026-01-20T20:45:00Z",
    "min_positions": "orders/0@5",
    "dataset": "buyers",
    "positions": "0@0..0@1",
    "dry_run": True,
    "row": {
        "order_id": "o-9",
        "customer_id": "ada",
        "amount": 2.5,
        "ordered_at": "2026-01-12T00:00:00Z",
    },
    "after": {"customer_id": "ada"},
    "inputs": {"customer_id": "ada"},
    "id": "orders~0~0~view~customer_orders~1",
}

# One version is built, the other is there to be.
DATASETS = """
CREATE STREAM order_amounts AS SELECT customer_id, amount FROM orders;
CREATE TRAINING DATASET buyers FROM SERVICE customer_model
  SPINE (SELECT customer_id FROM orders);
CREATE TRAINING DATASET buyers VERSION 2 FROM SERVICE customer_model
  SPINE (SELECT order_id, customer_id FROM orders);
CREATE PUSHED FEATURE VIEW scores (risk DOUBLE) ENTITY customer;
CREATE TABLE accounts (account BIGINT, op STRING, changed_at TIMESTAMP, place BIGINT,
    PRIMARY KEY (account), EVENT TIME changed_at, SEQUENCE BY (place))
  WITH (connector = 'mysql', url = 'mysql://nobody@127.0.0.1:9', table = 'bank.accounts',
        operation = 'op', change_time = 'changed_at', change_position = 'place');
"""


@schemathesis.serializer(
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.arrow.file",
    "application/vnd.apache.parquet",
    "application/x-ndjson",
)
def as_it_is(_, value):
    """Schemathesis knows no Arrow: it sends the bytes that it made up."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def described():
    schema = schemathesis.openapi.from_path(DESCRIPTION, config=SchemathesisConfig(seed=1))
    schema.config.generation.update(
        max_examples=EXAMPLES, deterministic=True, database="none", no_shrink=True
    )
    return schema


schema = described()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = sample(tmp_path_factory.mktemp("sample"))
    (folder / "definitions" / "datasets.sql").write_text(DATASETS)
    for command in (["apply"], ["dataset", "build", "buyers:1"]):
        subprocess.run([BINARY, *command, "--dir", folder], check=True, capture_output=True)
    with Server(folder) as server:
        yield server


@pytest.fixture(scope="module")
def statuses():
    """The statuses of the answers by operation: each operation was done, not only refused."""
    statuses = defaultdict(set)
    yield statuses
    assert [operation for operation, seen in statuses.items() if 200 not in seen] == []


def test_the_server_gives_out_the_description(server):
    answer = requests.get(f"{server.url}/openapi.json", timeout=120)
    assert answer.content == DESCRIPTION.read_bytes()


@schema.parametrize()
def test_answers_are_as_described(case, server, statuses):
    hold(case, server, statuses, NOT_PROMISED)
    # Once more about what exists: else most requests end at a name that does not. What was
    # wrong about the case may be what is put right.
    about_what_exists(case)
    hold(case, server, statuses, [*NOT_PROMISED, negative_data_rejection])


def hold(case, server, statuses, excluded):
    response = case.call(base_url=server.url, timeout=120)
    statuses[case.operation.label].add(response.status_code)
    case.validate_response(response, excluded_checks=excluded)
    if response.status_code >= 500:
        assert response.json()["error"]["code"] == "DEADLINE"


def about_what_exists(case):
    case.path_parameters = known(case.path_parameters)
    if case.operation.path.startswith("/v1/topics/"):
        # Else the stream goes on until its deadline.
        case.query, case.headers = {"from": 0, "limit": 0}, {}
    if case.operation.path.endswith("/file-rows"):
        # No message that is made up is one of Arrow.
        case.body, case.query = file_rows(), {}
    if isinstance(case.body, dict):
        case.body = known(case.body)
        # A read is of one of these, a training set of one of the first two.
        given = [name for name in ("service", "features", "dataset") if case.body.get(name)]
        for other in given[1:]:
            case.body.pop(other)
        if case.operation.path.endswith("/segments/query"):
            case.body.pop("segment", None)
            case.body["query"] = "SELECT customer_id FROM customer_orders WHERE orders_7d > 0"
        if case.operation.path.endswith("/views/{view}/rows"):
            case.path_parameters["view"] = "scores"
            case.body["key"] = {"customer_id": "ada"}
            case.body["features"] = {"risk": 0.5}
            case.body.pop("delete", None)
        if case.operation.path.endswith("/views/{view}/backfill"):
            case.path_parameters["view"] = "order_amounts"
            case.body["from"], case.body["to"] = "2026-01-01", None
        if case.operation.path.endswith("/forget"):
            case.body["entity"], case.body["key"] = "customer", "ada"
            case.body.pop("also", None)
            # Else it opens its store again.
            case.body.pop("now", None)
        if case.operation.path.endswith("/capture"):
            case.path_parameters["source"] = "accounts"
            # Nobody asks: it would wait as long as it may.
            case.body.update(definition=None, wait_ms=0)
        if case.operation.path.endswith("/calls") or "/triggers/" in case.operation.path:
            case.body.pop("producer_id", None)
            case.body.pop("sequence", None)
        if "/triggers/" in case.operation.path:
            case.body.pop("view", None)
            case.body.setdefault("service", "customer_model")
        # The fields of a body that is JSON are in it.
        case.query = {}


def file_rows():
    """The rows of a file: one that is an order, one that could not be decoded."""
    table = pa.table(
        {
            "order_id": ["o-1", None],
            "customer_id": ["ada", None],
            "amount": [1.5, None],
            "ordered_at": pa.array([1_768_000_000_000_000, None], pa.timestamp("us", "UTC")),
            "evenkeel:file": pa.array([bytes(16)] * 2, pa.binary()),
            "evenkeel:row": [0, 1],
            "evenkeel:reason": [None, "line 3: 2 fields where the header has 4"],
            "evenkeel:record": [None, '["o-2","ada"]'],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def known(members):
    return {name: KNOWN.get(name, value) for name, value in (members or {}).items()}
