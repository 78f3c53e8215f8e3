//! Sets of GTIDs: which transactions of which servers happened, as text, as bytes of the protocol, and counted.
//!
//! Invariant: the ranges of a server are in order and do not touch, so that equal sets are equal.

use std::collections::BTreeMap;

use crate::bytes::{Bytes, CutOff};

/// A server's number, as bytes.
pub(crate) type Uuid = [u8; 16];

/// A transaction's name: the server that it was committed on first, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gtid {
    pub(crate) server: Uuid,
    pub(crate) number: u64,
}

/// Numbers beyond this are none.
const NUMBER_MAX: u64 = i64::MAX as u64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GtidSet {
    /// First and last of each range.
    ranges: BTreeMap<Uuid, Vec<(u64, u64)>>,
}

/// The transactions that were read, where rows are named by theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) set: GtidSet,
    /// What tells their history from one in which a server gives the same numbers again: a part of each name.
    pub(crate) era: String,
}

impl GtidSet {
    /// `3E11FA47-71CA-11E1-9E33-C80AA9429562:1-3:11,...`; none if it is no set, or one with tags.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut set = GtidSet::default();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let mut parts = part.split(':');
            let server = uuid(parts.next()?.trim())?;
            let mut any = false;
            for range in parts {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                set.add_range(server, first, last)?;
                any = true;
            }
            any.then_some(())?;
        }
        Some(set)
    }

    /// What stands at the beginning of a file of the binlog, and in requests for it.
    pub(crate) fn decode(bytes: &mut Bytes<'_>) -> Result<Self, CutOff> {
        let mut set = GtidSet::default();
        for _ in 0..bytes.unsigned(8)? {
            let mut server = [0; 16];
            server.copy_from_slice(bytes.take(16)?);
            for _ in 0..bytes.unsigned(8)? {
                let (first, behind) = (bytes.unsigned(8)?, bytes.unsigned(8)?);
                let last = behind.checked_sub(1).ok_or(CutOff)?;
                set.add_range(server, first, last).ok_or(CutOff)?;
            }
        }
        Ok(set)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.ranges.len() as u64).to_le_bytes().to_vec();
        for (server, ranges) in &self.ranges {
            bytes.extend(server);
            bytes.extend((ranges.len() as u64).to_le_bytes());
            for (first, last) in ranges {
                bytes.extend(first.to_le_bytes());
                bytes.extend((last + 1).to_le_bytes());
            }
        }
        bytes
    }

    /// None if it is no range.
    fn add_range(&mut self, server: Uuid, first: u64, last: u64) -> Option<()> {
        if first == 0 || last < first || last >= NUMBER_MAX {
            return None;
        }
        let ranges = self.ranges.entry(server).or_default();
        // Those before and behind stay, those that it meets become part of it.
        let from = ranges.partition_point(|(_, l)| l + 1 < first);
        let to = ranges.partition_point(|(f, _)| *f <= last + 1);
        let mut whole = (first, last);
        if let Some(met) = ranges.get(from..to).filter(|met| !met.is_empty()) {
            whole = (whole.0.min(met[0].0), whole.1.max(met[met.len() - 1].1));
        }
        ranges.splice(from..to.max(from), [whole]);
        Some(())
    }

    /// Adds a transaction; false if it is in the set already, or none.
    pub(crate) fn add(&mut self, gtid: Gtid) -> bool {
        let is_new = !self.contains(gtid);
        is_new
            && self
                .add_range(gtid.server, gtid.number, gtid.number)
                .is_some()
    }

    pub(crate) fn contains(&self, gtid: Gtid) -> bool {
        let ranges = self.ranges.get(&gtid.server);
        ranges.is_some_and(|ranges| {
            let at = ranges.partition_point(|(_, last)| *last < gtid.number);
            ranges.get(at).is_some_and(|(f, _)| *f <= gtid.number)
        })
    }

    /// How many transactions there are; at most 2^64 - 1 are counted.
    pub(crate) fn count(&self) -> u64 {
        let ranges = self.ranges.values().flatten();
        ranges.fold(0, |sum: u64, (f, l)| sum.saturating_add(l - f + 1))
    }

    /// What another set does not have.
    pub(crate) fn without(&self, other: &GtidSet) -> GtidSet {
        let mut rest = GtidSet::default();
        for (server, ranges) in &self.ranges {
            let theirs = other.ranges.get(server).map_or(&[][..], Vec::as_slice);
            for (first, last) in ranges {
                let mut from = *first;
                for (f, l) in theirs {
                    if *l < from || f > last {
                        continue;
                    }
                    if *f > from {
                        // In order, and not empty.
                        let _ = rest.add_range(*server, from, f - 1);
                    }
                    from = l + 1;
                }
                if from <= *last {
                    let _ = rest.add_range(*server, from, *last);
                }
            }
        }
        rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl std::fmt::Display for GtidSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (server, ranges)) in self.ranges.iter().enumerate() {
            if i > 0 {
                write!(f, ",")?;
            }
            write!(f, "{}", uuid_text(server))?;
            for (first, last) in ranges {
                if first == last {
                    write!(f, ":{first}")?;
                } else {
                    write!(f, ":{first}-{last}")?;
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Gtid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", uuid_text(&self.server), self.number)
    }
}

pub(crate) fn uuid_text(server: &Uuid) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in server.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn uuid(text: &str) -> Option<Uuid> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    if digits.len() != 32 {
        return None;
    }
    let mut server = [0; 16];
    for (byte, pair) in server.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16)
            .ok()
            .filter(|_| !pair.starts_with('+'))?;
    }
    Some(server)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(members: &[(u8, u64)]) -> GtidSet {
        let mut set = GtidSet::default();
        for (server, number) in members {
            set.add(Gtid {
                server: [*server; 16],
                number: *number,
            });
        }
        set
    }

    #[test]
    fn sets_are_read_as_the_server_writes_them() {
        let text = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:11:47-49,\n\
                    3e11fa47-71ca-11e1-9e33-c80aa9429563:5";
        let set = GtidSet::parse(text).unwrap();
        assert_eq!(set.to_string(), text.replace('\n', ""));
        assert_eq!(set.count(), 8);
        assert_eq!(GtidSet::parse("").unwrap(), GtidSet::default());
        for wrong in [
            "a",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:0",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:3-1",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:9223372036854775807",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:1-3",
        ] {
            assert_eq!(GtidSet::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// A set is that of its members, whatever order they come in.
        #[test]
        fn a_set_is_its_members(
            members in proptest::collection::vec((0..3_u8, 1..40_u64), 0..60),
            others in proptest::collection::vec((0..3_u8, 1..40_u64), 0..60),
        ) {
            let (set, other) = (of(&members), of(&others));
            let naive: BTreeSet<(u8, u64)> = members.iter().copied().collect();
            let theirs: BTreeSet<(u8, u64)> = others.iter().copied().collect();
            prop_assert_eq!(set.count(), naive.len() as u64);
            for server in 0..3 {
                for number in 1..42 {
                    let gtid = Gtid { server: [server; 16], number };
                    prop_assert_eq!(set.contains(gtid), naive.contains(&(server, number)));
                }
            }
            let rest: Vec<(u8, u64)> = naive.difference(&theirs).copied().collect();
            prop_assert_eq!(set.without(&other), of(&rest));
            prop_assert_eq!(GtidSet::parse(&set.to_string()).unwrap(), set.clone());
            prop_assert_eq!(GtidSet::decode(&mut Bytes(&set.encode())).unwrap(), set.clone());
            prop_assert_eq!(set.without(&other).is_empty(), naive.is_subset(&theirs));
        }

        /// Whatever the bytes are, they are read or refused.
        #[test]
        fn any_bytes_are_read_or_refused(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..100),
            servers in 0..4_u8,
        ) {
            let _ = GtidSet::decode(&mut Bytes(&bytes));
            bytes.splice(0..0, u64::from(servers).to_le_bytes());
            let _ = GtidSet::decode(&mut Bytes(&bytes));
        }
    }
}
