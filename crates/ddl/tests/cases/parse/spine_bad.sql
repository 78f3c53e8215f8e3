SELECT LABEL x FROM v FROM departures
---
SELECT LABEL x FROM v WITHIN FROM departures
---
SELECT LABEL x FROM v WITHIN 1 FROM departures
---
SELECT LABEL x FROM v WITHIN INTERVAL '1' DAY
---
SELECT a b FROM departures
---
SELECT a FROM departures JOIN b ON TRUE
---
SELECT a FROM departures ORDER BY a
---
SELECT a FROM departures; SELECT b FROM c
---

---
CREATE ENTITY a (b STRING)
