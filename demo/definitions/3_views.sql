-- Window views: read at any instant, nothing is stored.

-- Both kinds of edge: `last_3h` includes a departure at exactly the time of the read,
-- `last_24h` (BEFORE) leaves it out, as for a decision that is made before its event is logged.
CREATE FEATURE VIEW airport_congestion (
  departures_3h COMMENT 'flights that left in the last three hours' DEFAULT 0 EXPECT (departures_3h >= 0)
) ENTITY airport (origin) AS
SELECT origin,
       count(*)                                       OVER last_3h  AS departures_3h,
       avg(dep_delay)                                 OVER last_3h  AS dep_delay_avg_3h,
       stddev_samp(dep_delay)                         OVER last_24h AS dep_delay_stddev_24h,
       100.0 * count(*) FILTER (WHERE dep_delay > 15) OVER last_24h
             / nullif(count(*) OVER last_24h, 0)                    AS late_percent_24h
FROM departures
WINDOW last_3h  AS (PARTITION BY origin ORDER BY departed_at
                    RANGE BETWEEN INTERVAL '3' HOUR PRECEDING AND CURRENT ROW),
       last_24h AS (LAST 24 HOURS BEFORE);

-- A calendar day in the airport's own zone (25 hours long on 2014-11-02), a hopping week in
-- exchange for smaller state, sketches and top lists.
CREATE FEATURE VIEW airport_day ENTITY airport (origin) AS
SELECT origin,
       count(*)                        OVER today AS departures_today,
       max(dep_delay)                  OVER today AS dep_delay_max_today,
       count_distinct(dest)            OVER today AS destinations_today,
       approx_quantile(dep_delay, 0.9) OVER week  AS dep_delay_p90_7d,
       top_k(carrier, 3)               OVER week  AS busiest_carriers_7d
FROM departures
WINDOW today AS (RANGE BETWEEN START OF DAY IN 'America/Los_Angeles' AND CURRENT ROW),
       week  AS (RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW HOP INTERVAL '1' HOUR);

CREATE FEATURE VIEW airport_weather ENTITY airport (origin) AS
SELECT origin,
       last_value(temp IGNORE NULLS) OVER last_3h  AS temp_now,
       min(visib)                    OVER last_3h  AS visib_min_3h,
       max(wind_gust)                OVER last_3h  AS wind_gust_max_3h,
       sum(precip)                   OVER last_24h AS precip_24h
FROM weather
WINDOW last_3h AS (LAST 3 HOURS), last_24h AS (LAST 24 HOURS);

CREATE FEATURE VIEW aircraft_history ENTITY aircraft (tailnum) AS
SELECT tailnum,
       count(*)             OVER last_24h  AS flights_24h,
       count(*)             OVER last_7d   AS flights_7d,
       sum(distance)        OVER last_7d   AS miles_7d,
       last_n(dep_delay, 3) OVER last_7d   AS last_dep_delays,
       count(*)             OVER duty      AS flights_in_duty,
       count_distinct(dest) OVER month     AS destinations_1mo
FROM departures
WINDOW last_24h AS (LAST 24 HOURS BEFORE),
       last_7d  AS (LAST 7 DAYS BEFORE),
       duty     AS (SESSION GAP INTERVAL '12' HOUR),
       month    AS (RANGE BETWEEN INTERVAL '1' MONTH PRECEDING AND CURRENT ROW EXCLUDE GROUP);

-- The same entity from another source: two views.
CREATE FEATURE VIEW aircraft_arrivals ENTITY aircraft (tailnum) AS
SELECT tailnum,
       count(*) FILTER (WHERE arr_delay > 15)  OVER last_7d AS late_arrivals_7d,
       bool_or(arr_delay > 60)                 OVER last_7d AS very_late_7d,
       last_value(arr_delay)                   OVER last_7d AS last_arr_delay,
       avg(arr_delay)                          OVER last_10 AS arr_delay_avg_10
