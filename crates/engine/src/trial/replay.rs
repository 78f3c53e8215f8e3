//! The proof that a view gives the same when its events come one by one: a hot tier in memory
//! takes the logged events, commit by commit, and is read at every instant.
//!
//! Invariant: what is fed are the events of the log at their own positions and times, through the
//! functions that apply a push; what is compared with comes from the training path, which does
//! not see the hot tier.

use std::ops::Range;
use std::sync::Arc;

use evenkeel_log::{EventSource, EventStream, ReadOptions};
use evenkeel_train::{Answers, Evaluator, Instants, Requests};
use evenkeel_types::codec::encode_values;
use evenkeel_types::definition::{SourceDef, ViewBody, ViewDef};
use evenkeel_types::{Cut, EventTime, Knowledge, LoggedEvent, Position, SourceId, VisibleAt};
use evenkeel_view::{CompiledView, Found, Plan, Reader, Store, Uses, ViewRow};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

use crate::api::Mismatch;
use crate::error::EngineError;
use crate::function;
use crate::hot_store::HotStore;
use crate::ingest::nothing_at;
use crate::verify::{MISMATCH_EXAMPLES_MAX, differing, trained_row};

/// Instants that are evaluated at once.
const BATCH: usize = 50_000;
/// After so many events it is said how far it is.
const STEP: u64 = 8192;

/// What a replay found.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    /// Events that were fed.
    pub events: u64,
    /// In so many commits.
    pub commits: u64,
    /// Instants that were read, each twice.
    pub instants: u64,
    /// Whether the first reads came right after the commit of each instant's event; else they
    /// came at the end, bounded by what was visible then.
    pub as_it_came: bool,
    /// Values compared.
    pub values_checked: u64,
    /// Those that were not the same.
    pub mismatches: u64,
    /// The first of them.
    pub examples: Vec<Mismatch>,
}

/// What is replayed.
pub struct Replay<'a> {
    /// The view.
    pub view: &'a Arc<ViewDef>,
    /// The events at the cut, as the batch run has them.
    pub evaluator: &'a Evaluator,
    /// The events, as they were logged.
    pub log: &'a dyn EventSource,
    /// Up to where.
    pub cut: &'a Cut,
    /// The cut in words.
    pub cut_in_words: &'a str,
    /// Where the view is read.
    pub instants: &'a Instants,
}

/// Is told stage, done and total; an error stops it.
type Reach<'r> = &'r mut dyn FnMut(&str, u64, u64) -> Result<(), EngineError>;

