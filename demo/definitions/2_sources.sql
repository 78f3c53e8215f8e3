-- Where events come from. Every flight is one row of a file and two events: it departs, and
-- later it arrives. What is known only on arrival is not in `departures`.

CREATE STREAM departures (
  flight_id    STRING NOT NULL,
  carrier      STRING NOT NULL,
  flight       INT,
  tailnum      STRING COMMENT 'missing for some cancelled and a few other flights',
  origin       STRING NOT NULL,
  dest         STRING NOT NULL,
  distance     DOUBLE COMMENT 'miles',
  scheduled_at TIMESTAMP,
  departed_at  TIMESTAMP,
  dep_delay    DOUBLE COMMENT 'minutes, negative is early',
  EVENT ID (flight_id),
  EVENT TIME departed_at LATENESS INTERVAL '10' MINUTE,
  KNOWN AT departed_at,
  CHECK (distance > 0)
) WITH (connector = 'file', path = 'data/flights.parquet')
  WHERE departed_at IS NOT NULL;      -- a cancelled flight never departs

CREATE STREAM arrivals (
  flight_id   STRING NOT NULL,
  carrier     STRING NOT NULL,
  tailnum     STRING,
  origin      STRING NOT NULL,
  dest        STRING NOT NULL,
  arrived_at  TIMESTAMP,
  arr_delay   DOUBLE COMMENT 'minutes, negative is early; missing for diverted flights',
  air_time    DOUBLE COMMENT 'minutes',
  EVENT ID (flight_id),
  EVENT TIME arrived_at LATENESS INTERVAL '10' MINUTE,
  KNOWN AT arrived_at
) WITH (connector = 'file', path = 'data/flights.parquet')
  WHERE arrived_at IS NOT NULL;

CREATE STREAM weather (
  origin      STRING NOT NULL,
  observed_at TIMESTAMP,
  temp        DOUBLE COMMENT 'degrees Fahrenheit',
  wind_speed  DOUBLE COMMENT 'miles per hour',
  wind_gust   DOUBLE COMMENT 'miles per hour',
  precip      DOUBLE COMMENT 'inches in the hour',
  visib       DOUBLE COMMENT 'miles',
  EVENT ID (origin),                  -- with the event time: one observation per airport and hour
  EVENT TIME observed_at LATENESS INTERVAL '10' MINUTE,
  KNOWN AT observed_at
) WITH (connector = 'file', path = 'data/weather.parquet');

-- The register of aircraft. It does not say when an aircraft was entered, so it is taken to be
-- known from the start of the year.
CREATE TABLE planes (
  tailnum      STRING,
  built        INT COMMENT 'year',
  engines      INT,
  seats        INT,
  manufacturer STRING,
  model        STRING,
  known_from   TIMESTAMP,
  PRIMARY KEY (tailnum),
  EVENT TIME known_from,
  KNOWN AT known_from
) WITH (connector = 'file', path = 'data/planes.csv');
