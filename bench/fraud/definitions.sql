-- Features for the transactions that `bench/transactions.py` writes: what a customer usually
-- spends, and how risky a terminal is, known with the delay that labels of fraud have.

CREATE ENTITY customer (customer_id BIGINT);
CREATE ENTITY terminal (terminal_id BIGINT);

CREATE STREAM transactions (
  transaction_id BIGINT NOT NULL,
  tx_datetime    TIMESTAMP,
  customer_id    BIGINT NOT NULL,
  terminal_id    BIGINT NOT NULL,
  tx_amount      DOUBLE,
  tx_cents       BIGINT AS (CAST(round(tx_amount * 100) AS BIGINT)),
  tx_fraud       BIGINT COMMENT 'found out within a week: see the windows that use it',
  EVENT ID (transaction_id),
  EVENT TIME tx_datetime,
  KNOWN AT tx_datetime
) WITH (connector = 'file', path = 'transactions.parquet');

-- The same rows as what they are labels of: known a week after the payment.
CREATE STREAM labels (
  transaction_id BIGINT NOT NULL,
  tx_datetime    TIMESTAMP,
  terminal_id    BIGINT NOT NULL,
  tx_fraud       BIGINT NOT NULL,
  EVENT ID (transaction_id),
  EVENT TIME tx_datetime,
  KNOWN AT tx_datetime + INTERVAL '7' DAY
) WITH (connector = 'file', path = 'transactions.parquet');

CREATE FEATURE VIEW customer_spending ENTITY customer (customer_id) AS
SELECT customer_id,
       count(*)       OVER day   AS customer_count_1d,
       count(*)       OVER week  AS customer_count_7d,
       count(*)       OVER month AS customer_count_30d,
       avg(tx_amount) OVER day   AS customer_amount_avg_1d,
       avg(tx_amount) OVER week  AS customer_amount_avg_7d,
       avg(tx_amount) OVER month AS customer_amount_avg_30d,
       sum(tx_amount) OVER month AS customer_amount_30d,
       sum(tx_cents)  OVER day   AS customer_cents_1d,
       sum(tx_cents)  OVER week  AS customer_cents_7d,
       sum(tx_cents)  OVER month AS customer_cents_30d
FROM transactions
WINDOW day AS (LAST 1 DAY), week AS (LAST 7 DAYS), month AS (LAST 30 DAYS);

-- Whether a payment was fraud is known a week later: these windows end a week ago.
CREATE FEATURE VIEW terminal_risk ENTITY terminal (terminal_id) AS
SELECT terminal_id,
       count(*)                               OVER day   AS terminal_count_1d,
       count(*)                               OVER week  AS terminal_count_7d,
       count(*)                               OVER month AS terminal_count_30d,
       count(*) FILTER (WHERE tx_fraud = 1)   OVER day   AS terminal_fraud_1d,
       count(*) FILTER (WHERE tx_fraud = 1)   OVER week  AS terminal_fraud_7d,
       count(*) FILTER (WHERE tx_fraud = 1)   OVER month AS terminal_fraud_30d,
       sum(tx_fraud) OVER day   / nullif(count(*) OVER day, 0)   AS terminal_risk_1d,
       sum(tx_fraud) OVER week  / nullif(count(*) OVER week, 0)  AS terminal_risk_7d,
       sum(tx_fraud) OVER month / nullif(count(*) OVER month, 0) AS terminal_risk_30d
FROM transactions
WINDOW day   AS (RANGE BETWEEN INTERVAL '8' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING),
       week  AS (RANGE BETWEEN INTERVAL '14' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING),
       month AS (RANGE BETWEEN INTERVAL '37' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING);

-- The same windows over the labels. Read `as_served`, the last week is not known and cuts off
-- what the windows above leave out: at `t` a label is visible if its payment was at `t - 7 days`
-- or before, and both edges are included.
CREATE FEATURE VIEW terminal_labels ENTITY terminal (terminal_id) AS
SELECT terminal_id,
       count(*)                             OVER day   AS label_count_1d,
       count(*)                             OVER week  AS label_count_7d,
       count(*)                             OVER month AS label_count_30d,
       count(*) FILTER (WHERE tx_fraud = 1) OVER day   AS label_fraud_1d,
       count(*) FILTER (WHERE tx_fraud = 1) OVER week  AS label_fraud_7d,
       count(*) FILTER (WHERE tx_fraud = 1) OVER month AS label_fraud_30d,
       sum(tx_fraud) OVER day   / nullif(count(*) OVER day, 0)   AS label_risk_1d,
       sum(tx_fraud) OVER week  / nullif(count(*) OVER week, 0)  AS label_risk_7d,
       sum(tx_fraud) OVER month / nullif(count(*) OVER month, 0) AS label_risk_30d
FROM labels
WINDOW day   AS (LAST 8 DAYS),
       week  AS (LAST 14 DAYS),
       month AS (LAST 37 DAYS);

CREATE FEATURE SERVICE fraud_model COMMENT 'delayed labels as windows that end a week ago' AS
  customer_spending (*), terminal_risk (*);

CREATE FEATURE SERVICE fraud_model_labels COMMENT 'delayed labels as what was known' AS
  terminal_labels (*);
