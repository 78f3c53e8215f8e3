//! What a stream knows at the records of a piece, one after the other.
//!
//! A record moves the end of one partition, so that is what is told: nobody makes a cut of every source for
//! every record. Invariant: where it is at a record, the cut is everything that others logged up to it, and
//! what the streams before emitted up to it.

use evenkeel_types::{Cut, Offset, Partition, Position, SourceId};

use super::PARTITION;
use super::piece::{Piece, Root};
use super::stream::Stream;

/// See the module. A copy goes on by itself.
#[derive(Clone, Copy)]
pub(super) struct Passing<'a> {
    piece: &'a Piece,
    /// Each after those that it reads.
    streams: &'a [Stream],
    /// So many of what others logged within the piece are behind.
    passed: usize,
}

impl<'a> Passing<'a> {
    /// Before the first record of a piece; and what is known there.
    pub(super) fn begin(piece: &'a Piece, streams: &'a [Stream]) -> (Self, Cut) {
        let mut cut = piece.begin.clone();
        for stream in streams {
            cut.set_end(stream.def.id, PARTITION, Offset(stream.emitted));
        }
        let passing = Passing {
            piece,
            streams,
            passed: 0,
        };
        (passing, cut)
    }

    /// Goes on to a record, and says which ends are others there.
    pub(super) fn to(&mut self, root: &Root, mut end: impl FnMut(SourceId, Partition, Offset)) {
        let passed = self.passed..root.passed;
        for (source, Position { partition, offset }) in &self.piece.passed[passed] {
            end(*source, *partition, Offset(offset.0 + 1));
        }
        self.passed = root.passed;
        for stream in &self.streams[..self.piece.next] {
            let emitted = self.piece.emitted_until(stream.def.id, root.record);
            end(stream.def.id, PARTITION, Offset(stream.emitted + emitted));
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
