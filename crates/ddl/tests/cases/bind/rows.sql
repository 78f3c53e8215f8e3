CREATE ENTITY flight (flight_id STRING);
CREATE ENTITY airport (origin STRING);
CREATE ENTITY aircraft (tailnum STRING);
CREATE ENTITY route (origin STRING, dest STRING);
CREATE ENTITY plane_owner (owner STRING);
CREATE STREAM departures (flight_id STRING, tailnum STRING, origin STRING, dest STRING, gate INT, delay DOUBLE, departed_at TIMESTAMP, EVENT TIME departed_at);
CREATE STREAM arrivals (flight_id STRING, tailnum STRING, dest STRING, delay DOUBLE, arrived_at TIMESTAMP, EVENT TIME arrived_at);
CREATE STREAM weather (origin STRING, visib DOUBLE, kind STRING, number BIGINT, observed_at TIMESTAMP, EVENT TIME observed_at);
CREATE TABLE planes (tailnum STRING, owner STRING, seats INT, known_from TIMESTAMP, PRIMARY KEY (tailnum), EVENT TIME known_from);
CREATE TABLE routes (dest STRING, origin STRING, miles INT, since TIMESTAMP, PRIMARY KEY (dest, origin), EVENT TIME since);
CREATE FEATURE VIEW congestion ENTITY airport AS SELECT origin, count(*) OVER (LAST 3 HOURS) AS departures_3h, avg(delay) OVER (LAST 3 HOURS) AS delay_3h FROM departures;
CREATE FEATURE VIEW congestion_there ENTITY airport (dest) AS SELECT dest, count(*) OVER (LAST 3 HOURS) AS arrivals_3h FROM arrivals;
CREATE FEATURE VIEW last_weather ENTITY airport AS SELECT origin, visib, observed_at FROM weather;
CREATE FEATURE VIEW per_route ENTITY route AS SELECT count(*) OVER (LAST 3 HOURS) AS n FROM departures;
CREATE FEATURE VIEW context ENTITY flight AS SELECT flight_id, d.origin, delay, delay * 2 AS twice, w.visib, count(*) OVER (PARTITION BY d.origin LAST 1 DAY) AS n
  FROM departures d ASOF JOIN weather w ON d.origin = w.origin;
CREATE FEATURE VIEW late ENTITY flight AS SELECT flight_id, tailnum, origin, delay, departed_at FROM departures WHERE delay > 15;
CREATE FEATURE VIEW clear ENTITY flight AS SELECT d.tailnum, d.delay FROM departures d ASOF JOIN weather w USING (origin) WHERE w.visib > 5;
CREATE FEATURE VIEW both_moments ENTITY flight AS SELECT d.delay AS dep_delay, a.delay AS arr_delay FROM departures d ASOF FULL JOIN arrivals a USING (flight_id);
CREATE ON DEMAND FEATURE VIEW asked REQUEST (x DOUBLE) AS SELECT delay_3h * x AS y FROM congestion;

--- good: plain columns
CREATE FEATURE VIEW v ENTITY flight TTL INTERVAL '1' MONTH AS SELECT flight_id, origin, delay / 60 AS hours, event_time AS t, visible_at AS seen, read_time() AS r FROM departures WHERE delay > 0;

--- good: windows in a row view
CREATE FEATURE VIEW v ENTITY flight AS SELECT delay, count(*) OVER (PARTITION BY origin, dest LAST 1 DAY) AS a, avg(delay) OVER (PARTITION BY origin LAST 1 DAY) AS b,
  count(*) OVER (ALL HISTORY) AS c, count(*) OVER (PARTITION BY origin, dest LAST 1 DAY) + 1 AS d, sum(delay) OVER (PARTITION BY dest, origin LAST 1 DAY) AS e FROM departures WHERE delay > 0;

