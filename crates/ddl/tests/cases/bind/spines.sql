CREATE ENTITY airport (origin STRING);
CREATE ENTITY flight (flight_id STRING);
CREATE ENTITY customer (id BIGINT);
CREATE STREAM departures (flight_id STRING, origin STRING, dest STRING, seats INT, delay DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE STREAM arrivals (flight_id STRING, dest STRING, delay DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW congestion ENTITY airport AS SELECT origin, count(*) OVER (LAST 3 HOURS) AS n FROM departures;
CREATE FEATURE VIEW outcome ENTITY flight AS SELECT flight_id, delay, delay > 15 AS late FROM arrivals;
CREATE FEATURE VIEW per_customer ENTITY customer (seats_key) AS SELECT count(*) OVER (LAST 1 DAY) AS k FROM customers;
CREATE STREAM customers (seats_key BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE ON DEMAND FEATURE VIEW asked REQUEST (x DOUBLE) AS SELECT n * x AS y FROM congestion;

--- spine good
SELECT flight_id, origin, d.dest AS there, delay / 60 AS hours, event_time AS t, LABEL late FROM outcome WITHIN INTERVAL '1' DAY, LABEL n FROM congestion FOR (dest) WITHIN INTERVAL '1' MONTH AS n_there
FROM departures d WHERE delay > 0 AND origin <> 'JFK'

--- spine good: all columns, widened keys
SELECT *, LABEL k FROM per_customer FOR (seats) WITHIN INTERVAL '1' HOUR FROM (SELECT flight_id, seats FROM departures WHERE delay > 1) d

--- spine over a view
SELECT n FROM congestion

--- spine over nothing
SELECT a FROM departure

--- spine with names that are not there
SELECT flight, orign AS o, x.*, LABEL lat FROM outcome WITHIN INTERVAL '1' DAY, LABEL late FROM outcom WITHIN INTERVAL '1' DAY, LABEL late FROM departures WITHIN INTERVAL '1' DAY AS l2 FROM departures WHERE dely > 0

--- spine with labels that do not fit
SELECT flight_id, LABEL late FROM outcome WITHIN INTERVAL '0' DAY, LABEL delay FROM outcome FOR (dest, origin) WITHIN INTERVAL '1' DAY, LABEL y FROM asked WITHIN INTERVAL '1' DAY,
  LABEL k FROM per_customer WITHIN INTERVAL '1' DAY, LABEL k FROM per_customer FOR (origin) WITHIN INTERVAL '1' DAY AS k2, LABEL n FROM congestion@4 WITHIN INTERVAL '1' DAY, LABEL delay FROM departures WITHIN INTERVAL '1' DAY FROM departures

--- spine with one name twice
SELECT flight_id, origin AS flight_id, LABEL delay FROM outcome WITHIN INTERVAL '1' DAY, delay FROM departures

--- spine with what has no value for an event
SELECT count(*) OVER (LAST 1 DAY) AS n, read_time() AS t, delay + 1, NULL AS x FROM departures WHERE read_time() > at
