//! Segments: which keys of an entity, by the features of its views (`docs/decisions/0029`).
//!
//! Owns going over the keys of an entity and asking each. Invariant: an answer is a function of
//! time, cut, knowledge and definition, however it is cut into pages and whatever is written
//! meanwhile.

mod frozen;
mod keys;
mod plan;
mod population;
mod unjudged;

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_ddl::{bind_segment_query, parse_query};
use evenkeel_expr::ReadTime;
use evenkeel_train::Verdict;
use evenkeel_types::definition::{Catalog, SegmentDef};
use evenkeel_types::{
    Column, Cut, DataType, EventTime, Knowledge, Offset, Position, Value, VisibleAt,
};

pub(crate) use frozen::is_frozen_file;
pub use frozen::{FrozenName, FrozenSegment, FrozenSegments, segment_table};
pub use plan::SegmentPlan;
pub(crate) use unjudged::Unjudged;

use crate::answers::Answers;
use crate::definitions::unknown;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::function;
use crate::offline::{Offline, Online};
use keys::Candidates;
use population::Rest;

/// What a query without a name is called where its mistakes are underlined.
pub const SEGMENT_QUERY_PLACE: &str = "query";
/// Values that are read at once: a fraction of a millisecond.
const READ_VALUES: usize = 1_024;
/// Keys that are looked for at once.
const KEYS: usize = 4_096;

/// What is asked of a segment.
#[derive(Clone, Debug)]
pub struct SegmentRequest {
    /// The segment.
    pub plan: Arc<SegmentPlan>,
    /// `t`; none: now, or later where `not_before` is.
    pub as_of: Option<EventTime>,
    /// Now is at least this: the greatest event time of a write that the answer must know.
    pub not_before: Option<EventTime>,
    /// What the cut must hold.
    pub positions: Cut,
    /// The cut; none: everything applied.
    pub cut: Option<Cut>,
    /// Only what was visible then.
    pub known_at: Option<VisibleAt>,
    /// Only keys behind this one.
    pub after: Option<Vec<Value>>,
    /// The most keys that are answered.
    pub limit: usize,
    /// Whether all keys are asked, also when there are enough for the answer.
    pub counts: bool,
    /// When the rest of the keys are asked all at once.
    pub at_once: AtOnce,
}

/// When keys are asked all at once, from the events of their views, in place of one by one. The
/// answer is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtOnce {
    /// So many keys are asked one by one first: they tell how many there are, and how many of them
    /// are in.
    pub keys_first: u64,
    /// Events that cost as much to read as a key to ask.
    pub events_per_key: u64,
    /// The most values that may be in memory for it: of events, and of features of as many keys.
    pub values_max: u64,
    /// So many events are read before anything is known of the keys, where the hot tier is not open yet.
    pub events_unasked: u64,
}

impl Default for AtOnce {
    /// A key takes some ten microseconds with its rows not in memory, an event half of one.
    fn default() -> Self {
        AtOnce {
            keys_first: 8_192,
            events_per_key: 16,
            values_max: 100_000_000,
            events_unasked: 2_000_000,
        }
    }
}

/// The keys that are in a segment.
#[derive(Clone, Debug)]
pub struct SegmentAnswer {
    /// The parts of the keys, then what is selected: one column each, one slot per key.
    pub columns: Vec<Column>,
    /// Keys in [`SegmentAnswer::columns`].
    pub rows: usize,
    /// Keys that were found to be in it: at least the rows.
    pub matched: u64,
    /// Keys that were asked: those of which something was known.
    pub asked: u64,
    /// Keys among them of which the condition is an ERROR, so that they are not in it.
    pub undecided: u64,
    /// Whether all keys (behind the one that was named) were asked.
    pub complete: bool,
    /// Where to go on; none if there is nothing more.
    pub next: Option<Vec<Value>>,
    /// `t`
    pub as_of: EventTime,
    /// `K`
    pub cut: Cut,
    /// What bounded the knowledge besides.
    pub known_at: Option<VisibleAt>,
}