FROM arrivals
WINDOW last_7d AS (LAST 7 DAYS BEFORE),
       last_10 AS (ROWS BETWEEN 9 PRECEDING AND CURRENT ROW);

CREATE FEATURE VIEW carrier_record ENTITY carrier (carrier) AS
SELECT carrier,
       avg(arr_delay)                  OVER month      AS arr_delay_avg_1mo,
       stddev_samp(arr_delay)          OVER month      AS arr_delay_stddev_1mo,
       approx_quantile(arr_delay, 0.9) OVER this_month AS arr_delay_p90_this_month,
       max_by(flight_id, arr_delay)    OVER this_month AS latest_flight_this_month
FROM arrivals
WINDOW month      AS (RANGE BETWEEN INTERVAL '1' MONTH PRECEDING AND CURRENT ROW),
       this_month AS (RANGE BETWEEN START OF MONTH AND CURRENT ROW);

-- A composite key, rows instead of time, and a window that ends in the past.
CREATE FEATURE VIEW route_record ENTITY route (origin, dest) AS
SELECT origin, dest,
       avg(arr_delay)      OVER last_20     AS arr_delay_avg_20,
       avg(air_time)       OVER last_20     AS air_time_avg_20,
       max(arr_delay)      OVER last_week   AS arr_delay_max_7d,
       avg(arr_delay)      OVER week_before AS arr_delay_avg_week_before
FROM arrivals
WINDOW last_20     AS (ROWS BETWEEN 19 PRECEDING AND CURRENT ROW),
       last_week   AS (LAST 7 DAYS),
       week_before AS (RANGE BETWEEN INTERVAL '14' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING);

-- Row views: one row per trigger, everything looked up as of its time; evaluated at the read.

CREATE FEATURE VIEW departure_context ENTITY flight (flight_id) TTL INTERVAL '1' DAY AS
SELECT d.flight_id,
       d.dep_delay,
       w.visib, w.wind_speed,
       p.seats, 2014 - p.built AS age_years,
       c.late_percent_24h,
       prev.dep_delay AS previous_departure_delay,
       a.arr_delay    AS last_arrival_delay
FROM departures d
  ASOF JOIN weather w            MATCH_CONDITION (d.departed_at >= w.observed_at
                                   AND w.observed_at > d.departed_at - INTERVAL '2' HOUR) ON d.origin = w.origin
  ASOF JOIN planes p             ON d.tailnum = p.tailnum
  ASOF JOIN airport_congestion c ON d.origin = c.origin
  ASOF JOIN departures prev      MATCH_CONDITION (d.departed_at > prev.departed_at) ON d.tailnum = prev.tailnum
  ASOF JOIN arrivals a           MATCH_CONDITION (d.departed_at > a.arrived_at)     ON d.tailnum = a.tailnum;

-- A row whenever either side changes, with the latest of both.
CREATE FEATURE VIEW airport_now ENTITY airport (origin) TTL INTERVAL '1' DAY AS
SELECT d.dest AS last_dest, d.dep_delay AS last_dep_delay, w.temp AS last_temp, w.wind_speed AS last_wind_speed
FROM departures d ASOF FULL JOIN weather w ON d.origin = w.origin;

-- The label: what became of a flight. It exists only once the flight has arrived.
CREATE FEATURE VIEW flight_outcome ENTITY flight (flight_id) AS
SELECT flight_id, arr_delay > 15 AS arrived_late, arr_delay
FROM arrivals;

-- Computed at the read from what the caller knows and from other features. The schedule is
-- known before the flight; `read_time()` is the time of the read.
CREATE ON DEMAND FEATURE VIEW trip REQUEST (distance DOUBLE, scheduled_at TIMESTAMP) AS
SELECT distance / 8.0                      AS cruise_minutes,     -- eight miles a minute
       c.dep_delay_avg_3h / (distance / 8.0) AS delay_share,
       read_time() > scheduled_at          AS is_behind_schedule
FROM airport_congestion c;