--- good: all of it
CREATE FEATURE VIEW v ENTITY flight AS SELECT *, 1 AS one FROM departures;
CREATE FEATURE VIEW w ENTITY flight AS SELECT d.*, w.visib FROM departures d ASOF JOIN weather w USING (origin);
CREATE FEATURE VIEW x ENTITY flight AS SELECT * FROM (SELECT flight_id, delay FROM departures) d ASOF JOIN (SELECT flight_id, delay AS arr_delay FROM arrivals) a USING (flight_id);

--- good: look-ups in every spelling
CREATE FEATURE VIEW a ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at >= w.observed_at) ON w.origin = d.origin;
CREATE FEATURE VIEW b ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin = w.origin AND d.departed_at > w.observed_at;
CREATE FEATURE VIEW c ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (w.event_time < d.event_time AND d.event_time - INTERVAL '2' HOUR <= w.event_time) USING (origin);
CREATE FEATURE VIEW d ENTITY flight AS SELECT w.visib FROM departures ASOF JOIN weather w MATCH_CONDITION (event_time >= w.event_time AND event_time < w.event_time + INTERVAL '2' HOUR) USING (origin);
CREATE FEATURE VIEW e ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (w.observed_at BETWEEN d.departed_at - INTERVAL '1' MONTH AND d.departed_at) USING (origin);
CREATE FEATURE VIEW f ENTITY flight AS SELECT w.visib, origin FROM departures d LEFT ASOF JOIN weather w WHERE (kind = 'fog') USING (origin);
CREATE FEATURE VIEW g ENTITY flight AS SELECT w.v FROM departures d ASOF JOIN (SELECT origin AS o, visib AS v FROM weather WHERE kind = 'fog') w WHERE (v > 1) ON d.origin = w.o;
CREATE FEATURE VIEW h ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.gate = w.number AND upper(d.origin) = w.origin AND 'fog' = w.kind;

--- good: look-ups in tables and views
CREATE FEATURE VIEW v ENTITY flight AS SELECT r.miles, p.seats, c.delay_3h, t.arrivals_3h, q.n, l.visib, x.visib AS context_visib
FROM departures d ASOF JOIN routes r USING (origin, dest) ASOF JOIN planes p USING (tailnum) ASOF JOIN congestion c USING (origin)
  ASOF JOIN congestion_there t ON d.dest = t.dest ASOF JOIN per_route q ON d.dest = q.dest AND d.origin = q.origin
  ASOF JOIN last_weather l MATCH_CONDITION (d.departed_at > l.observed_at AND l.event_time >= d.departed_at - INTERVAL '1' HOUR) ON d.origin = l.origin
  ASOF JOIN context x MATCH_CONDITION (d.departed_at > x.event_time) USING (flight_id);

--- good: a look-up by what was looked up, a view filtered, the previous event
CREATE FEATURE VIEW v ENTITY flight AS SELECT prev.dest, w.visib, c.delay_3h
FROM departures d ASOF JOIN departures prev MATCH_CONDITION (d.departed_at > prev.departed_at) ON d.tailnum = prev.tailnum
  ASOF JOIN weather w ON prev.dest = w.origin ASOF JOIN congestion c WHERE (departures_3h > 3) ON prev.dest = c.origin;

--- good: a filter after matching is warned about
CREATE FEATURE VIEW v ENTITY flight AS SELECT d.delay FROM departures d ASOF JOIN weather w USING (origin) WHERE d.delay > 0 AND w.visib > 5 AND (d.gate = 1 OR w.kind = 'fog');

--- good: a full join, and more
CREATE FEATURE VIEW v ENTITY flight AS SELECT d.flight_id, d.delay AS dep_delay, a.delay AS arr_delay, w.visib
FROM departures d ASOF FULL JOIN arrivals a ON a.flight_id = d.flight_id ASOF JOIN weather w ON d.origin = w.origin WHERE d.delay > 0;
CREATE FEATURE VIEW w ENTITY flight AS SELECT flight_id, upper(flight_id) AS shout, d.delay AS dep_delay FROM (SELECT * FROM departures WHERE delay > 0) d ASOF FULL JOIN arrivals a USING (flight_id);
CREATE FEATURE VIEW x ENTITY aircraft (tailnum) AS SELECT p.seats, r.delay FROM planes p ASOF FULL JOIN arrivals r USING (tailnum);