impl SegmentAnswer {
    /// The values of a row: the key, then what is selected.
    pub fn row(&self, row: usize) -> Vec<Value> {
        self.columns.iter().map(|column| column.get(row)).collect()
    }
}

/// A segment by name, or by name and version (`frequently_late@1`).
///
/// # Errors
/// If there is none.
pub fn segment_of(catalog: &Catalog, name: &str) -> Result<Arc<SegmentDef>, EngineError> {
    let (plain, version) = match name.split_once('@') {
        Some((plain, version)) => (plain, Some(version)),
        None => (name, None),
    };
    let segments = &catalog.segments;
    let versions = segments
        .get(plain)
        .ok_or_else(|| unknown("segment", plain, segments.keys()))?;
    let found = match version {
        None => versions.values().next_back(),
        Some(text) => text.parse().ok().and_then(|v: u32| versions.get(&v)),
    };
    found.cloned().ok_or_else(|| EngineError::Unknown {
        what: "segment",
        name: name.to_owned(),
        nearest: versions.keys().next_back().map(|v| format!("{plain}@{v}")),
    })
}

/// A segment that nobody defined, from a query.
///
/// # Errors
/// The mistakes in it.
pub fn segment_query(catalog: &Catalog, query: &str) -> Result<Arc<SegmentDef>, EngineError> {
    let bound = parse_query(query).and_then(|parsed| bind_segment_query(&parsed, catalog));
    bound.map(Arc::new).map_err(|errors| {
        let errors = errors.into_iter();
        EngineError::Definitions(
            errors
                .map(|error| (SEGMENT_QUERY_PLACE.to_owned(), error))
                .collect(),
        )
    })
}

/// Asks every key of the population, or those of a page. `progress` is told how many keys were
/// looked at, and may stop it.
///
/// # Errors
/// If the cut is not applied, the named key is none of the entity's, or something cannot be
/// read; [`EngineError::Stopped`].
pub fn ask_segment(
    online: &impl Online,
    request: &SegmentRequest,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<SegmentAnswer, EngineError> {
    let plan = request.plan.as_ref();
    let (mut candidates, as_of, cut) = online.with(|engine| {
        let cut = match &request.cut {
            None => engine.cut(),
            Some(cut) => {
                engine.refuse_beyond(cut)?;
                cut.clone()
            }
        };
        if let Some(unmet) = engine.unmet_at(&request.positions, &cut) {
            return Err(EngineError::CutLacks(Box::new(unmet)));
        }
        let now = || {
            engine
                .now()
                .max(request.not_before.unwrap_or(EventTime(i64::MIN)))
        };
        let as_of = request.as_of.unwrap_or_else(now);
        Ok::<_, EngineError>((Candidates::of(engine, plan)?, as_of, cut))
    })?;
    candidates.begin_after(request.after.as_deref())?;
    let knowledge = Knowledge {
        cut,
        known_at: request.known_at,
    };
    let step = (READ_VALUES / plan.width().max(1)).max(1);
    let mut rest = Rest::new(request, &knowledge);
    let mut taken = Taken::new(plan, request.limit, request.counts);
    let mut looked_at = 0;
    'all: loop {
        if rest.is_cheaper_at_once(&candidates, &taken)
            && let Some(judged) = rest.judged(online, &candidates, as_of, progress)?
        {
            let behind = candidates.last().filter(|_| request.after.is_some());
            if behind.is_none() {
                // All keys were judged: those that were asked need not be told apart.
                taken = Taken::new(plan, request.limit, request.counts);
            }
            function::taking(|| rest.take(judged, behind, as_of, &mut taken))?;
            break;
        }
        let keys = candidates.next(rest.keys_before_look(candidates.given()).min(KEYS))?;
        if keys.is_empty() {
            break;
        }
        for piece in keys.chunks(step) {
            if taken.has_enough() {
                break 'all;
            }
            if progress(looked_at).is_break() {
                return Err(EngineError::Stopped);
            }
            let answers =
                online.read_with(|engine| engine.read(plan.reads(), piece, as_of, &knowledge))?;
            function::taking(|| taken.take(plan, &Piece::of(plan, piece, &answers), as_of))?;
            looked_at += piece.len() as u64;
        }
    }
    Ok(taken.into_answer(as_of, knowledge))
}

