//! Results that wait for watermarks (`docs/decisions/0046-promises.md`).
//!
//! Such a result is evaluated at the first record of the log, from its trigger's own on, at which the
//! watermarks of what it waits for are past the trigger's time. Invariant: which record that is follows from
//! the log, and from what the name of the result says; so the same bits come of the name for ever. Of streams with
//! timers what holds is asked behind it (`due`), and the definitions of before are in `past`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::{EventParts, LogReader, ReadOptions, Sequence};
use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef};
use evenkeel_types::{EventTime, SourceId};

use super::Trigger;
use super::due::DueSearch;
use crate::captured::with_causes;
use crate::emission::due_until;
use crate::engine::Engine;
use crate::error::{EngineError, ErrorKind};
use crate::offline::Online;
use crate::serving::{ReadPlan, Unmet};
use crate::watermarks::{Mark, watermark_of};

/// The greatest time of what counts of a source.
type Greatest<'a> = &'a dyn Fn(SourceId) -> Option<EventTime>;

/// Enough to tell apart what the watermarks of one set of sources follow from.
const DIGEST_BYTES: usize = 8;
/// Events that are read before it is asked whether anybody waits.
pub(super) const READ_AT_ONCE: usize = 4_096;

/// What a trigger's answer must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerPromise {
    /// None: everything up to the trigger. Else the watermarks of these sources have passed its
    /// time; of all that are read, if none is named.
    pub complete: Option<Vec<String>>,
    /// Rather the answer at the trigger's own place than none.
    pub degraded: bool,
}

/// What stands before the names of sources.
const NAMED: &str = "complete:";

impl TriggerPromise {
    /// A level as one word: `trigger`, `complete`, or `complete:` and sources between commas.
    ///
    /// # Errors
    /// [`WaitsError::Level`].
    pub fn of_words(level: Option<&str>, degraded: bool) -> Result<Self, EngineError> {
        let complete = match level {
            None | Some("trigger") => None,
            Some("complete") => Some(Vec::new()),
            Some(text) => {
                let names = text.strip_prefix(NAMED).unwrap_or_default();
                let names: Vec<String> = names.split(',').map(str::to_owned).collect();
                if names.iter().any(String::is_empty) {
                    return Err(EngineError::Waits(WaitsError::Level {
                        text: text.to_owned(),
                    }));
                }
                Some(names)
            }
        };
        Ok(TriggerPromise { complete, degraded })
    }
}

/// Which watermarks a result waits for: a part of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waits {
    /// How the digest of what they follow from begins.
    pub digest: [u8; DIGEST_BYTES],
    /// The sources that the request named, in the order of names; none: all that are read.
    pub sources: Vec<String>,
}

/// What is wrong with what a result waits for.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum WaitsError {
    #[error("`{source_name}` is not among the sources that are read: {}", read.join(", "))]
    NotRead {
        source_name: String,
        read: Vec<String>,
    },
    #[error(
        "watermarks are past the trigger at record {record} by what is applied, and the log does not say where"
    )]
    NotLogged { record: u64 },
    #[error("`{text}` is not a level of consistency of a trigger")]
    Level { text: String },
    #[error("no definition that the registry has is the one by which `{result}` waits")]
    Undefined { result: String },
    #[error(
        "the result `{result}` waits for a watermark: that of `{}` is at {}, wanted is later than {}",
        unmet.source,
        unmet.reached,
        unmet.wanted
    )]
    NotPassed { result: String, unmet: Box<Unmet> },
}

impl WaitsError {
    /// Of which kind it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            WaitsError::NotRead { .. } | WaitsError::Level { .. } => ErrorKind::Invalid,
            WaitsError::Undefined { .. } => ErrorKind::NotFound,
            WaitsError::NotLogged { .. } => ErrorKind::Storage,
            WaitsError::NotPassed { .. } => ErrorKind::Busy,
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> String {
        match self {
            WaitsError::NotRead { .. } => {
                "name sources that the service or view reads, or none: then it waits for all of them"
                    .to_owned()
            }
            WaitsError::Level { .. } => {
                "`trigger`, `complete`, or `complete:` and sources: `complete:limits,taps`".to_owned()
            }
            WaitsError::Undefined { .. } => {
                "ask with the store whose trigger it is the result of".to_owned()
            }
            WaitsError::NotLogged { .. } => "`evenkeel doctor` looks for what is damaged".to_owned(),
            WaitsError::NotPassed { result, .. } => format!(
                "its event is logged: ask again when later events have come, `evenkeel result '{result}'`, or allow an answer that knows less with --degraded"
            ),
        }
    }
}

/// The sources whose watermarks a result waits for, as they were defined when it was named.
#[derive(Clone, Debug)]
pub struct Awaited {
    catalog: Arc<Catalog>,
    sources: Vec<Arc<SourceDef>>,
    named: Vec<String>,
}

