CREATE ENTITY customer (customer BIGINT);
CREATE STREAM orders (id INT, customer BIGINT, quantity INT, weight FLOAT, price DECIMAL(10, 2), at TIMESTAMP,
  half INT AS (quantity % 2), day DATE AS (CAST(at AS DATE)), EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));
CREATE TABLE prices (code DECIMAL(4, 0), price FLOAT, at TIMESTAMP, label STRING AS ('p' || CAST(code AS STRING)),
  PRIMARY KEY (code), EVENT TIME at);
CREATE FEATURE VIEW spent ENTITY customer (customer) AS SELECT customer, sum(price) OVER (ALL HISTORY) AS spent FROM orders;
CREATE ENTITY size (weight INT);
CREATE STREAM sizes (w INT, k INT AS (CAST(w + 1 AS INT)), at TIMESTAMP, EVENT TIME at);
CREATE STREAM spans (w INT, n INT, at TIMESTAMP, EVENT TIME at, SEQUENCE BY (n));
CREATE FEATURE VIEW by_size ENTITY size (w) AS SELECT w, count(*) OVER (ALL HISTORY) AS n FROM spans;
CREATE FEATURE VIEW by_k ENTITY size (k) AS SELECT k, count(*) OVER (ALL HISTORY) AS n FROM sizes;
CREATE STREAM scans (w INT, n INT, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tags (w INT, note STRING, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW noted ENTITY size (w) AS SELECT w, count(*) OVER (LAST 1 DAY) AS notes FROM tags;
CREATE STREAM tagged AS SELECT s.w, s.n, t.note FROM scans s ASOF JOIN tags t ON s.w = t.w WHERE s.n > 1 ON LATE REVISE;
CREATE STREAM counted AS SELECT s.n, v.notes FROM scans s ASOF JOIN noted v ON s.w = v.w;
CREATE STREAM whole AS SELECT * FROM scans;

--- altered good: columns are added and widened, in order
ALTER STREAM orders ADD COLUMN note STRING COMMENT 'from the shop', ADD COLUMN parts ARRAY<INT>;
ALTER STREAM orders ALTER COLUMN weight TYPE DOUBLE, ALTER price TYPE DECIMAL(12, 2), ALTER COLUMN parts TYPE ARRAY<BIGINT>;

--- altered good: a key of a table whose bytes stay
ALTER TABLE prices ALTER COLUMN code TYPE DECIMAL(8, 0);

--- altered good: a column that is called type
ALTER STREAM sizes ADD type INT, ALTER COLUMN type TYPE BIGINT;

--- altered: what is not there
ALTER STREAM order ADD COLUMN x INT;
ALTER TABLE orders ADD COLUMN x INT;
ALTER STREAM spent ADD COLUMN x INT;
ALTER STREAM orders ALTER COLUMN weigth TYPE DOUBLE;

--- altered: columns that cannot be
ALTER STREAM orders ADD COLUMN price DOUBLE;
ALTER STREAM orders ADD COLUMN twice INT AS (quantity * 2);
ALTER STREAM orders ADD COLUMN span INTERVAL;

--- altered: a column without which no row may be
ALTER STREAM orders ADD COLUMN note STRING NOT NULL;

--- altered: types that are not wider
ALTER STREAM orders ALTER COLUMN quantity TYPE STRING, ALTER COLUMN weight TYPE INT, ALTER COLUMN price TYPE DECIMAL(12, 3);
ALTER STREAM orders ALTER COLUMN customer TYPE INT, ALTER COLUMN half TYPE BIGINT, ALTER COLUMN at TYPE DATE;

--- altered: keys keep their bytes
ALTER STREAM orders ALTER COLUMN id TYPE BIGINT;
ALTER STREAM spans ALTER COLUMN n TYPE BIGINT, ALTER COLUMN w TYPE BIGINT;

--- changed: a computed key of a view, from a wider column
CREATE STREAM sizes (w BIGINT, k INT AS (CAST(w + 1 AS INT)), at TIMESTAMP, EVENT TIME at);

--- altered: columns of a file
CREATE STREAM returns (EVENT TIME ordered_at) FROM FILE 'data/orders.csv';
ALTER STREAM returns ADD COLUMN reason STRING;

--- altered: columns of a query
CREATE STREAM derived AS SELECT id FROM orders;
ALTER STREAM derived ADD COLUMN reason STRING;

--- changed good: columns are added and widened
CREATE STREAM orders (id INT, customer BIGINT, quantity INT, weight DOUBLE, price DECIMAL(12, 2), at TIMESTAMP, note STRING,
  twice INT AS (quantity * 2), half INT AS (quantity % 2), day DATE AS (CAST(at AS DATE)),
  EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed good: what is computed and no key
CREATE STREAM orders (id INT, customer BIGINT, quantity INT, weight FLOAT, price DECIMAL(10, 2), at TIMESTAMP,
  half BIGINT AS (quantity % 2 + 1), EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed: a stored column is gone
CREATE STREAM orders (id INT, quantity INT, weight FLOAT, price DECIMAL(10, 2), at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed: a new column stands among the old ones
CREATE STREAM orders (id INT, customer BIGINT, note STRING, quantity INT, weight FLOAT, price DECIMAL(10, 2), at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed: columns have changed places
CREATE STREAM orders (id INT, quantity INT, customer BIGINT, weight FLOAT, price DECIMAL(10, 2), at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed: a stored column is computed
CREATE STREAM orders (id INT, customer BIGINT, quantity INT, price DECIMAL(10, 2), at TIMESTAMP,
  weight FLOAT AS (CAST(quantity AS FLOAT)), EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed: another type, a new column without which no row may be
CREATE STREAM orders (id INT, customer BIGINT, quantity INT, weight STRING, price DECIMAL(10, 2), at TIMESTAMP, note STRING NOT NULL,
  EVENT ID (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed: another kind
CREATE TABLE orders (id INT, customer BIGINT, quantity INT, weight FLOAT, price DECIMAL(10, 2), at TIMESTAMP,
  PRIMARY KEY (id), EVENT TIME at, SEQUENCE BY (quantity));

--- changed: another identity
CREATE STREAM orders (id INT, customer BIGINT, quantity INT, weight FLOAT, price DECIMAL(10, 2), at TIMESTAMP,
  other TIMESTAMP, EVENT ID (id, customer), EVENT TIME other, SEQUENCE BY (quantity));
CREATE TABLE prices (code DECIMAL(4, 0), price FLOAT, at TIMESTAMP, label STRING AS ('p' || CAST(code AS STRING)),
  PRIMARY KEY (label), EVENT TIME at);
CREATE STREAM sizes (w INT, k INT AS (w + 1), at TIMESTAMP, EVENT ID (w), EVENT TIME at);

--- changed: a computed key of a view
CREATE STREAM sizes (w INT, k INT AS (w + 2), at TIMESTAMP, EVENT TIME at);

--- changed: a computed key of a view is gone
CREATE STREAM sizes (w INT, at TIMESTAMP, EVENT TIME at);

--- changed: a file's column has another type
CREATE STREAM orders (weight DOUBLE, EVENT ID (order_id)) FROM FILE 'data/orders.csv';

--- changed good: what is told of a derived stream
CREATE STREAM scans (w INT, n INT, at TIMESTAMP, note STRING, EVENT TIME at);
CREATE STREAM tags (w INT, note STRING, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tagged COMMENT 'with what was noted' AS
  SELECT s.w, s.n, t.note FROM scans s ASOF JOIN tags t ON s.w = t.w WHERE s.n > 1 ON LATE REVISE;

--- changed: the query of a derived stream
CREATE STREAM scans (w INT, n INT, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tags (w INT, note STRING, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tagged AS SELECT s.w, s.n, t.note FROM scans s ASOF JOIN tags t ON s.w = t.w WHERE s.n > 2 ON LATE REVISE;

--- changed: a column more of a derived stream, and another `ON LATE`
CREATE STREAM scans (w INT, n INT, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tags (w INT, note STRING, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tagged AS SELECT s.w, s.n, t.note, t.at AS noted_at FROM scans s ASOF JOIN tags t ON s.w = t.w WHERE s.n > 1;

--- changed: what brings the events of a derived stream
CREATE STREAM spans (w INT, n INT, at TIMESTAMP, EVENT TIME at, SEQUENCE BY (n));
CREATE STREAM tags (w INT, note STRING, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tagged AS SELECT s.w, s.n, t.note FROM spans s ASOF JOIN tags t ON s.w = t.w WHERE s.n > 1 ON LATE REVISE;

--- changed: a view that a derived stream reads
CREATE ENTITY size (weight INT);
CREATE STREAM scans (w INT, n INT, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tags (w INT, note STRING, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW noted ENTITY size (w) AS SELECT w, count(*) OVER (LAST 2 DAYS) AS notes FROM tags;
CREATE STREAM counted AS SELECT s.n, v.notes FROM scans s ASOF JOIN noted v ON s.w = v.w;

--- changed: a column more of what a derived stream selects all of
CREATE STREAM scans (w INT, n INT, at TIMESTAMP, note STRING, EVENT TIME at);
CREATE STREAM whole AS SELECT * FROM scans;

--- changed: keys by which derived streams that are in no file read
CREATE STREAM scans (w BIGINT, n BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE STREAM tags (w BIGINT, note STRING, at TIMESTAMP, EVENT TIME at);