impl Engine {
    /// [`ask_segment`] of this engine.
    ///
    /// # Errors
    /// See there.
    pub fn ask_segment(&self, request: &SegmentRequest) -> Result<SegmentAnswer, EngineError> {
        ask_segment(self, request, &mut |_| ControlFlow::Continue(()))
    }
}

impl Offline {
    /// [`ask_segment`] of all keys at a time, from the log alone: the hot tier, which takes longer to
    /// open than so few events take to be read, stays closed. None where it must be asked.
    ///
    /// # Errors
    /// As there.
    pub fn ask_segment(
        &self,
        request: &SegmentRequest,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<SegmentAnswer>, EngineError> {
        let plan = request.plan.as_ref();
        let is_of_all = request.counts || request.limit == usize::MAX;
        let is_whole = request.after.is_none() && request.positions == Cut::empty();
        let Some(as_of) = request.as_of.filter(|_| is_of_all && is_whole) else {
            return Ok(None);
        };
        let knowledge = Knowledge {
            cut: self.known(request.cut.as_ref())?,
            known_at: request.known_at,
        };
        let rest = Rest::new(request, &knowledge);
        // What only the lake has may be far away, where the hot tier is not.
        let is_gone = |source, partition| {
            let first = Position {
                partition,
                offset: Offset(0),
            };
            self.log().is_truncated_at(source, first)
        };
        let cut = &knowledge.cut;
        if cut
            .iter()
            .any(|(source, partition, _)| is_gone(source, partition))
        {
            return Ok(None);
        }
        let offline = self.of_log_alone();
        let Some(judged) = rest.of_log_alone(&offline, as_of, progress)? else {
            return Ok(None);
        };
        let mut taken = Taken::new(plan, request.limit, request.counts);
        function::taking(|| rest.take(judged, None, as_of, &mut taken))?;
        Ok(Some(taken.into_answer(as_of, knowledge)))
    }
}

/// What was found so far.
struct Taken {
    columns: Vec<Column>,
    rows: usize,
    limit: usize,
    counts: bool,
    matched: u64,
    asked: u64,
    undecided: u64,
    /// The last key of the rows, once there are as many as are wanted; and how many keys were
    /// asked up to it, and undecided.
    last: Option<(Vec<Value>, u64, u64)>,
    /// Whether there is a key behind it.
    is_cut: bool,
}

impl Taken {
    fn new(plan: &SegmentPlan, limit: usize, counts: bool) -> Self {
        Taken {
            columns: plan.types().map(Column::new).collect(),
            rows: 0,
            limit,
            counts,
            matched: 0,
            asked: 0,
            undecided: 0,
            last: None,
            is_cut: false,
        }
    }

    /// One more than wanted was found, so that the answer can say that there are more.
    fn has_enough(&self) -> bool {
        self.is_cut && !self.counts
    }

    fn take(&mut self, plan: &SegmentPlan, piece: &Piece<'_>, at: EventTime) {
        let verdicts = piece.verdicts(plan, at);
        let scope = piece.scope();
        let mut rows: Vec<u32> = Vec::new();
        for ((row, verdict), number) in verdicts.into_iter().enumerate().zip(0u32..) {
            match verdict {
                Verdict::Unknown => continue,
                Verdict::Out => self.asked += 1,
                Verdict::Undecided => {
                    self.asked += 1;
                    self.undecided += 1;
                }
                Verdict::In => {
                    self.asked += 1;
                    if self.rows + rows.len() < self.limit {
                        self.matched += 1;
                        rows.push(number);
                        if self.rows + rows.len() == self.limit {
                            self.last = Some((piece.key(row), self.asked, self.undecided));
                        }
                        continue;
                    }
                    self.is_cut = true;
                    if !self.counts {
                        break;
                    }
                    self.matched += 1;
                }
            }
        }
        self.keep(plan, &scope, &rows, at);
    }

