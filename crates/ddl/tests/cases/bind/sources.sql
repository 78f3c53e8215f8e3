CREATE ENTITY customer (customer BIGINT);

--- good: every clause
CREATE STREAM payments (
  amount DECIMAL(10, 2) NOT NULL COMMENT 'in euros',
  cents BIGINT AS (CAST(amount * 100 AS BIGINT)),
  big BOOLEAN AS (cents > 10000),
  id STRING,
  customer BIGINT,
  country STRING,
  at TIMESTAMP,
  seq INT,
  EVENT ID (id),
  EVENT TIME at IN 'Europe/Berlin' LATENESS INTERVAL '10' MINUTE,
  KNOWN AT at + INTERVAL '1' HOUR,
  SEQUENCE BY (seq),
  DEDUPLICATE WITHIN INTERVAL '1' DAY,
  MAX FUTURE INTERVAL '5' MINUTE,
  HOT RETENTION INTERVAL '32' DAY,
  RETAIN INTERVAL '90' DAY FOR (customer),
  RETAIN INTERVAL '30' DAY FOR (customer, country),
  CHECK (amount > 0),
  EXPECT (event_time > TIMESTAMP '2020-01-01')
) WITH (connector = 'file', path = 'a/*.csv', format = 'csv', delimiter = ';', null = 'NA', time_unit = 'ms', partitions = 4, missing_columns = 'null')
WHERE country <> 'XX' COMMENT 'c' OWNER 'o' TAGS ('a' = 'b');

--- good: the event time column may be called event_time, a watermark is lateness
CREATE STREAM s (x INT, event_time TIMESTAMP, WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND, KNOWN AT event_time) WITH (zone = '+02:00');

--- good: the event time may be computed, a date becomes a known time
CREATE STREAM s (day DATE, at TIMESTAMP AS (CAST(day AS TIMESTAMP)), EVENT TIME at, KNOWN AT day);

--- good: a table with a secret
CREATE TABLE t (a STRING, b INT, at TIMESTAMP, PRIMARY KEY (b, a), EVENT TIME at, SEQUENCE BY (b)) WITH (partitions = 2);

--- no event time
CREATE STREAM s (x INT, at TIMESTAMP);

--- a table without event time and without a time column
CREATE TABLE t (k INT, PRIMARY KEY (k));

--- an event time that is none
CREATE STREAM s (at BIGINT, EVENT TIME at);

--- an event time of text
CREATE STREAM s (at STRING, EVENT TIME at);

--- an event time of a date
CREATE STREAM s (day DATE, EVENT TIME day);

--- an event time that is not there
CREATE STREAM s (departed_at TIMESTAMP, EVENT TIME departd_at);

--- two columns of one name
CREATE STREAM s (x INT, at TIMESTAMP, x STRING, EVENT TIME at);

--- pseudo-columns
CREATE STREAM s (event_time TIMESTAMP, visible_at TIMESTAMP, at TIMESTAMP, EVENT TIME at);

--- only computed columns
CREATE STREAM s (at TIMESTAMP AS (TIMESTAMP '2020-01-01'), EVENT TIME at);

--- types that no column has
CREATE STREAM s (a INTERVAL, b ARRAY<ARRAY<INT>>, c STRUCT<x INT>, at TIMESTAMP, EVENT TIME at);

--- computed columns in the wrong order
CREATE STREAM s (a INT, b INT AS (c + 1), c INT AS (a + 1), at TIMESTAMP, EVENT TIME at);

--- a computed column of another type
CREATE STREAM s (a DOUBLE, b INT AS (a * 2), at TIMESTAMP, EVENT TIME at);

--- a computed column of itself, of pseudo-columns, of the read time
CREATE STREAM s (a INT AS (a + 1), b TIMESTAMP AS (event_time), c TIMESTAMP AS (read_time()), d TIMESTAMP AS (visible_at), at TIMESTAMP, EVENT TIME at);

--- a computed column with an aggregate
CREATE STREAM s (a INT, b BIGINT AS (sum(a)), at TIMESTAMP, EVENT TIME at);

--- intervals that are not exact
CREATE STREAM s (id STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at LATENESS INTERVAL '1' MONTH, DEDUPLICATE WITHIN INTERVAL '1' YEAR, MAX FUTURE INTERVAL '1' MONTH, RETAIN INTERVAL '1' MONTH FOR (id));

