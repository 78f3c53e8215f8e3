"""Training datasets: in this process and of a server, and TFRecord read by another decoder."""

from __future__ import annotations

import json
import math
import struct
from datetime import datetime, timedelta, timezone

import polars as pl
import pytest
from conftest import ride
from test_client import client, server  # noqa: F401 - fixtures

import evenkeel

START = datetime(2026, 1, 1, 18, tzinfo=timezone.utc)
RIDES = [
    ride(1, tip=0.5, paid="1.75"),
    ride(2, rider_id="bob", fare=None),
    ride(3, fare=1 / 3, paid="0.05"),
    ride(4, rider_id="bob", tip=0.1),
]
SPINE = pl.DataFrame(
    {
        "rider_id": ["bob", "ada", "ada", "zoe", None],
        "event_time": [START + timedelta(days=n) for n in (4, 3, 1, 2, 2)],
        "note": ["x", None, "\u00e4", "", "y"],
        "weight": [0.1, 1 / 3, None, -2.0, 1e300],
        "label": [1, -1, None, 2**40, 0],
    }
)
DATASETS = """
CREATE TRAINING DATASET tips FROM SERVICE rider_model SPINE 'spine.parquet'
  SPLIT RANDOM (train 1, test 1 SEED 3) FORMAT PARQUET, TFRECORD;
"""


@pytest.fixture
def both(server, client):  # noqa: F811
    """The store itself, read beside the server that holds it, and a client of that server."""
    client.ingest("rides", RIDES)
    client.apply(DATASETS)
    with evenkeel.open(server.folder, read_only=True) as store:
        yield store, client


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data: bytes, at: int):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: bytes):
    """Fields of a message whose values have lengths."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        assert tag & 7 == 2, "every field here has a length"
        length, at = varint(data, at)
        yield tag >> 3, data[at : at + length]
        at += length


def feature(data: bytes):
    [(kind, inner)] = fields(data)
    values = [value for number, value in fields(inner)]
    if kind == 1:
        return values
    [packed] = values
    if kind == 2:
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    found, at = [], 0
    while at < len(packed):
        value, at = varint(packed, at)
        found.append(value - 2**64 if value >= 2**63 else value)
    return found


def records(path):
    data = path.read_bytes()
    at = 0
    while at < len(data):
        head = data[at : at + 8]
        (length,) = struct.unpack("<Q", head)
        assert struct.unpack("<I", data[at + 8 : at + 12]) == (masked(head),)
        record = data[at + 12 : at + 12 + length]
        end = at + 12 + length
        assert struct.unpack("<I", data[end : end + 4]) == (masked(record),)
        at = end + 4
        [(_, features)] = fields(record)
        entries = [dict(fields(entry)) for _, entry in fields(features)]
        yield {entry[1].decode(): feature(entry[2]) for entry in entries}


def single(value):
    """A cell as the list that the format has of it; none if there is no feature."""
    if value is None:
        return None
    if isinstance(value, list):
        return [cell for item in value for cell in single(item)]
    if isinstance(value, str):
        return [value.encode()]
    if isinstance(value, float):
        if abs(value) > 3.4e38:
            return [math.copysign(math.inf, value)]
        return [struct.unpack("<f", struct.pack("<f", value))[0]]
    if isinstance(value, datetime):
        return [round(value.timestamp() * 1_000_000)]
    if isinstance(value, int):
        return [int(value)]
    return [str(value).encode()]


def test_a_server_s_dataset_is_this_process_s(both, server):  # noqa: F811
    store, client = both  # noqa: F811
    with pytest.raises(evenkeel.InvalidError, match="opens no file"):
        client.build_dataset("tips")
    built = client.build_dataset("tips", SPINE)
    assert built["rows"] == 5
    with evenkeel.open(server.folder, read_only=True) as store:
        shown = store.dataset("tips")
        assert shown["digest"] == built["digest"] == client.dataset("tips:1")["digest"]
        assert store.datasets() == client.datasets()
        assert store.rebuild_dataset("tips", SPINE)["matches"]
        assert client.rebuild_dataset("tips", SPINE)["same_bytes"]
        entities = [{"rider_id": "ada"}, {"rider_id": "nobody"}]
        asked = {"dataset": "tips:1", "as_of": START + timedelta(days=3), "cut": built["cut"]}
        answers = [side.get(entities=entities, **asked) for side in (store, client)]
        assert answers[0].features == answers[1].features
        assert [f["name"] for f in built["features"]] == answers[0].features
        assert answers[0].to_arrow().equals(answers[1].to_arrow())
        assert {a.dataset for a in answers} == {"tips:1"}
        with pytest.raises(evenkeel.InvalidError):
            store.get("rider_model", entities, dataset="tips")
        with pytest.raises(evenkeel.NotFoundError):
            client.get(dataset="tops", entities=entities)
    client.ingest("rides", [ride(9, rider_id="ada", fare=9.0)])
    assert client.stale_dataset("tips", SPINE)["cut"] != built["cut"]


def test_tfrecord_is_read_by_another_decoder(both, server):  # noqa: F811
    _, client = both  # noqa: F811
    client.build_dataset("tips", SPINE)
    folder = server.folder / ".evenkeel" / "datasets" / "tips" / "1"
    read = 0
    for part in ("train", "test"):
        rows = pl.read_parquet(folder / f"{part}.parquet").to_dicts()
        found = list(records(folder / f"{part}.tfrecord"))
        assert len(found) == len(rows)
        for row, record in zip(rows, found):
            wanted = {name: single(value) for name, value in row.items()}
            assert record == {n: v for n, v in wanted.items() if v is not None}
            read += 1
    assert read == 5
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == 1