impl Awaited {
    /// Those of some names among the sources that are read; all of them, if none is named. Of a stream that has
    /// ended nothing is expected.
    ///
    /// # Errors
    /// [`WaitsError::NotRead`].
    fn of(
        catalog: &Arc<Catalog>,
        read: &[Arc<SourceDef>],
        names: &[String],
    ) -> Result<Self, EngineError> {
        let named: BTreeSet<&String> = names.iter().collect();
        let unknown = named
            .iter()
            .find(|name| !read.iter().any(|def| def.name == ***name));
        if let Some(name) = unknown {
            return Err(EngineError::Waits(WaitsError::NotRead {
                source_name: (**name).clone(),
                read: read.iter().map(|def| def.name.clone()).collect(),
            }));
        }
        let is_wanted = |def: &&Arc<SourceDef>| named.is_empty() || named.contains(&def.name);
        let now = read.iter().filter(is_wanted);
        let now = now.filter_map(|def| catalog.source_by_id(def.id));
        Ok(Awaited {
            sources: now.filter(|def| !def.has_ended()).cloned().collect(),
            catalog: Arc::clone(catalog),
            named: named.into_iter().cloned().collect(),
        })
    }

    /// Those of a name; none if they are defined otherwise in this catalog.
    pub(super) fn named(
        catalog: &Arc<Catalog>,
        plan: &ReadPlan,
        waits: &Waits,
    ) -> Result<Option<Self>, EngineError> {
        let awaited = Awaited::of(catalog, plan.sources(), &waits.sources)?;
        Ok(Some(awaited).filter(|found| found.waits() == *waits))
    }

    /// How a name says it.
    pub fn waits(&self) -> Waits {
        let hash = blake3::hash(self.words().as_bytes());
        Waits {
            digest: std::array::from_fn(|byte| hash.as_bytes()[byte]),
            sources: self.named.clone(),
        }
    }

    /// Everything that the watermarks follow from but events: which sources, and how each of them and of those
    /// that make it emit goes on.
    fn words(&self) -> String {
        let mut words = String::new();
        for def in &self.sources {
            words.push_str(&format!("{} ", def.id.0));
        }
        for def in self.involved() {
            let lateness = def.lateness;
            words.push_str(&format!(
                "\n{} {} {}",
                def.id.0, lateness.months, lateness.micros
            ));
            if let Some(derived) = &def.derived {
                let hex: String = def.digest.iter().map(|b| format!("{b:02x}")).collect();
                words.push_str(&format!(" {hex} {}", derived.is_ended));
            }
        }
        words
    }

    /// The sources themselves and what makes them emit, by id.
    fn involved(&self) -> Vec<&Arc<SourceDef>> {
        with_causes(&self.catalog, self.sources.iter().map(|def| def.id))
    }

    /// The sources that streams with timers go by among those.
    pub(super) fn clocks(&self) -> BTreeSet<SourceId> {
        let involved = self.involved().into_iter();
        let derived = involved.filter_map(|def| def.derived.as_ref());
        let go_on = derived.filter(|derived| !derived.is_ended);
        go_on
            .flat_map(|derived| self.catalog.clocks(derived))
            .collect()
    }

    /// The first of the sources whose watermark has not passed a time, given how far events have come, and
    /// those that hold.
    pub(super) fn unmet(
        &self,
        time: EventTime,
        came: Greatest<'_>,
        held: Greatest<'_>,
    ) -> Option<Unmet> {
        self.sources
            .iter()
            .find_map(|def| Unmet::of_watermark(def, self.watermark(def, came, held), time))
    }

    /// Whether all watermarks have passed a time, given how far events have come.
    fn has_passed(&self, time: EventTime, came: Greatest<'_>) -> bool {
        let mut watermarks = self.sources.iter();
        watermarks.all(|def| {
            let watermark = self.watermark(def, came, came);
            watermark.is_some_and(|watermark| watermark > time)
        })
    }

    fn watermark(
        &self,
        source: &SourceDef,
        came: Greatest<'_>,
        held: Greatest<'_>,
    ) -> Option<EventTime> {
        let due = |derived: &DerivedDef| {
            let due = due_until(&self.catalog, derived, |source| Ok(held(source)));
            due.ok().flatten()
        };
        watermark_of(&self.catalog, source, came, &due)
    }

