-- The files: orders.csv (order_id, Customer, amount, ordered_at), two_times.csv (id, created,
-- "Changed At"), counted.csv (id, ms), no_time.csv (id, day).
CREATE ENTITY customer (customer BIGINT);

--- good: all is inferred
CREATE STREAM orders FROM FILE 'data/orders.csv';

--- good: clauses are written, columns are not
CREATE STREAM orders (
  EVENT ID (order_id), EVENT TIME ordered_at IN 'Europe/Berlin' LATENESS INTERVAL '10' MINUTE, KNOWN AT ordered_at,
  CHECK (amount > 0)
) FROM FILE 'data/orders.csv' WITH (delimiter = ';', partitions = 2) WHERE order_id <> 'test' COMMENT 'of the shop';
CREATE FEATURE VIEW v ENTITY customer ("Customer") AS SELECT sum(amount) OVER (LAST 1 DAY) AS spent FROM orders;

--- good: a column that is written is as it is written
CREATE TABLE orders (
  amount DECIMAL(10, 2) NOT NULL COMMENT 'in euros', large BOOLEAN AS (amount > 100), note STRING,
  PRIMARY KEY (order_id)
) FROM FILE 'data/orders.csv' WITH (missing_columns = 'null');

--- good: the event time may be counted or computed
CREATE STREAM counted (ms TIMESTAMP, EVENT TIME ms) FROM FILE 'data/counted.csv' WITH (time_unit = 'ms');
CREATE STREAM days (at TIMESTAMP AS (CAST(day AS TIMESTAMP)), EVENT TIME at) FROM FILE 'data/no_time.csv';
CREATE STREAM one (EVENT TIME "Changed At") FROM FILE 'data/two_times.csv';

--- several event times
CREATE STREAM s FROM FILE 'data/two_times.csv';
CREATE TABLE t (PRIMARY KEY (id)) FROM FILE 'data/two_times.csv';

--- no event time
CREATE STREAM s FROM FILE 'data/counted.csv';
CREATE STREAM t FROM FILE 'data/no_time.csv';

--- the file is not there, and what reads the source is not told again
CREATE STREAM s FROM FILE 'data/absent.csv';
CREATE FEATURE VIEW v ENTITY customer (customer) AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM s;

--- columns that are not there
CREATE STREAM s (amont DOUBLE, EVENT ID (customer)) FROM FILE 'data/orders.csv';
CREATE STREAM t (EVENT ID (customer)) FROM FILE 'data/orders.csv';
CREATE STREAM u (amount DOUBLE AS (1.0)) FROM FILE 'data/orders.csv';

--- a table without a key
CREATE TABLE t FROM FILE 'data/orders.csv';

--- options that are said already, or not known
CREATE STREAM s FROM FILE 'data/orders.csv' WITH (path = 'x');
CREATE STREAM t FROM FILE 'data/orders.csv' WITH (connector = 'file');
CREATE STREAM u FROM FILE 'data/orders.csv' WITH (delimitr = ';');
CREATE STREAM v (EVENT TIME ordered_at IN 'Nowhere') FROM FILE 'data/orders.csv';
