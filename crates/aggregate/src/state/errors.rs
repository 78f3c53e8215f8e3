//! Errors among the inputs: counted by reason, so that they can be taken back.

use evenkeel_types::{Column, ErrorReason};

/// How many inputs were `ERROR`, by reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Errors(Option<Box<[u64; ErrorReason::ALL.len()]>>);

impl Errors {
    fn slot(reason: ErrorReason) -> usize {
        ErrorReason::ALL
            .iter()
            .position(|r| *r == reason)
            .unwrap_or(0)
    }

    pub(crate) fn add(&mut self, reason: ErrorReason, count: u64) {
        if count > 0 {
            self.0.get_or_insert_default()[Self::slot(reason)] += count;
        }
    }

    pub(crate) fn remove(&mut self, reason: ErrorReason) {
        if let Some(counts) = &mut self.0 {
            let count = &mut counts[Self::slot(reason)];
            debug_assert!(*count > 0, "only what was added is removed");
            *count = count.saturating_sub(1);
            if counts.iter().all(|&c| c == 0) {
                self.0 = None;
            }
        }
    }

    #[inline]
    pub(super) fn merge(&mut self, other: &Errors) {
        if other.0.is_some() {
            self.merge_counts(other);
        }
    }

    #[cold]
    fn merge_counts(&mut self, other: &Errors) {
        for (reason, count) in other.iter() {
            self.add(reason, count);
        }
    }

    /// The reason with the smallest code.
    #[inline]
    pub(crate) fn smallest(&self) -> Option<ErrorReason> {
        self.0.as_ref()?;
        self.iter().map(|(reason, _)| reason).next()
    }

    /// Reasons that occurred, by code.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ErrorReason, u64)> + '_ {
        let counts = self.0.as_deref();
        ErrorReason::ALL
            .into_iter()
            .zip(counts.into_iter().flatten().copied())
            .filter(|(_, count)| *count > 0)
    }

    /// Counts the errors of an event with several inputs once, as the smallest. Answers
    /// whether there was one.
    pub(super) fn add_slot(&mut self, inputs: &[&Column], slot: usize) -> bool {
        let reason = inputs
            .iter()
            .filter_map(|column| ErrorReason::from_code(column.state(slot)))
            .min();
        if let Some(reason) = reason {
            self.add(reason, 1);
        }
        reason.is_some()
    }
}
