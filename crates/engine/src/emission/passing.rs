//! What a stream knows at the records of a piece, one after the other.
//!
//! A record moves the end of one partition, so that is what is told: nobody makes a cut of every source for
//! every record. Invariant: where it is at a record, the cut is everything that others logged up to it, and
//! what the streams before emitted up to it.

use std::sync::Arc;

use evenkeel_types::{Cut, Offset, Partition, Position, SourceId};

use super::PARTITION;
use super::piece::{Emitted, Piece, Records, Root};
use super::stream::Stream;

/// See the module. A copy goes on by itself.
#[derive(Clone)]
pub(super) struct Passing {
    records: Arc<Records>,
    /// What the streams before emitted for the piece.
    before: Arc<[(SourceId, Arc<Emitted>)]>,
    /// So many of what others logged within the piece are behind.
    passed: usize,
}

impl Passing {
    /// Before the first record of a piece; and what is known there.
    pub(super) fn begin(piece: &Piece, streams: &[Stream]) -> (Self, Cut) {
        let mut cut = piece.records.begin.clone();
        for stream in streams {
            cut.set_end(stream.def.id, PARTITION, Offset(stream.emitted));
        }
        let passing = Passing {
            records: Arc::clone(&piece.records),
            before: piece.emitted_before(streams).collect(),
            passed: 0,
        };
        (passing, cut)
    }

    /// Before the first of some records, for a stream that reads no other stream; and what is known there of what
    /// others logged.
    pub(super) fn of_others(records: &Arc<Records>) -> (Self, Cut) {
        let passing = Passing {
            records: Arc::clone(records),
            before: Arc::default(),
            passed: 0,
        };
        (passing, records.begin.clone())
    }

    pub(super) fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// Goes on to a record, and says which ends are others there.
    pub(super) fn to(&mut self, root: &Root, mut end: impl FnMut(SourceId, Partition, Offset)) {
        let passed = self.passed..root.passed;
        for (source, Position { partition, offset }) in &self.records.passed[passed] {
            end(*source, *partition, Offset(offset.0 + 1));
        }
        self.passed = root.passed;
        for (stream, emitted) in &*self.before {
            end(*stream, PARTITION, Offset(emitted.until(root.record)));
        }
    }
}

/// What is known at one record of a piece.
pub(super) fn cut_at(piece: &Piece, streams: &[Stream], root: &Root) -> Cut {
    let (mut passing, mut cut) = Passing::begin(piece, streams);
    passing.to(root, |source, partition, end| {
        cut.set_end(source, partition, end);
    });
    cut
}
