-- What the model is trained on: built once, built again to the same bits, and read as a vector
-- in this order with these transforms. What they need to know is learnt from the first part.
CREATE TRAINING DATASET delay VERSION 1
  FROM SERVICE delay_model
  SPINE (SELECT flight_id, tailnum, carrier, origin, dest, distance, scheduled_at FROM departures)
  LABEL arrived_late FROM flight_outcome WITHIN INTERVAL '1' DAY
  TRANSFORM (
    here_departures_3h     STANDARDIZE,
    here_dep_delay_avg_3h  IMPUTE MEAN STANDARDIZE,
    here_late_percent_24h  IMPUTE 0 MIN MAX,
    dep_delay              BUCKETIZE (0, 5, 15, 60),
    seats                  IMPUTE MEAN
  )
  SPLIT BY TIME (train BEFORE '2014-10-01', validation BEFORE '2014-11-15', test)
  COMMENT 'flights of 2014: which arrive more than 15 minutes late?' OWNER 'ops-ml';
