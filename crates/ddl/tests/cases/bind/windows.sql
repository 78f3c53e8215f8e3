CREATE ENTITY customer (customer BIGINT);
CREATE ENTITY merchant (merchant STRING);
CREATE ENTITY pair (customer BIGINT, merchant STRING);
CREATE STREAM payments (id STRING, customer BIGINT, payee BIGINT, merchant STRING, small INT, amount DOUBLE, price DECIMAL(10, 2), ok BOOLEAN,
  tags ARRAY<STRING>, v FLOAT[3], at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE TABLE accounts (account STRING, customer BIGINT, balance DOUBLE, since TIMESTAMP, PRIMARY KEY (account), EVENT TIME since);

--- good: every aggregate
CREATE FEATURE VIEW v ENTITY customer AS
SELECT customer, count(*) OVER w AS a, count(amount) OVER w AS b, count(DISTINCT merchant) OVER w AS c, count_if(ok) OVER w AS d,
  sum(small) OVER w AS e, sum(price) OVER w AS f, avg(amount) OVER w AS g, avg(price) OVER w AS h, min(merchant) OVER w AS i, max(at) OVER w AS j,
  var_pop(amount) OVER w AS k, stddev(small) OVER w AS l, first_value(merchant) IGNORE NULLS OVER w AS m, last(tags) OVER w AS n,
  last_n(amount, 5) OVER w AS o, first_n(merchant, 2) OVER w AS p, approx_count_distinct(id) OVER w AS q, approx_quantile(amount, 0.9) OVER w AS r,
  median(price) OVER w AS s, top_k(merchant, 3) OVER w AS t, bool_and(ok) OVER w AS u, any(ok) OVER w AS v, max_by(merchant, amount) OVER w AS x,
  arg_min(amount, at) OVER w AS y
FROM payments WINDOW w AS (LAST 7 DAYS);

--- good: every frame
CREATE FEATURE VIEW v ENTITY customer AS
SELECT customer, count(*) OVER () AS a, count(*) OVER (ALL HISTORY BEFORE) AS b, count(*) OVER (LAST 3 HOURS) AS c,
  count(*) OVER (RANGE BETWEEN INTERVAL '37' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING) AS d,
  count(*) OVER (RANGE BETWEEN INTERVAL '2' MONTH PRECEDING AND INTERVAL '1' MONTH PRECEDING) AS e,
  count(*) OVER (RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '1' DAY PRECEDING) AS f,
  count(*) OVER (LAST 10 ROWS) AS g, count(*) OVER (LAST 10 ROWS BEFORE) AS h,
  count(*) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 5 PRECEDING) AS i,
  count(*) OVER (RANGE BETWEEN START OF DAY IN 'Europe/Berlin' AND CURRENT ROW) AS j, count(*) OVER (SINCE START OF WEEK) AS k,
  count(*) OVER (SESSION GAP INTERVAL '30' MINUTE) AS l,
  count(*) OVER (RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW HOP INTERVAL '5' MINUTE) AS m,
  count(*) OVER (RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '1' HOUR PRECEDING HOP INTERVAL '30' MINUTE) AS n,
  count(*) OVER (RANGE BETWEEN CURRENT ROW AND CURRENT ROW) AS o,
  count(*) OVER (ORDER BY at RANGE BETWEEN INTERVAL '3' HOUR PRECEDING AND CURRENT ROW EXCLUDE NO OTHERS) AS p
FROM payments;

--- good: named windows build upon one another, equal windows are computed once
CREATE FEATURE VIEW v ENTITY customer AS
SELECT count(*) OVER day AS a, count(*) OVER (day EXCLUDE GROUP) AS b, count(*) OVER (LAST 24 HOURS) AS c, sum(amount) OVER hop AS d
FROM payments WINDOW hop AS (day HOP INTERVAL '1' HOUR), day AS (keyed LAST 24 HOURS), keyed AS (PARTITION BY customer ORDER BY event_time);

--- good: expressions, filters, literals, keys, the read time
CREATE FEATURE VIEW v ENTITY pair (payee, merchant) AS
SELECT payee AS customer, merchant,
  sum(amount) FILTER (WHERE ok AND small > 1) OVER w / nullif(count(*) OVER w, 0) AS share, upper(merchant) || '!' AS shout, 1 AS one,
  date_diff('second', max(event_time) OVER w, read_time()) AS idle_seconds, CASE WHEN count(*) OVER w = 0 THEN 'new' ELSE 'old' END AS kind,
  payee AS payee_id, (top_k(merchant, 2) OVER w)[1].value AS favourite