--- good: rows of a table
CREATE FEATURE VIEW v ENTITY aircraft AS SELECT tailnum, seats, count(*) OVER (ALL HISTORY) AS versions FROM planes;
CREATE FEATURE VIEW w ENTITY route AS SELECT miles FROM routes;

--- good: rows of a row view
CREATE FEATURE VIEW v ENTITY flight AS SELECT c.flight_id, twice + 1 AS more, n, c.visib, p.seats, count(*) OVER (PARTITION BY c.origin LAST 2 DAYS) AS m
FROM context c ASOF JOIN departures d ON c.flight_id = d.flight_id ASOF JOIN planes p ON d.tailnum = p.tailnum WHERE c.delay > 1;
CREATE FEATURE VIEW w ENTITY airport AS SELECT origin, count(*) OVER (LAST 1 DAY) AS late_1d, avg(delay) OVER (LAST 1 DAY) AS delay_1d FROM late WHERE delay < 600;
CREATE FEATURE VIEW x ENTITY airport AS SELECT origin, avg(twice) OVER (LAST 1 DAY) AS delay_1d FROM context;
CREATE FEATURE VIEW y ENTITY aircraft AS SELECT tailnum, delay FROM clear;
CREATE FEATURE VIEW z ENTITY flight AS SELECT dep_delay + arr_delay AS delay, p.seats FROM both_moments b ASOF JOIN departures d ON b.flight_id = d.flight_id ASOF JOIN planes p USING (tailnum);

--- good: keys in another order
CREATE ENTITY reverse (dest STRING, origin STRING);
CREATE FEATURE VIEW v ENTITY route AS SELECT d.delay AS a, e.delay AS b FROM departures d ASOF FULL JOIN departures e USING (origin, dest);
CREATE FEATURE VIEW w ENTITY reverse AS SELECT dest, a + b AS c, upper(origin) AS o FROM v;
CREATE FEATURE VIEW x ENTITY reverse AS SELECT dest, count(*) OVER (PARTITION BY origin, dest LAST 1 DAY) AS n FROM departures;

--- joins that are none of events
CREATE FEATURE VIEW a ENTITY flight AS SELECT w.visib FROM departures d JOIN weather w ON d.origin = w.origin;
CREATE FEATURE VIEW b ENTITY flight AS SELECT w.visib FROM departures d LEFT JOIN weather w ON d.origin = w.origin;
CREATE FEATURE VIEW c ENTITY flight AS SELECT w.visib FROM departures d, weather w;
CREATE FEATURE VIEW d ENTITY flight AS SELECT c.delay_3h FROM departures d JOIN congestion c ON d.origin = c.origin;
CREATE FEATURE VIEW e ENTITY flight AS SELECT w.visib FROM departures d CROSS JOIN weather w;
CREATE FEATURE VIEW f ENTITY flight AS SELECT d.delay FROM departures d ASOF JOIN weather w USING (origin) ASOF FULL JOIN arrivals a USING (flight_id);

--- on what is no equality
CREATE FEATURE VIEW a ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin = w.origin AND w.kind = 'fog' AND w.visib > 1;
CREATE FEATURE VIEW b ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin = w.origin OR d.dest = w.origin;
CREATE FEATURE VIEW c ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin = d.dest;
CREATE FEATURE VIEW d ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON w.origin = w.kind;
CREATE FEATURE VIEW e ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin = upper(w.origin);
CREATE FEATURE VIEW f ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin || w.kind = w.origin;
CREATE FEATURE VIEW g ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin = w.origin AND d.dest = w.origin;
CREATE FEATURE VIEW h ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.delay = w.visib;
CREATE FEATURE VIEW i ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.origin = w.number;
CREATE FEATURE VIEW j ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.departed_at >= w.observed_at;
CREATE FEATURE VIEW k ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.orgin = w.origin;
CREATE FEATURE VIEW l ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w USING (orgin);
CREATE FEATURE VIEW m ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON count(*) = w.number;
CREATE FEATURE VIEW n ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN last_weather w ON d.origin = w.origin AND d.departed_at = w.event_time;