--- intervals that are not positive
CREATE STREAM s (id STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at LATENESS INTERVAL '-1' HOUR, DEDUPLICATE WITHIN INTERVAL '0' HOUR, MAX FUTURE INTERVAL '-1' HOUR, RETAIN INTERVAL '0' DAY FOR (id));

--- keys of types that are none
CREATE TABLE t (a DOUBLE, b ARRAY<INT>, c FLOAT[3], at TIMESTAMP, PRIMARY KEY (a), EVENT ID (b), SEQUENCE BY (c), EVENT TIME at, RETAIN INTERVAL '1' DAY FOR (a));

--- columns that are not there
CREATE TABLE t (customer STRING, at TIMESTAMP, PRIMARY KEY (costumer), EVENT ID (id), SEQUENCE BY (version), EVENT TIME at, RETAIN INTERVAL '1' DAY FOR (custmer));

--- columns listed twice
CREATE STREAM s (a STRING, b STRING, at TIMESTAMP, EVENT ID (a, b, a), EVENT TIME at);

--- a table without a primary key
CREATE TABLE t (k INT, at TIMESTAMP, EVENT TIME at);

--- a table in several partitions without an order
CREATE TABLE t (k INT, at TIMESTAMP, PRIMARY KEY (k), EVENT TIME at) WITH (partitions = 3);

--- deduplication without an id
CREATE STREAM s (k INT, at TIMESTAMP, EVENT TIME at, DEDUPLICATE WITHIN INTERVAL '1' DAY);

--- retention of nobody, and twice
CREATE STREAM s (k INT, j INT, at TIMESTAMP, EVENT TIME at, RETAIN INTERVAL '1' DAY);
CREATE STREAM r (k INT, j INT, at TIMESTAMP, EVENT TIME at, RETAIN INTERVAL '1' DAY FOR (k, j), RETAIN INTERVAL '2' DAY FOR (j, k));

--- zones
CREATE STREAM s (at TIMESTAMP, EVENT TIME at IN 'Mars/Olympus') WITH (zone = 'Europe/Bärlin');
CREATE STREAM t (at TIMESTAMP, EVENT TIME at IN 'Europe/Berlin') WITH (zone = 'UTC');

--- known at something else
CREATE STREAM s (k INT, at TIMESTAMP, EVENT TIME at, KNOWN AT k);

--- known at what is not known
CREATE STREAM s (at TIMESTAMP, EVENT TIME at, KNOWN AT visible_at + INTERVAL '1' HOUR, CHECK (visible_at > at)) WHERE read_time() > at;

--- conditions that are none
CREATE STREAM s (k INT, at TIMESTAMP, EVENT TIME at, CHECK (k), EXPECT (k + 1)) WHERE 'x';

--- conditions over nothing
CREATE STREAM s (amount INT, at TIMESTAMP, EVENT TIME at, CHECK (amuont > 0)) WHERE s.b IS NULL;

--- unknown options
CREATE STREAM s (at TIMESTAMP, EVENT TIME at) WITH (connector = 'file', path = 'x', formt = 'csv', header = true, topic = 't');
CREATE STREAM t (at TIMESTAMP, EVENT TIME at) WITH (path = 'x');
CREATE STREAM u (at TIMESTAMP, EVENT TIME at) WITH (zne = 'UTC');

--- wrong values of options
CREATE STREAM s (at TIMESTAMP, EVENT TIME at) WITH (connector = 'file', path = 'x', format = 'avro', compression = 'lz4', time_unit = 'ns', delimiter = '||', partitions = 0, missing_columns = 'x', zone = 'X');

--- options given twice
CREATE STREAM s (at TIMESTAMP, EVENT TIME at) WITH (connector = 'file', path = 'x', path = 'y');

--- no path
CREATE STREAM s (at TIMESTAMP, EVENT TIME at) WITH (connector = 'file');

--- connectors that do not exist
CREATE STREAM s (at TIMESTAMP, EVENT TIME at) WITH (connector = 'kafka', topic = 't');
CREATE STREAM t (at TIMESTAMP, EVENT TIME at) WITH (connector = 'fle');
CREATE STREAM u (at TIMESTAMP, EVENT TIME at) WITH (connector = 5);