FROM payments p WHERE p.amount > 0 AND ok WINDOW w AS (PARTITION BY merchant, payee LAST 1 DAY);

--- good: windows over the changes of a table, and over a filtered relation
CREATE FEATURE VIEW v ENTITY customer AS SELECT customer, count(*) OVER (LAST 30 DAYS) AS changes FROM accounts;
CREATE FEATURE VIEW w ENTITY customer AS SELECT customer, count(*) OVER (LAST 30 DAYS) AS n FROM (SELECT customer, amount AS a FROM payments WHERE ok) p WHERE a > 1;

--- good: the column list
CREATE FEATURE VIEW v (n COMMENT 'how many' OWNER 'me' DEFAULT 0 EXPECT (n >= 0 AND m IS NOT NULL), m DEFAULT -1.5) ENTITY customer AS
SELECT count(*) OVER (LAST 1 DAY) AS n, sum(amount) OVER (LAST 1 DAY) AS m FROM payments;

--- good: a window that nothing uses is warned about
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) OVER a AS n FROM payments WINDOW a AS (LAST 1 DAY), b AS (LAST 2 DAYS);

--- an aggregate without a window
CREATE FEATURE VIEW v ENTITY customer AS SELECT customer, count(*) AS n, sum(amount) / 2 AS m FROM payments;

--- group by
CREATE FEATURE VIEW v ENTITY customer AS SELECT customer, count(*) AS n FROM payments GROUP BY customer;

--- windows that are not there
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) OVER last_3h AS n, count(*) OVER (last3 EXCLUDE GROUP) AS m, count(*) OVER x AS o FROM payments WINDOW last_3 AS (LAST 3 HOURS);

--- windows upon themselves, and twice
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) OVER a AS n FROM payments WINDOW a AS (b LAST 1 DAY), b AS (a), c AS (LAST 1 DAY HOP 7 HOURS);
CREATE FEATURE VIEW w ENTITY customer AS SELECT count(*) OVER c AS n FROM payments WINDOW c AS (LAST 1 DAY), c AS (LAST 2 DAYS);

