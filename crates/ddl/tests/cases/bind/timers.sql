CREATE ENTITY customer (customer STRING);
CREATE STREAM orders (id BIGINT, customer STRING, total DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM payments (id BIGINT, of_order BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM clicks (id BIGINT, of_order BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at, DEDUPLICATE WITHIN INTERVAL '1' DAY);
CREATE TABLE customers (customer STRING, kind STRING, at TIMESTAMP, PRIMARY KEY (customer), EVENT TIME at);
CREATE FEATURE VIEW last_order ENTITY customer AS SELECT id AS order_id, total FROM orders;
CREATE FEATURE VIEW with_kind ENTITY customer AS SELECT o.id AS order_id, c.kind FROM orders o ASOF JOIN customers c ON o.customer = c.customer;
CREATE STREAM overdue AS SELECT id FROM orders AFTER 2 DAYS;

--- good: what did not come
CREATE STREAM unpaid AS SELECT o.id, c.kind, o.event_time AS ordered_at FROM orders o ASOF JOIN customers c ON o.customer = c.customer
  AFTER INTERVAL '30' MINUTE WITHOUT payments p WHERE (amount > 1) ON o.id = p.of_order ON LATE REVISE;
CREATE STREAM reminders AS SELECT id FROM orders WHERE total > 5 AFTER 1 DAY;
CREATE STREAM often AS SELECT customer FROM orders EMIT WHEN count(*) OVER (PARTITION BY customer LAST 1 HOUR) > 3 AND total > 1;
CREATE STREAM of_unpaid AS SELECT id FROM unpaid u AFTER 1 HOUR WITHOUT (SELECT * FROM payments WHERE amount > 5) p ON u.id = p.of_order WAIT FOR WATERMARK TIMEOUT 1 DAY;
CREATE STREAM patient AS SELECT o.id, l.total, c.kind FROM orders o ASOF JOIN last_order l ON o.customer = l.customer
  ASOF JOIN customers c ON o.customer = c.customer WAIT FOR WATERMARK TIMEOUT 5 MINUTES;
CREATE STREAM of_view AS SELECT order_id FROM last_order AFTER 1 HOUR;

--- lengths that are none
CREATE STREAM a AS SELECT id FROM orders AFTER INTERVAL '1' MONTH;
CREATE STREAM b AS SELECT id FROM orders AFTER INTERVAL '0' DAY;
CREATE STREAM c AS SELECT id FROM orders o ASOF JOIN customers c ON o.customer = c.customer WAIT FOR WATERMARK TIMEOUT INTERVAL '0' HOUR;
CREATE STREAM d AS SELECT id FROM orders o AFTER 1 DAY WITHOUT payments p ON o.id = p.of_order WAIT FOR WATERMARK TIMEOUT INTERVAL '-1' HOUR;

--- what cannot be missed
CREATE STREAM a AS SELECT o.id FROM orders o AFTER 1 DAY WITHOUT customers c ON o.customer = c.customer;
CREATE STREAM b AS SELECT o.id FROM orders o AFTER 1 DAY WITHOUT last_order l ON o.customer = l.customer;
CREATE STREAM c AS SELECT o.id FROM orders o AFTER 1 DAY WITHOUT clicks c ON o.id = c.of_order;
CREATE STREAM d AS SELECT o.id FROM orders o AFTER 1 DAY WITHOUT missing m ON o.id = m.of_order;
CREATE STREAM e AS SELECT o.id, p.amount FROM orders o AFTER 1 DAY WITHOUT payments p ON o.id = p.of_order;
CREATE STREAM f AS SELECT o.id FROM orders o AFTER 1 DAY WITHOUT orders ON o.id = orders.nothing;

--- times that are those of events
CREATE STREAM a AS SELECT o.id FROM orders o ASOF JOIN customers c MATCH_CONDITION (o.at > c.at) ON o.customer = c.customer AFTER 1 DAY;
CREATE STREAM b AS SELECT o.id FROM orders o AFTER 1 DAY WITHOUT payments p ON o.id = p.of_order AND o.at <= p.at;
CREATE STREAM c AS SELECT order_id FROM with_kind AFTER 1 DAY;

--- conditions that are none
CREATE STREAM a AS SELECT id FROM orders EMIT WHEN total;
CREATE STREAM b AS SELECT id FROM orders EMIT WHEN missing > 1;
CREATE STREAM c AS SELECT id FROM customers AFTER 1 DAY;

--- changed: by what a timer goes, and its length
CREATE STREAM orders (id BIGINT, customer STRING, total DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at LATENESS INTERVAL '1' HOUR);
CREATE STREAM overdue AS SELECT id FROM orders AFTER 3 DAYS;
