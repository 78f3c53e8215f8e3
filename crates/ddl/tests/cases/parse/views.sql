-- Names that are keywords elsewhere.
CREATE ENTITY user (user BIGINT COMMENT 'the number');
CREATE ENTITY order (order STRING, "Session" INT);
CREATE ENTITY session (session STRING) TAGS ('a' = 'b') COMMENT 'c' OWNER 'd';
CREATE FEATURE VIEW order ENTITY order AS SELECT order, sum(last) OVER last AS start, count(label) OVER (time) AS end FROM event WINDOW last AS (LAST 3 HOURS), time AS (last);
CREATE FEATURE VIEW entity ENTITY entity (entity) AS SELECT last_value(time) OVER session AS time FROM user session WINDOW session AS (SESSION GAP 30 MINUTES);
CREATE FEATURE VIEW "View" ENTITY "Entity" ("Key") AS SELECT "a""b" AS "c d" FROM "Source" AS "S";

-- Every clause, in any order.
CREATE FEATURE VIEW v (
  departures_3h COMMENT 'how many left' DEFAULT 0 EXPECT (departures_3h >= 0),
  share DEFAULT -1.5 TAGS ('unit' = 'percent') OWNER 'ops',
  name DEFAULT NULL,
  plain
)
COMMENT 'busy' TTL INTERVAL '1' DAY ENTITY airport (origin) MATERIALIZED EMIT TO 'topic' ON LATE REVISE OWNER 'ops' TAGS ('a' = 'b', 'c' = 'd')
AS SELECT * FROM s;
CREATE FEATURE VIEW ENTITY airport AS SELECT s.* FROM s;
CREATE FEATURE VIEW (a, b) ENTITY airport AS SELECT 1 AS a, 2 AS b FROM s;
CREATE FEATURE VIEW v2 ENTITY airport AS SELECT a FROM s ON LATE KEEP COMMENT 'behind the query';
CREATE ON DEMAND FEATURE VIEW o (mph COMMENT 'x') ENTITY airport (origin) REQUEST (a DOUBLE COMMENT 'y', b INT) OWNER 'me' AS SELECT a / b AS mph;
CREATE ON DEMAND FEATURE VIEW o2 AS SELECT v.a + 1 AS b FROM v TAGS ('a' = 'b');

-- Services.
CREATE FEATURE SERVICE s VERSION 12 COMMENT 'a' AS v@3 (a AS b, c) FOR (x, y) AS sender, w (*) OWNER 'me';
CREATE FEATURE SERVICE s TAGS ('a' = 'b') AS order (order), session (*) AS event;

-- Joins.
CREATE FEATURE VIEW joins ENTITY e AS
SELECT a.*, b.x
FROM a
  LEFT ASOF JOIN b USING (k, l)
  ASOF LEFT JOIN c AS c2 ON a.k = c2.k MATCH_CONDITION (a.t > c2.t)
  ASOF FULL JOIN d d ON a.k = d.k
  FULL ASOF JOIN e@2 ON a.k = e.k
  ASOF JOIN f WHERE (f.x > 0 OR f.y) ON a.k = f.k
  ASOF JOIN f g WHERE (g.x > 0) MATCH_CONDITION (a.t >= g.t) USING (k)
  ASOF JOIN f WHERE (x > 0) h USING (k)
  ASOF JOIN (SELECT * FROM b WHERE b.x > 0) i ON a.k = i.k AND a.t >= i.t
  ASOF JOIN (SELECT k, x FROM b, c WHERE b.x > 0) ON a.k = k
WHERE a.x IS NOT NULL
GROUP BY a.k, a.l + 1;
CREATE FEATURE VIEW refused_later ENTITY e AS SELECT x FROM a JOIN b ON a.k = b.k INNER JOIN c USING (k) LEFT OUTER JOIN d ON TRUE RIGHT JOIN e ON TRUE FULL JOIN f ON TRUE CROSS JOIN g, h, i AS j;

-- The rest.
DROP STREAM a; DROP TABLE b; DROP ENTITY c; DROP FEATURE VIEW d; DROP ON DEMAND FEATURE VIEW d2; DROP FEATURE SERVICE IF EXISTS e;
ALTER STREAM a ADD COLUMN b INT NOT NULL COMMENT 'c', ADD column STRING, ADD d DOUBLE;
ALTER STREAM a ALTER COLUMN b TYPE BIGINT, ALTER b TYPE DOUBLE, ADD COLUMN c INT, ALTER column TYPE BIGINT, ALTER COLUMN type TYPE DOUBLE;
ALTER TABLE "T" ADD COLUMN column INT AS (1 + 1);
CREATE BATCH FEATURE VIEW nightly ENTITY e SCHEDULE '0 3 * * *' AS SELECT DISTINCT a, b FROM t ORDER BY a LIMIT 3;
CREATE BATCH FEATURE VIEW by_hand ENTITY e AS SELECT a FROM t;
CREATE PUSHED FEATURE VIEW scores (risk DOUBLE, grade STRING COMMENT 'A to F') ENTITY e (k) OWNER 'risk';
CREATE FUNCTION f(x DOUBLE COMMENT 'of it') RETURNS DOUBLE LANGUAGE python OWNER 'o' MEMORY '64 MB' ALLOW FILES vectorized TIMEOUT INTERVAL '2' SECOND called on null input ALLOW NETWORK AS 'a/f.py:f';
CREATE FUNCTION g(x DOUBLE) RETURNS STRING LANGUAGE PYTHON RETURNS NULL ON NULL INPUT AS 'f.py:g' SOURCE ('f.py' = 'def g(x):
  return ''a''') LOCK ('python' = '3.11.7') CLASS 'bit-stable';
CREATE MODEL m FROM 'model.onnx';
CREATE MODEL m2 FROM 'm.onnx' CLASS 1 OUTPUT 'probabilities' OWNER 'o' DIGEST 'ab';
CREATE SEGMENT rich AS SELECT user FROM v WHERE x > 3;
CREATE SECRET 'password';
;;
