//! One view for one key at one time: the read path.
//!
//! Reads blocks and summary nodes through [`Store`]; never the log.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use evenkeel_aggregate::history::BlockSource;
use evenkeel_aggregate::{Bounds, EntryView, Everything, History, Visibility};
use evenkeel_types::definition::MaxAge;
use evenkeel_types::{Knowledge, Position, SourceCut, SourceId, Value, VisibleAt};

use crate::columns::ViewColumns;
use crate::live::LiveSight;
use crate::plan::{
    CompiledBody, CompiledLookup, CompiledRow, CompiledSide, CompiledTarget, CompiledTrigger,
    CompiledView, CompiledWindows, IndexId, IndexPlan, Plan,
};
use crate::row::{Found, ViewRow};
use crate::source::encode_key;

/// Why a store could not be read: in words, and what caused it, if that is known.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{words}")]
pub struct ReadError {
    /// In words.
    pub words: String,
    /// Its cause.
    #[source]
    pub cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The read seam: what a store must answer. A store is built for one [`Plan`].
pub trait Store {
    /// The plan.
    fn plan(&self) -> &Plan;

    /// The events of a key in an index; none if it has none. They may be read from a disk as
    /// the history is used.
    fn history(&self, index: IndexId, key: &[u8]) -> Result<Option<History>, ReadError>;

    /// These keys are going to be asked for, in this order: what is in memory of them can be
    /// brought closer together. Nothing depends on it.
    fn expect(&self, _index: IndexId, _keys: Vec<Vec<u8>>) {}

    /// Whether a contested entry, itself known, holds given what is known
    /// (`docs/decisions/0001-versions-of-an-identity.md`).
    fn holds(
        &self,
        source: SourceId,
        entry: u64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Result<bool, ReadError>;
}

/// Reads at one knowledge.
pub struct Reader<'a> {
    store: &'a dyn Store,
    /// The cut of each index's source.
    cuts: Vec<SourceCut>,
    known_at: Option<VisibleAt>,
    trouble: RefCell<Trouble>,
}

/// What may make an answer worthless: asked after it was computed.
#[derive(Default)]
struct Trouble {
    failure: Option<ReadError>,
    /// Sources of the blocks that were used.
    sources: Vec<Arc<dyn BlockSource>>,
}

/// Which entries of one source a read sees.
pub(crate) struct Sight<'a> {
    store: &'a dyn Store,
    trouble: &'a RefCell<Trouble>,
    source: SourceId,
    cut: &'a SourceCut,
    known_at: Option<VisibleAt>,
}

impl Visibility for Sight<'_> {
    fn sees(&self, entry: &EntryView<'_>) -> bool {
        self.cut.contains(entry.position())
            && self.known_at.is_none_or(|k| entry.visible_at() <= k.0)
            && (!entry.contested() || self.holds(entry.id()))
    }

    fn sees_all(&self, bounds: &Bounds) -> bool {
        !bounds.contested
            && self.known_at.is_none_or(|k| bounds.last_visible_at <= k.0)
            && bounds
                .offsets
                .iter()
                .all(|span| span.last < self.cut.end(span.partition))
    }

    fn sees_none(&self, bounds: &Bounds) -> bool {
        self.known_at.is_some_and(|k| bounds.first_visible_at > k.0)
            || bounds
                .offsets
                .iter()
                .all(|span| span.first >= self.cut.end(span.partition))
    }
}

impl Sight<'_> {
    fn holds(&self, entry: u64) -> bool {
        self.store
            .holds(self.source, entry, self.cut, self.known_at)
            .unwrap_or_else(|error| {
                self.trouble.borrow_mut().failure.get_or_insert(error);
                false
            })
    }
}

/// What [`Reader::plain_row`] found.
enum PlainRow<'a> {
    Nothing,
    TooOld(i64),
    /// The entry, and where in it each feature is.
    Row(EntryView<'a>, &'a [usize]),
}

/// A row of a source that was found, as slots of a scope.
struct FoundRow {
    time: i64,
    row: Vec<Value>,
}

/// The bounds of a search for a row.
#[derive(Clone, Copy)]
pub(crate) struct Search {
    /// Only rows with time `<= until`.
    pub(crate) until: i64,
    /// The time for which `RETAIN` and ages are judged.
    pub(crate) at: i64,
    pub(crate) max_age: Option<MaxAge>,
}

