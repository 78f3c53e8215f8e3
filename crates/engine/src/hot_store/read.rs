//! One read of a hot tier: knows what the read used, so that it can say what must be brought
//! back before it can be answered.

use std::cell::RefCell;
use std::collections::BTreeMap;

use evenkeel_aggregate::History;
use evenkeel_store::{AtHand, ColdNeeds, KeyReads};
use evenkeel_types::{SourceCut, SourceId, VisibleAt};
use evenkeel_view::{IndexId, Plan, ReadError, Store};

use super::{HotStore, read_error};
use crate::error::EngineError;
use crate::function::{Deferring, forget, taken};

/// So many keys may be expected and not asked for: what is left out reads nothing.
const PASSED_OVER_MAX: usize = 8;

/// A key that is going to be asked for, and what was found of it.
type Expected = (Vec<u8>, AtHand);

/// See the module.
pub(crate) struct HotRead<'a> {
    hot: &'a HotStore,
    /// Since the last [`HotRead::checked`].
    used: RefCell<Vec<KeyReads>>,
    /// What is going to be asked for of each index, the next one last.
    expected: RefCell<BTreeMap<IndexId, Vec<Expected>>>,
    _deferring: Option<Deferring>,
}

impl<'a> HotRead<'a> {
    pub(crate) fn of(hot: &'a HotStore) -> Self {
        // What a read before left is not this one's.
        forget();
        HotRead {
            hot,
            used: RefCell::default(),
            expected: RefCell::default(),
            _deferring: hot.defers().then(Deferring::begin),
        }
    }

    /// What was in memory of a key, if it is the next that was expected, but for a few that were not asked for.
    fn expected(&self, index: IndexId, key: &[u8]) -> Option<AtHand> {
        let mut expected = self.expected.borrow_mut();
        let expected = expected.get_mut(&index)?;
        let mut next = expected.iter().rev().take(PASSED_OVER_MAX + 1);
        let passed_over = next.position(|(its_key, _)| its_key == key)?;
        expected.truncate(expected.len() - passed_over);
        expected.pop().map(|(_, at_hand)| at_hand)
    }

    /// What came of a read, which is all that was read since the last call.
    pub(crate) fn checked<T>(&self, read: Result<T, ReadError>) -> Result<T, EngineError> {
        let mut used = self.used.borrow_mut();
        let checked = read.map_err(|error| {
            let needs = used.iter().filter_map(KeyReads::needs);
            let joined = needs.reduce(|mut all: ColdNeeds, more| {
                all.join(more);
                all
            });
            match joined {
                Some(needs) => EngineError::Cold(Box::new(needs)),
                None => error.into(),
            }
        });
        for reads in used.drain(..) {
            self.hot.blocks.weigh(&reads);
        }
        taken(checked)?
    }
}

impl Store for HotRead<'_> {
    fn plan(&self) -> &Plan {
        self.hot.plan()
    }

    fn history(&self, index: IndexId, key: &[u8]) -> Result<Option<History>, ReadError> {
        let blocks = &self.hot.blocks;
        let found = match self.expected(index, key) {
            Some(at_hand) => blocks.events_at_hand(index.0, key, at_hand),
            None => blocks.events(index.0, key),
        };
        let found = found.map_err(read_error)?;
        let Some((history, reads)) = found else {
            return Ok(None);
        };
        self.used.borrow_mut().extend(reads);
        Ok(Some(history))
    }

    fn expect(&self, index: IndexId, keys: Vec<Vec<u8>>) {
        let found = self
            .hot
            .blocks
            .at_hand(index.0, keys.iter().map(Vec::as_slice));
        let expected = keys.into_iter().zip(found).rev().collect();
        self.expected.borrow_mut().insert(index, expected);
    }

    fn holds(
        &self,
        source: SourceId,
        entry: u64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Result<bool, ReadError> {
        self.hot.holds(source, entry, cut, known_at)
    }
}