--- keys of tables and views
CREATE FEATURE VIEW a ENTITY flight AS SELECT p.seats FROM departures d ASOF JOIN planes p ON d.origin = p.owner;
CREATE FEATURE VIEW b ENTITY flight AS SELECT r.miles FROM departures d ASOF JOIN routes r ON d.dest = r.dest;
CREATE FEATURE VIEW c ENTITY flight AS SELECT q.n FROM departures d ASOF JOIN per_route q ON d.dest = q.dest;
CREATE FEATURE VIEW d ENTITY flight AS SELECT c.delay_3h FROM departures d ASOF JOIN congestion c ON d.gate = c.departures_3h;
CREATE FEATURE VIEW e ENTITY flight AS SELECT c.origin, c.delay_3h FROM departures d ASOF JOIN congestion c ON d.origin = c.origin;
CREATE FEATURE VIEW f ENTITY flight AS SELECT l.event_time AS t FROM departures d ASOF JOIN last_weather l ON d.origin = l.origin;
CREATE FEATURE VIEW g ENTITY flight AS SELECT c.delay_3h FROM departures d ASOF JOIN congestion c WHERE (origin = 'JFK') ON d.origin = c.origin;
CREATE FEATURE VIEW h ENTITY flight AS SELECT y FROM departures d ASOF JOIN asked a ON d.origin = a.origin;

--- times that do not compare
CREATE FEATURE VIEW a ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at <= w.observed_at) USING (origin);
CREATE FEATURE VIEW b ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at = w.observed_at) USING (origin);
CREATE FEATURE VIEW c ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.delay >= w.visib) USING (origin);
CREATE FEATURE VIEW d ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at >= d.event_time) USING (origin);
CREATE FEATURE VIEW e ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at >= w.observed_at AND d.departed_at > w.event_time) USING (origin);
CREATE FEATURE VIEW f ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at - INTERVAL '1' HOUR >= w.observed_at) USING (origin);
CREATE FEATURE VIEW g ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at + INTERVAL '1' HOUR >= w.observed_at) USING (origin);
CREATE FEATURE VIEW h ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (w.observed_at > d.departed_at - INTERVAL '1' HOUR) USING (origin);
CREATE FEATURE VIEW i ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at >= w.observed_at AND w.observed_at > d.departed_at - INTERVAL '1' HOUR AND w.observed_at > d.departed_at - INTERVAL '2' HOUR) USING (origin);
CREATE FEATURE VIEW j ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at >= w.observed_at AND d.departed_at < w.observed_at + INTERVAL '1' MONTH) USING (origin);
CREATE FEATURE VIEW k ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at >= w.observed_at) ON d.origin = w.origin AND d.departed_at > w.observed_at;
CREATE FEATURE VIEW l ENTITY flight AS SELECT c.delay_3h FROM departures d ASOF JOIN congestion c MATCH_CONDITION (d.departed_at > c.event_time) USING (origin);
CREATE FEATURE VIEW m ENTITY flight AS SELECT c.delay_3h FROM departures d ASOF JOIN congestion c MATCH_CONDITION (d.departed_at >= c.event_time AND c.event_time > d.departed_at - INTERVAL '1' HOUR) USING (origin);
CREATE FEATURE VIEW n ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at > w.observed_at + INTERVAL '1' HOUR) USING (origin);
CREATE FEATURE VIEW o ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w MATCH_CONDITION (d.departed_at - INTERVAL '1' HOUR < w.observed_at - INTERVAL '1' HOUR) USING (origin);