impl Search {
    /// That of a look-up for a trigger at `at`.
    pub(crate) fn of_lookup(lookup: &CompiledLookup, at: i64) -> Self {
        Search {
            until: if lookup.strict { at - 1 } else { at },
            at,
            max_age: lookup.max_age,
        }
    }

    fn is_young_enough(&self, time: i64) -> bool {
        self.max_age.is_none_or(|limit| {
            let oldest = limit.age.before(self.at);
            time > oldest || (limit.inclusive && time == oldest)
        })
    }
}

impl<'a> Reader<'a> {
    /// A reader that knows this.
    pub fn new(store: &'a dyn Store, knowledge: &Knowledge) -> Self {
        let cuts = store
            .plan()
            .indexes()
            .iter()
            .map(|index| knowledge.cut.of_source(index.source().id))
            .collect();
        Reader {
            store,
            cuts,
            known_at: knowledge.known_at,
            trouble: RefCell::default(),
        }
    }

    /// Reads a view: `key` in the order of the entity's key columns, `request` in the order of
    /// a composed view's request columns.
    ///
    /// # Errors
    /// If what the answer needs cannot be read.
    pub fn read(
        &self,
        view: &CompiledView,
        key: &[Value],
        t: i64,
        request: &[Value],
    ) -> Result<ViewRow, ReadError> {
        let row = self.row(view, key, t, request);
        self.trouble()?;
        Ok(row)
    }

    /// The row that an event brings to a view of a derived stream: evaluated at the event's time,
    /// from its source row. None if it is left out.
    ///
    /// # Errors
    /// If what the row needs cannot be read.
    pub fn brought(
        &self,
        view: &CompiledView,
        event: &[Value],
        time: i64,
    ) -> Result<Option<Vec<Value>>, ReadError> {
        let CompiledBody::Row(body) = &view.body else {
            return Ok(None);
        };
        let CompiledTrigger::Brought { condition } = &body.trigger else {
            return Ok(None);
        };
        let passes = condition
            .as_ref()
            .is_none_or(|c| c.eval_row(event, time) == Value::Boolean(true));
        let mut scope = event.to_vec();
        let row = passes
            .then(|| self.evaluate(body, time, time, &mut scope))
            .flatten();
        self.trouble()?;
        Ok(row)
    }

