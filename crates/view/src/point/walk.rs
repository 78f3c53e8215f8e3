//! The rows of a key, newest first: of one source, and those that a trigger brings.

use evenkeel_aggregate::{EntryView, Everything, History, Visibility};
use evenkeel_types::Value;
use evenkeel_types::definition::MaxAge;

use super::{Reader, Sight};
use crate::plan::{CompiledLookup, CompiledSide, CompiledTrigger, IndexPlan};

/// A row of a source that was found, as slots of a scope.
pub(super) struct FoundRow {
    pub(super) time: i64,
    pub(super) row: Vec<Value>,
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

    pub(super) fn is_young_enough(&self, time: i64) -> bool {
        self.max_age.is_none_or(|limit| {
            let oldest = limit.age.before(self.at);
            time > oldest || (limit.inclusive && time == oldest)
        })
    }
}

/// One key's events of one source, newest first, as a search sees them.
pub(super) struct SideWalk<'a> {
    side: &'a CompiledSide,
    plan: &'a IndexPlan,
    history: History,
    sight: Sight<'a>,
    search: Search,
    /// Entries before this time were let go by `RETAIN`.
    retained_from: i64,
}

impl<'a> SideWalk<'a> {
    pub(super) fn new(
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
    pub(super) fn entries(&self, until: i64) -> impl Iterator<Item = EntryView<'_>> {
        self.history
            .descending(until, false, &self.sight)
            .take_while(|entry| entry.time() >= self.retained_from)
    }

    /// Whether an entry is a row: not a table's delete, and the side's condition is true.
    pub(super) fn is_row(&self, entry: &EntryView<'_>) -> bool {
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
    pub(super) fn at(&self, until: i64) -> Option<EntryView<'_>> {
        let mut entries = self.entries(until);
        if self.side.is_table {
            return entries.next().filter(|entry| self.is_row(entry));
        }
        entries.find(|entry| self.is_row(entry))
    }

    /// The newest of all entries, whether the search may see it or not.
    pub(super) fn newest(&self) -> Option<EntryView<'_>> {
        self.history.descending(i64::MAX, false, &Everything).next()
    }

    /// Whether an entry is seen, and is as long as it stays as it is: what makes it another is
    /// applied to its key.
    pub(super) fn is_settled(&self, entry: &EntryView<'_>) -> bool {
        !entry.contested() && self.sight.sees(entry)
    }

    /// The row that matches a look-up.
    pub(super) fn state_entry(&self) -> Option<EntryView<'_>> {
        self.at(self.search.until)
            .filter(|entry| self.search.is_young_enough(entry.time()))
    }

    /// The entry as a source row: NULL in slots that nobody reads.
    pub(super) fn widen(&self, entry: &EntryView<'_>) -> Vec<Value> {
        let mut row = vec![Value::Null; self.side.width];
        for (column, &slot) in self.plan.slots().iter().enumerate() {
            row[slot] = entry.value(column);
        }
        row
    }

    /// The time of the newest event up to `until` that is a row time of a full join: of a
    /// table every version counts.
    pub(super) fn row_time(&self, until: i64) -> Option<i64> {
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
pub(super) struct TriggerWalk<'a> {
    sides: Vec<(Option<SideWalk<'a>>, usize)>,
    /// Only rows with time `<= until` are left,
    until: i64,
    /// and of a single stream's rows up to it the newest so many were given.
    given: usize,
    finished: bool,
}

impl<'a> TriggerWalk<'a> {
    pub(super) fn new(
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

    pub(super) fn next(&mut self) -> Option<FoundRow> {
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