    /// Keeps keys that are in, with what is selected of them: rows of a scope.
    fn keep(&mut self, plan: &SegmentPlan, scope: &[&Column], rows: &[u32], at: EventTime) {
        self.rows += rows.len();
        if rows.is_empty() {
            return;
        }
        let time = ReadTime::Constant(at.0);
        let chosen = |(slot, column): (usize, &&Column)| match plan.keeps(slot) {
            true => column.gather(rows),
            false => column.empty_like(),
        };
        let mut chosen: Vec<Column> = scope.iter().enumerate().map(chosen).collect();
        let computed: Vec<Column> = {
            let scope: Vec<&Column> = chosen.iter().collect();
            let columns = plan.columns().iter();
            columns
                .map(|c| c.eval_batch(&scope, rows.len(), time))
                .collect()
        };
        chosen.truncate(plan.def().key.len());
        let found = chosen.into_iter().chain(computed);
        for (column, more) in self.columns.iter_mut().zip(found) {
            column.append(more);
        }
    }

    fn into_answer(mut self, as_of: EventTime, knowledge: Knowledge) -> SegmentAnswer {
        if self.has_enough()
            && let Some((_, asked, undecided)) = self.last
        {
            // The keys behind it are asked by the next page.
            (self.asked, self.undecided) = (asked, undecided);
        }
        SegmentAnswer {
            columns: self.columns,
            rows: self.rows,
            matched: self.matched,
            asked: self.asked,
            undecided: self.undecided,
            complete: self.counts || !self.is_cut,
            next: self.last.filter(|_| self.is_cut).map(|(key, ..)| key),
            as_of,
            cut: knowledge.cut,
            known_at: knowledge.known_at,
        }
    }
}

/// Keys that were asked: what is known of them.
struct Piece<'a> {
    /// The parts of the keys.
    keys: Vec<Column>,
    /// What is read of the views.
    features: Vec<&'a Column>,
    /// Whether any view knows something of each key.
    known: Vec<bool>,
}

/// A key of parts by column.
fn key_of(parts: &[Column], row: usize) -> Vec<Value> {
    parts.iter().map(|part| part.get(row)).collect()
}

impl<'a> Piece<'a> {
    fn of(plan: &SegmentPlan, keys: &[Vec<Value>], answers: &'a Answers) -> Self {
        let part = |(part, data_type): (usize, &DataType)| {
            Column::from_values(data_type, keys.iter().map(|key| &key[part]))
        };
        let is_known = |row| answers.views().iter().any(|v| v.event_time(row).is_some());
        Piece {
            keys: plan.key_types().enumerate().map(part).collect(),
            features: answers.features().map(|feature| feature.values()).collect(),
            known: (0..keys.len()).map(is_known).collect(),
        }
    }

    /// What condition and columns are over.
    fn scope(&self) -> Vec<&Column> {
        let features = self.features.iter().copied();
        self.keys.iter().chain(features).collect()
    }

    fn key(&self, row: usize) -> Vec<Value> {
        key_of(&self.keys, row)
    }

    fn verdicts(&self, plan: &SegmentPlan, at: EventTime) -> Vec<Verdict> {
        let mut verdicts = plan.verdicts(&self.scope(), self.known.len(), at);
        for (verdict, is_known) in verdicts.iter_mut().zip(&self.known) {
            if !is_known {
                *verdict = Verdict::Unknown;
            }
        }
        verdicts
    }
}