    /// The places of the events of a key in an index that hold, from a time on.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn places_from(
        &self,
        index: IndexId,
        key: &[Value],
        from: i64,
    ) -> Result<Vec<Position>, ReadError> {
        let sight = self.sight(index);
        let history = self.history(index, key);
        let places = history.iter().flat_map(|history| {
            history
                .descending(i64::MAX, false, &sight)
                .take_while(|entry| entry.time() >= from)
                .map(|entry| entry.position())
                .collect::<Vec<_>>()
        });
        let places = places.collect();
        self.trouble()?;
        Ok(places)
    }

    /// The places of about so many of the last events of a key in an index that hold, of some times; and
    /// the time before which there may be more.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn last_places(
        &self,
        index: IndexId,
        key: &[Value],
        times: Range<i64>,
        most: usize,
    ) -> Result<(Vec<Position>, Option<i64>), ReadError> {
        let sight = self.sight(index);
        let history = self.history(index, key);
        let (mut places, mut last, mut rest) = (Vec::new(), None, None);
        if let Some(history) = &history {
            for entry in history.descending(times.end, true, &sight) {
                let time = entry.time();
                if time < times.start {
                    break;
                }
                // Those of one time are together.
                if places.len() >= most && last != Some(time) {
                    rest = last;
                    break;
                }
                places.push(entry.position());
                last = Some(time);
            }
        }
        self.trouble()?;
        Ok((places, rest))
    }

    /// The greatest time of the events of a key in an index that hold; none if there are none.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn greatest_time(&self, index: IndexId, key: &[Value]) -> Result<Option<i64>, ReadError> {
        let sight = self.sight(index);
        let history = self.history(index, key);
        let greatest = history.as_ref().and_then(|history| {
            let mut entries = history.descending(i64::MAX, false, &sight);
            entries.next().map(|entry| entry.time())
        });
        self.trouble()?;
        Ok(greatest)
    }

    /// Rows of a view are going to be read of these keys, in this order.
    pub fn expect<'k>(&self, view: &CompiledView, keys: impl Iterator<Item = &'k [Value]>) {
        let index = match &view.body {
            CompiledBody::Window { windows, .. } => windows.index,
            CompiledBody::Row(body) => match &body.trigger {
                CompiledTrigger::Source(side) => side.index,
                CompiledTrigger::Full { left, .. } => left.index,
                CompiledTrigger::Brought { .. } => return,
            },
            CompiledBody::Composed { .. } => return,
        };
        self.store
            .expect(index, keys.filter_map(encode_key).collect());
    }

    /// [`Reader::read`], appended to the rows that were read before; nothing is if it fails.
    ///
    /// # Errors
    /// If what the answer needs cannot be read.
    pub fn read_into(
        &self,
        view: &CompiledView,
        key: &[Value],
        t: i64,
        request: &[Value],
        columns: &mut ViewColumns,
    ) -> Result<(), ReadError> {
        let before = columns.len();
        let pushed = match &view.body {
            CompiledBody::Row(body) => self.plain_row(body, key, t, |row| match row {
                PlainRow::Nothing => columns.push_missing(Found::Nothing, None),
                PlainRow::TooOld(time) => columns.push_missing(Found::TooOld, Some(time)),
                PlainRow::Row(entry, places) => {
                    columns.push_found(entry.time(), |feature| entry.value(places[feature]));
                }
            }),
            _ => None,
        };
        if pushed.is_none() {
            columns.push(&self.row(view, key, t, request));
        }
        self.trouble().inspect_err(|_| columns.truncate(before))
    }

    /// Takes the row of a view that has columns of its trigger's source as they are; none if it
    /// is another view.
    fn plain_row<T>(
        &self,
        body: &CompiledRow,
        key: &[Value],
        t: i64,
        take: impl FnOnce(PlainRow<'_>) -> T,
    ) -> Option<T> {
        let (side, places) = body.as_plain()?;
        let search = Search {
            until: t,
            at: t,
            max_age: None,
        };
        let walk = SideWalk::new(self, side, key, search);
        let entry = walk.as_ref().and_then(|walk| walk.at(t));
        Some(take(match entry {
            None => PlainRow::Nothing,
            Some(entry) if body.ttl.is_some_and(|ttl| entry.time() <= ttl.before(t)) => {
                PlainRow::TooOld(entry.time())
            }
            Some(entry) => PlainRow::Row(entry, places),
        }))
    }

    /// Whether all that was used since the last call could be read.
    pub(crate) fn trouble(&self) -> Result<(), ReadError> {
        let Trouble { failure, sources } = self.trouble.take();
        let of_blocks = || sources.iter().find_map(|s| s.failure());
        match failure {
            Some(error) => Err(error),
            None => of_blocks().map_or(Ok(()), |words| {
                Err(ReadError {
                    words: words.to_owned(),
                    cause: None,
                })
            }),
        }
    }

    /// [`Reader::read`], before it is known whether everything could be read.
    fn row(&self, view: &CompiledView, key: &[Value], t: i64, request: &[Value]) -> ViewRow {
        match &view.body {
            CompiledBody::Window { windows, columns } => {
                let mut scope = key.to_vec();
                let history = self.history(windows.index, key);
                let changed = self.windows_of(windows, history.as_ref(), key, t, &mut scope);
                let values = columns.iter().map(|p| p.eval_row(&scope, t)).collect();
                let latest = || self.latest(windows, history.as_ref()?, t);
                ViewRow {
                    event_time: latest().max(changed),
                    ..ViewRow::found(values)
                }
            }
            CompiledBody::Composed { inputs, columns } => {
                let mut scope = key.to_vec();
                scope.extend_from_slice(request);
                let mut latest = None;
                for input in inputs {
                    let row = self.row(input, key, t, &[]);
                    latest = latest.max(row.event_time);
                    scope.extend(row.values);
                }
                let values = columns.iter().map(|p| p.eval_row(&scope, t)).collect();
                ViewRow {
                    event_time: latest,
                    ..ViewRow::found(values)
                }
            }
            CompiledBody::Row(body) => {
                let width = view.def.features.len();
                let plain = self.plain_row(body, key, t, |row| match row {
                    PlainRow::Nothing => ViewRow::not_found(width),
                    PlainRow::TooOld(time) => ViewRow::outside_max_age(width, time),
                    PlainRow::Row(entry, places) => {
                        let values = places.iter().map(|&place| entry.value(place));
                        ViewRow::found_at(values.collect(), entry.time())
                    }
                });
                if let Some(row) = plain {
                    return row;
                }
                let search = Search {
                    until: t,
                    at: t,
                    max_age: None,
                };
                match self.last_row(body, key, search, &mut |_| true) {
                    None => ViewRow::not_found(width),
                    Some(found) if body.ttl.is_some_and(|ttl| found.time <= ttl.before(t)) => {
                        ViewRow::outside_max_age(width, found.time)
                    }
                    Some(found) => ViewRow::found_at(found.row, found.time),
                }
            }
        }
    }

    pub(crate) fn sight(&self, index: IndexId) -> Sight<'_> {
        Sight {
            store: self.store,
            trouble: &self.trouble,
            source: self.index(index).source().id,
            cut: &self.cuts[index.0],
            known_at: self.known_at,
        }
    }

    pub(crate) fn index(&self, index: IndexId) -> &IndexPlan {
        &self.store.plan().indexes()[index.0]
    }

    pub(crate) fn history(&self, index: IndexId, key: &[Value]) -> Option<History> {
        match self.store.history(index, &encode_key(key)?) {
            Ok(history) => {
                let source = history.as_ref().and_then(History::source);
                let mut trouble = self.trouble.borrow_mut();
                trouble.sources.extend(source.map(Arc::clone));
                history
            }
            Err(error) => {
                self.trouble.borrow_mut().failure.get_or_insert(error);
                None
            }
        }
    }

    /// Appends the aggregates of one key's windows that end at `t` to a scope.
    pub(crate) fn windows(
        &self,
        windows: &CompiledWindows,
        key: &[Value],
        t: i64,
        scope: &mut Vec<Value>,
    ) {
        let history = self.history(windows.index, key);
        self.windows_of(windows, history.as_ref(), key, t, scope);
    }

    /// [`Reader::windows`] of a key's events. Of rows that live and of changes it answers the
    /// time of the latest change.
    fn windows_of(
        &self,
        windows: &CompiledWindows,
        history: Option<&History>,
        key: &[Value],
        t: i64,
        scope: &mut Vec<Value>,
    ) -> Option<i64> {
        let start = scope.len();
        scope.resize(start + windows.width, Value::Null);
        let plan = self.index(windows.index);
        let sight = self.sight(windows.index);
        let nothing;
        let history = match history {
            Some(history) => history,
            None => {
                nothing = History::new(plan.types().into());
                &nothing
            }
        };
        for (frame, specs, slots) in &windows.frames {
            let values = history.fold(plan.aggregates(), specs, frame, plan.retain(), t, &sight);
            for (slot, value) in slots.iter().zip(values) {
                scope[start + slot] = value;
            }
        }
        if let Some(changes) = &windows.changes {
            let found = self.changes(changes, windows.index, history, key, t);
            for (frame, specs, slots) in &changes.frames {
                let aggregates = &changes.aggregates;
                let values = found.fold(aggregates, specs, frame, plan.retain(), t, &Everything);
                for (slot, value) in slots.iter().zip(values) {
                    scope[start + slot] = value;
                }
            }
            return found.bounds().map(|bounds| bounds.last_time);
        }
        let live = windows.live.as_ref()?;
        let rows = LiveSight::new(self, live, windows.index, history, t);
        for (slot, value) in live.slots.iter().zip(rows.fold(history)) {
            scope[start + slot] = value;
        }
        rows.latest_change()
    }

    /// The time of a key's latest event up to `t`.
    fn latest(&self, windows: &CompiledWindows, history: &History, t: i64) -> Option<i64> {
        let sight = self.sight(windows.index);
        history
            .descending(t, false, &sight)
            .next()
            .map(|entry| entry.time())
    }

    /// The last row of a row view that its condition and `accept` (over the features) let
    /// pass: its time and its features, evaluated with read time `search.at`.
    fn last_row(
        &self,
        body: &CompiledRow,
        key: &[Value],
        search: Search,
        accept: &mut dyn FnMut(&[Value]) -> bool,
    ) -> Option<FoundRow> {
        self.last_row_scoped(body, key, search, accept, &mut Vec::new())
    }

    /// [`Reader::last_row`], with the row's scope.
    fn last_row_scoped(
        &self,
        body: &CompiledRow,
        key: &[Value],
        search: Search,
        accept: &mut dyn FnMut(&[Value]) -> bool,
        scope_out: &mut Vec<Value>,
    ) -> Option<FoundRow> {
        // The rows that the trigger brings, newest first.
        let mut walk = TriggerWalk::new(self, &body.trigger, key, search);
        while let Some(FoundRow {
            time,
            row: mut scope,
        }) = walk.next()
        {
            let Some(features) = self.evaluate(body, time, search.at, &mut scope) else {
                continue;
            };
            if accept(&features) {
                *scope_out = scope;
                return Some(FoundRow {
                    time,
                    row: features,
                });
            }
        }
        None
    }

    /// The features of the row that a trigger brings at a time, read at `at`; none if it is left
    /// out. The scope has the trigger, and then everything else.
    fn evaluate(
        &self,
        body: &CompiledRow,
        time: i64,
        at: i64,
        scope: &mut Vec<Value>,
    ) -> Option<Vec<Value>> {
        for windows in &body.windows {
            let key: Vec<Value> = windows
                .key_slots
                .iter()
                .map(|&slot| scope[slot].clone())
                .collect();
            self.windows(windows, &key, time, scope);
        }
        for lookup in &body.lookups {
            self.look_up(lookup, time, scope);
        }
        let passes = body
            .condition
            .as_ref()
            .is_none_or(|c| c.eval_row(scope, at) == Value::Boolean(true));
        passes.then(|| body.columns.iter().map(|p| p.eval_row(scope, at)).collect())
    }

    /// The time and the row scope, look-ups included, of the row that [`Reader::last_row`]
    /// answers with.
    pub(crate) fn explain_row(
        &self,
        body: &CompiledRow,
        key: &[Value],
        search: Search,
    ) -> Option<(i64, Vec<Value>)> {
        let mut scopes = Vec::new();
        let found = self.last_row_scoped(body, key, search, &mut |_| true, &mut scopes)?;
        Some((found.time, scopes))
    }

    /// Appends the columns of a look-up for a trigger at `at` to its scope.
    pub(crate) fn look_up(&self, lookup: &CompiledLookup, at: i64, scope: &mut Vec<Value>) {
        let key: Vec<Value> = lookup.keys.iter().map(|p| p.eval_row(scope, at)).collect();
        let found = if key.iter().any(Value::is_missing) {
            None
        } else {
            let search = Search::of_lookup(lookup, at);
            match &lookup.target {
                CompiledTarget::Source(side) => {
                    self.state_of(side, &key, search).map(|(_, _, row)| row)
                }
                CompiledTarget::View { view, condition } => {
                    self.look_up_view(view, condition.as_ref(), &key, search)
                }
            }
        };
        match found {
            Some(row) => scope.extend(row),
            None => scope.resize(scope.len() + lookup.width, Value::Null),
        }
    }

    /// The row of a source that a look-up finds: its time, its place in the log, its columns.
    pub(crate) fn state_of(
        &self,
        side: &CompiledSide,
        key: &[Value],
        search: Search,
    ) -> Option<(i64, Position, Vec<Value>)> {
        let walk = SideWalk::new(self, side, key, search)?;
        let entry = walk.state_entry()?;
        Some((entry.time(), entry.position(), walk.widen(&entry)))
    }

    fn look_up_view(
        &self,
        view: &CompiledView,
        condition: Option<&evenkeel_expr::Program>,
        key: &[Value],
        search: Search,
    ) -> Option<Vec<Value>> {
        let passes = |features: &[Value]| {
            condition.is_none_or(|c| c.eval_row(features, search.at) == Value::Boolean(true))
        };
        if let CompiledBody::Row(body) = &view.body {
            let found = self.last_row(body, key, search, &mut |features| passes(features))?;
            let is_alive = body
                .ttl
                .is_none_or(|ttl| found.time > ttl.before(search.at));
            return (is_alive && search.is_young_enough(found.time)).then_some(found.row);
        }
        let row = self.row(view, key, search.at, &[]);
        passes(&row.values).then_some(row.values)
    }
}

