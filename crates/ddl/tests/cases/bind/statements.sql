CREATE ENTITY customer (customer BIGINT);

--- good: entities
CREATE ENTITY pair (a STRING, b DATE, c DECIMAL(10, 2), d BOOLEAN, e BYTES, f TIMESTAMP, g INT) COMMENT 'c';

--- keys that are none
CREATE ENTITY e (a DOUBLE, b FLOAT, c ARRAY<INT>, d FLOAT[2], a STRING, event_time TIMESTAMP);

--- statements that are planned
CREATE BATCH FEATURE VIEW v AS SELECT 1;
CREATE FUNCTION f AS 'x';
CREATE MODEL m;
CREATE SECRET k;
ALTER STREAM s ADD COLUMN x INT;
DROP FEATURE VIEW v;

--- the same name twice
CREATE ENTITY customer (x STRING);
CREATE ENTITY account (x STRING);
CREATE ENTITY account (y STRING);
