-- One row per departure, at its time, with what became of it a day later at the latest.
SELECT flight_id, tailnum, carrier, origin, dest, distance, scheduled_at,
       LABEL arrived_late FROM flight_outcome WITHIN INTERVAL '1' DAY
FROM departures
