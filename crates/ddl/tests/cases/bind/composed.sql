CREATE ENTITY airport (origin STRING);
CREATE ENTITY flight (flight_id STRING);
CREATE ENTITY route (origin STRING, dest STRING);
CREATE STREAM departures (flight_id STRING, origin STRING, dest STRING, delay DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW congestion ENTITY airport AS SELECT origin, count(*) OVER (LAST 3 HOURS) AS n, avg(delay) OVER (LAST 3 HOURS) AS delay FROM departures;
CREATE FEATURE VIEW arriving ENTITY airport (dest) AS SELECT dest, count(*) OVER (LAST 3 HOURS) AS m FROM departures;
CREATE FEATURE VIEW per_route ENTITY route AS SELECT count(*) OVER (LAST 3 HOURS) AS k FROM departures;
CREATE FEATURE VIEW per_route_24h ENTITY route AS SELECT count(*) OVER (LAST 24 HOURS) AS k FROM departures;
CREATE FEATURE VIEW last_flight ENTITY airport AS SELECT flight_id, delay AS last_delay FROM departures;
CREATE ON DEMAND FEATURE VIEW asked REQUEST (x DOUBLE, y INT) AS SELECT delay * x AS scaled, y + n AS more FROM congestion;

--- good: over other views
CREATE FEATURE VIEW v ENTITY airport AS SELECT origin, n / nullif(m, 0) AS ratio FROM congestion, arriving;
CREATE FEATURE VIEW w ENTITY airport AS SELECT c.n + a.m AS total, read_time() AS t FROM congestion c JOIN arriving a ON c.origin = a.origin;
CREATE FEATURE VIEW x ENTITY route AS SELECT a.k / b.k AS share FROM per_route a JOIN per_route_24h b USING (origin, dest);
CREATE FEATURE VIEW y ENTITY airport (origin) AS SELECT * FROM v JOIN w USING (origin);
CREATE FEATURE VIEW z ENTITY airport AS SELECT a.n + b.n AS twice FROM congestion a, congestion b;

--- good: on demand
CREATE ON DEMAND FEATURE VIEW v REQUEST (miles DOUBLE COMMENT 'c', at TIMESTAMP) AS SELECT miles * 1.6 AS km, request.miles AS miles, date_diff('hour', at, read_time()) AS hours;
CREATE ON DEMAND FEATURE VIEW w AS SELECT last_delay, n, m, origin FROM congestion, arriving, last_flight;
CREATE ON DEMAND FEATURE VIEW x ENTITY airport REQUEST (a INT) AS SELECT upper(origin) AS u, a FROM congestion;
CREATE ON DEMAND FEATURE VIEW y ENTITY airport REQUEST (a INT) AS SELECT upper(origin) || CAST(a AS STRING) AS u;
CREATE ON DEMAND FEATURE VIEW z (ratio DEFAULT 1) REQUEST (x DOUBLE) AS SELECT CASE WHEN x > 0 THEN n / x END AS ratio FROM congestion;

--- good: a view that needs a request is put in place of its name
CREATE ON DEMAND FEATURE VIEW v REQUEST (z DOUBLE, x DOUBLE) AS SELECT scaled + z AS s, more, m FROM asked, arriving, congestion;

--- sources and aggregates
CREATE ON DEMAND FEATURE VIEW a AS SELECT delay FROM departures;
CREATE ON DEMAND FEATURE VIEW b AS SELECT sum(n) OVER (LAST 1 DAY) AS s, count(*) AS c FROM congestion;
CREATE FEATURE VIEW c ENTITY airport AS SELECT n, delay FROM congestion c JOIN departures d ON c.origin = d.origin;

--- clauses that mean nothing here
CREATE ON DEMAND FEATURE VIEW a AS SELECT n FROM congestion WHERE n > 1;
CREATE ON DEMAND FEATURE VIEW b AS SELECT n FROM congestion GROUP BY n;
CREATE ON DEMAND FEATURE VIEW c AS SELECT n FROM congestion WINDOW w AS (LAST 1 DAY);
CREATE ON DEMAND FEATURE VIEW d AS SELECT n FROM (SELECT * FROM congestion WHERE n > 1) c;
CREATE FEATURE VIEW e ENTITY airport TTL INTERVAL '1' DAY AS SELECT n FROM congestion;

--- several entities
CREATE ON DEMAND FEATURE VIEW a AS SELECT n, k FROM congestion, per_route;
CREATE FEATURE VIEW b ENTITY flight AS SELECT n FROM congestion;
CREATE FEATURE VIEW c ENTITY airport (dest, origin) AS SELECT n FROM congestion;
CREATE FEATURE VIEW d ENTITY airport (n) AS SELECT n FROM congestion;

--- row views
CREATE FEATURE VIEW a ENTITY airport AS SELECT n, last_delay FROM congestion, last_flight;

--- joins
CREATE FEATURE VIEW a ENTITY airport AS SELECT n, m FROM congestion c ASOF JOIN arriving a ON c.origin = a.origin;
CREATE FEATURE VIEW b ENTITY airport AS SELECT n, m FROM congestion c JOIN arriving a ON c.n = a.m;
CREATE FEATURE VIEW c ENTITY airport AS SELECT n, m FROM congestion c JOIN arriving a ON c.n > a.m;
CREATE FEATURE VIEW d ENTITY route AS SELECT a.k FROM per_route a JOIN per_route_24h b USING (origin);
CREATE FEATURE VIEW e ENTITY airport AS SELECT n FROM congestion c FULL JOIN arriving a USING (origin);
CREATE FEATURE VIEW f ENTITY route AS SELECT a.k FROM per_route a JOIN per_route_24h b ON a.origin = b.dest AND a.dest = b.origin;
CREATE FEATURE VIEW g ENTITY airport AS SELECT n FROM congestion JOIN congestion USING (origin);

--- requests
CREATE ON DEMAND FEATURE VIEW a REQUEST (x DOUBLE, x INT, origin STRING, event_time TIMESTAMP, i INTERVAL) AS SELECT x + n AS y FROM congestion;
CREATE ON DEMAND FEATURE VIEW b REQUEST (x STRING) AS SELECT scaled FROM asked;
CREATE ON DEMAND FEATURE VIEW c AS SELECT 1 AS one;
CREATE ON DEMAND FEATURE VIEW d REQUEST (n INT) AS SELECT n FROM congestion;
CREATE FEATURE VIEW e ENTITY airport AS SELECT scaled FROM asked;
CREATE ON DEMAND FEATURE VIEW f AS SELECT c.event_time AS t, l.event_time AS u, x.* FROM congestion c, last_flight l;
