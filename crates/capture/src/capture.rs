//! A table of a server into the log: a snapshot, then the stream, step by step, for ever.
//!
//! Owns what comes after what, groups of rows that are logged together, and the record of how far
//! it is. Invariant: the record names a place everything before which is durable; what is read
//! again behind it is known by its name.

use std::sync::Arc;

use evenkeel_engine::api::IngestReport;
use evenkeel_engine::{
    CaptureGtids, CapturePlace, ComparisonRecord, Offline, Project, RowSink, comparison_schedule,
};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{EventTime, Schedule};

use crate::client::Connection;
use crate::error::CaptureError;
use crate::live::Live;
use crate::log_end::{LogPlace, number_of};
use crate::mapping::{Rows, Target};
use crate::report::CaptureReport;
use crate::resume::resume;
use crate::server::{Server, binlogs, columns, find_table};
use crate::settings::Settings;
use crate::snapshot::{Followed, Snapshot};
use crate::stream::{Place, Progress, Stream};

/// A commit has at most this many rows, and those of the event that reaches it.
const COMMIT_ROWS: usize = 8_000;
/// A commit is made when its rows were read for so long.
const COMMIT_MICROS: i64 = 200_000;
/// How long a comparison that could not be begun is left alone.
const RETRY_MICROS: i64 = 600_000_000;
/// How far it is is recorded so often.
const RECORD_MICROS: i64 = 1_000_000;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where it ended; with a snapshot if it never began.
    GoOn,
    /// With a new snapshot, of which what differs is logged.
    Snapshot,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// There may be more.
    More,
    /// Nothing happens on the server.
    Idle,
}

/// See the module.
pub struct Capture {
    source: Arc<SourceDef>,
    settings: Settings,
    target: Target,
    server: Server,
    project: Project,
    stage: Stage,
    schedule: Option<Schedule>,
    /// The moment for which the table was compared last.
    compared_for: i64,
    /// One that could not be begun is left alone until then.
    compare_after: i64,
    comparing: Option<Comparing>,
    /// What the record says.
    before: Option<CapturePlace>,
    recorded: Option<Place>,
    recorded_at: i64,
    report: IngestReport,
    snapshot_rows: Option<u64>,
    /// What the server had written when it began.
    end_at_first: (String, u64),
}

/// A comparison of a table that is followed.
struct Comparing {
    /// The moment that it is for.
    due: i64,
    /// What was logged before it.
    recorded_before: u64,
    /// Until the stream is where it begins.
    snapshot: Option<Box<Snapshot>>,
    /// The columns as they are there.
    columns: Option<Vec<String>>,
}

enum Stage {
    Snapshot(Box<Snapshot>),
    Stream(Box<Stream>),
}

impl Capture {
    /// Connects to the server of a source, and looks whether it can be followed.
    ///
    /// # Errors
    /// If it cannot be followed, or not from where it was; of the store.
    pub fn open(
        source: Arc<SourceDef>,
        project: &Project,
        start: Start,
        now: EventTime,
    ) -> Result<Self, CaptureError> {
        let mut settings = Settings::of(&source, project)?;
        let target = Target::of(&source, &settings);
        let mut connection = Connection::open(&settings)?;
        let server = Server::check(&mut connection, &settings)?;
        find_table(&mut connection, &mut settings)?;
        // What cannot be read is refused before anything is.
        columns(&mut connection, &settings, &target)?;
        let files = binlogs(&mut connection)?;
        let end_at_first = files.last().cloned().unwrap_or_default();
        let before = CapturePlace::read(&project.store, &source.name)?;
        let goes_on = before
            .as_ref()
            .filter(|place| start == Start::GoOn && !place.snapshot);
        let stage = match goes_on {
            Some(place) => {
                let from = resume(&source, &settings, &server, &files, place)?;
                Stage::Stream(Box::new(stream(
                    &source,
                    &settings,
                    &server,
                    from,
                    &end_at_first.0,
                )?))
            }
            None => {
                let followed = match &before {
                    Some(place) => Followed::Before(place.time),
                    None => Followed::Never,
                };
                let mut snapshot = begin(&source, &settings, &server, &target, followed, now.0)?;
                snapshot.against(Live::of(&Offline::open(project)?, &source, &target)?);
                Stage::Snapshot(Box::new(snapshot))
            }
        };
        Ok(Capture {
            snapshot_rows: matches!(stage, Stage::Snapshot(_)).then_some(0),
            report: IngestReport {
                source: source.name.clone(),
                ..IngestReport::default()
            },
            schedule: comparison_schedule(&source),
            compared_for: ComparisonRecord::read(&project.store, &source.name)
                .unwrap_or_default()
                .map_or(now.0, |record| record.at),
            compare_after: i64::MIN,
            comparing: None,
            before,
            source,
            settings,
            target,
            server,
            project: project.clone(),
            stage,
            recorded: None,
            recorded_at: i64::MIN,
            end_at_first,
        })
    }

