"""Training sets, verifications, stories and errors of a server are those of this process."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from conftest import RIDES as RIDES_SQL
from conftest import ride
from serving import Server
from test_client import CONFIGURATION, TOKEN, client, server  # noqa: F401 - fixtures

import evenkeel
from evenkeel._wire import verification_of

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, 18, tzinfo=timezone.utc)
RIDES = [
    ride(1, tip=0.5, paid="1.75"),
    ride(2, rider_id="bob", fare=None),
    ride(3, fare=1 / 3, paid="0.05"),
    ride(4, rider_id="bob", tip=0.1),
]
FRAME = pl.DataFrame(
    {
        "rider_id": ["bob", "ada", "ada", "zoe", None],
        "event_time": [START + n * DAY for n in (4, 3, 1, 2, 2)],
        "seen": [START + n * DAY for n in (5, 2, 2, 2, 2)],
        "label": [1, 0, 0, 1, 1],
        "weight": [0.1, 1 / 3, None, 2.0, 1e300],
    }
)
QUERY = "SELECT rider_id, ride_at AS event_time, fare > 10.5 AS label FROM rides"
MODEL = "rider_model"


@pytest.fixture
def both(server, client):  # noqa: F811
    """The store itself, read beside the server that holds it, and a client of that server."""
    client.ingest("rides", RIDES)
    with evenkeel.open(server.folder, read_only=True) as store:
        yield store, client


def file(kind):
    def write(folder):
        path = folder / f"spine.{kind}"
        table = FRAME.to_arrow()
        if kind == "csv":
            FRAME.write_csv(path)
        elif kind == "parquet":
            pyarrow.parquet.write_table(table, path)
        elif kind == "arrow":
            pyarrow.feather.write_feather(table, path)
        else:
            with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
                stream.write_table(table)
        return path

    return write


TRAINED = {
    "Polars": (lambda _: FRAME, MODEL, {}),
    "pandas": (lambda _: FRAME.to_pandas(), ["rider_rides:*", "last_ride:last_paid"], {}),
    "category": (lambda _: FRAME.to_pandas().astype({"rider_id": "category"}), MODEL, {}),
    "dictionaries": (lambda _: FRAME.to_dicts(), f"{MODEL}@1", {}),
    "texts as times": (lambda _: [{"rider_id": "ada", "event_time": "2026-01-05"}], MODEL, {}),
    "nothing": (lambda _: FRAME[:0], MODEL, {}),
    "statuses": (lambda _: FRAME, MODEL, {"statuses": True}),
    "a cut": (lambda _: FRAME, MODEL, {"cut": "rides/0@2"}),
    "a column of times": (lambda _: FRAME, MODEL, {"time_column": "seen"}),
    "as served": (lambda _: FRAME, MODEL, {"knowledge": "as_served", "known_at_column": "seen"}),
    "query": (lambda _: QUERY, MODEL, {"statuses": True}),
    "query of features": (lambda _: QUERY, ["rider_rides:rides_7d"], {"knowledge": "as_served"}),
    "csv": (file("csv"), MODEL, {}),
    "parquet": (file("parquet"), MODEL, {"time_column": "seen", "statuses": True}),
    "arrow": (file("arrow"), ["rider_rides:*"], {}),
    "arrows": (lambda folder: str(file("arrows")(folder)), MODEL, {}),
}


@pytest.mark.parametrize("case", TRAINED)
def test_training_sets_are_the_same_to_the_last_bit(both, tmp_path_factory, case):
    spine, service, options = TRAINED[case]
    given = spine(tmp_path_factory.mktemp("spines"))
    wanted, found = (each.train(service, given, **options) for each in both)
    assert len(wanted) > 0 or case == "nothing"
    assert found.schema == wanted.schema and found.to_pylist() == wanted.to_pylist()
    assert found.digest() == wanted.digest() and found.to_arrow().schema == wanted.to_arrow().schema
    for part in ("features", "labels", "coincident", "cut", "definition", "values_digest"):
        assert getattr(found, part) == getattr(wanted, part), part


def test_verifications_are_the_same(both):
    for services in ((), MODEL, [MODEL, "model"]):
        options = {"values": 300, "oracle_values": 60, "cuts": 2, "seed": 7}
        wanted, found = (each.verify(services, **options) for each in both)
        assert found == wanted and found.ok and found.values_checked > 0


def test_a_mismatch_of_a_server_is_one_of_this_process():
    found = {
        "feature": "v:f", "key": ["ada", 7, True, None], "time": "2026-01-01T00:00:00.5Z",
        "cut": "rides/0@1", "known_at": None,
        "answers": [{"path": "read", "value": "1e-7", "status": "PRESENT"}],
    }
    counts = ("seed", "values_checked", "oracle_checked", "points", "cuts", "mismatches")
    report = verification_of({**dict.fromkeys(counts, 1), "examples": [found], "answers_digest": "d"})
    assert not report.ok
    assert report.examples == [
        evenkeel.Mismatch(
            "v:f", ["ada", "7", "true", "NULL"], datetime(2026, 1, 1, 0, 0, 0, 500_000, timezone.utc),
            "rides/0@1", None, [("read", "1e-7", "PRESENT")],
        )
    ]


@pytest.mark.parametrize(
    "feature, value",
    [
        ("rider_rides:rides_7d", 2),
        ("rider_rides:paid_7d", Decimal("1.80")),
        ("rider_rides:last_rides", ["r-1", "r-3"]),
        ("rider_rides:tip_max_7d", 0.5),
        ("last_ride:last_at", datetime(2026, 1, 3, 12, tzinfo=timezone.utc)),
        ("last_ride:last_tip", None),
    ],
)
def test_explanations_are_the_same(both, feature, value):
    for options in ({}, {"cut": "rides/0@2"}, {"known_at": "2020-01-01"}):
        ask = {"as_of": "2026-01-05T00:00:00Z", **options}
        wanted, found = (each.explain(feature, {"rider_id": "ada"}, **ask) for each in both)
        if not options:
            assert wanted.value == value
        for part in ("feature", "value", "status", "event_time", "as_of", "cut"):
            assert getattr(found, part) == getattr(wanted, part), part
            assert type(getattr(found, part)) is type(getattr(wanted, part)), part
        told = [[(s.depth, list(s.facts), s.facts.get("event_time")) for s in e.evidence]
                for e in (wanted, found)]
        assert told[0] == told[1]
        if not isinstance(value, list):  # a server abridges lists in its words
            assert str(found) == str(wanted)


WRONG = {
    "service": (lambda s: s.train("rider_modle", FRAME), "did you mean `rider_model`"),
    "version": (lambda s: s.train("rider_model@9", FRAME), "`rider_model@1`"),
    "feature": (lambda s: s.train(["rider_rides:rides_8d"], FRAME), "rider_rides:rides_8d:1:13"),
    "read feature": (lambda s: s.get(["rider_rides:rides_8d"], {}), "rider_rides:rides_8d:1:13"),
    "explained feature": (lambda s: s.explain("rider_rides:rides_8d", {}), "^^^^^^^^"),
    "query": (lambda s: s.train(MODEL, "SELECT rider_id,\n  ride_on FROM rides"), "--> spine:2:3"),
    "query that ends": (lambda s: s.train(MODEL, "SELECT"), "^"),
    "query with a time": (lambda s: s.train(MODEL, QUERY, time_column="seen"), "no column of times"),
    "no time": (lambda s: s.train(MODEL, FRAME[["rider_id", "label"]]), "time"),
    "no key": (lambda s: s.train(MODEL, FRAME.drop("rider_id")), "rider_id"),
    "no frame": (lambda s: s.train(MODEL, 7), "no data frame"),
    "no file": (lambda s: s.train(MODEL, "no.parquet"), "no.parquet"),
    "no format": (lambda s: s.train(MODEL, "spine.xlsx"), "spine.xlsx"),
    "knowledge": (lambda s: s.train(MODEL, FRAME, knowledge="best"), "as_served"),
    "cut": (lambda s: s.train(MODEL, FRAME, cut="rides/0@99"), "rides/0"),
    "verified service": (lambda s: s.verify("modle"), "`model`"),
    "several": (lambda s: s.explain("rider_rides:*", {}), "one feature"),
    "definition": (lambda s: s.plan("CREATE FEATURE SERVICE x AS\n  rider_rides (rides_8d);"), "--> sql:2:16"),
    "definitions": (lambda s: s.plan(["CREATE ENTITY e (k STRING);", "CREATE NONSENSE;"]), "--> sql 2:1"),
    "no definitions": (lambda s: s.plan("no.sql"), "no.sql"),
    "moment": (lambda s: s.explain("rider_rides:rides_7d", {}, as_of="soon"), "`as_of`"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_the_same(both, case):
    ask, words = WRONG[case]
    caught = []
    for each in both:
        with pytest.raises(evenkeel.Error) as error:
            ask(each)
        assert words in str(error.value)
        caught.append(error.value)
    wanted, found = caught
    assert type(found) is type(wanted)
    if isinstance(wanted, evenkeel.DefinitionError):
        assert (str(found), found.code, found.place) == (str(wanted), wanted.code, wanted.place)
    # The connection is as good as before.
    assert both[1].status().source("rides").events == len(RIDES)


def test_a_broken_file_is_named(both, tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"no parquet")
    for each in both:
        with pytest.raises(evenkeel.InvalidError, match="broken.parquet"):
            each.train(MODEL, path)


def test_a_spine_that_is_too_large_is_refused_before_all_of_it_is_sent(server, tmp_path):  # noqa: F811
    server.stop()
    (tmp_path / "evenkeel.toml").write_text(f"{CONFIGURATION}[server.limits]\nspine_bytes = 100_000\n")
    path = tmp_path / "large.csv"
    path.write_text("rider_id,event_time\n" + "ada,2026-01-05T00:00:00Z\n" * 1_000_000)
    tokens = {"EVENKEEL_TEST_TOKEN": TOKEN, "EVENKEEL_TEST_READER": f"{TOKEN}-to-read"}
    with Server(tmp_path, **tokens) as small, evenkeel.connect(small.url, TOKEN) as client:  # noqa: F811
        for _ in range(3):
            with pytest.raises(evenkeel.InvalidError) as caught:
                client.train(MODEL, path)
            assert caught.value.code == "BODY_TOO_LARGE"
            assert client.status().source("rides").events == 0


def test_long_work_has_a_deadline(both):
    client = both[1]  # noqa: F811
    frame = pl.DataFrame(
        {"rider_id": ["ada"] * 200_000, "event_time": [START + n * DAY / 1000 for n in range(200_000)]}
    )
    for ask in (
        lambda: client.train(MODEL, frame, timeout_ms=1),
        lambda: client.verify(values=10_000_000, timeout_ms=1),
    ):
        with pytest.raises(evenkeel.DeadlineError) as caught:
            ask()
        assert caught.value.code == "DEADLINE"
    with pytest.raises(evenkeel.InvalidError, match="timeout_ms"):
        client.verify(timeout_ms=0)
    assert len(client.train(MODEL, frame[:10])) == 10


def test_long_work_needs_a_token_and_a_server(server, both):  # noqa: F811
    for ask in (lambda c: c.train(MODEL, FRAME), lambda c: c.train(MODEL, QUERY), lambda c: c.verify()):
        with pytest.raises(evenkeel.UnauthorizedError):
            ask(evenkeel.connect(server.url))
        assert ask(evenkeel.connect(server.url, f"{TOKEN}-to-read")) is not None
    server.stop()
    with pytest.raises(evenkeel.UnavailableError, match="evenkeel serve"):
        both[1].train(MODEL, pd.DataFrame(FRAME.to_dicts()))


MORE = """
CREATE FEATURE VIEW rider_tips ENTITY rider (rider_id) AS
SELECT rider_id, count(*) OVER (LAST 3 DAYS) AS tips_3d FROM rides WHERE tip > 0.2;
CREATE FEATURE SERVICE tips AS rider_tips (*), rider_rides (rides_7d);
"""
CHANGED = RIDES_SQL.replace("LAST 7 DAYS", "LAST 5 DAYS")


def test_plans_are_the_same(both, tmp_path):
    path = tmp_path / "more.sql"
    path.write_text(MORE)
    for given in (MORE, path, str(path), [RIDES_SQL, MORE], CHANGED, ""):
        wanted, found = (each.plan(given) for each in both)
        assert found == wanted and str(found) == str(wanted), given


def test_the_files_of_a_project_are_read_where_it_is(server, both):  # noqa: F811
    definitions = server.folder / "definitions"
    definitions.mkdir()
    (definitions / "rides.sql").write_text(RIDES_SQL)
    (definitions / "more.sql").write_text(MORE)
    wanted, found = (each.plan() for each in both)
    assert found == wanted and "create" in {change.change for change in found.changes}
    (definitions / "more.sql").write_text("CREATE FEATURE SERVICE x AS\n  rider_rides (rides_8d);")
    wanted, found = (pytest.raises(evenkeel.DefinitionError, each.plan).value for each in both)
    assert (found.message, found.hint, found.code) == (wanted.message, wanted.hint, wanted.code)
    place = {name: wanted.place[name] for name in ("file", "line", "column")}
    assert found.place == place and place["line"] == 2


def test_what_is_applied_through_a_server_is_in_the_store(server, both):  # noqa: F811
    store, client = both  # noqa: F811
    planned = client.plan(MORE)
    assert [c.change for c in planned.changes if c.name in ("rider_tips", "tips")] == ["create"] * 2
    assert client.apply(MORE) == planned
    assert {change.change for change in client.apply(MORE).changes} == {"unchanged"}
    answers = client.get("tips", FRAME[["rider_id"]], as_of=START + 4 * DAY)
    assert [row["tips_3d"] for row in answers.values] == [0, 0, 0, 0, 0]
    assert client.verify("tips", values=100, oracle_values=20).ok
    with pytest.raises(evenkeel.UnauthorizedError):
        evenkeel.connect(server.url, f"{TOKEN}-to-read").apply(CHANGED)
    assert "new version" in {change.change for change in client.apply(CHANGED).changes}
    server.stop()
    with evenkeel.open(server.folder) as opened:
        assert {change.change for change in opened.plan([CHANGED, MORE]).changes} == {"unchanged"}
        wanted = opened.get("tips@1", FRAME[["rider_id"]], as_of=START + 4 * DAY)
        assert wanted.values.to_pylist() == answers.values.to_pylist()


FILED = """
CREATE ENTITY rider (rider_id STRING);
CREATE STREAM rides (ride_id STRING NOT NULL, rider_id STRING, fare DECIMAL(8, 2), tags ARRAY<STRING>,
  ride_at TIMESTAMP, EVENT ID (ride_id), EVENT TIME ride_at, KNOWN AT ride_at, CHECK (fare >= 0))
  WITH (connector = 'file', path = 'rides.csv', zone = 'Europe/Berlin');
