//! What other feature stores have shipped by mistake, one named test per incident: `nt_NN`
//! with the thread that reported it. Every value is read online and trained, and the two have
//! to have the same bits ([`crate::support::read`]).
//!
//! In `store`: 02, 04, 05, 08, 10, 18, 21, 25. These cannot happen here:
//!
//! - 16 (feast-dev/feast#3789, a watermark ahead of an asynchronous job): ingestion has no jobs
//!   and no watermark that decides what is loaded.
//! - 27 (airbnb/chronon#1128, an incremental write over neighbour partitions): the log is only
//!   ever appended to, and a training set is written whole.

mod batches;
mod definitions;
mod files;
mod order;
mod time;
mod values;

use evenkeel_types::time::{MINUTE, format_timestamp};

use crate::random_history::Random;
use crate::support::t;

/// An entity, a stream of rides with an id, and the windows and the last row of a driver.
const RIDES: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
WITH (connector = 'file', path = 'rides.csv');
CREATE FEATURE VIEW stats ENTITY driver AS
SELECT driver, count(*) OVER h AS rides_1h, sum(fare) OVER h AS fares_1h, last_value(fare) OVER h AS fare_last
FROM rides WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, id, fare FROM rides;
CREATE FEATURE SERVICE model AS stats (*), last_ride (*);
";

/// The header of a file of rides.
const HEADER: &str = "id,driver,fare,at\n";

/// Rides of three drivers over some hours, with ties, as lines.
fn many_rides(count: i64) -> Vec<String> {
    let mut random = Random(7);
    let start = t("2026-03-01T00:00:00Z");
    (0..count)
        .map(|i| {
            let at = start + random.below(600) as i64 * MINUTE;
            let fare = (random.below(1_000) as f64 - 300.0) * 0.1;
            format!(
                "r{i:04},{},{fare},{}\n",
                random.below(3),
                format_timestamp(at)
            )
        })
        .collect()
}
