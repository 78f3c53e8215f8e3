//! Rows that last, made of the events of their key.

use evenkeel_aggregate::EntryView;
use evenkeel_types::Value;

use super::walk::SideWalk;
use super::{ReadError, Reader, Search};
use crate::lasting::LastingView;

impl Reader<'_> {
    /// Makes the row of a view for a key, as it is at `t`, in the place of the view. Answers
    /// whether it stays so as long as the key gets no event.
    ///
    /// # Errors
    /// If what the answer needs cannot be read.
    pub fn lasting(
        &self,
        view: &LastingView,
        key: &[Value],
        t: i64,
        words: &mut [u64],
        values: &mut [Value],
    ) -> Result<bool, ReadError> {
        let Some((side, _)) = view.view().as_lasting() else {
            return Ok(false);
        };
        let search = Search {
            until: t,
            at: t,
            max_age: None,
        };
        let walk = SideWalk::new(self, side, key, search);
        let newest = walk.as_ref().and_then(SideWalk::newest);
        let (entry, lasts): (Option<EntryView<'_>>, bool) = match (&walk, newest) {
            (Some(walk), Some(newest)) => {
                let is_row = walk.is_row(&newest);
                let is_answer = is_row || side.is_table;
                if is_answer && newest.time() <= t && walk.is_settled(&newest) {
                    let from = words[0].cast_signed().max(newest.time());
                    words[0] = from.cast_unsigned();
                    (is_row.then_some(newest), true)
                } else {
                    (walk.at(t), false)
                }
            }
            _ => (None, true),
        };
        match &entry {
            None => view.put(None, words, values),
            Some(entry) => {
                let value: &dyn Fn(usize) -> Value = &|column| entry.value(column);
                view.put(Some((entry.time(), value)), words, values);
            }
        }
        self.trouble()?;
        Ok(lasts)
    }
}