/// One key's events of one source, newest first, as a search sees them.
struct SideWalk<'a> {
    side: &'a CompiledSide,
    plan: &'a IndexPlan,
    history: History,
    sight: Sight<'a>,
    search: Search,
    /// Entries before this time were let go by `RETAIN`.
    retained_from: i64,
}

impl<'a> SideWalk<'a> {
    fn new(
        reader: &'a Reader<'_>,
        side: &'a CompiledSide,
        key: &[Value],
        search: Search,
    ) -> Option<Self> {
        let history = reader.history(side.index, key)?;
        let plan = reader.index(side.index);
        let sight = reader.sight(side.index);
        let retained_from = match plan.retain() {
            None => i64::MIN,
            Some(gap) => retained_from(&history, &sight, search.at, gap),
        };
        Some(SideWalk {
            side,
            plan,
            history,
            sight,
            search,
            retained_from,
        })
    }

    /// The entries that the search may see with time `<= until`, newest first.
    fn entries(&self, until: i64) -> impl Iterator<Item = EntryView<'_>> {
        self.history
            .descending(until, false, &self.sight)
            .take_while(|entry| entry.time() >= self.retained_from)
    }

    /// Whether an entry is a row: not a table's delete, and the side's condition is true.
    fn is_row(&self, entry: &EntryView<'_>) -> bool {
        let live = self
            .plan
            .live_column()
            .is_none_or(|column| entry.value(column) == Value::Boolean(true));
        live && self
            .side
            .condition
            .as_ref()
            .is_none_or(|c| c.0.eval_row(&entry.row(), self.search.at) == Value::Boolean(true))
    }

    /// The row that holds at `until`: of a table its state, of a stream the newest event that
    /// passes the condition.
    fn at(&self, until: i64) -> Option<EntryView<'_>> {
        let mut entries = self.entries(until);
        if self.side.is_table {
            return entries.next().filter(|entry| self.is_row(entry));
        }
        entries.find(|entry| self.is_row(entry))
    }

    /// The row that matches a look-up.
    fn state_entry(&self) -> Option<EntryView<'_>> {
        self.at(self.search.until)
            .filter(|entry| self.search.is_young_enough(entry.time()))
    }

    /// The entry as a source row: NULL in slots that nobody reads.
    fn widen(&self, entry: &EntryView<'_>) -> Vec<Value> {
        let mut row = vec![Value::Null; self.side.width];
        for (column, &slot) in self.plan.slots().iter().enumerate() {
            row[slot] = entry.value(column);
        }
        row
    }

    /// The time of the newest event up to `until` that is a row time of a full join: of a
    /// table every version counts.
    fn row_time(&self, until: i64) -> Option<i64> {
        self.entries(until)
            .find(|entry| self.side.is_table || self.is_row(entry))
            .map(|entry| entry.time())
    }
}