--- secrets
CREATE STREAM s (at TIMESTAMP, EVENT TIME at) WITH (connector = 'kafka', 'sasl.password' = 'hunter2', api_key = 'x', token = SECRET 't');
CREATE STREAM t (at TIMESTAMP, EVENT TIME at) WITH (connector = 'file', path = 'x', format = SECRET 'f', zone = SECRET 'z');

--- tags given twice
CREATE STREAM s (at TIMESTAMP, EVENT TIME at) TAGS ('a' = 'b', 'a' = 'c');

--- derived streams that cannot be
CREATE ENTITY card (card BIGINT);
CREATE STREAM s (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM twice (id BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at, DEDUPLICATE WITHIN INTERVAL '1' HOUR);
CREATE TABLE u (card BIGINT, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE FEATURE VIEW v ENTITY card AS SELECT card, count(*) OVER (LAST 1 HOURS) AS n FROM s;
CREATE STREAM a AS SELECT missing FROM s;
CREATE STREAM b AS SELECT card FROM u;
CREATE STREAM c AS SELECT n FROM v;
CREATE STREAM d AS SELECT count(*) OVER (LAST 1 HOURS) AS n FROM s;
CREATE STREAM e AS SELECT amount AS trigger_id FROM s;
CREATE STREAM f AS SELECT id FROM twice;
CREATE STREAM g AS SELECT s.amount FROM s ASOF FULL JOIN u ON s.card = u.card;
CREATE STREAM h AS SELECT card FROM h;
CREATE FEATURE VIEW w ENTITY card AS SELECT s.card, u.at AS since FROM s ASOF JOIN u ON s.card = u.card;
CREATE STREAM i AS SELECT w.since FROM s ASOF JOIN w ON s.card = w.card ON LATE REVISE;
CREATE STREAM j AS SELECT u.at AS since FROM s ASOF JOIN u ON s.card + 1 = u.card ON LATE REVISE;

--- views that cannot be emitted
CREATE ENTITY card (card BIGINT);
CREATE STREAM s (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE FEATURE VIEW a ENTITY card MATERIALIZED AS SELECT * FROM s;
CREATE FEATURE VIEW b ENTITY card EMIT TO 's' AS SELECT amount FROM s;
CREATE FEATURE VIEW c ENTITY card ON LATE KEEP AS SELECT amount FROM s;
CREATE FEATURE VIEW d ENTITY nobody MATERIALIZED AS SELECT amount FROM s;
CREATE FEATURE VIEW e ENTITY card EMIT TO 'e_rows' AS SELECT missing FROM s;

--- good: a materialised view is a stream of rows and a view over it
CREATE ENTITY holder (card BIGINT);
CREATE STREAM s (id BIGINT, payer BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE FEATURE VIEW v (spent DEFAULT 0) ENTITY holder (payer) TTL INTERVAL '1' DAY MATERIALIZED EMIT TO 'spending' COMMENT 'spent' AS
SELECT payer, amount, sum(amount) OVER (LAST 1 HOURS) AS spent FROM s;
CREATE FEATURE VIEW w ENTITY holder (payer) EMIT TO 'amounts' ON LATE KEEP AS SELECT amount FROM s;

--- good: a derived stream, and windows over what it looked up
CREATE ENTITY kind (kind STRING);
CREATE STREAM s (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at LATENESS INTERVAL '5' MINUTE);
CREATE TABLE u (card BIGINT, kind STRING, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE STREAM x AS SELECT s.card, u.kind, s.amount, sum(s.amount) OVER (PARTITION BY s.card RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS spent
FROM s ASOF JOIN u ON s.card = u.card WHERE s.amount > 0;
CREATE FEATURE VIEW of_kind ENTITY kind AS SELECT kind, sum(spent) OVER (LAST 7 DAYS) AS spent FROM x;

--- good: a column says which rows are deletes
CREATE TABLE t (k STRING, op STRING, at TIMESTAMP, PRIMARY KEY (k), EVENT TIME at) WITH (connector = 'file', path = 'x', operation = 'op');
CREATE TABLE u (k STRING, gone BOOLEAN, "Op" STRING AS (CASE WHEN gone THEN 'delete' ELSE 'upsert' END), at TIMESTAMP, PRIMARY KEY (k), EVENT TIME at)
  WITH (operation = 'Op');

--- a column that says no operation, or in a stream
CREATE STREAM s (op STRING, at TIMESTAMP, EVENT TIME at) WITH (connector = 'file', path = 'x', operation = 'op');
CREATE TABLE t (k STRING, op STRING, at TIMESTAMP, PRIMARY KEY (k), EVENT TIME at) WITH (operation = 'opp');
CREATE TABLE u (k STRING, op INT, at TIMESTAMP, PRIMARY KEY (k), EVENT TIME at) WITH (operation = 'op');
CREATE TABLE v (k STRING, op STRING, at TIMESTAMP, PRIMARY KEY (k), EVENT TIME at) WITH (operation = SECRET 'op');

--- a retention that is no exact length, or none
CREATE STREAM s (at TIMESTAMP, EVENT TIME at, HOT RETENTION INTERVAL '1' MONTH);

--- a retention of nothing
CREATE STREAM s (at TIMESTAMP, EVENT TIME at, HOT RETENTION INTERVAL '0' DAY);

--- good: a column may be called hot
CREATE STREAM s (hot BOOLEAN, at TIMESTAMP, EVENT TIME at, HOT RETENTION INTERVAL '12' HOUR);

--- good changes of tables of other systems
CREATE TABLE a (id BIGINT, v STRING, op STRING, at TIMESTAMP, place BIGINT, PRIMARY KEY (id), EVENT TIME at, SEQUENCE BY (place))
  WITH (connector = 'mysql', url = 'mysql://reader@db.example:3307', table = 'shop.a', password = SECRET 'SHOP', operation = 'op',
        change_time = 'at', change_position = 'place', snapshot_time = '2026-01-01', zero_dates = 'null', server_id = 7);
CREATE TABLE b (id BIGINT, op STRING, at TIMESTAMP, PRIMARY KEY (id), EVENT TIME at)
  WITH (connector = 'file', path = 'b.json', format = 'debezium', operation = 'op', change_time = 'at');
CREATE STREAM c (id BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at) WITH (connector = 'file', path = 'c.json', format = 'debezium');

--- changes without what they need
CREATE TABLE a (id BIGINT, at TIMESTAMP, PRIMARY KEY (id), EVENT TIME at, EVENT ID (id))
  WITH (connector = 'mysql', url = 'mysql://reader@db.example', table = 'shop.a');
CREATE TABLE b (id BIGINT, op STRING AS ('u'), at BIGINT, t TIMESTAMP, PRIMARY KEY (id), EVENT TIME t)
  WITH (connector = 'file', path = 'b.json', format = 'debezium', operation = 'op', change_time = 'at', change_position = 'pos');
CREATE TABLE c (id BIGINT, at TIMESTAMP, PRIMARY KEY (id), EVENT TIME at) WITH (connector = 'file', path = 'c.csv', change_time = 'at');
CREATE STREAM d (id BIGINT, at TIMESTAMP, EVENT TIME at) WITH (connector = 'mysql');
CREATE STREAM e (id BIGINT, at TIMESTAMP, EVENT TIME at) WITH (connector = 'debezium');

--- servers that cannot be reached as it is written
CREATE STREAM a (at TIMESTAMP, EVENT TIME at) WITH (connector = 'mysql', url = 'mysql://reader:hunter2@db.example', table = 'shop.a');
CREATE STREAM b (at TIMESTAMP, EVENT TIME at) WITH (connector = 'mysql', url = 'db.example', table = 'a', password = 'hunter2', snapshot_time = 'then', zero_dates = '0', server_id = 0, topic = 't');
CREATE STREAM c (at TIMESTAMP, EVENT TIME at) WITH (connector = 'mysql', url = SECRET 'u', table = 'shop.a');

--- good comparisons on a schedule
CREATE STREAM a (id BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'a.csv', compare_schedule = '0 3 * * *', compare_with = 'truth/*.csv', compare_days = 7);
CREATE STREAM b (id BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (compare_schedule = '0 3 * * MON', compare_with = 'truth.csv');

--- comparisons that say half
CREATE STREAM a (at TIMESTAMP, EVENT TIME at) WITH (connector = 'file', path = 'a.csv', compare_schedule = '0 3', compare_days = 0);
CREATE STREAM b (at TIMESTAMP, EVENT TIME at) WITH (compare_with = 'x.csv', compare_schdule = '0 3 * * *');

--- streams of tables that tell nothing apart
CREATE STREAM a (id BIGINT, at TIMESTAMP, EVENT TIME at)
  WITH (connector = 'mysql', url = 'mysql://a@b', table = 'a.b', change_time = 'at');
