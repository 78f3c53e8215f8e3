//! The small project that `evenkeel init` writes: it works at once, to be changed.

use super::NewFile;

pub(super) fn files() -> Vec<NewFile> {
    vec![
        NewFile::new("definitions/orders.sql", DEFINITIONS),
        NewFile::new("data/orders.csv", ORDERS),
    ]
}

const DEFINITIONS: &str = "\
-- An entity is what features are about.
CREATE ENTITY customer (customer_id STRING);

-- A stream is where events come from.
CREATE STREAM orders (
  order_id    STRING NOT NULL,
  customer_id STRING NOT NULL,
  amount      DOUBLE COMMENT 'in the shop''s currency',
  ordered_at  TIMESTAMP,
  EVENT ID (order_id),
  EVENT TIME ordered_at LATENESS INTERVAL '10' MINUTE,
  KNOWN AT ordered_at
) WITH (connector = 'file', path = 'data/orders.csv');

-- A feature view computes features from events, at any time and for any customer.
CREATE FEATURE VIEW customer_orders ENTITY customer (customer_id) AS
SELECT customer_id,
       count(*)    OVER last_7d  AS orders_7d,
       sum(amount) OVER last_7d  AS amount_7d,
       avg(amount) OVER last_30d AS amount_avg_30d
FROM orders
WINDOW last_7d  AS (LAST 7 DAYS),
       last_30d AS (LAST 30 DAYS);

-- A feature service is what a model asks for.
CREATE FEATURE SERVICE customer_model AS customer_orders (*);
";

const ORDERS: &str = "\
order_id,customer_id,amount,ordered_at
o-1,ada,20.50,2026-01-05T09:00:00Z
o-2,ada,10.00,2026-01-07T17:30:00Z
o-3,bob,99.95,2026-01-08T12:00:00Z
o-4,ada,5.25,2026-01-11T08:15:00Z
o-5,bob,12.00,2026-01-20T20:45:00Z
";