/// The earliest time from which on no gap up to `at` is longer than `gap`.
pub(crate) fn retained_from(history: &History, sight: &Sight<'_>, at: i64, gap: i64) -> i64 {
    let mut from = at;
    for entry in history.descending(at, false, sight) {
        if from - entry.time() > gap {
            return from;
        }
        from = entry.time();
    }
    i64::MIN
}

/// The rows that a trigger brings for a key, newest first.
struct TriggerWalk<'a> {
    sides: Vec<(Option<SideWalk<'a>>, usize)>,
    /// Only rows with time `<= until` are left,
    until: i64,
    /// and of a single stream's rows up to it the newest so many were given.
    given: usize,
    finished: bool,
}

impl<'a> TriggerWalk<'a> {
    fn new(
        reader: &'a Reader<'_>,
        trigger: &'a CompiledTrigger,
        key: &[Value],
        search: Search,
    ) -> Self {
        let side = |side: &'a CompiledSide| (SideWalk::new(reader, side, key, search), side.width);
        let sides = match trigger {
            CompiledTrigger::Source(only) => vec![side(only)],
            CompiledTrigger::Full { left, right } => vec![side(left), side(right)],
            CompiledTrigger::Brought { .. } => vec![(None, 0)],
        };
        TriggerWalk {
            sides,
            until: search.until,
            given: 0,
            finished: false,
        }
    }