impl Replay<'_> {
    /// Replays.
    ///
    /// # Errors
    /// Of `reach`; if events cannot be read, or the view cannot be compiled.
    pub fn run(&self, reach: Reach<'_>) -> Result<ReplayReport, EngineError> {
        let all = self.instants.len() as u64;
        let known_later = self.digests(None, &mut |done| reach("batch run", done, all))?;
        let known_then = self.digests(Some(&self.instants.visible), &mut |done| {
            reach("batch run as served", done, all)
        })?;
        let plan = Plan::new([self.view]).map_err(EngineError::signature)?;
        let sources: Vec<Arc<SourceDef>> = Uses::of([self.view.as_ref()])
            .sources()
            .into_values()
            .map(|(def, _)| def)
            .collect();
        let mut hot = HotStore::in_memory(Arc::new(plan), sources.iter().cloned());
        let compiled = hot.plan().view(&self.view.digest).cloned();
        let compiled = compiled.expect("the plan is of the view");
        let mut report = ReplayReport {
            as_it_came: !sources.iter().any(|source| was_known_before(source)),
            instants: all,
            ..ReplayReport::default()
        };
        let mut due: FxHashMap<(SourceId, Position), Vec<usize>> = FxHashMap::default();
        for (instant, event) in self.instants.events.iter().enumerate() {
            due.entry(*event).or_default().push(instant);
        }
        let total = sources.iter().map(|s| self.events_of(s)).sum();
        let mut feed = Feed::of(self.log, sources, self.cut)?;
        let everything = Knowledge {
            cut: self.cut.clone(),
            known_at: None,
        };
        while let Some(commit) = feed.next_commit()? {
            report.commits += 1;
            let mut reads = Vec::new();
            for (source, logged) in commit {
                self.apply(&mut hot, &source, &logged)?;
                reads.extend(due.remove(&(logged.source, logged.position)));
                report.events += 1;
                if report.events.is_multiple_of(STEP) {
                    reach("replaying events", report.events, total)?;
                }
            }
            if report.as_it_came {
                for instant in reads.into_iter().flatten() {
                    let row = self.read(&hot, &compiled, instant, &everything)?;
                    let known = Some(self.instants.visible[instant]);
                    self.compare(instant, known, row, &known_then, &mut report);
                }
            }
        }
        for instant in 0..self.instants.len() {
            if (instant as u64).is_multiple_of(STEP) {
                reach("reading what was replayed", instant as u64, all)?;
            }
            if !report.as_it_came {
                let known = self.instants.visible[instant];
                let then = Knowledge {
                    cut: self.cut.clone(),
                    known_at: Some(VisibleAt(known)),
                };
                let row = self.read(&hot, &compiled, instant, &then)?;
                self.compare(instant, Some(known), row, &known_then, &mut report);
            }
            let row = self.read(&hot, &compiled, instant, &everything)?;
            self.compare(instant, None, row, &known_later, &mut report);
        }
        Ok(report)
    }

    fn events_of(&self, source: &SourceDef) -> u64 {
        let ends = self.cut.iter().filter(|(id, ..)| *id == source.id);
        ends.map(|(.., end)| end.0).sum()
    }

    fn apply(
        &self,
        hot: &mut HotStore,
        source: &SourceDef,
        logged: &LoggedEvent,
    ) -> Result<(), EngineError> {
        hot.apply(logged, |position| {
            let found = self.log.event_at(source.id, position);
            let mut earlier = found
                .map_err(EngineError::log)?
                .ok_or_else(|| nothing_at(source, position))?;
            upgrade(source, &mut earlier)?;
            Ok::<_, EngineError>(earlier)
        })
        .map(|_| ())
    }

    fn key(&self, instant: usize) -> Vec<evenkeel_types::Value> {
        self.instants.keys.iter().map(|c| c.get(instant)).collect()
    }

    fn read(
        &self,
        hot: &HotStore,
        compiled: &CompiledView,
        instant: usize,
        knowledge: &Knowledge,
    ) -> Result<ViewRow, EngineError> {
        let time = self.instants.times[instant];
        let read = || Reader::new(hot, knowledge).read(compiled, &self.key(instant), time, &[]);
        Ok(function::taking(read)??)
    }

    /// The batch run at some instants, each knowing everything or what was visible then.
    fn answers(&self, range: Range<usize>, known: Option<&[i64]>) -> Answers {
        let rows: Vec<u32> = (0..u32::MAX).skip(range.start).take(range.len()).collect();
        let keys = self.instants.keys.iter().map(|c| c.gather(&rows));
        let times = self.instants.times[range.clone()].to_vec();
        let known = known.map(|known| known[range].to_vec());
        let requests = Requests::new(keys.collect(), times, known);
        self.evaluator.read(self.view, &requests, &[])
    }

    /// A digest of the batch run's row at every instant.
    fn digests(
        &self,
        known: Option<&[i64]>,
        reach: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<Vec<u128>, EngineError> {
        let mut digests = Vec::with_capacity(self.instants.len());
        for start in (0..self.instants.len()).step_by(BATCH) {
            reach(start as u64)?;
            let range = start..self.instants.len().min(start + BATCH);
            let length = range.len();
            let answers = function::taking(|| self.answers(range, known))?;
            digests.extend(
                (0..length).map(|at| digest(&trained_row(self.view, &answers, at), self.view)),
            );
        }
        Ok(digests)
    }

    fn compare(
        &self,
        instant: usize,
        known: Option<i64>,
        row: ViewRow,
        digests: &[u128],
        report: &mut ReplayReport,
    ) {
        report.values_checked += self.view.features.len() as u64;
        if digest(&row, self.view) == digests[instant] {
            return;
        }
        let all = known.map(|_| self.instants.visible.as_slice());
        let answers = self.answers(instant..instant + 1, all);
        let batch = trained_row(self.view, &answers, 0);
        let mut found = differing(
            self.view,
            &[("replay", row), ("batch run", batch)],
            &|feature, answers| Mismatch {
                feature,
                key: self.key(instant),
                time: EventTime(self.instants.times[instant]),
                cut: self.cut_in_words.to_owned(),
                known_at: known.map(VisibleAt),
                answers,
            },
        );
        report.mismatches += found.len() as u64;
        found.truncate(MISMATCH_EXAMPLES_MAX - report.examples.len());
        report.examples.extend(found);
    }
}

