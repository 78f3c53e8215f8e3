//! What of a table lives in the store: a snapshot is the difference to it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::{Offline, SourceSlice};
use evenkeel_types::Value;
use evenkeel_types::codec::canonical_row;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::time::{TIME_MAX, TIME_MIN};

use crate::error::CaptureError;
use crate::mapping::{Role, Target};

/// Rows that live, by their primary keys.
#[derive(Debug, Default)]
pub(crate) struct Live {
    rows: BTreeMap<Vec<u8>, LiveRow>,
    /// The greatest event time among them.
    newest: Option<i64>,
}

#[derive(Debug)]
struct LiveRow {
    /// Of its other columns.
    digest: blake3::Hash,
    key: Vec<Value>,
}

impl Live {
    pub(crate) fn of(
        offline: &Offline,
        source: &Arc<SourceDef>,
        target: &Target,
    ) -> Result<Self, CaptureError> {
        let own: Vec<usize> = target.own().map(|(i, _)| i).collect();
        if !target.is_table {
            return Ok(Live::default());
        }
        let slice = SourceSlice {
            source: Arc::clone(source),
            slots: own.clone(),
            from: TIME_MIN,
            until: TIME_MAX,
            live: true,
        };
        let rows = offline.source_rows(&slice, None, &mut |_| ControlFlow::Continue(()))?;
        let mut live = Live {
            newest: rows.times.iter().max().copied(),
            ..Live::default()
        };
        for row in 0..rows.times.len() {
            let mut values = vec![Value::Null; target.specs.len()];
            for (slot, column) in own.iter().zip(&rows.columns) {
                values[*slot] = column.get(row);
            }
            let key: Vec<Value> = target.key(&values).into_iter().cloned().collect();
            let digest = digest(target, &values);
            live.rows
                .insert(canonical_row(&key), LiveRow { digest, key });
        }
        Ok(live)
    }

    /// The latest time of a row that lives; none if none does.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// A row of the table is there: whether it lives as it is.
    pub(crate) fn meet(&mut self, target: &Target, values: &[Value]) -> bool {
        let key: Vec<Value> = target.key(values).into_iter().cloned().collect();
        let known = self.rows.remove(&canonical_row(&key));
        known.is_some_and(|known| known.digest == digest(target, values))
    }

    /// A row of the table is there, of which the key alone can be read: it stays as it is.
    pub(crate) fn leave(&mut self, target: &Target, values: &[Value]) {
        let key: Vec<Value> = target.key(values).into_iter().cloned().collect();
        self.rows.remove(&canonical_row(&key));
    }

    /// Rows that were not met: the table has them no more. In the order of their keys.
    pub(crate) fn rest(self) -> impl Iterator<Item = Vec<Value>> {
        self.rows.into_values().map(|row| row.key)
    }
}

fn digest(target: &Target, values: &[Value]) -> blake3::Hash {
    let others: Vec<Value> = (target.roles.iter().zip(values))
        .filter(|(role, _)| **role == Role::Row)
        .map(|(_, value)| value.clone())
        .collect();
    blake3::hash(&canonical_row(&others))
}
