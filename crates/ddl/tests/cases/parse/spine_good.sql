SELECT flight_id, departed_at AS t, origin AS here, LABEL arr_delay FROM arrival_view WITHIN INTERVAL '1' DAY AS delay, LABEL late FROM v@2 FOR (dest) WITHIN 12 HOURS FROM departures d WHERE d.departed_at >= TIMESTAMP '2013-02-01' AND origin = 'JFK'
---
select label, label + 1 as x, label.within, LABEL label FROM label WITHIN INTERVAL '30 minutes' FROM label;
---
SELECT * FROM departures
---
SELECT d.*, LABEL "X" FROM "V" WITHIN INTERVAL '1' MONTH AS "L" FROM (SELECT * FROM departures WHERE a) d