--- looking forward
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  count(*) OVER (RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND INTERVAL '1' HOUR FOLLOWING) AS a,
  count(*) OVER (RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS b,
  count(*) OVER (ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS c FROM payments;

--- inverted and negative bounds
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  count(*) OVER (RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND INTERVAL '2' HOUR PRECEDING) AS a,
  count(*) OVER (RANGE BETWEEN INTERVAL '-1' HOUR PRECEDING AND CURRENT ROW) AS b,
  count(*) OVER (ROWS BETWEEN 1 PRECEDING AND 2 PRECEDING) AS c,
  count(*) OVER (RANGE BETWEEN INTERVAL '1' MONTH PRECEDING AND INTERVAL '30' DAY PRECEDING) AS d,
  count(*) OVER (RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND UNBOUNDED PRECEDING) AS e,
  count(*) OVER (ROWS BETWEEN 1 PRECEDING AND UNBOUNDED PRECEDING) AS f,
  count(*) OVER (RANGE BETWEEN CURRENT ROW AND CURRENT ROW EXCLUDE GROUP) AS g FROM payments;

--- bounds of the wrong unit
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  count(*) OVER (RANGE BETWEEN 3 PRECEDING AND CURRENT ROW) AS a,
  count(*) OVER (ROWS BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS b,
  count(*) OVER (GROUPS BETWEEN 3 PRECEDING AND CURRENT ROW) AS c,
  count(*) OVER (ROWS BETWEEN 100001 PRECEDING AND CURRENT ROW) AS d,
  count(*) OVER (ROWS BETWEEN START OF DAY AND CURRENT ROW) AS e FROM payments;

--- exclusions that have no meaning
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  count(*) OVER (LAST 1 DAY EXCLUDE CURRENT ROW) AS a, count(*) OVER (LAST 1 DAY EXCLUDE TIES) AS b FROM payments;

--- calendar periods
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  count(*) OVER (RANGE BETWEEN START OF DAY IN 'Nowhere' AND CURRENT ROW) AS a,
  count(*) OVER (RANGE BETWEEN START OF DAY AND INTERVAL '1' HOUR PRECEDING) AS b,
  count(*) OVER (RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND START OF DAY) AS c FROM payments;

--- sessions
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) OVER (SESSION GAP INTERVAL '1' MONTH) AS a, count(*) OVER (SESSION GAP INTERVAL '0' HOUR) AS b FROM payments;

--- hops
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  count(*) OVER (LAST 1 DAY EXCLUDE GROUP HOP INTERVAL '1' HOUR) AS a,
  count(*) OVER (LAST 2 MONTHS HOP INTERVAL '1' HOUR) AS b,
  count(*) OVER (LAST 10 ROWS HOP INTERVAL '1' HOUR) AS c,
  count(*) OVER (LAST 1 DAY HOP INTERVAL '7' HOUR) AS d,
  count(*) OVER (SESSION GAP INTERVAL '1' HOUR HOP INTERVAL '1' HOUR) AS e,
  count(*) OVER (SINCE START OF DAY HOP INTERVAL '1' HOUR) AS f,
  count(*) OVER (LAST 1 DAY HOP INTERVAL '1' MONTH) AS g,
  count(*) OVER (LAST 1 DAY HOP INTERVAL '0' HOUR) AS h,
  count(*) OVER (RANGE BETWEEN CURRENT ROW AND CURRENT ROW HOP INTERVAL '1' HOUR) AS i FROM payments;

--- partitions of a window view
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) OVER (PARTITION BY merchant LAST 1 DAY) AS a FROM payments;

--- partitions by what is no column
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  count(*) OVER (PARTITION BY upper(merchant) LAST 1 DAY) AS a, count(*) OVER (PARTITION BY amount LAST 1 DAY) AS b,
  count(*) OVER (PARTITION BY mercant LAST 1 DAY) AS c FROM payments;

--- orders
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) OVER (ORDER BY amount LAST 1 DAY) AS a, count(*) OVER (ORDER BY at DESC LAST 1 DAY) AS b,
  last_value(amount ORDER BY amount) OVER (LAST 1 DAY) AS c, last_value(amount ORDER BY at) OVER (LAST 1 DAY) AS d,
  approx_quantile(0.5) WITHIN GROUP (ORDER BY amount) OVER (LAST 1 DAY) AS e FROM payments;

--- aggregates inside aggregates, filters, orders
CREATE FEATURE VIEW v ENTITY customer AS SELECT sum(avg(amount)) OVER (LAST 1 DAY) AS a,
  sum(amount + count(*) OVER (LAST 1 DAY)) OVER (LAST 1 DAY) AS b,
  sum(amount) FILTER (WHERE amount > avg(amount) OVER (LAST 1 DAY)) OVER (LAST 1 DAY) AS c FROM payments WHERE count(*) OVER (LAST 1 DAY) > 1;

--- the read time where there is none
CREATE FEATURE VIEW v ENTITY customer AS SELECT max(date_diff('second', at, read_time())) OVER (LAST 1 DAY) AS a,
  count(*) FILTER (WHERE at < read_time()) OVER (LAST 1 DAY) AS b, read_time(1) AS c FROM payments WHERE at < read_time();

--- aggregates that do not exist or do not fit
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  summ(amount) OVER (LAST 1 DAY) AS a, sum(merchant) OVER (LAST 1 DAY) AS b, last_n(amount, small) OVER (LAST 1 DAY) AS c, last_n(amount, 0) OVER (LAST 1 DAY) AS d,
  sum(DISTINCT amount) OVER (LAST 1 DAY) AS e, count() OVER (LAST 1 DAY) AS f, sum(*) OVER (LAST 1 DAY) AS g, max(amount) IGNORE NULLS OVER (LAST 1 DAY) AS h,
  avg(amount, small) OVER (LAST 1 DAY) AS i, array_agg(amount) OVER (LAST 1 DAY) AS j, count_if(small) OVER (LAST 1 DAY) AS k,
  max_by(amount, tags) OVER (LAST 1 DAY) AS l, approx_quantile(amount, 2) OVER (LAST 1 DAY) AS m, sum(v) OVER (LAST 1 DAY) AS n FROM payments;

