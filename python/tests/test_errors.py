"""Errors say what is wrong, where, and what to do; threads and processes share a store."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading

import pandas as pd
import pytest
from conftest import RIDES, ride

import evenkeel


def test_a_definitions_mistake_is_underlined(rides):
    text = "CREATE FEATURE SERVICE other AS\n  rider_rides (rides_8d);"
    with pytest.raises(evenkeel.DefinitionError) as caught:
        rides.store.plan(text)
    error = caught.value
    assert error.code == "DEFINITIONS" and isinstance(error, evenkeel.InvalidError)
    assert error.place == {"file": "sql", "line": 2, "column": 16, "end_line": 2, "end_column": 24}
    lines = str(error).splitlines()
    assert lines[0] == "error: view `rider_rides` has no feature `rides_8d`"
    assert lines[1] == " --> sql:2:16"
    assert lines[4].endswith("|                ^^^^^^^^")
    assert error.hint in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.place, type(again)) == (str(error), error.place, type(error))


@pytest.mark.parametrize(
    "ask, kind, words",
    [
        (lambda s: s.get("modle", {}), evenkeel.NotFoundError, "did you mean `model`"),
        (lambda s: s.ingest("ride", []), evenkeel.NotFoundError, "did you mean `rides`"),
        (lambda s: s.get("model@9", {}), evenkeel.NotFoundError, "`model@1`"),
        (lambda s: s.get("rider_rides:x", {}), evenkeel.DefinitionError, "rider_rides:x:1:13"),
        (lambda s: s.get("model", {"rider": 1}), evenkeel.InvalidError, "`rider`"),
        (lambda s: s.get("model", pd.DataFrame({"ridr_id": ["a"]})), evenkeel.InvalidError, "`rider_id`"),
        (lambda s: s.get("model", 7), evenkeel.InvalidError, "no data frame"),
        (lambda s: s.get("model", {}, as_of="soon"), evenkeel.InvalidError, "`as_of`"),
        (lambda s: s.get("model", {}, cut="rides/0@9"), evenkeel.InvalidError, "rides/0"),
        (lambda s: s.train("model", "SELECT nothing FROM rides"), evenkeel.DefinitionError, "^^^^"),
        (lambda s: s.train("model", [{"rider_id": "a"}]), evenkeel.InvalidError, "time"),
        (lambda s: s.train("model", [], knowledge="best"), evenkeel.InvalidError, "as_served"),
        (lambda s: s.train("model", "no.parquet"), evenkeel.InvalidError, "no.parquet"),
        (lambda s: s.ingest("rides", [], producer_id="p"), evenkeel.InvalidError, "both"),
        (lambda s: s.ingest("rides"), evenkeel.InvalidError, "connector"),
        (lambda s: s.explain("rider_rides:*", {}), evenkeel.InvalidError, "one feature"),
        (lambda s: s.verify("modle"), evenkeel.NotFoundError, "`model`"),
        (lambda s: s.apply("CREATE NONSENSE;"), evenkeel.DefinitionError, "^"),
    ],
)
def test_errors_have_a_kind_and_say_what_to_do(rides, ask, kind, words):
    with pytest.raises(kind) as caught:
        ask(rides.store)
    assert words in str(caught.value)


def test_too_many_entities_are_refused(rides):
    with pytest.raises(evenkeel.InvalidError, match="10000"):
        rides.store.get("rider_model", pd.DataFrame({"rider_id": ["a"] * 10_001}))


def test_a_store_has_one_writer_and_many_readers(tmp_path):
    with pytest.raises(evenkeel.NotFoundError):
        evenkeel.open(tmp_path / "nowhere")
    with evenkeel.open(tmp_path) as store:
        store.apply(RIDES)
        store.ingest("rides", [ride(1)])
        code = (
            "import evenkeel, sys\n"
            "try: evenkeel.open(sys.argv[1])\n"
            "except evenkeel.BusyError as error: print(error.code)\n"
            "with evenkeel.open(sys.argv[1], read_only=True) as store:\n"
            "    print(store.get(['rider_rides:rides_7d'], {'rider_id': 'ada'}, as_of='2026-01-02').scalar())\n"
            "    try: store.ingest('rides', [])\n"
            "    except evenkeel.InvalidError as error: print('reading only' in str(error))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert ran.stdout.split() == ["BUSY", "1", "True"], ran.stderr
    assert store.closed and "closed" in repr(store)
    store.close()
    with pytest.raises(evenkeel.InvalidError, match="closed"):
        store.status()
    # What was logged is there again.
    with evenkeel.open(tmp_path) as store:
        assert store.status().source("rides").events == 1
        assert {change.change for change in store.plan(RIDES).changes} == {"unchanged"}


def test_environments_and_project_files(tmp_path):
    (tmp_path / "evenkeel.toml").write_text('[environments.test.store]\npath = "other"\n')
    (tmp_path / "rides.sql").write_text(RIDES)
    with evenkeel.open(tmp_path, "test") as store:
        assert len(store.apply().changes) == 8
        assert store.status().store.endswith("other")
        assert store.apply(tmp_path / "rides.sql").changes[0].change == "unchanged"
    with pytest.raises(evenkeel.NotFoundError, match="test"):
        evenkeel.open(tmp_path, env="prod")


def test_definitions_lean_on_what_is_registered(rides):
    plan = rides.store.apply("CREATE FEATURE SERVICE small AS rider_rides (rides_7d);")
    changed = [(c.object, c.name) for c in plan.changes if c.change != "unchanged"]
    assert changed == [("feature service", "small")]
    assert "create" in str(plan)
    # A view that others use: they follow.
    text = "CREATE FEATURE VIEW last_ride ENTITY rider (rider_id) AS SELECT rider_id, seats AS last_fare, tip AS last_tip, paid AS last_paid, ride_at AS last_at FROM rides;"
    plan = rides.store.plan(text)
    changed = {c.name for c in plan.changes if c.change == "new version"}
    assert changed == {"last_ride", "model", "rider_model"}


def test_identity_of_pushed_rows(rides, evenkeel_project):
    rows = [ride(1), ride(2)]
    assert rides.ingest("rides", rows).recorded == 2
    assert rides.ingest("rides", rows).duplicates == 2
    report = rides.store.ingest("rides", [ride(1, fare=0.0)])
    assert report.conflicts == 1
    project = evenkeel_project(
        "CREATE ENTITY e (k STRING);"
        "CREATE STREAM s (k STRING, t TIMESTAMP, EVENT TIME t);"
        "CREATE FEATURE VIEW v ENTITY e (k) AS SELECT k, count(*) OVER w AS n FROM s WINDOW w AS (LAST 7 DAYS);"
    )
    row = [{"k": "a", "t": "2026-01-01"}]
    for sequence in (0, 0, 1):
        project.store.ingest("s", row, producer_id="job", sequence=sequence)
    project.expect("v:n", {"k": "a"}, "2026-01-02", 2)
    # Without an identity, twice is two.
    project.ingest("s", row + row)
    project.expect("v:n", {"k": "a"}, "2026-01-02", 4)


def test_threads_read_while_one_writes(rides):
    rides.ingest("rides", [ride(1)])
    cut = rides.store.get("rider_model", {"rider_id": "ada"}, as_of="2026-01-02").cut
    wanted = rides.store.get("rider_model", {"rider_id": "ada"}, as_of="2026-01-31", cut=cut).digest()
    wrong = []

    def read():
        for _ in range(50):
            found = rides.store.get("rider_model", {"rider_id": "ada"}, as_of="2026-01-31", cut=cut)
            if found.digest() != wanted:
                wrong.append(found.to_pylist())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 30):
        rides.ingest("rides", [ride(number)])
    for thread in threads:
        thread.join()
    assert wrong == []
    assert rides.store.status().source("rides").events == 29
    rides.verify()


def test_defaults_are_put_in_place_and_marked_only_if_asked_for(rides):
    ask = lambda **options: rides.store.get("rider_model", {"rider_id": "zoe"}, as_of="2026-01-02", **options)
    assert ask().to_pylist()[0]["fares_7d"] is None
    assert "fares_7d__default" not in ask().columns
    found = ask(defaults=True).to_pylist()[0]
    assert (found["fares_7d"], found["fares_7d__default"], found["fares_7d__status"]) == (0.0, True, "NULL_VALUE")
    assert found["fare_avg_7d"] is None


def test_an_explanation_names_the_events(rides):
    rides.ingest("rides", [ride(1), ride(2), ride(3, fare=None)])
    story = rides.store.explain("rider_rides:fares_7d", {"rider_id": "ada"}, as_of="2026-01-04")
    assert (story.value, story.status, story.cut) == (23.0, "PRESENT", "rides/0@3")
    inside = [step.facts for step in story.evidence if "inside" in step.facts]
    assert inside == [{"inside": 3, "counted": 3}]
    assert [step.facts["values"]["fare"] for step in story.evidence if "position" in step.facts] == [None, 12.0, 11.0]
    assert "3 events are inside the window" in str(story)