    /// The first record, from `from` on, at which all watermarks have passed a time by what was logged; none if the
    /// log has none yet. `mark` is what [`Engine::mark_before`] says.
    ///
    /// # Errors
    /// If the log cannot be read; [`EngineError::Stopped`] if it is wanted no more.
    pub fn first_record(
        &self,
        log: &LogReader,
        mark: Option<Mark>,
        (time, from): (EventTime, u64),
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, EngineError> {
        let Some(Mark {
            record,
            mut greatest,
        }) = mark
        else {
            return Ok(Some(from));
        };
        let has_passed = |greatest: &BTreeMap<SourceId, Option<EventTime>>| {
            let came = |source| greatest.get(&source).copied().flatten();
            self.has_passed(time, &came)
        };
        let involved = self.involved();
        let sources: Vec<SourceId> = involved.iter().map(|def| def.id).collect();
        let no_columns = |id: &SourceId| (*id, EventParts::default());
        let mut events = log.read(ReadOptions {
            parts: sources.iter().map(no_columns).collect(),
            sources: Some(sources),
            from: Sequence(record),
            ..ReadOptions::default()
        });
        let mut read = 0_usize;
        while let Some(logged) = events.next() {
            let logged = logged.map_err(EngineError::log)?;
            read += 1;
            if read.is_multiple_of(READ_AT_ONCE) && !is_wanted() {
                return Err(EngineError::Stopped);
            }
            let came = Some(logged.event.event_time);
            let known = greatest.entry(logged.source).or_default();
            if came > *known {
                *known = came;
                if has_passed(&greatest) {
                    return Ok(Some(events.sequence().0.max(from)));
                }
            }
        }
        Ok(None)
    }
}

impl Trigger {
    /// The trigger as it is evaluated at a later record: with everything logged up to that.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn at_record(mut self, log: &LogReader, record: u64) -> Result<Trigger, EngineError> {
        if record > self.record {
            let cut = log.cut_before(Sequence(record + 1));
            self.cut = cut.map_err(EngineError::log)?;
            self.record = record;
        }
        Ok(self)
    }
}

impl Engine {
    /// What a result waits for that reads some sources, by what is defined now; none if it does not wait.
    ///
    /// # Errors
    /// [`WaitsError::NotRead`].
    pub fn awaited(
        &self,
        plan: &ReadPlan,
        promise: &TriggerPromise,
    ) -> Result<Option<Awaited>, EngineError> {
        let names = promise.complete.as_ref();
        let awaited = names.map(|names| Awaited::of(self.shared_catalog(), plan.sources(), names));
        awaited.transpose()
    }

    /// The same for a name; none if something that it follows from is defined otherwise now.
    ///
    /// # Errors
    /// [`WaitsError::NotRead`].
    pub fn awaited_now(
        &self,
        plan: &ReadPlan,
        waits: &Waits,
    ) -> Result<Option<Awaited>, EngineError> {
        Awaited::named(self.shared_catalog(), plan, waits)
    }

    /// The first watermark that has not passed a time, by what was logged of what is applied.
    pub fn unmet_awaited(&self, awaited: &Awaited, time: EventTime) -> Option<Unmet> {
        let came = |source| self.hot().source(source)?.greatest_time();
        awaited.unmet(time, &came, &came)
    }

    /// A trigger as it is evaluated when it waited; as it is, with what is missing, if the watermarks have not
    /// passed its time yet.
    pub(super) fn once_passed(
        &self,
        trigger: Trigger,
        awaited: &Awaited,
    ) -> Result<(Trigger, Option<Unmet>), EngineError> {
        let (time, record) = (trigger.event_time(), trigger.record());
        if let Some(unmet) = self.unmet_awaited(awaited, time) {
            return Ok((trigger, Some(unmet)));
        }
        let not_logged = || EngineError::Waits(WaitsError::NotLogged { record });
        let mark = self.mark_before(awaited, time, record);
        let found = awaited.first_record(self.reader(), mark, (time, record), &|| true)?;
        let passed = found.ok_or_else(not_logged)?;
        let search = DueSearch::behind(self.reader(), awaited, (time, passed))?;
        let found = match search {
            None => Some(passed),
            Some(mut search) => search.go_on(self, self.reader(), &|| true)?,
        };
        match found {
            Some(found) => Ok((trigger.at_record(self.reader(), found)?, None)),
            None => {
                let unmet = Online::read_with(self, |engine| engine.lacks_awaited(awaited, time))?;
                Ok((trigger, Some(unmet.ok_or_else(not_logged)?)))
            }
        }
    }

    /// Where [`Awaited::first_record`] begins to read; none if the watermarks are known to have passed a time
    /// when a record was logged.
    pub fn mark_before(&self, awaited: &Awaited, time: EventTime, record: u64) -> Option<Mark> {
        let has_passed = |mark: &Mark| awaited.has_passed(time, &|id| mark.came(id));
        let marks = &self.hot().state().marks;
        let of_record = marks.last_until(record + 1);
        if awaited.sources.is_empty() || of_record.is_some_and(has_passed) {
            return None;
        }
        Some(marks.last_before(has_passed))
    }
}
