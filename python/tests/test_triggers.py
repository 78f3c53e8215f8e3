"""Calls, triggers, results and rows that are set of a server are those of this process; SQL,
segments and runs."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from conftest import ride
from test_client import client, server  # noqa: F401 - fixtures

import evenkeel

MODEL = "rider_model"


def alike(one, other):
    assert one.to_pylist() == other.to_pylist()
    assert one.digest() == other.digest()
    for part in ("features", "service", "version", "as_of", "known_at", "cut", "definition"):
        assert getattr(one, part) == getattr(other, part), part


def test_a_trigger_is_answered_once_and_for_ever(server, client):  # noqa: F811
    called = client.call("rides", ride(1, tip=0.5), MODEL)
    first = client.trigger("rides", ride(1, tip=0.5), service=MODEL)
    assert (first.status, first.duplicate, first.position) == ("logged", False, (0, 0))
    assert first.features["rides_7d"] == 1
    assert first.answers.as_of == datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    assert first.answers.cut == "rides/0@1"
    assert first.answers.to_pylist() == called.to_pylist()
    # A read of this client sees it.
    seen = client.get(["rider_rides:rides_7d"], {"rider_id": "ada"}, as_of="2026-01-02")
    assert seen.scalar() == 1
    client.ingest("rides", [ride(2)])
    later = client.trigger("rides", ride(1, tip=0.5), service="rider_model@1")
    assert (later.status, later.result) == ("duplicate", first.result)
    alike(later.answers, first.answers)
    alike(client.result(first.result), first.answers)
    of_view = client.trigger("rides", ride(3), view="rider_rides", deadline_ms=0)
    assert of_view.answers is None
    with pytest.raises(evenkeel.InvalidError, match="has no features"):
        of_view.features
    found = client.result(of_view.result, wait_ms=5_000)
    assert (found.service, found.values.to_pylist()[0]["rides_7d"]) == (None, 3)
    with pytest.raises(evenkeel.InvalidError, match="more than 256 characters"):
        client.trigger("rides", ride(4), view="rider_rides", correlation_id="x" * 257)
    other = client.trigger("rides", ride(3, fare=0.5), view="rider_rides", correlation_id="é 7")
    assert (other.status, other.position) == ("conflict", (0, 3))
    server.stop()
    with evenkeel.open(server.folder) as store:
        again = store.trigger("rides", ride(1, tip=0.5), service=MODEL)
        assert (again.status, again.duplicate, again.result) == ("duplicate", True, first.result)
        alike(again.answers, first.answers)
        alike(store.result(first.result), first.answers)
        alike(store.result(of_view.result), found)
        alike(store.trigger("rides", ride(3, fare=0.5), view="rider_rides").answers, other.answers)
        with pytest.raises(evenkeel.InvalidError, match="is empty"):
            store.trigger("rides", ride(4), view="rider_rides", correlation_id="")
        new = store.trigger("rides", ride(4), view="rider_rides", correlation_id="ride 4")
        assert (new.status, new.position, new.features["rides_7d"]) == ("logged", (0, 4), 4)
        counted = store.call("rides", ride(5), ["rider_rides:rides_7d"])
        assert counted.scalar() == 5


def test_a_trigger_waits_for_watermarks(server, client):  # noqa: F811
    asked = {"view": "rider_rides", "consistency": "complete"}
    ahead = client.trigger("rides", ride(10), deadline_ms=5, **asked)
    assert (ahead.status, ahead.answers) == ("logged", None)
    assert (ahead.missing["source"], ahead.missing["wanted"]) == ("rides", "2026-01-10T12:00:00Z")
    assert "~complete~" in ahead.result
    named = {**asked, "consistency": "complete:rides"}
    named = client.trigger("rides", ride(10), deadline_ms=5, **named)
    assert (named.status, named.answers) == ("duplicate", None)
    assert named.result.endswith("~rides") and named.result != ahead.result
    degraded = client.trigger("rides", ride(10), degraded=True, deadline_ms=5, **asked)
    assert (degraded.features["rides_7d"], degraded.answers.degraded["what"]) == (1, "watermark")
    with pytest.raises(evenkeel.DeadlineError, match="watermark of `rides`"):
        client.result(ahead.result, wait_ms=5)
    # One of before comes late, and then one that is later than all that is waited for.
    client.ingest("rides", [ride(9), ride(11)])
    found = client.result(ahead.result, wait_ms=60_000)
    assert (found.values.to_pylist()[0]["rides_7d"], found.cut) == (2, "rides/0@3")
    again = client.trigger("rides", ride(10), **asked)
    assert (again.status, again.result) == ("duplicate", ahead.result)
    alike(again.answers, found)
    wrong = ["strong", "complete:", "complete:nothing", "complete:rides,"]
    for level in wrong:
        with pytest.raises(evenkeel.InvalidError):
            client.trigger("rides", ride(12), view="rider_rides", consistency=level)
    server.stop()
    with evenkeel.open(server.folder) as store:
        alike(store.trigger("rides", ride(10), **asked).answers, found)
        alike(store.result(ahead.result), found)
        for level in wrong:
            with pytest.raises(evenkeel.InvalidError):
                store.trigger("rides", ride(12), view="rider_rides", consistency=level)
        assert store.status().source("rides").events == 3
        with pytest.raises(evenkeel.BusyError, match="waits for a watermark"):
            store.trigger("rides", ride(12), **asked)
        known = store.trigger("rides", ride(12), degraded=True, **asked)
        assert (known.status, known.features["rides_7d"]) == ("duplicate", 4)
        assert known.answers.degraded["source"] == "rides"


def test_what_is_no_event_and_what_is_wrong(server, client):  # noqa: F811
    def hold(store):
        rejected = store.trigger("rides", ride(1, ride_id=None), service=MODEL)
        assert (rejected.status, rejected.code, rejected.result) == ("rejected", "REQUIRED", None)
        undecoded = store.trigger("rides", ride(1, fare="much"), service=MODEL)
        assert (undecoded.status, undecoded.code) == ("rejected", "DECODE")
        with pytest.raises(evenkeel.InvalidError, match="has no features"):
            undecoded.features
        for wrong, error in [
            (lambda: store.trigger("rides", ride(1)), evenkeel.InvalidError),
            (lambda: store.trigger("rides", ride(1), service="none"), evenkeel.NotFoundError),
            (lambda: store.trigger("none", ride(1), service=MODEL), evenkeel.NotFoundError),
            (lambda: store.result("none"), evenkeel.InvalidError),
            (lambda: store.result("rides~0~99~view~rider_rides~1"), evenkeel.NotFoundError),
            (lambda: store.call("rides", ride(1, fare="much"), MODEL), evenkeel.InvalidError),
            (lambda: store.call("rides", ride(1, ride_id=None), MODEL), evenkeel.InvalidError),
        ]:
            with pytest.raises(error):
                wrong()

    hold(client)
    server.stop()
    with evenkeel.open(server.folder) as store:
        hold(store)
        assert store.status().source("rides").events == 0


def test_queries_and_segments_of_a_server(server, client):  # noqa: F811
    client.ingest("rides", [ride(n, rider_id=f"rider {n % 3}") for n in range(1, 8)])
    found = client.sql("SELECT count(*) AS n, sum(fare) AS fares FROM rides")
    assert found.to_pylist() == [{"n": 7, "fares": 98.0}]
    before = client.sql("SELECT ride_id FROM rides WHERE ride_at < TIMESTAMP '2026-01-03'")
    assert sorted(before.to_arrow()["ride_id"].to_pylist()) == ["r-1", "r-2"]
    with pytest.raises(evenkeel.InvalidError):
        client.sql("SELECT nothing FROM rides")
    query = "SELECT rider_id, rides_7d FROM rider_rides WHERE rides_7d > 1"
    whole = client.segment(query=query, as_of="2026-01-08")
    assert (whole.matched, whole.complete, whole.next) == (3, True, None)
    keys = []
    page = client.segment(query=query, as_of="2026-01-08", limit=2)
    while True:
        keys += page.to_pylist()
        if page.next is None:
            break
        page = client.segment(
            query=query, as_of=page.as_of, cut=page.cut, after=page.next, limit=2
        )
    assert keys == whole.to_pylist()
    assert sorted(key["rider_id"] for key in keys) == ["rider 0", "rider 1", "rider 2"]


def test_a_batch_view_runs(server, client):  # noqa: F811
    client.apply(
        "CREATE BATCH FEATURE VIEW totals ENTITY rider (rider_id) SCHEDULE '0 3 * * *' AS "
        "SELECT rider_id, sum(fare) AS fares FROM rides GROUP BY rider_id"
    )
    client.ingest("rides", [ride(1), ride(2)])
    report = client.run("totals", at="2026-01-05")
    assert (report["written"], report["failed"]) == (1, 0)
    assert client.run("totals", at="2026-01-05")["written"] == 0
    assert client.get(["totals:fares"], {"rider_id": "ada"}, as_of="2026-01-06").scalar() == 23.0


def test_features_are_set_one_by_one(server, client):  # noqa: F811
    view = "CREATE PUSHED FEATURE VIEW scores (risk DOUBLE, grade STRING) ENTITY rider (rider_id)"
    client.apply(view)
    ada, bob = {"rider_id": "ada"}, {"rider_id": "bob"}
    told = client.set("scores", ada, {"risk": 0.5, "grade": "b"}, at="2026-01-10")
    assert (told["status"], told["partition"], told["offset"]) == ("logged", 0, 0)
    client.set("scores", ada, {"risk": 0.25}, at="2026-01-12")
    client.set("scores", bob, {"grade": "a"}, at="2026-01-12")
    client.delete("scores", bob, at="2026-01-13")

    def hold(store):
        def read(key, at):
            return store.get(["scores:*"], key, as_of=at).values.to_pylist()[0]

        assert read(ada, "2026-01-11") == {"risk": 0.5, "grade": "b"}
        assert read(ada, "2026-01-12") == {"risk": 0.25, "grade": "b"}
        assert read(bob, "2026-01-12") == {"risk": None, "grade": "a"}
        assert read(bob, "2026-01-14") == {"risk": None, "grade": None}
        for wrong in (
            lambda: store.set("scores", {}, {"risk": 1.0}),
            lambda: store.set("scores", ada, {}),
            lambda: store.set("scores", ada, {"rsk": 1.0}),
            lambda: store.set("scores", ada, {"risk": "much"}),
        ):
            with pytest.raises(evenkeel.InvalidError):
                wrong()
        with pytest.raises(evenkeel.NotFoundError):
            store.set("last_ride", ada, {"last_fare": 1.0})

    hold(client)
    server.stop()
    with evenkeel.open(server.folder) as store:
        hold(store)
        told = store.set("scores", ada, {"grade": None}, at="2026-01-15")
        assert (told["status"], told["offset"]) == ("logged", 4)
        read = store.get(["scores:*"], ada, as_of="2026-01-15")
        assert read.values.to_pylist() == [{"risk": 0.25, "grade": None}]
