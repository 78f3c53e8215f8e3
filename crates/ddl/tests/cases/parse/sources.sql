-- Every clause of a source.
CREATE STREAM clicks (
  user_id BIGINT NOT NULL COMMENT 'who',
  page STRING,
  price DECIMAL(10, 2),
  at TIMESTAMP WITH TIME ZONE NOT NULL,
  hour INT AS (EXTRACT(HOUR FROM at)),
  weight DOUBLE GENERATED ALWAYS AS (CAST(price AS DOUBLE) * 2) COMMENT 'twice',
  EVENT ID (user_id, "Click Id"),
  "Click Id" VARCHAR(20),
  EVENT TIME at IN 'Europe/Berlin' LATENESS INTERVAL '10' MINUTE,
  KNOWN AT at + INTERVAL '7' DAY,
  SEQUENCE BY (page, price),
  DEDUPLICATE WITHIN INTERVAL '1' HOUR,
  MAX FUTURE INTERVAL 5 MINUTES,
  RETAIN INTERVAL '90 days' FOR (user_id),
  RETAIN INTERVAL '1' YEAR,
  CHECK (price >= 0),
  EXPECT (page <> '')
)
COMMENT 'what people click on'
WITH (
  connector = 'file', path = 'clicks/*.jsonl', 'csv.delimiter' = ';', csv.header = TRUE,
  password = SECRET 'clicks_password', batch = 1000, offset = -1, ratio = -0.5, 'Odd Key' = 'it''s'
)
WHERE page IS NOT NULL AND at > TIMESTAMP '2020-01-01'
TAGS ('team' = 'growth', tier = 'gold') OWNER 'ana';

-- As in Flink, and the other spelling of MAX FUTURE.
CREATE STREAM flink (a STRING, t TIMESTAMP(3), WATERMARK FOR t AS t - INTERVAL '5' SECOND, MAX_FUTURE INTERVAL '1' DAY);
CREATE STREAM flink_strict (t TIMESTAMP, WATERMARK FOR t AS t);

-- Words of the clauses are columns too: the word behind them decides.
CREATE TABLE "Order" (
  event STRING, time TIMESTAMP, known BOOLEAN, sequence INT, primary INT, key STRING, check STRING,
  expect INT, retain INT, watermark TIMESTAMP, deduplicate BOOL, max DOUBLE, from STRING, end DATE,
  partition INT, unique INT, constraint TEXT, comment STRING COMMENT 'of a column called comment',
  PRIMARY KEY (event), EVENT TIME time
);

-- All types.
CREATE STREAM types (
  a BOOLEAN, a2 BOOL, b INT, b2 INTEGER, b3 INT4, c BIGINT, c2 INT8, c3 LONG, d FLOAT, d2 REAL, d3 FLOAT4,
  e DOUBLE, e2 DOUBLE PRECISION, e3 FLOAT8, f DECIMAL(38), f2 NUMERIC(5, 5), g STRING, g2 TEXT, g3 VARCHAR, g4 VARCHAR(10),
  g5 CHARACTER VARYING (3), h BYTES, h2 BLOB, h3 BYTEA, i DATE, j TIMESTAMP, j2 TIMESTAMPTZ, j3 TIMESTAMP WITHOUT TIME ZONE,
  k ARRAY<STRING>, k2 STRING[], k3 ARRAY<ARRAY<INT>>, l FLOAT[128], l2 DOUBLE[3], m ARRAY<STRUCT<value STRING, "count of" BIGINT>>,
  n STRUCT(a INT, b STRING[])[], o FLOAT[2][]
);

CREATE STREAM d FROM FILE 'data/flights.parquet';
CREATE TABLE p FROM FILE 'data/planes.csv' WITH (delimiter = ';') COMMENT 'planes' OWNER 'ops';
CREATE STREAM e (EVENT ID (id), EVENT TIME at LATENESS INTERVAL '1' HOUR, KNOWN AT at) FROM FILE 'e.jsonl' WHERE id <> '';
CREATE TABLE f (zip STRING, "total" DOUBLE AS (a + b), PRIMARY KEY (zip)) FROM FILE 'f/*.csv' WHERE zip IS NOT NULL WITH (null = 'NA') TAGS ('a' = 'b');

CREATE STREAM derived COMMENT 'rows as events' AS SELECT a, b.c FROM s ASOF JOIN b ON s.k = b.k ON LATE REVISE;
CREATE STREAM derived2 AS SELECT a FROM s WHERE a > 0 ON LATE KEEP OWNER 'ana' TAGS ('a' = 'b');
CREATE STREAM derived3 AS SELECT a FROM s COMMENT 'no alias';
