//! How far a command is that goes on and on: said once a second, as a line that changes for a
//! person, as one object per line with `--json`.

use std::time::Duration;

use evenkeel_engine::api::IngestReport;
use serde_json::{Value as Json, json};

use crate::clock::Stopwatch;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Bar;
use crate::table::{count, plural};

/// How often it is said how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Pace {
    output: Output,
    bar: Bar,
    /// When it was said last, and the rows then.
    said: Stopwatch,
    rows: u64,
}

impl Pace {
    pub(super) fn new(output: Output) -> Self {
        Pace {
            output,
            bar: Bar::words(output),
            said: Stopwatch::start(),
            rows: 0,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.said.elapsed() >= REPORT_EVERY
    }

    /// Says how far it is: the object for a program, rows and their rate with the place for a person.
    pub(super) fn say(
        &mut self,
        report: &IngestReport,
        mut object: Json,
        place: &str,
    ) -> Result<(), Failure> {
        let elapsed = std::mem::replace(&mut self.said, Stopwatch::start()).elapsed();
        let new = u128::from(report.rows - std::mem::replace(&mut self.rows, report.rows));
        let rows_per_second =
            u64::try_from(new * 1_000 / elapsed.as_millis().max(1)).unwrap_or(u64::MAX);
        if self.output.is_json() {
            object["rows_per_second"] = json!(rows_per_second);
            return self.output.data(&object.to_string());
        }
        self.bar.say(format!(
            "{}: {}, {} rows/s, {place}",
            report.source,
            plural(report.rows, "row"),
            count(rows_per_second),
        ));
        Ok(())
    }
}
