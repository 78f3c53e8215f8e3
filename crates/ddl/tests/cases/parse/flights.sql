CREATE ENTITY airport (origin STRING) COMMENT 'where a flight departs' OWNER 'ops-ml' TAGS ('tier' = 'gold');
CREATE ENTITY aircraft (tailnum STRING);
CREATE ENTITY flight (flight_id STRING);

CREATE STREAM departures (
  flight_id STRING, tailnum STRING, carrier STRING, origin STRING, dest STRING,
  dep_delay DOUBLE COMMENT 'minutes, negative is early', distance DOUBLE, departed_at TIMESTAMP,
  EVENT ID (flight_id),
  EVENT TIME departed_at LATENESS INTERVAL '10' MINUTE,     -- Flink's WATERMARK FOR ... AS ... is understood too
  KNOWN AT departed_at
) WITH (connector = 'file', path = 'data/flights.parquet');     -- CREATE STREAM d FROM FILE '...' infers, prints, freezes

CREATE STREAM arrivals (flight_id STRING, tailnum STRING, carrier STRING, dest STRING, arr_delay DOUBLE, arrived_at TIMESTAMP,
  EVENT ID (flight_id), EVENT TIME arrived_at, KNOWN AT arrived_at)
WITH (connector = 'file', path = 'data/flights.parquet') WHERE arrived_at IS NOT NULL;   -- one file, two moments; weather is a stream likewise

CREATE TABLE planes (tailnum STRING, seats INT, known_from TIMESTAMP,
  PRIMARY KEY (tailnum), EVENT TIME known_from, KNOWN AT known_from) WITH (connector = 'file', path = 'data/planes.csv');

-- window view: keys and expressions over aggregates; read at any instant
CREATE FEATURE VIEW airport_congestion ENTITY airport (origin) AS
SELECT origin,
       count(*)                                      OVER last_3h   AS departures_3h,
       avg(dep_delay)                                OVER last_3h   AS dep_delay_avg_3h,
       stddev_samp(dep_delay)                        OVER last_24h  AS dep_delay_stddev_24h,
       100.0 * count(*) FILTER (WHERE dep_delay > 15) OVER last_24h
             / nullif(count(*) OVER last_24h, 0)                    AS late_percent_24h
FROM departures
WINDOW last_3h  AS (PARTITION BY origin ORDER BY departed_at RANGE BETWEEN INTERVAL '3' HOUR PRECEDING AND CURRENT ROW),
       last_24h AS (LAST 24 HOURS BEFORE);     -- short form: keys and event time by default; BEFORE = EXCLUDE GROUP

-- row view: one row per departure, look-ups as of its time; evaluated at read
CREATE FEATURE VIEW departure_context ENTITY flight (flight_id) TTL INTERVAL '1' DAY AS
SELECT d.flight_id, w.visib, w.wind_speed, p.seats, c.dep_delay_avg_3h, prev.dep_delay AS previous_departure_delay, a.arr_delay AS last_arrival_delay
FROM departures d
  ASOF JOIN weather w            MATCH_CONDITION (d.departed_at >= w.observed_at AND w.observed_at > d.departed_at - INTERVAL '2' HOUR) ON d.origin = w.origin
  ASOF JOIN planes p             ON d.tailnum = p.tailnum
  ASOF JOIN airport_congestion c ON d.origin = c.origin
  ASOF JOIN departures prev      MATCH_CONDITION (d.departed_at > prev.departed_at) ON d.tailnum = prev.tailnum
  ASOF JOIN arrivals a           MATCH_CONDITION (d.departed_at > a.arrived_at)     ON d.tailnum = a.tailnum;

CREATE ON DEMAND FEATURE VIEW trip REQUEST (distance DOUBLE, planned_minutes DOUBLE) AS      -- REQUEST may be absent
SELECT distance / planned_minutes * 60 AS mph, c.dep_delay_avg_3h / planned_minutes AS delay_share
FROM airport_congestion c;

CREATE FEATURE SERVICE delay_model VERSION 1 AS
  airport_congestion (departures_3h, dep_delay_avg_3h) FOR (origin) AS here,   -- one entity in two roles: here_departures_3h
  airport_congestion (departures_3h) FOR (dest) AS there,
  aircraft_history (*), trip (*) FOR (origin);                                  -- collisions of names are refused
