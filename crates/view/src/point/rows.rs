//! The row of a row view: the last that its trigger brings, its windows and look-ups, and what
//! passes.

use evenkeel_aggregate::EntryView;
use evenkeel_expr::Program;
use evenkeel_types::{Position, Value};

use super::walk::{FoundRow, SideWalk, TriggerWalk};
use super::{Reader, Search};
use crate::plan::{
    CompiledBody, CompiledLookup, CompiledRow, CompiledSide, CompiledTarget, CompiledView,
};

/// What [`Reader::plain_row`] found.
pub(super) enum PlainRow<'a> {
    Nothing,
    TooOld(i64),
    /// The entry, and where in it each feature is.
    Row(EntryView<'a>, &'a [usize]),
}

impl Reader<'_> {
    /// Takes the row of a view that has columns of its trigger's source as they are; none if it
    /// is another view.
    pub(super) fn plain_row<T>(
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

    /// The last row of a row view that its condition and `accept` (over the features) let
    /// pass: its time and its features, evaluated with read time `search.at`.
    pub(super) fn last_row(
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
    pub(super) fn evaluate(
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
        condition: Option<&Program>,
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
