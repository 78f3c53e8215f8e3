CREATE STREAM unpaid AS SELECT o.id FROM orders o AFTER INTERVAL '30' MINUTE WITHOUT payments p ON o.id = p.id;
CREATE STREAM reminders COMMENT 'after a day' AS SELECT id FROM orders WHERE total > 5 AFTER 1 DAY;
CREATE STREAM silent AS SELECT id FROM orders emit when total > 5 AND id IS NOT NULL
  after 90 minutes without (SELECT * FROM payments WHERE amount > 1) p USING (id) without notes WHERE (level > 1) ON orders.id = notes.id
  wait for watermark timeout interval '2' hour ON LATE REVISE;
CREATE STREAM patient AS SELECT id FROM orders ASOF JOIN notes WAIT FOR WATERMARK ON orders.id = notes.id
  ASOF JOIN tags USING (id) WAIT FOR WATERMARK TIMEOUT 5 MINUTES WHERE total > 5;
CREATE STREAM often AS SELECT id FROM orders AFTER 1 HOUR EMIT WHEN count(*) OVER (PARTITION BY id LAST 1 HOUR) > 3;
CREATE STREAM names AS SELECT after.without, wait.at FROM orders after ASOF JOIN notes wait ON after.id = wait.id WHERE after.emit > 1;