    /// Hands over the rows that have come, at most a commit of them.
    ///
    /// # Errors
    /// If the server cannot be followed further; of whoever takes the rows.
    pub fn step<S, E>(&mut self, sink: &mut S) -> Result<Stepped, E>
    where
        S: RowSink,
        E: From<S::Error> + From<CaptureError>,
    {
        match &mut self.stage {
            Stage::Snapshot(snapshot) => {
                let (rows, more) = snapshot.next(&self.target, COMMIT_ROWS)?;
                self.snapshot_rows = Some(snapshot.rows_read());
                let from = (!more).then(|| Place {
                    file: snapshot.file.clone(),
                    created: 0,
                    position: snapshot.position,
                    gtids: snapshot.gtids.clone(),
                    time: snapshot.time,
                    columns: self.comparing.as_ref().and_then(|c| c.columns.clone()),
                });
                if !rows.is_empty() {
                    self.say_that_a_snapshot_is_under_way()?;
                    self.report.add(sink.take(&self.source, rows)?);
                }
                if let Some(from) = from {
                    self.record(from.clone(), sink.now())?;
                    self.end_comparison()?;
                    let (settings, end) = (&self.settings, &self.end_at_first.0);
                    let stream = stream(&self.source, settings, &self.server, from, end)?;
                    self.stage = Stage::Stream(Box::new(stream));
                }
                Ok(Stepped::More)
            }
            Stage::Stream(_) => self.follow(sink),
        }
    }

