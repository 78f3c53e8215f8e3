//! What rows of the binlog are named by, and where they stand among the others.
//!
//! Invariant: no two rows of one log have one name, and what is read again has the same; places grow with the
//! log, and are equal within what has but one: then the numbers of the rows decide.

use evenkeel_connect::place_in_log;

use crate::gtid::{Gtid, uuid_text};
use crate::server::Server;

/// A row's name: a digest that stands for a file, and a number in it; and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) file: [u8; 16],
    pub(crate) number: u64,
    pub(crate) place: Option<i64>,
}

/// Bits for the rows of a transaction in their numbers, packed in a file or named by its own: those of the
/// transaction's number beyond the other half are in the digest.
const ROW_BITS: u32 = 32;
/// Bits for them in their places, which end before, and for transactions there.
const PLACE_BITS: u32 = 22;
const TRANSACTION_BITS: u32 = 40;
/// Places by GTIDs are behind all places in files.
const BEHIND_FILES: i64 = 1 << 62;

/// Names for rows that come one after the other.
#[derive(Clone, Debug)]
pub(super) struct Names {
    digest: [u8; 16],
    by: By,
    next: u64,
}

#[derive(Clone, Debug)]
enum By {
    /// The position of their event, and how many were before them in it.
    Event { file: String, begins: u64 },
    /// The position of the event that they are packed in.
    Packed { file: String, begins: u64 },
    /// A transaction: the lower half of its number, and how many there are with it.
    Transaction { number: u64, count: u64 },
}

impl Names {
    /// Of the rows of an event. `digest`: that of its file.
    pub(super) fn of_event(digest: [u8; 16], file: &str, begins: u64) -> Self {
        let file = file.to_owned();
        Names {
            digest,
            by: By::Event { file, begins },
            next: 0,
        }
    }

    /// Of the rows of a packed transaction, of which there may be more than it has bytes.
    pub(super) fn of_packed(server: &Server, file: &str, created: u32, begins: u64) -> Self {
        let identity = format!("{}\n{file}\n{created}", server.identity);
        Names {
            digest: digest("evenkeel rows of packed transactions 1", &identity),
            by: By::Packed {
                file: file.to_owned(),
                begins,
            },
            next: 0,
        }
    }

    /// Of the rows of a transaction with a GTID in an era; `count`: how many transactions there are with it. None:
    /// there are too many.
    pub(super) fn of_transaction(era: &str, gtid: Gtid, count: u64) -> Option<Self> {
        let (upper, lower) = (gtid.number >> ROW_BITS, gtid.number & ((1 << ROW_BITS) - 1));
        let identity = format!("{era}\n{}\n{upper}", uuid_text(&gtid.server));
        (count < 1 << TRANSACTION_BITS).then(|| Names {
            digest: digest("evenkeel rows of transactions 1", &identity),
            by: By::Transaction {
                number: lower,
                count,
            },
            next: 0,
        })
    }

    /// The next name. None: there are too many.
    pub(super) fn next(&mut self) -> Option<Named> {
        let row = self.next;
        self.next += 1;
        let (number, place) = match &self.by {
            By::Event { file, begins } => (begins + row, place_in_log(file, begins + row)),
            By::Packed { file, begins } => {
                let number = (row < 1 << ROW_BITS).then_some(begins << ROW_BITS | row)?;
                (number, place_in_log(file, *begins))
            }
            By::Transaction { number, count } => {
                let number = (row < 1 << ROW_BITS).then_some(number << ROW_BITS | row)?;
                (number, place_in_transactions(*count, row))
            }
        };
        Some(Named {
            file: self.digest,
            number,
            place,
        })
    }

    /// Leaves one out.
    pub(super) fn skip(&mut self) {
        self.next += 1;
    }
}

/// The place of a row in a transaction, before which and with which there are so many; `u64::MAX`: behind all rows.
pub(crate) fn place_in_transactions(count: u64, row: u64) -> Option<i64> {
    let row = row.min((1 << PLACE_BITS) - 1);
    let is_few = count < 1 << TRANSACTION_BITS;
    let place = is_few.then_some(count << PLACE_BITS | row)?;
    Some(BEHIND_FILES | i64::try_from(place).ok()?)
}

/// An era that begins with a file or a snapshot, whose rows have a digest.
pub(crate) fn era_of(digest: &[u8; 16]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// That of the rows of a file.
pub(super) fn digest_of_file(server: &Server, file: &str, created: u32) -> [u8; 16] {
    let identity = format!("{}\n{file}\n{created}", server.identity);
    digest("evenkeel rows of a binlog 1", &identity)
}

fn digest(context: &str, identity: &str) -> [u8; 16] {
    let digest = blake3::derive_key(context, identity.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_row_and_places_grow() {
        let gtid = |number| Gtid {
            server: [7; 16],
            number,
        };
        let mut all = Vec::new();
        for count in [1, 2, 900_000] {
            // A server's numbers and the count are not the same.
            let mut names = Names::of_transaction("a", gtid(count + 5), count).unwrap();
            all.push(names.next().unwrap());
            names.next = (1 << PLACE_BITS) + 3;
            all.push(names.next().unwrap());
            names.skip();
            all.push(names.next().unwrap());
            names.next = u64::from(u32::MAX);
            all.push(names.next().unwrap());
            assert_eq!(names.next(), None);
        }
        assert!(all.is_sorted_by_key(|named| named.place));
        assert!(all.windows(2).all(|pair| pair[0].number < pair[1].number));
        let in_file = place_in_log("binlog.999999", 4_000_000_000);
        assert!(all[0].place > in_file && in_file.is_some());
        // A snapshot is behind what was before it, and before what is behind it.
        let snapshot = place_in_transactions(1, u64::MAX);
        assert!(all[3].place <= snapshot && snapshot < all[4].place);
        assert!(Names::of_transaction("a", gtid(1), 1 << TRANSACTION_BITS).is_none());
        assert_eq!(place_in_transactions(1 << TRANSACTION_BITS, 0), None);
    }

    #[test]
    fn no_part_of_a_transaction_is_left_out_of_its_name() {
        let named = |era, server, number| {
            let gtid = Gtid {
                server: [server; 16],
                number,
            };
            let named = Names::of_transaction(era, gtid, 9).unwrap().next().unwrap();
            (named.file, named.number)
        };
        let first = named("a", 7, 5);
        assert_eq!(first, named("a", 7, 5));
        // The last one differs in what has no room beside the row.
        for other in [
            named("b", 7, 5),
            named("a", 8, 5),
            named("a", 7, 6),
            named("a", 7, 5 + (1 << 32)),
        ] {
            assert_ne!(first, other);
        }
    }
}
