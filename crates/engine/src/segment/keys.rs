//! The keys of which something may be known: those of all indexes that the views of a segment
//! read by the entity's key.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_store::{KeyList, ListedKey};
use evenkeel_types::codec::decode_values;
use evenkeel_types::{DataType, Value};
use evenkeel_view::encode_key;

use super::plan::SegmentPlan;
use crate::engine::Engine;
use crate::error::EngineError;

/// See the module. Holds the keys of the moment when it was made, and nothing else.
pub(super) struct Candidates {
    entity: String,
    key_types: Vec<DataType>,
    lists: Vec<KeyList>,
    /// The hot tier is not opened again while its rows are read.
    _users: Arc<()>,
    /// The key behind which it began.
    after: Option<ListedKey>,
    /// The last key that was given.
    last: Option<ListedKey>,
    /// How many keys were given.
    given: u64,
}

impl Candidates {
    pub(super) fn of(engine: &Engine, plan: &SegmentPlan) -> Result<Self, EngineError> {
        let mut indexes = BTreeSet::new();
        for view in &plan.def().inputs {
            indexes.extend(engine.compiled(&view.digest, &view.name)?.own_indexes());
        }
        Ok(Candidates {
            entity: plan.def().entity.clone(),
            key_types: plan.key_types().cloned().collect(),
            _users: Arc::clone(engine.kv_users()),
            lists: indexes.into_iter().map(|i| engine.hot().keys(i)).collect(),
            after: None,
            last: None,
            given: 0,
        })
    }

    /// Puts the keys in order, and begins behind one.
    pub(super) fn begin_after(&mut self, key: Option<&[Value]>) -> Result<(), EngineError> {
        self.lists.iter_mut().for_each(KeyList::sort);
        let Some(key) = key else {
            return Ok(());
        };
        let wrong = |reason: String| EngineError::SegmentKey {
            entity: self.entity.clone(),
            reason,
        };
        if key.len() != self.key_types.len() {
            let (got, wanted) = (key.len(), self.key_types.len());
            return Err(wrong(format!("it has {got} parts, a key has {wanted}")));
        }
        let encoded = encode_key(key).ok_or_else(|| wrong("a part of it is NULL".to_owned()))?;
        self.after = Some(ListedKey::of(&encoded));
        self.last.clone_from(&self.after);
        Ok(())
    }

    /// The last key that was given, or behind which it began.
    pub(super) fn last(&self) -> Option<&ListedKey> {
        self.last.as_ref()
    }

    /// How many keys were given.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// About how many keys are still to come: any number, as long as none was given.
    pub(super) fn to_come(&self) -> u64 {
        match &self.last {
            Some(last) if self.given > 0 => last.keys_behind(self.after.as_ref(), self.given),
            _ => u64::MAX,
        }
    }

    /// The next keys, at most so many; none if there are no more.
    pub(super) fn next(&mut self, keys: usize) -> Result<Vec<Vec<Value>>, EngineError> {
        let mut found = Vec::new();
        for list in &self.lists {
            found.extend(list.after(self.last.as_ref(), keys)?);
        }
        found.sort_unstable();
        found.dedup();
        // Each list gave as many as are wanted, so nothing is missing among the first.
        found.truncate(keys);
        self.last = found.last().cloned().or(self.last.take());
        self.given += found.len() as u64;
        let decoded = |listed: ListedKey| {
            let wrong = |reason: String| EngineError::SegmentKey {
                entity: self.entity.clone(),
                reason,
            };
            let Some(key) = &listed.key else {
                return Err(wrong(
                    "one is longer than 4,096 bytes, and such keys are not listed".to_owned(),
                ));
            };
            decode_values(key, &self.key_types).map_err(|error| wrong(error.to_string()))
        };
        found.into_iter().map(decoded).collect()
    }
}
