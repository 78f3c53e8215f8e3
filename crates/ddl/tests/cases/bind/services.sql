CREATE ENTITY airport (origin STRING);
CREATE ENTITY customer (id BIGINT);
CREATE ENTITY route (origin STRING, dest STRING);
CREATE STREAM departures (flight_id STRING, id BIGINT, origin STRING, dest STRING, delay DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW congestion ENTITY airport AS SELECT origin, count(*) OVER (LAST 3 HOURS) AS n, avg(delay) OVER (LAST 3 HOURS) AS delay FROM departures;
CREATE FEATURE VIEW per_route ENTITY route AS SELECT count(*) OVER (LAST 3 HOURS) AS n FROM departures;
CREATE FEATURE VIEW per_customer ENTITY customer AS SELECT count(*) OVER (LAST 3 HOURS) AS trips, delay AS origin FROM departures;
CREATE FEATURE VIEW last_flight ENTITY airport AS SELECT flight_id, delay AS last_delay FROM departures;
CREATE ON DEMAND FEATURE VIEW asked REQUEST (x DOUBLE, id STRING) AS SELECT delay * x AS scaled FROM congestion;
CREATE ON DEMAND FEATURE VIEW alone REQUEST (x DOUBLE) AS SELECT x * 2 AS double_x;

--- good: services
CREATE FEATURE SERVICE a AS congestion (*);
CREATE FEATURE SERVICE b VERSION 3 COMMENT 'c' AS congestion (delay, n AS departures) FOR (there) AS there, congestion (n), per_route (n AS per_route) FOR (origin, there), asked (*), alone (*);
CREATE FEATURE SERVICE b VERSION 4 AS congestion@1 (n);

--- list good
congestion@1:n

--- list good: of several views
congestion:*
per_route:n
last_flight:last_delay
asked:scaled

--- list good: again
congestion:delay
congestion:n
alone:double_x

--- list of what does not exist
congestion
congestion:m
congestoin:n
congestion@2:n
congestion@x:n
departures:delay
congestion:n
congestion:*
per_customer:trips
asked:scaled

--- names that are not there
CREATE FEATURE SERVICE a AS congestoin (*), congestion (dely), departures (delay), congestion@7 (n);

--- collisions
CREATE FEATURE SERVICE a AS congestion (*), per_route (*);
CREATE FEATURE SERVICE b AS congestion (n) FOR (a), congestion (n) FOR (b);
CREATE FEATURE SERVICE c AS congestion (n, n);
CREATE FEATURE SERVICE d AS congestion (n), per_customer (origin);

--- roles that do not fit
CREATE FEATURE SERVICE a AS congestion (n) FOR (a, b), per_route (n AS m) FOR (a), per_route (n AS k) FOR (a, a), alone (*) FOR (z);

--- one input with two types
CREATE FEATURE SERVICE a AS per_customer (trips), asked (*);
CREATE FEATURE SERVICE b AS congestion (n) FOR (who), per_customer (trips) FOR (who);

--- no version
CREATE FEATURE SERVICE a VERSION 0 AS congestion (n);
CREATE FEATURE SERVICE b AS congestion (n);
CREATE FEATURE SERVICE b VERSION 1 AS congestion (delay);
