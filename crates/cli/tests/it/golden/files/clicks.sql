-- Inferred from all 3 rows of `data/clicks.csv`. What only you can know is marked CHECK.

CREATE STREAM clicks (
  click_id BIGINT,                       -- such as 1; different in every row
  user_id STRING,                        -- such as u1
  price DOUBLE,                          -- such as 2.5
  "Referrer" STRING,                     -- such as mail; missing in 1 of 3 rows
  at TIMESTAMP,                          -- such as 2026-01-05T09:00:00Z; different in every row
  EVENT ID (click_id),                   -- CHECK: this identifies an event
  EVENT TIME at LATENESS INTERVAL '10' MINUTE, -- CHECK: this says when it happened
  KNOWN AT at                            -- CHECK: what is loaded later was known when it happened
) WITH (connector = 'file', path = 'data/clicks.csv');

CREATE ENTITY user (user_id STRING);

CREATE FEATURE VIEW user_clicks ENTITY user (user_id) AS
SELECT user_id,
       count(*) OVER last_7d AS events_7d,
       avg(price) OVER last_7d AS price_avg_7d
FROM clicks
WINDOW last_7d AS (LAST 7 DAYS);

CREATE FEATURE SERVICE user_model AS user_clicks (*);
