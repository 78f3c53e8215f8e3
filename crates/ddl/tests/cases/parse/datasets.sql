-- Training datasets.

CREATE TRAINING DATASET delay FROM SERVICE delay_model SPINE 'spine.parquet';

create training dataset delay version 2
  from service delay_model@3
  spine 'spine.csv' time departed_at known at seen_at
  knowledge as served
  label arrived_late from flight_outcome@2 for (flight) within interval '1' day as late
  label arr_delay from flight_outcome within 2 hours
  transform (
    dep_delay_avg_3h impute mean standardize,
    departures_3h impute 0 min max,
    carrier one hot limit 20,
    origin impute 'none' one hot,
    distance bucketize (100, 500.5, 1000),
    temperature impute -1.5,
    wind standardize
  )
  split by time (train before '2014-09-01', validation before timestamp '2014-11-01T00:00:00Z', test)
  format parquet, arrow, csv, tfrecord
  comment 'what arrives late' owner 'ops' tags ('tier' = 'gold');

CREATE TRAINING DATASET by_plane
  SPINE (SELECT flight_id, tailnum, LABEL arrived_late FROM flight_outcome WITHIN INTERVAL '1' DAY FROM departures WHERE dep_delay > 0)
  FROM SERVICE delay_model
  KNOWLEDGE LATEST
  SPLIT BY ENTITY HASH OF (tailnum) (train 80, test 20 SEED 7);

CREATE TRAINING DATASET shuffled FROM SERVICE m SPINE 'a.arrow' SPLIT RANDOM (train 8, seed 1, test 1 SEED 42);
CREATE TRAINING DATASET hashed FROM SERVICE m SPINE 'a.arrow' SPLIT BY ENTITY HASH (train 9, test 1);