    fn next(&mut self) -> Option<FoundRow> {
        if self.finished {
            return None;
        }
        match self.sides.as_slice() {
            [(only, _)] => {
                let walk = only.as_ref()?;
                if walk.side.is_table {
                    self.finished = true;
                    let entry = walk.at(self.until)?;
                    return Some(FoundRow {
                        time: entry.time(),
                        row: walk.widen(&entry),
                    });
                }
                // Rows of one time follow each other; skip those that were given.
                let entry = walk
                    .entries(self.until)
                    .filter(|entry| walk.is_row(entry))
                    .nth(self.given)?;
                if entry.time() < self.until {
                    self.until = entry.time();
                    self.given = 0;
                }
                self.given += 1;
                Some(FoundRow {
                    time: entry.time(),
                    row: walk.widen(&entry),
                })
            }
            sides => {
                let time = sides
                    .iter()
                    .filter_map(|(walk, _)| walk.as_ref()?.row_time(self.until))
                    .max()?;
                let mut row = Vec::new();
                for (walk, width) in sides {
                    match walk.as_ref().and_then(|w| Some((w, w.at(time)?))) {
                        Some((walk, entry)) => row.extend(walk.widen(&entry)),
                        None => row.resize(row.len() + width, Value::Null),
                    }
                }
                self.until = time - 1;
                Some(FoundRow { time, row })
            }
        }
    }
}
