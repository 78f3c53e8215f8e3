//! `POST /v1/sources/{source}/corrections`: a file with the truth about a period in, what
//! differs logged; and `POST /v1/sources/{source}/exclusions`: what was logged between positions
//! is as if it were not.
//!
//! The difference is found in the pool of long work; its commits go through the queue of all
//! writes, so pushes and corrections take turns. One at a time.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, TryLockError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, header};
use evenkeel_engine::correction::{
    Correction, CorrectionReport, Difference, Means, Period, Truth, parse_positions,
};
use evenkeel_engine::push::{RowAnswer, Write, Written};
use evenkeel_engine::{EngineError, Offline};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::ask::{asked, query_fields};
use crate::clock::Stopwatch;
use crate::error::ApiError;
use crate::long_work::{self, Asked, Made, Reporter};
use crate::name::Name;
use crate::shared::Shared;
use crate::spool::Spooled;
use crate::wire;

/// The parameters of a correction.
pub(crate) const FIELDS: &[&str] = &["from", "to", "dry_run", "name", "timeout_ms"];
/// The fields of an exclusion.
pub(crate) const EXCLUSION_FIELDS: &[&str] = &["positions", "dry_run", "timeout_ms"];

/// Types of bodies that are files of events, with the extension that says the format.
const FILES: &[(&str, &str)] = &[
    ("application/vnd.apache.parquet", "parquet"),
    ("text/csv", "csv"),
    ("text/tab-separated-values", "tsv"),
    ("application/x-ndjson", "jsonl"),
    ("application/octet-stream", ""),
];
/// Characters of a file's name that are kept.
const NAME_CHARS_MAX: usize = 64;

#[derive(Debug, Deserialize)]
struct Ask {
    from: String,
    to: String,
    #[serde(default)]
    dry_run: bool,
    /// What errors call the file; its end says the format where the type does not.
    name: Option<String>,
    timeout_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Exclude {
    positions: String,
    #[serde(default)]
    dry_run: bool,
}

pub(crate) async fn correct(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let ask: Ask = asked(query_fields(query, &["timeout_ms"], &[])?, FIELDS)?;
    let extension = extension(&parts.headers, ask.name.as_deref())?;
    let zone = shared.engine().source(&source)?.zone.clone();
    let period = Period::parse(&ask.from, &ask.to, &zone)?;
    let deadline = long_work::deadline(&shared, started, ask.timeout_ms)?;
    let limits = &shared.limits;
    let spooled = shared.spool.body(body, &extension, limits, deadline);
    let spooled = spooled.await?;
    let (working, handle) = (Arc::clone(&shared), Handle::current());
    long_work::run(&shared, &parts.headers, deadline, move |reporter| {
        let work = Work {
            shared: &working,
            handle: &handle,
            reporter,
            dry_run: ask.dry_run,
        };
        let name = ask.name.as_deref().unwrap_or("the truth");
        work.run(|offline, means| {
            let def = offline.source(&source)?;
            let truth = Truth::open(&def, Path::new(""), &spooled.path().to_string_lossy())?;
            offline.difference(&def, truth, &period, means, &mut |stage, done, total| {
                reporter.reach(stage, done, total)
            })
        })
        .map_err(|error| named(error, &spooled, name))
    })
    .await
}

pub(crate) async fn exclude(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Exclude>(&shared, request, EXCLUSION_FIELDS).await?;
    let positions = parse_positions(&ask.positions)?;
    shared.engine().source(&source)?;
    let (working, handle) = (Arc::clone(&shared), Handle::current());
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let work = Work {
            shared: &working,
            handle: &handle,
            reporter,
            dry_run: ask.dry_run,
        };
        work.run(|offline, means| {
            let def = offline.source(&source)?;
            offline.exclusion(&def, &positions, means, &mut |stage, done, total| {
                reporter.reach(stage, done, total)
            })
        })
    })
    .await
}

