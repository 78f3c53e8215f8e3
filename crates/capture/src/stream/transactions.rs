//! Which transactions were read, where rows are named by them, and when that begins.
//!
//! Invariant: a transaction is known when it is read to its end, and rows are named by transactions only from a place
//! on of which the record says so.

use super::names::Names;
use crate::bytes::Bytes;
use crate::gtid::{Gtid, GtidSet, Known};
use crate::log_end::number_of;

#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Those that were read; none: rows are named by files.
    known: Option<Known>,
    /// The one that is being read.
    current: Option<(Gtid, Names)>,
    /// It was read before.
    is_known: bool,
    /// The file behind which rows may be named by transactions.
    begin_behind: Option<u64>,
    /// What is before the place that was read, which such a file says.
    offered: Option<Known>,
}

impl Transactions {
    pub(super) fn new(known: Option<Known>) -> Self {
        Transactions {
            known,
            ..Transactions::default()
        }
    }

    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    pub(super) fn begin_behind(&mut self, file: &str) {
        self.begin_behind = number_of(file);
    }

    /// A file begins, and says what is before it; and the era that begins if rows are named by transactions from
    /// here on. They are not if there are tags in what it says, which are not read.
    pub(super) fn offer(&mut self, file: &str, mut before: Bytes<'_>, era: String) {
        let is_behind = (self.begin_behind).is_some_and(|behind| number_of(file) > Some(behind));
        if is_behind && self.known.is_none() {
            let set = GtidSet::decode(&mut before).ok();
            self.offered = set.map(|set| Known { set, era });
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
        self.is_known = known.set.contains(gtid);
        if self.is_known {
            self.current = None;
            return Ok(());
        }
        let names = Names::of_transaction(&known.era, gtid, known.set.count().saturating_add(1));
        let names = names.ok_or("a transaction with more before it than have places")?;
        self.current = Some((gtid, names));
        Ok(())
    }

    /// It ends.
    pub(super) fn leave(&mut self) {
        self.is_known = false;
        if let (Some(known), Some((gtid, _))) = (&mut self.known, self.current.take()) {
            known.set.add(gtid);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_offers_what_it_can_say() {
        let text = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-23";
        let set = GtidSet::parse(text).unwrap();
        let plain = set.encode();
        // As 8.3 writes a set with tags: its form around the number of servers, then names with lengths.
        let mut tagged = (1_u64 << 56 | 1 << 8 | 1).to_le_bytes().to_vec();
        tagged.extend(&plain[8..24]);
        tagged.extend(b"\x06tag");
        tagged.extend(&plain[24..]);
        let cut_off = &plain[..plain.len() - 1];
        let mut transactions = Transactions::default();
        transactions.offer("binlog.000002", Bytes(&plain), "a".to_owned());
        assert!(!transactions.can_begin(), "nobody asked for it");
        transactions.begin_behind("binlog.000002");
        for (file, bytes, can_begin) in [
            ("binlog.000002", &plain[..], false),
            ("binlog.000003", &tagged, false),
            ("binlog.000003", cut_off, false),
            ("binlog.000003", &[], false),
            ("binlog.000003", &plain, true),
            // What one said before is not so of another.
            ("binlog.000004", &tagged, false),
            ("binlog.000005", &plain, true),
        ] {
            transactions.offer(file, Bytes(bytes), "a".to_owned());
            assert_eq!(transactions.can_begin(), can_begin, "{file}");
        }
        transactions.begin();
        let era = "a".to_owned();
        assert_eq!(transactions.known(), Some(&Known { set, era }));
        // It has no more to say.
        transactions.offer("binlog.000006", Bytes(&tagged), "b".to_owned());
        assert!(!transactions.can_begin());
    }
}
