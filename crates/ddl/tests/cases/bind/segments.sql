CREATE ENTITY airport (origin STRING);
CREATE ENTITY plane (tailnum STRING);
CREATE STREAM departures (flight_id STRING, tailnum STRING, origin STRING, carrier STRING, delay DOUBLE, seats INT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW congestion ENTITY airport AS SELECT origin, count(*) OVER (LAST 3 HOURS) AS n, avg(delay) OVER (LAST 3 HOURS) AS delay FROM departures;
CREATE FEATURE VIEW last_departure ENTITY airport AS SELECT origin, carrier, delay AS last_delay FROM departures;
CREATE FEATURE VIEW last_flight ENTITY plane AS SELECT carrier AS last_carrier, delay AS last_delay, seats, at AS last_at FROM departures;
CREATE ON DEMAND FEATURE VIEW asked ENTITY airport REQUEST (x DOUBLE) AS SELECT delay * x AS product FROM congestion;
CREATE ON DEMAND FEATURE VIEW alone REQUEST (x DOUBLE) AS SELECT x + 1 AS y;

--- good: segments
CREATE SEGMENT busy AS SELECT origin FROM congestion WHERE n > 30;
CREATE SEGMENT shown COMMENT 'for the airline' OWNER 'ops' AS SELECT origin AS airport, c.delay, round(l.last_delay) AS last, read_time() AS at FROM congestion c JOIN last_departure@1 l USING (origin) WHERE c.n > 0 AND l.carrier IN ('UA', 'AA') AND origin <> 'JFK';
CREATE SEGMENT everything AS SELECT * FROM congestion, last_departure;

--- what is not of an entity
CREATE SEGMENT a AS SELECT 1 AS one;
CREATE SEGMENT b AS SELECT origin FROM departures WHERE delay > 3;
CREATE SEGMENT c AS SELECT product FROM asked;
CREATE SEGMENT d AS SELECT y FROM alone;
CREATE SEGMENT e AS SELECT origin FROM congestion JOIN last_flight USING (origin);
CREATE SEGMENT f AS SELECT origin FROM congestino;

--- conditions that cannot be
CREATE SEGMENT a AS SELECT origin FROM congestion WHERE n;
CREATE SEGMENT b AS SELECT origin FROM congestion WHERE avg(n) > 3 AND m = 2;
CREATE SEGMENT c AS SELECT origin, count(*) FROM congestion GROUP BY origin;
CREATE SEGMENT d AS SELECT nothing FROM congestion WHERE now() > 3;
CREATE SEGMENT e SELECT origin FROM congestion;
CREATE SEGMENT f AS SELECT origin FROM congestion ORDER BY n LIMIT 3;

--- the same name twice
CREATE SEGMENT a AS SELECT origin FROM congestion;
CREATE SEGMENT a AS SELECT origin FROM congestion WHERE n > 3;