--- names that are not there, or several times
CREATE FEATURE VIEW a ENTITY flight AS SELECT delay, a.delay AS other FROM departures d ASOF JOIN arrivals a USING (flight_id);
CREATE FEATURE VIEW b ENTITY flight AS SELECT visibb, w.visibb, x.y FROM departures d ASOF JOIN weather w USING (origin);
CREATE FEATURE VIEW c ENTITY flight AS SELECT d.delay FROM departures d ASOF JOIN arrivals d USING (flight_id);
CREATE FEATURE VIEW d ENTITY flight AS SELECT departures.delay FROM departures ASOF JOIN departures ON departures.tailnum = departures.tailnum;
CREATE FEATURE VIEW e ENTITY flight AS SELECT q.*, d.delay FROM departures d;
CREATE FEATURE VIEW f ENTITY flight AS SELECT * FROM departures d ASOF JOIN arrivals a USING (flight_id);
CREATE FEATURE VIEW g ENTITY flight AS SELECT wether.visib FROM departures d ASOF JOIN wether USING (origin);

--- aggregates over what is looked up
CREATE FEATURE VIEW a ENTITY flight AS SELECT delay, avg(w.visib) OVER (LAST 1 DAY) AS a, count(*) OVER (PARTITION BY w.kind LAST 1 DAY) AS b,
  count(*) FILTER (WHERE w.visib > 1) OVER (LAST 1 DAY) AS c FROM departures d ASOF JOIN weather w USING (origin);
CREATE FEATURE VIEW b ENTITY airport AS SELECT avg(visib) OVER (LAST 1 DAY) AS a, sum(n) OVER (LAST 1 DAY) AS b FROM context;
CREATE FEATURE VIEW c ENTITY flight AS SELECT d.delay, count(*) OVER (LAST 1 DAY) AS n FROM departures d ASOF JOIN weather w USING (origin) WHERE w.visib > 5;
CREATE FEATURE VIEW d ENTITY aircraft AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM clear;
CREATE FEATURE VIEW e ENTITY flight AS SELECT dep_delay, count(*) OVER (LAST 1 DAY) AS n FROM both_moments;
CREATE FEATURE VIEW f ENTITY plane_owner (visib) AS SELECT delay FROM context;

--- full joins
CREATE FEATURE VIEW a ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a MATCH_CONDITION (d.departed_at >= a.arrived_at) USING (flight_id);
CREATE FEATURE VIEW b ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a USING (tailnum);
CREATE FEATURE VIEW c ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a ON d.flight_id = a.flight_id AND d.tailnum = a.tailnum;
CREATE FEATURE VIEW d ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN congestion c ON d.origin = c.origin;
CREATE FEATURE VIEW e ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a ON d.flight_id > a.flight_id;
CREATE FEATURE VIEW f ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a ON d.gate = a.tailnum;
CREATE FEATURE VIEW g ENTITY plane_owner AS SELECT seats FROM planes p ASOF FULL JOIN arrivals a ON p.owner = a.dest;
CREATE FEATURE VIEW h ENTITY flight AS SELECT d.delay, count(*) OVER (LAST 1 DAY) AS n FROM departures d ASOF FULL JOIN arrivals a USING (flight_id);
CREATE FEATURE VIEW i ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a ON d.flight_id = upper(a.flight_id);
CREATE FEATURE VIEW j ENTITY flight (dest) AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a USING (flight_id);
CREATE FEATURE VIEW k ENTITY flight AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a USING (flight);

--- good: a column that is called event_time
CREATE STREAM clicks (flight_id STRING, page STRING, event_time TIMESTAMP, EVENT TIME event_time);
CREATE FEATURE VIEW a ENTITY flight AS SELECT page, event_time AS at, w.visib FROM clicks ASOF JOIN weather w MATCH_CONDITION (event_time > w.event_time) ON page = w.origin;
CREATE FEATURE VIEW b ENTITY flight AS SELECT delay, c.page, c.event_time AS clicked_at FROM departures d ASOF JOIN clicks c MATCH_CONDITION (event_time > c.event_time) USING (flight_id);
CREATE FEATURE VIEW c ENTITY flight AS SELECT * FROM clicks;

