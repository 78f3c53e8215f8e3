CREATE ENTITY customer (customer BIGINT);
CREATE ENTITY account (account STRING);
CREATE STREAM payments (id STRING, customer BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE TABLE accounts (account STRING, customer BIGINT, branch STRING, status STRING, balance DOUBLE, since TIMESTAMP,
  PRIMARY KEY (account), EVENT TIME since);
CREATE TABLE shelves (product STRING, op STRING, customer BIGINT, at TIMESTAMP, PRIMARY KEY (product), EVENT TIME at);

--- good: the row before and after
CREATE FEATURE VIEW v ENTITY customer AS
SELECT customer, count(*) FILTER (WHERE OLD.status = 'open' AND NEW.status = 'closed') OVER (RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW) AS closed_7d,
  count(*) FILTER (WHERE op = 'insert') OVER (LAST 30 DAYS) AS opened_30d, sum(NEW.balance - coalesce(OLD.balance, 0.0)) OVER (ALL HISTORY) AS net,
  last_value(OLD.branch) OVER (LAST 3 ROWS) AS branch_before, max(OLD.since) OVER () AS ended, count(*) OVER (LAST 30 DAYS) AS versions_30d
FROM accounts WHERE branch <> 'test';
CREATE FEATURE VIEW r ENTITY account AS
SELECT account, balance, count(*) FILTER (WHERE a.op = 'update') OVER (PARTITION BY customer ORDER BY since RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND CURRENT ROW) AS n
FROM (SELECT account, customer, balance, since, status AS state FROM accounts) a;

--- good: a table with names of its own
CREATE FEATURE VIEW v ENTITY customer AS SELECT count(*) FILTER (WHERE op = 'u') OVER () AS n, count(*) FILTER (WHERE OLD.product IS NULL) OVER () AS m FROM shelves;
CREATE FEATURE VIEW w ENTITY customer AS SELECT count(*) FILTER (WHERE old.status = 'open') OVER () AS n FROM accounts old;

--- where there is none
CREATE FEATURE VIEW a ENTITY customer AS SELECT count(*) FILTER (WHERE OLD.amount > 1) OVER () AS n FROM payments;
CREATE FEATURE VIEW b ENTITY customer AS SELECT count(*) OVER () AS n FROM accounts WHERE OLD.status = 'open';
CREATE FEATURE VIEW c ENTITY customer AS SELECT count(*) FILTER (WHERE NEW.status = 'open') AS n FROM accounts GROUP BY customer;
CREATE FEATURE VIEW d ENTITY account AS SELECT OLD.status FROM accounts;
CREATE FEATURE VIEW e ENTITY customer AS SELECT count(*) FILTER (WHERE OLD.stats = 'open') OVER () AS n FROM accounts;
CREATE FEATURE VIEW f ENTITY customer AS SELECT sum(balnce) OVER () AS n, count(*) FILTER (WHERE op = 1) OVER () AS m FROM accounts;
CREATE FEATURE VIEW g ENTITY customer AS SELECT count(*) FILTER (WHERE op = 'insert') OVER () AS n FROM payments;
