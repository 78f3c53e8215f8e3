//! Pushed views: features that are computed elsewhere, whose rows are set
//! (`docs/decisions/0036-pushed-views.md`).
//!
//! Owns what a change of some features makes of the row. Invariant: all features of a row change
//! together; those that a change does not name are as they were at its time.

use std::sync::Arc;

use evenkeel_ddl::{PUSHED_AT, PUSHED_OPERATION, pushed_table};
use evenkeel_types::definition::{Catalog, OptionValue, SourceDef, ViewDef};
use evenkeel_types::{EventTime, Field, Knowledge, Status, Value};

use crate::answers::Answers;
use crate::definitions::{feature_list_of, unknown};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::serving::ReadPlan;

/// Columns of the table that are neither of the key nor features: operation and time.
const OWN_COLUMNS: usize = 2;

/// A pushed view.
#[derive(Clone, Debug)]
pub struct PushedView {
    /// The view over what was set.
    pub view: Arc<ViewDef>,
    /// The table of what was set: key, operation, time, features.
    pub table: Arc<SourceDef>,
}

/// A change of a row.
#[derive(Clone, Debug)]
pub struct RowChange {
    view: PushedView,
    key: Vec<Value>,
    at: Option<EventTime>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Features by their number in the view.
    Set(Vec<(usize, Value)>),
    Delete,
}

impl PushedView {
    /// The pushed view of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(catalog: &Catalog, name: &str) -> Result<Self, EngineError> {
        let all: Vec<PushedView> = catalog
            .views
            .values()
            .filter_map(|versions| versions.values().next_back())
            .filter_map(|view| PushedView::over(catalog, view))
            .collect();
        let names: Vec<String> = all.iter().map(|p| p.view.name.clone()).collect();
        let mut found = all.into_iter().filter(|pushed| pushed.view.name == name);
        found
            .next()
            .ok_or_else(|| unknown("pushed view", name, &names))
    }

    /// The view, if it is one whose rows are set.
    fn over(catalog: &Catalog, view: &Arc<ViewDef>) -> Option<Self> {
        let table = catalog.sources.get(&pushed_table(&view.name))?;
        let keys = table.primary_key.len();
        let operation = table.options.get("operation");
        let is_ours = matches!(operation, Some(OptionValue::Text(name)) if name == PUSHED_OPERATION)
            && table.columns.get(table.event_time)?.name == PUSHED_AT
            && table.primary_key.iter().copied().eq(0..keys);
        // The view may be another one by now, beside the table of before.
        let features = view.features.iter().map(|feature| &feature.name);
        let columns = table.columns.get(keys + OWN_COLUMNS..table.stored)?;
        let is_whole = features.eq(columns.iter().map(|column| &column.name));
        (is_ours && is_whole).then(|| PushedView {
            view: Arc::clone(view),
            table: Arc::clone(table),
        })
    }

    /// The columns of the key.
    pub fn key_fields(&self) -> Vec<Field> {
        self.fields(0..self.table.primary_key.len())
    }

    /// The features.
    pub fn feature_fields(&self) -> Vec<Field> {
        self.fields(self.table.primary_key.len() + OWN_COLUMNS..self.table.stored)
    }

    fn fields(&self, slots: std::ops::Range<usize>) -> Vec<Field> {
        let stored = self.table.stored_fields();
        stored.get(slots).unwrap_or_default().to_vec()
    }

    /// Sets features of a row by their numbers, from a time on; none: now.
    pub fn set(
        self,
        key: Vec<Value>,
        features: Vec<(usize, Value)>,
        at: Option<EventTime>,
    ) -> RowChange {
        RowChange {
            view: self,
            key,
            at,
            what: What::Set(features),
        }
    }

    /// Ends a row at a time; none: now.
    pub fn delete(self, key: Vec<Value>, at: Option<EventTime>) -> RowChange {
        RowChange {
            view: self,
            key,
            at,
            what: What::Delete,
        }
    }
}

impl RowChange {
    /// The table that it is logged in.
    pub fn table(&self) -> &Arc<SourceDef> {
        &self.view.table
    }
}

impl Engine {
    /// The row that a change makes, in the table's stored columns, by everything that is applied.
    ///
    /// # Errors
    /// If the row as it was cannot be read.
    pub(crate) fn changed_row(&self, change: &RowChange) -> Result<Vec<Value>, EngineError> {
        let at = change.at.unwrap_or(EventTime(self.timeline().0));
        let (word, features) = match &change.what {
            What::Delete => ("delete", vec![Value::Null; change.view.view.features.len()]),
            What::Set(set) => {
                let mut features = self.features_of(change, at)?;
                for (number, value) in set {
                    if let Some(feature) = features.get_mut(*number) {
                        *feature = value.clone();
                    }
                }
                ("upsert", features)
            }
        };
        let mut row = change.key.clone();
        row.push(Value::string(word));
        row.push(Value::Timestamp(at.0));
        row.extend(features);
        Ok(row)
    }

    /// The features of the row at a time; NULLs if there is none.
    fn features_of(&self, change: &RowChange, at: EventTime) -> Result<Vec<Value>, EngineError> {
        let view = &change.view.view;
        let all = format!("{}@{}:*", view.name, view.version);
        let plan = ReadPlan::new(feature_list_of(self.catalog(), &[all])?);
        let knowledge = Knowledge {
            cut: self.cut(),
            known_at: None,
        };
        let rows = std::slice::from_ref(&change.key);
        let read: Answers = self.read(&plan, rows, at, &knowledge)?;
        let values = read.to_rows().into_iter().flatten();
        Ok(values
            .map(|answer| match answer.status {
                Status::Present => answer.value,
                _ => Value::Null,
            })
            .collect())
    }
}
