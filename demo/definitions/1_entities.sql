-- What features are about.

CREATE ENTITY airport (origin STRING)
  COMMENT 'where a flight departs' OWNER 'ops-ml' TAGS ('tier' = 'gold');

CREATE ENTITY aircraft (tailnum STRING) COMMENT 'by its tail number';

CREATE ENTITY carrier (carrier STRING) COMMENT 'an airline, by its two-letter code';

CREATE ENTITY route (origin STRING, dest STRING) COMMENT 'two airports, in this direction';

CREATE ENTITY flight (flight_id STRING) COMMENT 'one flight on one day';
