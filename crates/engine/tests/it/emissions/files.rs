//! Files: derived streams emit for many batches at once, and at the end, also if that is an error.

use super::*;
use crate::support::ingest;

const DEFINITIONS: &str = "
CREATE STREAM taps (id BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'taps_*.csv');
CREATE STREAM tapped AS SELECT t.id,
  count(*) OVER (PARTITION BY t.id RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM taps t;
";

#[test]
fn what_a_file_brought_is_emitted_though_another_cannot_be_read() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let line = |id: u64| format!("{id},2026-03-02T00:00:00Z\n");
    let lines = |ids: std::ops::Range<u64>| ids.map(line).collect::<String>();
    world.write("taps_1.csv", &format!("id,at\n{}", lines(0..300)));
    world.write("taps_2.csv", "what\n1\n");
    let failed = engine.ingest("taps", None, &mut |_| ());
    assert!(failed.is_err());
    assert_eq!(events(&engine, "taps").len(), 300);
    assert_eq!(events(&engine, "tapped").len(), 300);
    world.write("taps_2.csv", &format!("id,at\n{}", lines(300..320)));
    ingest(&mut engine, "taps");
    assert_eq!(events(&engine, "tapped").len(), 320);
}