--- times as keys
CREATE ENTITY instant (at TIMESTAMP);
CREATE FEATURE VIEW a ENTITY instant (visible_at) AS SELECT delay FROM departures;
CREATE FEATURE VIEW b ENTITY flight AS SELECT delay, count(*) OVER (PARTITION BY visible_at LAST 1 DAY) AS n FROM departures;
CREATE FEATURE VIEW c ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.departed_at = w.visible_at;
CREATE FEATURE VIEW d ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN last_weather w ON d.departed_at = w.event_time;
CREATE FEATURE VIEW e ENTITY instant (event_time) AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a ON d.visible_at = a.event_time;

--- good: the event time as a key
CREATE ENTITY instant (at TIMESTAMP);
CREATE FEATURE VIEW a ENTITY instant (event_time) AS SELECT departed_at, delay, count(*) OVER (PARTITION BY event_time LAST 1 DAY) AS n FROM departures;
CREATE FEATURE VIEW b ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN weather w ON d.departed_at = w.event_time;
CREATE FEATURE VIEW c ENTITY instant (arrived_at) AS SELECT d.delay FROM departures d ASOF FULL JOIN arrivals a ON d.event_time = a.event_time;

--- the read time of a view that is read
CREATE FEATURE VIEW clock ENTITY flight AS SELECT origin, read_time() AS now_at, delay FROM departures;
CREATE FEATURE VIEW a ENTITY flight AS SELECT now_at, delay FROM clock WHERE now_at > event_time;
CREATE FEATURE VIEW b ENTITY flight AS SELECT max(now_at) OVER (LAST 1 DAY) AS m FROM clock;

--- rows of a table by another key
CREATE FEATURE VIEW a ENTITY plane_owner AS SELECT owner, seats FROM planes;

--- times to live
CREATE FEATURE VIEW a ENTITY flight TTL INTERVAL '0' DAY AS SELECT delay FROM departures;
CREATE FEATURE VIEW b ENTITY flight TTL INTERVAL '-1' DAY AS SELECT delay FROM departures;

--- more sub-selects
CREATE FEATURE VIEW a ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT 1) w USING (origin);
CREATE FEATURE VIEW b ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT * FROM weather WHERE (visib > 1)) w USING (origin) WHERE w.event_time > d.event_time AND w.n;
CREATE FEATURE VIEW c ENTITY flight AS SELECT c.event_time AS t FROM departures d ASOF JOIN congestion c ON d.origin = c.origin;

--- sub-selects
CREATE FEATURE VIEW i ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT origin, visib, number AS event_time FROM weather) w USING (origin);
CREATE FEATURE VIEW a ENTITY flight AS SELECT w.v FROM departures d ASOF JOIN (SELECT origin, visib * 2 AS v FROM weather) w USING (origin);
CREATE FEATURE VIEW b ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT visib, kind, count(*) FROM weather GROUP BY kind) w USING (origin);
CREATE FEATURE VIEW c ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT visib FROM weather) w USING (origin);
CREATE FEATURE VIEW d ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT origin, visib, visib FROM weather WHERE vsib > 1) w USING (origin);
CREATE FEATURE VIEW e ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT * FROM weather x ASOF JOIN planes p ON x.kind = p.tailnum) w USING (origin);
CREATE FEATURE VIEW f ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT * FROM (SELECT * FROM weather) y) w USING (origin);
CREATE FEATURE VIEW g ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT visb, q.origin, z.* FROM weather) w USING (origin);
CREATE FEATURE VIEW h ENTITY flight AS SELECT w.visib FROM departures d ASOF JOIN (SELECT * FROM weather WHERE count(*) > 1) w WHERE (sum(visib) > 1) USING (origin);
