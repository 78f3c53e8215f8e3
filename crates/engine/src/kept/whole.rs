//! Answers of which every row is kept, as the words that they are kept as: who writes them row by row needs no
//! columns in between.

use std::sync::Arc;

use evenkeel_types::{EventTime, Status, Value};
use evenkeel_view::{Found, LastingRow, LastingView, ViewColumns};

use super::{KeptPlan, Keys};
use crate::answers::Answers;
use crate::engine::Engine;
use crate::serving::ReadPlan;

/// See the module.
#[derive(Clone, Debug)]
pub struct KeptAnswers {
    plan: Arc<KeptPlan>,
    rows: usize,
    as_of: EventTime,
    /// By group of the plan: words and values, row by row.
    groups: Vec<(Vec<u64>, Vec<Value>)>,
}

/// A row of a view of a service, however it stands in memory.
pub trait RowOfView {
    /// How many features there are.
    fn width(&self) -> usize;

    /// The status of a feature.
    fn status(&self, feature: usize) -> Status;

    /// The value of a feature; NULL unless its status is PRESENT.
    fn value(&self, feature: usize) -> Value;

    /// The time of the row.
    fn event_time(&self) -> Option<i64>;
}

/// A row in columns, by its number.
impl RowOfView for (&ViewColumns, usize) {
    fn width(&self) -> usize {
        self.0.width()
    }

    fn status(&self, feature: usize) -> Status {
        self.0.status(self.1, feature)
    }

    fn value(&self, feature: usize) -> Value {
        self.0.value(self.1, feature)
    }

    fn event_time(&self) -> Option<i64> {
        self.0.event_time(self.1)
    }
}

/// A row of a view that is kept.
#[derive(Clone, Copy, Debug)]
pub struct KeptViewRow<'a> {
    view: &'a LastingView,
    row: LastingRow<'a>,
    found: Found,
    event_time: Option<i64>,
}

impl RowOfView for KeptViewRow<'_> {
    fn width(&self) -> usize {
        self.view.width()
    }

    fn status(&self, feature: usize) -> Status {
        self.view.status(&self.row, self.found, feature)
    }

    fn value(&self, feature: usize) -> Value {
        match self.status(feature) {
            Status::Present => self.view.value(&self.row, feature),
            _ => Value::Null,
        }
    }

    fn event_time(&self) -> Option<i64> {
        self.event_time
    }
}

impl KeptAnswers {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// A row, by view of the service.
    pub fn row(&self, number: usize) -> Vec<KeptViewRow<'_>> {
        let view = |&(group, view): &(usize, usize)| {
            let row = self.words(group, number);
            let view = &self.plan.groups[group].format.views()[view];
            let (found, event_time) = view.found(&row, self.as_of.0);
            KeptViewRow {
                view,
                row,
                found,
                event_time,
            }
        };
        self.plan.order.iter().map(view).collect()
    }

    /// The same by column.
    pub fn to_answers(&self, plan: &ReadPlan) -> Answers {
        let mut answers = Answers::new(plan);
        for (number, group) in self.plan.groups.iter().enumerate() {
            let rows: Vec<_> = (0..self.rows).map(|row| self.words(number, row)).collect();
            group.append(&rows, self.as_of, &mut answers);
        }
        answers.add_rows(self.rows);
        answers
    }

    fn words(&self, group: usize, row: usize) -> LastingRow<'_> {
        let (words, values) = &self.groups[group];
        let shape = &self.plan.groups[group].shape;
        LastingRow {
            words: &words[row * shape.words..][..shape.words],
            values: &values[row * shape.values..][..shape.values],
        }
    }
}

impl Engine {
    /// Reads rows by what is applied at this moment, if all of them are kept: what [`Engine::read`] answers at the
    /// cut [`Engine::cut`].
    pub fn read_whole(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
    ) -> Option<KeptAnswers> {
        let kept = plan.kept().get(plan, self.hot().shared_plan());
        if !kept.is_whole {
            return None;
        }
        let reads = self.hot().blocks().kept_rows();
        let mut groups = Vec::with_capacity(kept.groups.len());
        for group in &kept.groups {
            let keys = Keys::of(rows, &group.key);
            if keys.len() < rows.len() {
                return None;
            }
            let found = group.find(&reads, &keys, as_of);
            if found.len() < rows.len() {
                return None;
            }
            let mut words = Vec::with_capacity(rows.len() * group.shape.words);
            let mut values = Vec::with_capacity(rows.len() * group.shape.values);
            for row in &found {
                words.extend_from_slice(row.words);
                values.extend_from_slice(row.values);
            }
            groups.push((words, values));
        }
        reads.count(rows.len() * groups.len(), 0);
        drop(reads);
        Some(KeptAnswers {
            plan: kept,
            rows: rows.len(),
            as_of,
            groups,
        })
    }
}
