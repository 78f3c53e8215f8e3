//! What calls of one sweep read, with what several of them share.

use std::cell::OnceCell;

use evenkeel_types::Column;

use super::slide::slide;
use super::totals::{Counted, Counts, Sums};
use crate::state::{Aggregator, Kind};

/// The inputs of calls with equal arguments and FILTER, for all events of a sweep in their
/// total order. Running totals are made once for all frames and functions over them.
#[derive(Default)]
pub struct Inputs {
    columns: Vec<Column>,
    /// Which events pass the FILTER; `None`: all.
    filter: Option<Vec<bool>>,
    length: usize,
    counts: OnceCell<Option<Counts>>,
    sums: OnceCell<Option<Sums>>,
}

impl Inputs {
    /// Of `length` events: a column per argument.
    ///
    /// # Panics
    /// If a column or the filter is of another length.
    pub fn new(columns: Vec<Column>, filter: Option<Vec<bool>>, length: usize) -> Self {
        let lengths = columns.iter().map(Column::len);
        assert!(
            lengths
                .chain(filter.as_ref().map(Vec::len))
                .all(|l| l == length),
            "one slot per event"
        );
        Inputs {
            columns,
            filter,
            length,
            ..Inputs::default()
        }
    }

    /// The values of one call over ranges of the events, one per range: those of [`slide`].
    ///
    /// # Panics
    /// As [`slide`].
    pub fn over(&self, aggregator: &Aggregator, ranges: &[(u32, u32)]) -> Column {
        let mut values = Column::with_room(aggregator.result(), ranges.len());
        let places: Vec<u32> = (0..u32::MAX).take(ranges.len()).collect();
        self.put_over(aggregator, ranges, &places, &mut values);
        values
    }

    /// Puts the values of one call over ranges of the events into the slots `places` of a column of
    /// the call's type, one per range.
    ///
    /// # Panics
    /// As [`slide`]; if there is not a place per range, in the column.
    pub fn put_over(
        &self,
        aggregator: &Aggregator,
        ranges: &[(u32, u32)],
        places: &[u32],
        out: &mut Column,
    ) {
        assert_eq!(places.len(), ranges.len(), "one place per range");
        assert_eq!(
            self.columns.len(),
            aggregator.inputs().len(),
            "one column per input"
        );
        match aggregator.kind() {
            Kind::Rows | Kind::Count => {
                if let Some(counts) = self.counts() {
                    return counts.put_over(ranges, places, out);
                }
            }
            kind @ (Kind::Sum(_) | Kind::Avg(_)) => {
                if let Some((counts, sums)) = self.counts().zip(self.sums()) {
                    return sums.put_over(kind, counts, ranges, places, out);
                }
            }
            _ => {}
        }
        out.put(places, self.slide_over(aggregator, ranges));
    }

    /// The same values without running totals.
    ///
    /// # Panics
    /// As [`slide`].
    pub fn slide_over(&self, aggregator: &Aggregator, ranges: &[(u32, u32)]) -> Column {
        let columns: Vec<&Column> = self.columns.iter().collect();
        slide(aggregator, &columns, self.filter.as_deref(), ranges)
    }

    fn counted(&self) -> Counted<'_> {
        Counted {
            filter: self.filter.as_deref(),
            column: self.columns.first(),
        }
    }

    /// None where an event is an `ERROR`.
    fn counts(&self) -> Option<&Counts> {
        let make = || {
            let counted = self.counted();
            (!counted.has_errors()).then(|| Counts::new(&counted, self.length))
        };
        self.counts.get_or_init(make).as_ref()
    }

    fn sums(&self) -> Option<&Sums> {
        let make = || Sums::new(self.columns.first()?, &self.counted());
        self.sums.get_or_init(make).as_ref()
    }
}
