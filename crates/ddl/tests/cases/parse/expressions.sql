CREATE ON DEMAND FEATURE VIEW literals AS SELECT
  0, 007, 170141183460469231731687303715884105727, 1.0, 1., .5, 1e3, 1E-3, 1.5e+300, 100.0, 0.1, 123456789012345678901234567890.0,
  '', 'it''s', 'two
lines', E'tab\tquote\'backslash\\u\u00e9', X'', X'00fF', NULL, TRUE, FALSE, DATE '2026-01-31',
  TIMESTAMP '2026-01-31 12:00:00.25', TIMESTAMP '2026-01-31T12:00:00+02:00', TIMESTAMPTZ '2026-01-31', TIMESTAMP WITH TIME ZONE '2026-01-31 00:00Z',
  INTERVAL '3' HOUR, INTERVAL '3 hours', INTERVAL 3 HOURS, INTERVAL '1 day 2 hours', INTERVAL '-3' DAY, INTERVAL -3 DAY, INTERVAL '01:30:00',
  INTERVAL '1' YEAR, INTERVAL '18 months', INTERVAL '1 month 1 day', INTERVAL '0' SECOND, INTERVAL '1.5' HOURS, INTERVAL '2' WEEK, INTERVAL '1' QUARTER,
  [], [1, 2], ARRAY[1, [2]], ARRAY[];

CREATE ON DEMAND FEATURE VIEW names AS SELECT
  a, a.b, a.b.c, "A"."b c", user, order, session, event, time, last, label, start, end, date, timestamp, interval, array, position, left, right, values,
  interval - 3 AS difference, date - 1, first, row, key, value, distinct, filter, over, a.from, a.end, größe;

CREATE ON DEMAND FEATURE VIEW operators AS SELECT
  a + b * c - d / e, (a + b) * c, a - (b - c), a - b - c, a // b % c, -a, - -a, -(-a), +a, - 5, -a * b, -(a * b), a || b || 'c', a || (b || c), a || b + 1,
  a = b, a <> b, a != b, a < b, a <= b, a > b, a >= b, (a < b) < c, a < (b < c),
  a AND b OR c AND NOT d, a AND (b OR c), NOT a = b, (NOT a) = b, NOT NOT a, a = NOT b, a OR (b OR c), (a OR b) OR c,
  a IS NULL, a IS NOT NULL, a IS TRUE, a IS NOT FALSE, a IS UNKNOWN, a ISNULL, a NOTNULL, a + 1 IS NULL, (a IS NULL) IS FALSE, a = b IS NULL, a = (b IS NULL), a IS DISTINCT FROM b, a IS NOT DISTINCT FROM b + 1,
  a IN (1), a NOT IN (1, 2 + 3, b), NOT a IN (b), a = b IN (c), (a = b) IN (c),
  a BETWEEN 1 AND 2 AND b, a NOT BETWEEN b + 1 AND c * 2 OR d, (a BETWEEN 1 AND 2) BETWEEN b AND c, a BETWEEN (b AND c) AND (d OR e),
  a LIKE 'x%', a NOT LIKE b || '%', a ILIKE '%Y' ESCAPE '\', a NOT ILIKE b,
  a[1], a[1][b + 1], a[1].b, (a).b, (a.b).c, f(x).y.z, [1, 2][1], (a + b)[1], ('x')[1], a[-1],
  a::INT, a::INT::STRING, -a::INT, (-a)::INT, a + b::DOUBLE, a[1]::DECIMAL(5, 2), '3'::INT + 1, a::INT[], CAST(a AS ARRAY<INT>), CAST(a + b AS STRING), TRY_CAST(a AS INT),
  a AT TIME ZONE 'UTC', a + b AT TIME ZONE 'UTC', (a + b) AT TIME ZONE z, a AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Tokyo', a AT TIME ZONE (b || c);

CREATE ON DEMAND FEATURE VIEW calls AS SELECT
  f(), f(1), F(a, b + 1), "F"(a), count(*), if(a, b, c), left(a, 3), coalesce(a, NULL, 0), replace(a, 'x', 'y'), date(a), time(a), "interval"(a),
  CASE WHEN a THEN b END, CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE 5 END, CASE WHEN CASE WHEN a THEN b END THEN c ELSE CASE d WHEN "end" THEN f END END, CASE WHEN a THEN b END + end,
  EXTRACT(HOUR FROM a), extract(dow from a + b), position(a IN b), position(a + 1 IN b || c), position(a, b), position((a AND b), c), position(a = b, c),
  SUBSTRING(a FROM 2), substring(a FROM 2 FOR 3), substring(a FOR 3), substring(a, 2), substring(a, 2, 3), substr(a, 2),
  TRIM(a), TRIM(a, 'x'), TRIM(BOTH FROM a), TRIM(BOTH 'x' FROM a), TRIM(LEADING 'x' FROM a), TRIM(TRAILING FROM a), TRIM('x' FROM a), TRIM(both), TRIM(both, leading),
  max_by(a, b), approx_quantile(a, 0.5), f(DISTINCT a), f(distinct), f(distinct, a), read_time(), a.b + f(g(h(i)));
