//! Listing and counting dead letters.
//!
//! Nothing of them is held in memory: they are read from the blocks that hold them.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_types::SourceId;

use crate::batch::{DeadLetterId, LoggedDeadLetter, Sequence};
use crate::body::{decode_dead_letters, decode_redriven};
use crate::error::LogError;
use crate::frames::Frames;
use crate::index::StreamKey;
use crate::reader::LogReader;

/// How many dead letters a source has for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// Not driven again yet.
    pub open: u64,
    /// Driven again.
    pub redriven: u64,
}

impl LogReader {
    /// The dead letters of a source, by id.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn dead_letters(&self, source: SourceId) -> Result<DeadLetters, LogError> {
        let redriven = self.redriven(source)?;
        let key = StreamKey::dead_letters(source);
        Ok(DeadLetters {
            frames: Frames::new(self.clone(), key, Sequence(0)),
            source,
            redriven,
            letters: Vec::new().into_iter(),
        })
    }

    /// How many dead letters a source has, by reason code.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn dead_letter_counts(
        &self,
        source: SourceId,
    ) -> Result<BTreeMap<String, DeadLetterCount>, LogError> {
        let mut counts: BTreeMap<String, DeadLetterCount> = BTreeMap::new();
        for letter in self.dead_letters(source)? {
            let letter = letter?;
            let count = counts.entry(letter.letter.code).or_default();
            match letter.redriven {
                true => count.redriven += 1,
                false => count.open += 1,
            }
        }
        Ok(counts)
    }

    fn redriven(&self, source: SourceId) -> Result<BTreeSet<DeadLetterId>, LogError> {
        let mut redriven = BTreeSet::new();
        let mut frames = Frames::new(self.clone(), StreamKey::redriven(source), Sequence(0));
        while let Some(frame) = frames.next()? {
            let ids = decode_redriven(&frame.body, frame.count);
            redriven.extend(ids.map_err(|flaw| frames.damaged(frame.at, flaw))?);
        }
        Ok(redriven)
    }
}

/// An iterator over the dead letters of a source, by id. It ends with the first error.
#[derive(Debug)]
pub struct DeadLetters {
    frames: Frames,
    source: SourceId,
    redriven: BTreeSet<DeadLetterId>,
    letters: std::vec::IntoIter<LoggedDeadLetter>,
}

impl DeadLetters {
    fn next_frame(&mut self) -> Result<bool, LogError> {
        let Some(frame) = self.frames.next()? else {
            return Ok(false);
        };
        let letters = decode_dead_letters(&frame.body, frame.count)
            .map_err(|flaw| self.frames.damaged(frame.at, flaw))?;
        let logged: Vec<_> = (frame.first..)
            .map(DeadLetterId)
            .zip(letters)
            .map(|(id, letter)| LoggedDeadLetter {
                source: self.source,
                id,
                logged_at: frame.logged_at,
                redriven: self.redriven.contains(&id),
                letter,
            })
            .collect();
        self.letters = logged.into_iter();
        Ok(true)
    }
}

impl Iterator for DeadLetters {
    type Item = Result<LoggedDeadLetter, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(letter) = self.letters.next() {
                return Some(Ok(letter));
            }
            match self.next_frame() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.frames.finish();
                    return Some(Err(error));
                }
            }
        }
    }
}