/// A row to the bit: equal for rows that [`ViewRow::same_bits`] says are the same.
fn digest(row: &ViewRow, view: &ViewDef) -> u128 {
    let mut bytes = vec![match row.found {
        Found::Row => 0,
        Found::Nothing => 1,
        Found::TooOld => 2,
    }];
    if let ViewBody::Row(_) = view.body {
        bytes.extend(row.event_time.unwrap_or(i64::MIN).to_be_bytes());
    }
    bytes.extend(encode_values(&row.values));
    xxh3_128(&bytes)
}

/// Whether events of a source, or what made them, may have been visible before they were logged.
fn was_known_before(source: &SourceDef) -> bool {
    let made_of = source.derived.as_ref().map(|d| &d.trigger().source);
    source.known_at.is_some() || made_of.is_some_and(|source| was_known_before(source))
}

fn upgrade(source: &SourceDef, logged: &mut LoggedEvent) -> Result<(), EngineError> {
    let upgraded = source.schema.upgrade(logged);
    upgraded.map_err(|reason| EngineError::schema(source, reason))
}

/// The events of several sources in the order in which they were logged.
struct Feed {
    streams: Vec<SourceFeed>,
}

struct SourceFeed {
    source: Arc<SourceDef>,
    stream: Box<dyn EventStream>,
    next: Option<LoggedEvent>,
}

impl Feed {
    fn of(
        log: &dyn EventSource,
        sources: Vec<Arc<SourceDef>>,
        cut: &Cut,
    ) -> Result<Self, EngineError> {
        let mut streams = Vec::with_capacity(sources.len());
        for source in sources {
            let options = ReadOptions {
                sources: Some(vec![source.id]),
                until: Some(cut.clone()),
                ..ReadOptions::default()
            };
            let stream = log.events(options).map_err(EngineError::log)?;
            let mut feed = SourceFeed {
                source,
                stream,
                next: None,
            };
            feed.advance()?;
            streams.push(feed);
        }
        Ok(Feed { streams })
    }

    /// The events that share the next time of the timeline; none at the end.
    #[expect(clippy::type_complexity, reason = "an event with its source")]
    fn next_commit(&mut self) -> Result<Option<Vec<(Arc<SourceDef>, LoggedEvent)>>, EngineError> {
        let times = self.streams.iter();
        let Some(now) = times.filter_map(SourceFeed::time).min() else {
            return Ok(None);
        };
        let mut commit = Vec::new();
        for feed in &mut self.streams {
            while feed.time() == Some(now) {
                let logged = feed.advance()?;
                commit.extend(logged.map(|logged| (Arc::clone(&feed.source), logged)));
            }
        }
        Ok(Some(commit))
    }
}

impl SourceFeed {
    fn time(&self) -> Option<VisibleAt> {
        self.next.as_ref().map(|logged| logged.logged_at)
    }

    /// Takes the next event, and reads the one behind it.
    fn advance(&mut self) -> Result<Option<LoggedEvent>, EngineError> {
        let mut logged = LoggedEvent::blank();
        let more = self.stream.next_into(&mut logged);
        let behind = if more.map_err(EngineError::log)? {
            upgrade(&self.source, &mut logged)?;
            Some(logged)
        } else {
            None
        };
        Ok(std::mem::replace(&mut self.next, behind))
    }
}
