-- What the model asks for, in order. One entity in two roles: the airport where the flight
-- starts and, where the data has it, the one where it lands.
CREATE FEATURE SERVICE delay_model VERSION 1
  COMMENT 'arrives more than 15 minutes late, decided at departure' OWNER 'ops-ml' AS
  airport_congestion (departures_3h, dep_delay_avg_3h, late_percent_24h) FOR (origin) AS here,
  airport_congestion (departures_3h) FOR (dest) AS there,
  airport_day (departures_today, dep_delay_max_today, dep_delay_p90_7d) FOR (origin),
  airport_weather (*) FOR (origin),
  aircraft_history (*),
  aircraft_arrivals (*),
  carrier_record (arr_delay_avg_1mo, arr_delay_stddev_1mo, arr_delay_p90_this_month),
  route_record (*),
  departure_context (*),
  trip (*) FOR (origin);

CREATE FEATURE SERVICE airport_board AS
  airport_congestion (*), airport_day (*), airport_weather (*), airport_now (*);
