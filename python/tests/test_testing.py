"""The helpers for a team's own tests say what went wrong."""

from __future__ import annotations

import pytest
from conftest import RIDES, ride

import evenkeel
from evenkeel import testing


def test_without_a_fixture():
    with testing.project(RIDES, {"rides": [ride(1), ride(2)]}) as project:
        project.expect("rider_rides:rides_7d", {"rider_id": "ada"}, at="2026-01-03", value=2)
        project.expect("rider_rides:rides_7d", {"rider_id": "ada"}, at="2026-01-01", value=0)
        project.verify()
        folder = project.store._store.root
    import os

    assert not os.path.exists(folder)


def test_a_wrong_expectation_tells_the_story(rides):
    rides.ingest("rides", [ride(1)])
    with pytest.raises(AssertionError) as caught:
        rides.expect("rider_rides:rides_7d", {"rider_id": "ada"}, at="2026-01-03", value=2)
    assert "is 1, expected 2" in str(caught.value)
    assert "2026-01-01T12:00:00Z" in str(caught.value)
    with pytest.raises(AssertionError, match="NOT_FOUND, expected PRESENT"):
        rides.expect("last_ride:last_fare", {"rider_id": "zoe"}, at="2026-01-03", status="PRESENT")
    with pytest.raises(AssertionError):
        rides.expect("rider_rides:rides_7d", {"rider_id": "ada"}, at="2026-01-03", value=True)


def test_a_rejected_event_fails_the_test(rides):
    with pytest.raises(evenkeel.InvalidError, match="rides, row 1: column `fare`"):
        rides.ingest("rides", [ride(1), ride(2, fare="much")])
