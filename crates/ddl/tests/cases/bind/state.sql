CREATE ENTITY customer (customer BIGINT);
CREATE ENTITY account (account STRING);
CREATE ENTITY desk (branch STRING, customer BIGINT);
CREATE STREAM payments (id STRING, customer BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE TABLE accounts (account STRING, customer BIGINT, branch STRING, status STRING, balance DOUBLE, opened DATE, since TIMESTAMP,
  is_open BOOLEAN AS (status = 'open'), PRIMARY KEY (account), EVENT TIME since);

--- good: live rows of a customer
CREATE FEATURE VIEW open_accounts ENTITY customer AS
SELECT customer, count(*) AS n, sum(balance) AS total, max(balance) FILTER (WHERE branch = 'a') AS biggest,
  coalesce(sum(balance) / nullif(count(*), 0), 0.0) AS average, last_value(branch) AS newest, top_k(branch, 2) AS branches
FROM accounts WHERE status = 'open' GROUP BY customer;

--- good: by several columns, in any order, and by the primary key
CREATE FEATURE VIEW a ENTITY desk AS SELECT count(*) AS n FROM accounts GROUP BY customer, branch;
CREATE FEATURE VIEW b ENTITY account AS SELECT account, count(*) AS n FROM accounts a GROUP BY a.account;
CREATE FEATURE VIEW c ENTITY desk (status, customer) AS SELECT status, count(DISTINCT branch) AS n FROM accounts GROUP BY customer, status;

--- good: looked up
CREATE FEATURE VIEW s ENTITY customer AS SELECT count(*) AS n, sum(balance) AS total FROM accounts WHERE is_open GROUP BY customer;
CREATE FEATURE VIEW r ENTITY customer AS SELECT p.amount, s.n, s.total FROM payments p ASOF JOIN s ON p.customer = s.customer;
CREATE FEATURE VIEW c ENTITY customer AS SELECT s.n * 2 AS twice FROM s;
CREATE FEATURE SERVICE both AS s (*), r (n AS n_then);

--- over a stream, over views
CREATE FEATURE VIEW a ENTITY customer AS SELECT customer, count(*) AS n FROM payments GROUP BY customer;
CREATE FEATURE VIEW rows ENTITY account AS SELECT customer, balance FROM accounts;
CREATE FEATURE VIEW b ENTITY account AS SELECT count(*) AS n FROM rows GROUP BY account;

--- another key than the entity's
CREATE FEATURE VIEW a ENTITY customer AS SELECT count(*) AS n FROM accounts GROUP BY branch;
CREATE FEATURE VIEW b ENTITY customer AS SELECT count(*) AS n FROM accounts GROUP BY customer, branch;
CREATE FEATURE VIEW c ENTITY customer AS SELECT count(*) AS n FROM accounts GROUP BY customer + 1;
CREATE FEATURE VIEW d ENTITY customer AS SELECT count(*) AS n FROM accounts GROUP BY custmer;
CREATE FEATURE VIEW e ENTITY customer AS SELECT count(*) AS n FROM accounts GROUP BY count(*);

--- columns that are no aggregates
CREATE FEATURE VIEW a ENTITY customer AS SELECT customer, status, count(*) AS n FROM accounts GROUP BY customer;
CREATE FEATURE VIEW b ENTITY customer AS SELECT customer, 1 AS one FROM accounts GROUP BY customer;
CREATE FEATURE VIEW c ENTITY customer AS SELECT sum(balnce) AS n FROM accounts WHERE stats = 'open' GROUP BY customer;
CREATE FEATURE VIEW d ENTITY customer AS SELECT customer FROM accounts GROUP BY customer;

--- windows, joins and ages
CREATE FEATURE VIEW a ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM accounts GROUP BY customer;
CREATE FEATURE VIEW b ENTITY customer AS SELECT count(*) AS n FROM accounts GROUP BY customer WINDOW w AS (LAST 1 DAY);
CREATE FEATURE VIEW c ENTITY customer AS SELECT count(*) AS n FROM accounts a ASOF JOIN payments p ON a.customer = p.customer GROUP BY customer;
CREATE FEATURE VIEW d ENTITY customer TTL INTERVAL '1' DAY AS SELECT count(*) AS n FROM accounts GROUP BY customer;
CREATE FEATURE VIEW e ENTITY customer AS SELECT count(*) AS n FROM accounts;
CREATE FEATURE VIEW f ENTITY customer AS SELECT sum(count(*)) AS n FROM accounts GROUP BY customer;

--- looked up with a time
CREATE FEATURE VIEW s ENTITY customer AS SELECT count(*) AS n FROM accounts GROUP BY customer;
CREATE FEATURE VIEW a ENTITY customer AS SELECT p.amount, s.n FROM payments p ASOF JOIN s MATCH_CONDITION (p.event_time > s.event_time) ON p.customer = s.customer;
CREATE FEATURE VIEW b ENTITY customer AS SELECT p.amount, s.n FROM payments p ASOF JOIN s MATCH_CONDITION (p.event_time >= s.event_time AND s.event_time > p.event_time - INTERVAL '1' DAY) ON p.customer = s.customer;
CREATE FEATURE VIEW c ENTITY customer AS SELECT count(*) OVER (LAST 1 DAY) AS n FROM s;