--- functions that are no aggregates
CREATE FEATURE VIEW v ENTITY customer AS SELECT row_number() OVER (LAST 1 DAY) AS a, lag(amount) OVER (LAST 1 DAY) AS b, lead(amount) OVER (LAST 1 DAY) AS c,
  rank() OVER (LAST 1 DAY) AS d, nth_value(amount, 2) OVER (LAST 1 DAY) AS e, upper(merchant) OVER (LAST 1 DAY) AS f, lower(DISTINCT merchant) AS g,
  abs(amount) FILTER (WHERE ok) AS h, upper(*) AS i, array_agg(amount) AS j, foo(amount) AS k, now() AS l, random() AS m, uper(merchant) AS n FROM payments;

--- features without names, with one name, with names that are taken
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY), amount + 1, 5 FROM payments;
CREATE FEATURE VIEW w ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n, sum(amount) OVER (LAST 1 DAY) AS n FROM payments;
CREATE FEATURE VIEW x ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS customer, max(at) OVER (LAST 1 DAY) AS event_time, min(at) OVER (LAST 1 DAY) AS visible_at FROM payments;

--- features of no type
CREATE FEATURE VIEW v ENTITY customer AS SELECT NULL AS a, INTERVAL '1' DAY AS b, (top_k(merchant, 2) OVER (LAST 1 DAY))[1] AS c,
  count(*) OVER (LAST 1 DAY) AS d FROM payments;

--- no features
CREATE FEATURE VIEW v ENTITY customer AS SELECT customer FROM payments;

--- a column list that does not fit
CREATE FEATURE VIEW v (n DEFAULT 'x', m DEFAULT small, nn, o EXPECT (o), p EXPECT (q > 1), r DEFAULT CAST('x' AS BIGINT)) ENTITY customer AS
SELECT count(*) OVER (LAST 1 DAY) AS n, sum(amount) OVER (LAST 1 DAY) AS m, count(id) OVER (LAST 1 DAY) AS o, count(ok) OVER (LAST 1 DAY) AS p, count(at) OVER (LAST 1 DAY) AS r FROM payments;

--- a window view has no time to live
CREATE FEATURE VIEW v ENTITY customer TTL INTERVAL '1' DAY AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;

--- a window view is read at any time: it has no rows that could be emitted
CREATE FEATURE VIEW v ENTITY customer MATERIALIZED EMIT TO 'topic' ON LATE REVISE AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;

--- no name, no entity, no source
CREATE FEATURE VIEW ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;
CREATE FEATURE VIEW a ENTITY costumer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;
CREATE FEATURE VIEW b ENTITY airport AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;
CREATE FEATURE VIEW c ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM paymens;
CREATE FEATURE VIEW d ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM customer;
CREATE FEATURE VIEW e ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments@2;
CREATE FEATURE VIEW f ENTITY customer AS SELECT 1 AS n;

--- keys that are not there or do not fit
CREATE FEATURE VIEW a ENTITY merchant (merchnt) AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;
CREATE FEATURE VIEW b ENTITY customer (merchant) AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;
CREATE FEATURE VIEW c ENTITY pair (customer) AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;
CREATE FEATURE VIEW d ENTITY merchant AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM accounts;
CREATE FEATURE VIEW e ENTITY customer (small) AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;

--- more keys that do not fit
CREATE ENTITY two (a BIGINT, b BIGINT);
CREATE FEATURE VIEW f ENTITY two (customer, customer) AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM payments;

--- nothing is there at all
CREATE FEATURE VIEW a ENTITY customer AS SELECT count(*) OVER w AS n FROM payments;
CREATE FEATURE VIEW b ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM xyzxyzxyz;
CREATE FEATURE VIEW c (n EXPECT (sum(n) > 1)) ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n, [[1], [2]] AS lists FROM payments;

--- names that are not there
CREATE FEATURE VIEW v ENTITY customer AS SELECT sum(amout) OVER (LAST 1 DAY) AS a, sum(p.amount) OVER (LAST 1 DAY) AS b, sum(payments) OVER (LAST 1 DAY) AS c,
  sum(payments.amont) OVER (LAST 1 DAY) AS d, sum(zzzzzzzz) OVER (LAST 1 DAY) AS e FROM payments;

--- types that do not fit
CREATE FEATURE VIEW v ENTITY customer AS SELECT sum(amount + merchant) OVER (LAST 1 DAY) AS a, count(*) FILTER (WHERE amount) OVER (LAST 1 DAY) AS b,
  substr(merchant, 'x') AS c, CAST(tags AS INT) AS d, merchant.x AS e, CASE WHEN ok THEN 1 ELSE 'x' END AS f, small IN (1, 'a') AS g FROM payments;