/// The end of a spooled file's name: what the client calls it, without what a path could be
/// made of; else what its type says.
fn extension(headers: &HeaderMap, name: Option<&str>) -> Result<String, ApiError> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(
            ApiError::new("CONTENT_ENCODING", "the truth is sent as it is, not packed")
                .with_hint("a packed file is named so: `name=truth.csv.gz`"),
        );
    }
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default().split(';').next();
    let given = given.unwrap_or_default().trim().to_ascii_lowercase();
    let known = FILES.iter().find(|(name, _)| *name == given);
    let by_type = known.map(|(_, extension)| *extension);
    let wrong = || {
        ApiError::new(
            "CONTENT_TYPE",
            format!("the truth is not sent as `{given}`"),
        )
        .with_hint("send Parquet, CSV, TSV or JSON lines, or any bytes with `name`")
    };
    let by_type = by_type.ok_or_else(wrong)?;
    match name {
        Some(name) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            let kept = name.chars().map(|c| if plain(c) { c } else { '_' });
            let kept: Vec<char> = kept.collect();
            let from = kept.len().saturating_sub(NAME_CHARS_MAX);
            Ok(kept[from..].iter().collect())
        }
        None if by_type.is_empty() => Err(wrong()),
        None => Ok(by_type.to_owned()),
    }
}

fn named(mut error: ApiError, spooled: &Spooled, name: &str) -> ApiError {
    error.message = spooled.named(&error.message, name);
    error
}

/// A correction on its way.
struct Work<'a> {
    shared: &'a Arc<Shared>,
    handle: &'a Handle,
    reporter: &'a Reporter,
    dry_run: bool,
}

impl Work<'_> {
    /// Finds a difference, and logs it unless it is a dry run.
    fn run(
        &self,
        find: impl FnOnce(&Offline, Means) -> Result<Difference, EngineError>,
    ) -> Result<Made, ApiError> {
        let _one = match self.shared.correcting.try_lock() {
            Ok(one) => one,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(
                    ApiError::new("OVERLOADED", "another correction is under way")
                        .with_hint("send it again when that has ended"),
                );
            }
        };
        let (offline, means) = {
            let engine = self.shared.engine();
            (engine.offline(), engine.means())
        };
        let failed = |error| self.failed(error);
        let difference = find(&offline, means).map_err(failed)?;
        let metrics = &self.shared.metrics;
        let source = &difference.source().name;
        metrics.compared(source, difference.counts(), self.dry_run);
        let mut reach = |stage: &str, done, total| -> ControlFlow<()> {
            self.reporter.reach(stage, done, total)
        };
        let report = if self.dry_run {
            difference.foresee(&offline, &mut reach).map_err(failed)?
        } else {
            self.log(&difference, &offline, &mut reach)?
        };
        let cuts = [&report.before, &report.after].map(|cut| offline.format_cut(cut));
        Ok(Made::Report(wire::correction_report(
            &report,
            self.dry_run,
            &cuts,
        )))
    }

    fn log(
        &self,
        difference: &Difference,
        offline: &Offline,
        reach: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<CorrectionReport, ApiError> {
        let mut refused = None;
        let mut logged = 0;
        let touched = difference.commits(
            offline,
            &mut |corrections| match self.commit(difference, corrections) {
                Ok(events) => {
                    logged += events;
                    Ok(())
                }
                Err(error) => {
                    refused = Some(error);
                    Err(EngineError::Stopped)
                }
            },
            reach,
        );
        let touched = touched.map_err(|error| match refused {
            Some(refused) => refused,
            None => self.failed(error),
        })?;
        let after = self.shared.engine().cut();
        let report = difference.report(
            self.shared.as_ref(),
            offline,
            touched,
            (after, logged),
            reach,
        );
        report.map_err(|error| self.failed(error))
    }

    /// Logs some of it, as soon as the queue has room. Answers how many events were logged.
    fn commit(
        &self,
        difference: &Difference,
        corrections: Vec<Correction>,
    ) -> Result<u64, ApiError> {
        let count = corrections.len();
        let source = difference.source();
        let write = Write::Corrections {
            source: Arc::clone(source),
            corrections,
        };
        let mut goes_on = || self.reporter.reach("waiting for room", 0, 0).is_continue();
        let queue = &self.shared.queue;
        let written = queue.write_in_turn(write, count, &mut goes_on);
        match self.handle.block_on(written) {
            Some(Ok(Written::Pushed(answer))) => {
                self.shared.metrics.pushed(&source.name, &answer.rows);
                let logged = |row: &&RowAnswer| **row != RowAnswer::Duplicate;
                Ok(answer.rows.iter().filter(logged).count() as u64)
            }
            Some(Ok(_)) => Err(ApiError::new("INTERNAL", "an answer of another kind")),
            Some(Err(error)) => Err(error),
            None => Err(self.failed(EngineError::Stopped)),
        }
    }

    fn failed(&self, error: EngineError) -> ApiError {
        match error {
            EngineError::Stopped => self
                .reporter
                .stopped()
                .with_hint("what is logged stays: send it again, and the rest follows"),
            error => ApiError::from(error),
        }
    }
}
