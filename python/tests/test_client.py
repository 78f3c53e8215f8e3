"""The same methods against a server give the same bits as in this process."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import RIDES, ride
from serving import Server

import evenkeel
from evenkeel._wire import joined

TOKEN = "a-token-of-this-test"
CONFIGURATION = """
[[server.tokens]]
name = "tests"
scopes = ["admin"]
env = "EVENKEEL_TEST_TOKEN"
[[server.tokens]]
name = "reader"
scopes = ["read"]
env = "EVENKEEL_TEST_READER"
"""


@pytest.fixture
def server(tmp_path):
    (tmp_path / "evenkeel.toml").write_text(CONFIGURATION)
    with evenkeel.open(tmp_path) as store:
        store.apply(RIDES)
    tokens = {"EVENKEEL_TEST_TOKEN": TOKEN, "EVENKEEL_TEST_READER": f"{TOKEN}-to-read"}
    with Server(tmp_path, **tokens) as server:
        yield server


@pytest.fixture
def client(server):
    with evenkeel.connect(server.url, TOKEN) as client:
        yield client


def test_answers_are_those_of_the_store_itself(server, client):
    rows = [ride(1, tip=0.5, paid="1.75"), ride(2, rider_id="bob", fare=None), ride(3, fare=0.1)]
    report = client.ingest("rides", rows)
    assert (report.rows, report.recorded, report.session) == (3, 3, "rides/0@3;2026-01-03T12:00:00Z")
    frame = pl.DataFrame(
        {"ride_id": ["r-4", "r-1"], "rider_id": ["ada", "ada"], "fare": [1 / 3, 11.0],
         "ride_at": [datetime(2026, 1, 4, 12), datetime(2026, 1, 1, 12)]}
    )
    report = client.ingest("rides", frame)
    assert (report.recorded, report.conflicts) == (2, 1)
    keys = pa.table({"rider_id": ["ada", "zoe", "bob"]})
    asked = [
        (["rider_rides:*", "last_ride:*"], keys, {"as_of": "2026-01-05"}),
        ("rider_model", keys.to_pylist(), {"as_of": datetime(2026, 1, 5, tzinfo=timezone.utc)}),
        ("rider_model@1", pd.DataFrame(keys.to_pydict()), {"as_of": "2026-01-05", "defaults": True}),
        ("rider_model", keys, {"as_of": "2026-01-05", "cut": "rides/0@2"}),
        ("rider_model", keys, {"as_of": "2026-01-05", "known_at": "2020-01-01T00:00:00Z"}),
        (["rider_rides:rides_7d"], {"rider_id": "ada"}, {"as_of": "2026-01-05"}),
        ("rider_model", keys[:0], {"as_of": "2026-01-05"}),
    ]
    of_server = [client.get(what, entities, **options) for what, entities, options in asked]
    status = client.status()
    server.stop()
    with evenkeel.open(server.folder) as store:
        for (what, entities, options), found in zip(asked, of_server):
            wanted = store.get(what, entities, **options)
            assert found.columns == wanted.columns
            assert found.to_pylist() == wanted.to_pylist()
            assert found.digest() == wanted.digest()
            for part in ("features", "service", "version", "as_of", "known_at", "cut", "definition"):
                assert getattr(found, part) == getattr(wanted, part), part
        assert status.source("rides").ends == store.status().source("rides").ends
        assert status.source("rides").greatest_time == datetime(2026, 1, 4, 12, tzinfo=timezone.utc)
        assert status.services == store.status().services


def test_a_client_sees_what_it_wrote(client):
    ahead = datetime.now(timezone.utc) + timedelta(minutes=5)
    client.ingest("rides", [ride(1, ride_at=ahead)])
    found = client.get(["rider_rides:rides_7d"], {"rider_id": "ada"})
    assert found.scalar() == 1 and found.as_of >= ahead
    assert client.get(["rider_rides:rides_7d"], {"rider_id": "ada"}, consistency="strong").scalar() == 1


def test_rejected_rows_and_producers(client):
    report = client.ingest("rides", [ride(1), ride(2, fare="much"), ride(3, ride_at=None)])
    assert report.recorded == 1 and sum(report.rejected.values()) == 2
    assert report.first_rejected.startswith("row 1: column `fare`")
    frame = pa.table({"ride_id": ["p"], "ride_at": pa.array([datetime(2026, 1, 1)])})
    for wanted in (1, 0):
        report = client.ingest("rides", frame, producer_id="job", sequence=4)
        assert report.recorded == wanted


def test_many_rows_go_in_several_requests(client):
    count = 120_000
    start = datetime(2026, 1, 1)
    frame = pl.DataFrame(
        {"ride_id": [str(i) for i in range(count)], "rider_id": ["ada"] * count,
         "fare": [float(i) for i in range(count)],
         "ride_at": [start + timedelta(seconds=i) for i in range(count)]}
    )
    assert client.ingest("rides", frame).recorded == count
    rows = [ride(1, ride_id=f"x-{i}", rider_id="bob") for i in range(60_000)]
    assert client.ingest("rides", rows).recorded == 60_000
    ask = ["rider_rides:rides_7d"]
    found = client.get(ask, [{"rider_id": "ada"}, {"rider_id": "bob"}], as_of="2026-01-03")
    assert [row["rides_7d"] for row in found] == [count, 60_000]


def test_errors_have_the_classes_of_this_process(server, client):
    with pytest.raises(evenkeel.NotFoundError, match="did you mean `model`"):
        client.get("modle", {"rider_id": "ada"})
    with pytest.raises(evenkeel.InvalidError) as caught:
        client.get("rider_model", [{"rider_id": "ada"}, {"rider_id": 7}])
    assert caught.value.place["row"] == 1
    with pytest.raises(evenkeel.InvalidError, match="data frame"):
        client.ingest("rides", [ride(1, fare=float("nan"))])
    with pytest.raises(evenkeel.InvalidError, match="where its store is"):
        client.ingest("rides", None)
    with pytest.raises(evenkeel.DeadlineError) as caught:
        client.get("rider_model", [], consistency="complete:2030-01-01T00:00:00Z", timeout_ms=1)
    assert caught.value.code == "DEADLINE" and caught.value.place["source"] == "rides"
    found = client.get("rider_model", [], consistency="complete:2030-01-01T00:00:00Z", timeout_ms=1, degraded=True)
    assert found.degraded["source"] == "rides"
    with pytest.raises(evenkeel.UnauthorizedError):
        evenkeel.connect(server.url).status()
    with pytest.raises(evenkeel.UnauthorizedError, match="hint|scope|may"):
        evenkeel.connect(server.url, f"{TOKEN}-to-read").ingest("rides", [ride(1)])
    with pytest.raises(evenkeel.BusyError):
        evenkeel.open(server.folder)
    with pytest.raises(evenkeel.InvalidError, match="no address"):
        evenkeel.connect("localhost")


def test_a_server_that_comes_back_and_one_that_does_not(server, client):
    assert client.status().source("rides").events == 0
    server.stop()
    with pytest.raises(evenkeel.UnavailableError, match="evenkeel serve"):
        client.status()


def test_sessions_of_several_requests_know_what_each_knows():
    both = joined("a/0@3,b/1@9;2026-03-01T10:00:00.5Z", "a/0@2,c/0@1;2026-03-01T10:00:00Z")
    assert both == "a/0@3,b/1@9,c/0@1;2026-03-01T10:00:00.5Z"
    assert joined(None, "a/0@3") == "a/0@3"
    assert joined("a/0@3", None) == joined("a/0@3", "") == "a/0@3"
    assert joined(None, None) is None