    fn follow<S, E>(&mut self, sink: &mut S) -> Result<Stepped, E>
    where
        S: RowSink,
        E: From<S::Error> + From<CaptureError>,
    {
        self.begin_comparison(sink.now());
        let Stage::Stream(stream) = &mut self.stage else {
            return Ok(Stepped::More);
        };
        let until = self.comparing.as_ref().and_then(|c| c.snapshot.as_deref());
        let until = until.map(|snapshot| (number_of(&snapshot.file), snapshot.position));
        let is_there = |place: &Place| {
            until.is_some_and(|until| (number_of(&place.file), place.position) >= until)
        };
        let began = sink.now().0;
        let mut rows = Rows::new(&self.target);
        let mut stepped = Stepped::More;
        let mut failed = None;
        while !is_there(stream.safe()) {
            let now = sink.now().0;
            match stream.next(&self.target, &mut rows, now) {
                Ok(Progress::Event) => {}
                Ok(Progress::Idle) => {
                    stepped = Stepped::Idle;
                    break;
                }
                Ok(Progress::Ended) => {
                    failed = Some(CaptureError::Ended);
                    break;
                }
                // What was read before it is logged.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            let so_long = now.saturating_sub(began) >= COMMIT_MICROS;
            if rows.len() >= COMMIT_ROWS || so_long || stream.can_name_transactions() {
                break;
            }
        }
        let parts = rows.into_parts();
        if parts.is_empty() {
            sink.rest();
        } else {
            self.report.add(sink.take(&self.source, parts)?);
        }
        let is_named_anew = stream.can_name_transactions();
        if is_named_anew {
            stream.name_transactions();
        }
        let safe = stream.safe().clone();
        let is_there = is_there(&safe);
        let now = sink.now();
        let is_due = now.0.saturating_sub(self.recorded_at) >= RECORD_MICROS;
        // Nothing is named by transactions before the record says so.
        if is_due || is_named_anew || failed.is_some() {
            self.record(safe, now)?;
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        if is_there {
            self.compare()?;
            return Ok(Stepped::More);
        }
        Ok(stepped)
    }

    /// Takes a snapshot if one is due. The table is compared with it as soon as everything before it
    /// is logged.
    fn begin_comparison(&mut self, now: EventTime) {
        let Some(schedule) = self.schedule.as_ref().filter(|_| self.comparing.is_none()) else {
            return;
        };
        let due = schedule
            .last_until(now.0)
            .filter(|due| *due > self.compared_for);
        let (Some(due), Stage::Stream(stream)) = (due, &self.stage) else {
            return;
        };
        if now.0 < self.compare_after {
            return;
        }
        let (settings, followed) = (&self.settings, Followed::Here(stream.last_time()));
        let begun = begin(
            &self.source,
            settings,
            &self.server,
            &self.target,
            followed,
            now.0,
        );
        let Ok(snapshot) = begun else {
            // Following goes on.
            self.compare_after = now.0.saturating_add(RETRY_MICROS);
            return;
        };
        let safe = stream.safe();
        let there = (number_of(&snapshot.file), snapshot.position);
        if (number_of(&safe.file), safe.position) <= there {
            self.comparing = Some(Comparing {
                due,
                recorded_before: 0,
                snapshot: Some(Box::new(snapshot)),
                columns: None,
            });
        }
        // Else the log is ahead of what the table shows yet: once more at the next step.
    }

    /// The stream is where a snapshot begins: what differs is logged in its place.
    fn compare(&mut self) -> Result<(), CaptureError> {
        let Some(comparing) = &mut self.comparing else {
            return Ok(());
        };
        let Some(mut snapshot) = comparing.snapshot.take() else {
            return Ok(());
        };
        comparing.recorded_before = self.report.recorded;
        if let Stage::Stream(stream) = &self.stage {
            comparing.columns = stream.safe().columns.clone();
            if let Some(known) = &stream.safe().gtids {
                snapshot.go_on(known);
            }
        }
        let offline = Offline::open(&self.project)?;
        snapshot.against(Live::of(&offline, &self.source, &self.target)?);
        self.stage = Stage::Snapshot(snapshot);
        Ok(())
    }

    /// Records what a comparison found.
    fn end_comparison(&mut self) -> Result<(), CaptureError> {
        let Some(comparing) = self.comparing.take() else {
            return Ok(());
        };
        self.compared_for = comparing.due;
        let differences = self.report.recorded - comparing.recorded_before;
        ComparisonRecord::add(
            &self.project.store,
            &self.source.name,
            EventTime(comparing.due),
            differences,
        )?;
        Ok(())
    }

    /// Whether everything that the server had written when it began is logged.
    pub fn is_caught_up(&self) -> bool {
        let (Stage::Stream(stream), None) = (&self.stage, &self.comparing) else {
            return false;
        };
        let reached = stream.safe();
        let (file, position) = &self.end_at_first;
        (number_of(&reached.file), reached.position) >= (number_of(file), *position)
    }

    /// Records how far it is. Nothing is lost without: what is behind the last record is read again.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&mut self, now: EventTime) -> Result<(), CaptureError> {
        match &self.stage {
            Stage::Stream(stream) => {
                let safe = stream.safe().clone();
                self.record(safe, now)
            }
            // A snapshot that is not whole is taken again.
            Stage::Snapshot(_) => Ok(()),
        }
    }

    fn record(&mut self, place: Place, now: EventTime) -> Result<(), CaptureError> {
        self.recorded_at = now.0;
        if self.recorded.as_ref() == Some(&place) {
            return Ok(());
        }
        let record = CapturePlace {
            server: self.server.identity.clone(),
            table: self.settings.title(),
            file: place.file.clone(),
            created: place.created,
            position: place.position,
            time: place.time,
            columns: place.columns.clone(),
            gtids: place.gtids.as_ref().map(|known| CaptureGtids {
                before: known.set.to_string(),
                era: known.era.clone(),
            }),
            snapshot: false,
        };
        record
            .clone()
            .write(&self.project.store, &self.source.name)?;
        self.before = Some(record);
        self.recorded = Some(place);
        Ok(())
    }

    /// Some of what differs may be logged from now on, at a time behind what the record says: whoever goes on
    /// takes the snapshot again.
    fn say_that_a_snapshot_is_under_way(&mut self) -> Result<(), CaptureError> {
        if let Some(before) = self.before.as_mut().filter(|before| !before.snapshot) {
            before.snapshot = true;
            before
                .clone()
                .write(&self.project.store, &self.source.name)?;
        }
        Ok(())
    }

    /// Connects once more, where it was.
    ///
    /// # Errors
    /// As [`Capture::open`]; then it is as it was.
    pub fn reconnect(&mut self, now: EventTime) -> Result<(), CaptureError> {
        let again = Capture::open(Arc::clone(&self.source), &self.project, Start::GoOn, now)?;
        let report = std::mem::take(&mut self.report);
        let snapshot_rows = again.snapshot_rows.or(self.snapshot_rows);
        *self = Capture {
            report,
            snapshot_rows,
            ..again
        };
        Ok(())
    }

    /// How far it is.
    pub fn report(&self, now: EventTime) -> CaptureReport {
        let (place, lag) = match &self.stage {
            Stage::Snapshot(_) => (None, None),
            Stage::Stream(stream) => {
                let safe = stream.safe();
                let lag = now.0.saturating_sub(stream.last_time());
                let place = LogPlace::new(
                    self.server.identity.clone(),
                    safe.file.clone(),
                    safe.position,
                );
                (Some(place), Some(lag))
            }
        };
        CaptureReport {
            ingest: self.report.clone(),
            snapshot_rows: self.snapshot_rows,
            place,
            lag_micros: lag,
        }
    }
}

fn begin(
    source: &SourceDef,
    settings: &Settings,
    server: &Server,
    target: &Target,
    followed: Followed,
    now: i64,
) -> Result<Snapshot, CaptureError> {
    let ordered = if source.primary_key.is_empty() {
        &source.event_id
    } else {
        &source.primary_key
    };
    let key = ordered
        .iter()
        .map(|slot| source.columns[*slot].name.as_str());
    let key: Vec<&str> = key.collect();
    Snapshot::begin(settings, server, target, &key, followed, now)
}

/// `end`: the file in which the log ended when the server was asked, which had GTIDs then or not.
fn stream(
    source: &SourceDef,
    settings: &Settings,
    server: &Server,
    from: Place,
    end: &str,
) -> Result<Stream, CaptureError> {
    let mut stream = Stream::open(settings, server, &source.name, source.max_future, from)?;
    if server.gtids.is_some() {
        stream.name_transactions_behind(end);
    }
    Ok(stream)
}
