//! Which transactions were read, where rows are named by them, and when that begins.
//!
//! Invariant: a transaction is known when it is read to its end, and rows are named by transactions only from a place
//! on of which the record says so.

use super::names::Names;
use crate::gtid::{Gtid, GtidSet};
use crate::log_end::number_of;

#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Those that were read; none: rows are named by files.
    known: Option<GtidSet>,
    /// The one that is being read.
    current: Option<(Gtid, Names)>,
    /// It was read before.
    is_known: bool,
    /// The file behind which rows may be named by transactions.
    begin_behind: Option<u64>,
    /// What is before the place that was read, which such a file says.
    offered: Option<GtidSet>,
}

impl Transactions {
    pub(super) fn new(known: Option<GtidSet>) -> Self {
        Transactions {
            known,
            ..Transactions::default()
        }
    }

    pub(super) fn known(&self) -> Option<&GtidSet> {
        self.known.as_ref()
    }

    pub(super) fn begin_behind(&mut self, file: &str) {
        self.begin_behind = number_of(file);
    }

    /// A file begins, and says what is before it.
    pub(super) fn offer(&mut self, file: &str, before: GtidSet) {
        let is_behind = (self.begin_behind).is_some_and(|behind| number_of(file) > Some(behind));
        if is_behind && self.known.is_none() {
            self.offered = Some(before);
        }
    }

    pub(super) fn can_begin(&self) -> bool {
        self.offered.is_some()
    }

    pub(super) fn begin(&mut self) {
        if let Some(before) = self.offered.take() {
            self.known = Some(before);
        }
    }

    /// A transaction begins. An error says in words why its rows cannot be named.
    pub(super) fn enter(&mut self, gtid: Option<Gtid>) -> Result<(), &'static str> {
        let Some(known) = &self.known else {
            return Ok(());
        };
        let gtid = gtid.ok_or("a transaction without a GTID")?;
        self.is_known = known.contains(gtid);
        if self.is_known {
            self.current = None;
            return Ok(());
        }
        let names = Names::of_transaction(gtid, known.count().saturating_add(1));
        let names = names.ok_or("a transaction whose number is too large")?;
        self.current = Some((gtid, names));
        Ok(())
    }

    /// It ends.
    pub(super) fn leave(&mut self) {
        self.is_known = false;
        if let (Some(known), Some((gtid, _))) = (&mut self.known, self.current.take()) {
            known.add(gtid);
        }
    }

    /// Whether the transaction that is being read was read before.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Names for the rows of the transaction.
    pub(super) fn names(&mut self) -> Option<&mut Names> {
        self.current.as_mut().map(|(_, names)| names)
    }
}
