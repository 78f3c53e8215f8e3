-- The flights project: two moments of one file, weather, planes, and a view of each kind.
CREATE ENTITY airport (origin STRING) COMMENT 'where a flight departs' OWNER 'ops-ml' TAGS ('tier' = 'gold');
CREATE ENTITY aircraft (tailnum STRING);
CREATE ENTITY flight (flight_id STRING);

--- good: sources
CREATE STREAM departures (
  flight_id STRING, tailnum STRING, carrier STRING, origin STRING, dest STRING,
  dep_delay DOUBLE COMMENT 'minutes, negative is early', distance DOUBLE, departed_at TIMESTAMP,
  EVENT ID (flight_id),
  EVENT TIME departed_at LATENESS INTERVAL '10' MINUTE,
  KNOWN AT departed_at
) WITH (connector = 'file', path = 'data/flights.parquet');
CREATE STREAM arrivals (flight_id STRING, tailnum STRING, carrier STRING, dest STRING, arr_delay DOUBLE, arrived_at TIMESTAMP,
  EVENT ID (flight_id), EVENT TIME arrived_at, KNOWN AT arrived_at)
WITH (connector = 'file', path = 'data/flights.parquet') WHERE arrived_at IS NOT NULL;
CREATE STREAM weather (origin STRING, visib DOUBLE, wind_speed DOUBLE, observed_at TIMESTAMP,
  EVENT TIME observed_at IN 'America/New_York', KNOWN AT observed_at + INTERVAL '1' HOUR)
WITH (connector = 'file', path = 'data/weather.parquet');
CREATE TABLE planes (tailnum STRING, seats INT, known_from TIMESTAMP,
  PRIMARY KEY (tailnum), EVENT TIME known_from, KNOWN AT known_from) WITH (connector = 'file', path = 'data/planes.csv');

--- good: the whole project
CREATE FEATURE SERVICE delay_model VERSION 1 AS
  airport_congestion (departures_3h, dep_delay_avg_3h) FOR (origin) AS here,
  airport_congestion (departures_3h) FOR (dest) AS there,
  aircraft_history (*), trip (*) FOR (origin);

CREATE ON DEMAND FEATURE VIEW trip REQUEST (distance DOUBLE, planned_minutes DOUBLE) AS
SELECT distance / planned_minutes * 60 AS mph, c.dep_delay_avg_3h / planned_minutes AS delay_share
FROM airport_congestion c;

CREATE FEATURE VIEW departure_context ENTITY flight (flight_id) TTL INTERVAL '1' DAY AS
SELECT d.flight_id, w.visib, w.wind_speed, p.seats, c.dep_delay_avg_3h, prev.dep_delay AS previous_departure_delay, a.arr_delay AS last_arrival_delay
FROM departures d
  ASOF JOIN weather w            MATCH_CONDITION (d.departed_at >= w.observed_at AND w.observed_at > d.departed_at - INTERVAL '2' HOUR) ON d.origin = w.origin
  ASOF JOIN planes p             ON d.tailnum = p.tailnum
  ASOF JOIN airport_congestion c ON d.origin = c.origin
  ASOF JOIN departures prev      MATCH_CONDITION (d.departed_at > prev.departed_at) ON d.tailnum = prev.tailnum
  ASOF JOIN arrivals a           MATCH_CONDITION (d.departed_at > a.arrived_at)     ON d.tailnum = a.tailnum;

CREATE FEATURE VIEW airport_congestion ENTITY airport (origin) AS
SELECT origin,
       count(*)                                      OVER last_3h   AS departures_3h,
       avg(dep_delay)                                OVER last_3h   AS dep_delay_avg_3h,
       stddev_samp(dep_delay)                        OVER last_24h  AS dep_delay_stddev_24h,
       100.0 * count(*) FILTER (WHERE dep_delay > 15) OVER last_24h
             / nullif(count(*) OVER last_24h, 0)                    AS late_percent_24h
FROM departures
WINDOW last_3h  AS (PARTITION BY origin ORDER BY departed_at RANGE BETWEEN INTERVAL '3' HOUR PRECEDING AND CURRENT ROW),
       last_24h AS (LAST 24 HOURS BEFORE);

CREATE FEATURE VIEW aircraft_history ENTITY aircraft AS
SELECT tailnum, last_value(arr_delay) OVER (ALL HISTORY) AS last_arr_delay,
       avg(arr_delay) OVER (LAST 30 DAYS) AS arr_delay_avg_30d, top_k(dest, 3) OVER (LAST 30 DAYS) AS destinations_30d
FROM arrivals;

CREATE STREAM departures (
  flight_id STRING, tailnum STRING, carrier STRING, origin STRING, dest STRING,
  dep_delay DOUBLE, distance DOUBLE, departed_at TIMESTAMP,
  EVENT ID (flight_id), EVENT TIME departed_at, KNOWN AT departed_at
) WITH (connector = 'file', path = 'data/flights.parquet');
CREATE STREAM arrivals (flight_id STRING, tailnum STRING, carrier STRING, dest STRING, arr_delay DOUBLE, arrived_at TIMESTAMP,
  EVENT ID (flight_id), EVENT TIME arrived_at, KNOWN AT arrived_at)
WITH (connector = 'file', path = 'data/flights.parquet') WHERE arrived_at IS NOT NULL;
CREATE STREAM weather (origin STRING, visib DOUBLE, wind_speed DOUBLE, observed_at TIMESTAMP, EVENT TIME observed_at);
CREATE TABLE planes (tailnum STRING, seats INT, known_from TIMESTAMP, PRIMARY KEY (tailnum), EVENT TIME known_from);