CREATE STREAM taps (rider_id STRING, at TIMESTAMP, EVENT TIME at);
"""

FILES = {
    "rides.csv": "ride_id,rider_id,fare,tags,ride_at\n"
    'r-1,ada,1.50,"[""x""]",2026-01-05 09:00:00\nr-2,bob,x,,2026-01-05 09:00:00\n'
    "r-3,bob,-1,,2026-01-05 09:00:00\nr-1,ada,2,,2026-01-05 09:00:00\nr-4,zoe\n"
    "r-5,zoe,,,2026-03-29 02:30:00\n",
    "more.csv": "fare,ride_id,rider_id,tags,ride_at\n"
    + "".join(f"{n}.25,m-{n},ada,,2026-01-06T09:00:00Z\n" for n in range(20_000)),
}


def test_a_file_is_the_same_wherever_it_is_ingested(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    alone, served = tmp_path / "alone", tmp_path / "served"
    for folder in (alone, served):
        folder.mkdir()
        (folder / "evenkeel.toml").write_text("")
        with evenkeel.open(folder) as store:
            store.apply(FILED)

    def letters(each):
        found = each.dead_letters("rides")
        assert all(isinstance(letter.logged_at, datetime) for letter in found)
        return [dataclasses.replace(letter, logged_at=START) for letter in found]

    with evenkeel.open(alone) as store, Server(served) as server:
        with evenkeel.connect(server.url) as client:
            for path in (tmp_path / "rides.csv", str(tmp_path / "*.csv"), tmp_path / "more.csv"):
                wanted, found = (each.ingest("rides", path) for each in (store, client))
                assert found == wanted and found.rows > 0
            assert letters(client) == letters(store) and len(letters(store)) == 5
            assert client.session.startswith("rides/0@20002;")
            for ids in ([1], None):
                wanted, found = (each.redrive("rides", ids) for each in (store, client))
                assert found == wanted and found.rows > 0
            for ask in (
                lambda each: each.ingest("rides", tmp_path / "none.csv"),
                lambda each: each.ingest("rides", tmp_path),
                lambda each: each.ingest("ride", tmp_path / "rides.csv"),
                lambda each: each.ingest("taps", tmp_path / "rides.csv"),
                lambda each: each.ingest("rides", "x.csv", producer_id="p", sequence=1),
                lambda each: each.dead_letters("ride"),
                lambda each: each.redrive("rides", [99]),
            ):
                caught = []
                for each in (store, client):
                    with pytest.raises(evenkeel.Error) as error:
                        ask(each)
                    caught.append((type(error.value), str(error.value)))
                assert caught[1] == caught[0]
            with pytest.raises(evenkeel.InvalidError, match="where its store is"):
                client.ingest("rides", None)
    # Every row is known by where it came from, also to the other way of reading it.
    with evenkeel.open(served) as store:
        report = store.ingest("rides", tmp_path / "more.csv")
        assert (report.rows, report.recorded, report.duplicates) == (20_000, 0, 20_000)


TRUTH = (
    "ride_id,rider_id,fare,tags,ride_at\n"
    'r-1,ada,2.50,"[""x""]",2026-01-05 09:00:00\nr-9,bob,3,,2026-01-05 10:00:00\n'
)


def test_a_source_is_put_right_wherever_it_is(tmp_path):
    for name, text in {**FILES, "truth.csv": TRUTH, "broken.csv": FILES["rides.csv"]}.items():
        (tmp_path / name).write_text(text)
    alone, served = tmp_path / "alone", tmp_path / "served"
    for folder in (alone, served):
        folder.mkdir()
        (folder / "evenkeel.toml").write_text("")
        with evenkeel.open(folder) as store:
            store.apply(FILED)
            store.ingest("rides", tmp_path / "rides.csv")
    truth, day = tmp_path / "truth.csv", ("2026-01-05", datetime(2026, 1, 6))
    with evenkeel.open(alone) as store, Server(served) as server:
        with evenkeel.connect(server.url) as client:
            for ask in (
                lambda each: each.correct("rides", truth, *day, dry_run=True),
                lambda each: each.correct("rides", truth, *day),
                lambda each: each.correct("rides", truth, *day),
                lambda each: each.exclude("rides", "0@2..0@4", dry_run=True),
                lambda each: each.exclude("rides", "0@2..0@4"),
            ):
                wanted, found = (ask(each) for each in (store, client))
                assert found == wanted
            assert (wanted.replaced, wanted.removed) == (1, 1)
            for ask in (
                lambda each: each.correct("rides", tmp_path / "broken.csv", *day),
                lambda each: each.correct("rides", truth, "2026-01-05", "2026-01-05"),
                lambda each: each.correct("rides", truth, "never", "2026-01-05"),
                lambda each: each.correct("ride", truth, *day),
                lambda each: each.exclude("rides", "two"),
                lambda each: each.exclude("rides", "0..99"),
            ):
                caught = []
                for each in (store, client):
                    with pytest.raises(evenkeel.Error) as error:
                        ask(each)
                    caught.append((type(error.value), str(error.value)))
                assert caught[1] == caught[0]
            with pytest.raises(evenkeel.InvalidError, match="cannot be read"):
                client.correct("rides", tmp_path / "none.csv", *day)


def test_a_file_goes_in_halves_to_a_server_that_takes_less_at_once(tmp_path):
    (tmp_path / "more.csv").write_text(FILES["more.csv"])
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "evenkeel.toml").write_text("")
    with evenkeel.open(alone) as store:
        store.apply(FILED)
        wanted = store.ingest("rides", tmp_path / "more.csv")
    for limit in ("rows_per_push = 700", "body_bytes = 20000"):
        served = tmp_path / limit.split()[0]
        served.mkdir()
        (served / "evenkeel.toml").write_text(f"[server.limits]\n{limit}\n")
        with evenkeel.open(served) as store:
            store.apply(FILED)
        with Server(served) as server, evenkeel.connect(server.url) as client:
            assert client.ingest("rides", tmp_path / "more.csv") == wanted
    # One row that is more than the server takes is told.
    (served / "evenkeel.toml").write_text("[server.limits]\nbody_bytes = 100\n")
    with Server(served) as server, evenkeel.connect(server.url) as client:
        with pytest.raises(evenkeel.Error, match="more than 100 bytes"):
            client.ingest("rides", tmp_path / "more.csv")
