"""What the tests share: definitions of a small shop of rides."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["evenkeel.testing"]

RIDES = """
CREATE ENTITY rider (rider_id STRING);
CREATE ENTITY city (city_id BIGINT);

CREATE STREAM rides (
  ride_id  STRING NOT NULL,
  rider_id STRING,
  city_id  BIGINT,
  fare     DOUBLE,
  tip      FLOAT,
  seats    INT,
  paid     DECIMAL(10, 2),
  ride_at  TIMESTAMP,
  EVENT ID (ride_id),
  EVENT TIME ride_at,
  KNOWN AT ride_at
);

CREATE FEATURE VIEW rider_rides (fares_7d DEFAULT 0) ENTITY rider (rider_id) AS
SELECT rider_id,
       count(*)          OVER last_7d AS rides_7d,
       sum(fare)         OVER last_7d AS fares_7d,
       avg(fare)         OVER last_7d AS fare_avg_7d,
       stddev_samp(fare) OVER last_7d AS fare_stddev_7d,
       max(tip)          OVER last_7d AS tip_max_7d,
       sum(paid)         OVER last_7d AS paid_7d,
       last_n(ride_id, 2) OVER last_7d AS last_rides
FROM rides
WINDOW last_7d AS (LAST 7 DAYS);

CREATE FEATURE VIEW city_rides ENTITY city (city_id) AS
SELECT city_id, count(*) OVER day AS rides_1d, max(seats) OVER day AS seats_max_1d
FROM rides
WINDOW day AS (LAST 1 DAYS);

CREATE FEATURE VIEW last_ride ENTITY rider (rider_id) TTL INTERVAL '30' DAY AS
SELECT rider_id, fare AS last_fare, tip AS last_tip, paid AS last_paid, ride_at AS last_at
FROM rides;

CREATE FEATURE SERVICE model AS rider_rides (*), city_rides (*), last_ride (*);
CREATE FEATURE SERVICE rider_model AS rider_rides (*), last_ride (*);
"""


def ride(number: int, **parts):
    """A ride of rider `ada` at noon of a day in January 2026, unless the parts say otherwise."""
    row = {
        "ride_id": f"r-{number}",
        "rider_id": "ada",
        "city_id": 7,
        "fare": 10.0 + number,
        "ride_at": f"2026-01-{number:02}T12:00:00Z",
    }
    return {**row, **parts}


@pytest.fixture
def rides(evenkeel_project):
    """A project with the rides' definitions and no event."""
    return evenkeel_project(RIDES)


@pytest.fixture
def repository():
    """The root of the sources."""
    return Path(__file__).resolve().parents[2]
