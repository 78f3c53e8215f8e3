//! Answers from rows that are kept: of views whose rows last, all that a service reads of one
//! entity stands in one place ([`evenkeel_view::LastingFormat`], [`evenkeel_store::RowShape`]).
//!
//! A row is made of what is applied, and forgotten by whatever is applied to its key. So it is
//! given to reads of the very cut that is applied, without a known time, and to no other: they
//! get it from the blocks.

mod whole;

use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_store::{KEPT_KEY_BYTES_MAX, KeptCounts, KeptReads, KeptRow, NewRow, RowShape};
use evenkeel_types::codec::encode_value;
use evenkeel_types::{EventTime, Knowledge, Value};
use evenkeel_view::{LastingFormat, LastingRow, Plan, Reader};

use crate::answers::{Answers, take};
use crate::engine::Engine;
use crate::hot_store::HotRead;
use crate::serving::ReadPlan;

pub use whole::{KeptAnswers, KeptViewRow, RowOfView};

/// Rows that are looked for at once.
const LOOK_ROWS: usize = 128;

/// Which views of a service are read from kept rows, by the definitions of a hot tier.
#[derive(Debug)]
struct KeptPlan {
    of: Arc<Plan>,
    groups: Vec<Group>,
    /// Of each view that they have, in the order of the service: the group, and its number there.
    order: Vec<(usize, usize)>,
    /// Whether these are all.
    is_whole: bool,
}

/// Views of one entity, by the same inputs.
#[derive(Debug)]
struct Group {
    /// Their places in the service.
    items: Vec<usize>,
    /// See [`crate::serving::Item::key`].
    key: Vec<Option<usize>>,
    format: LastingFormat,
    shape: RowShape,
}

/// The [`KeptPlan`] of a service that was made last.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptPlans(Arc<Mutex<Option<Arc<KeptPlan>>>>);

/// The keys of rows, up to one that has none or too long a one, one behind the other.
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeptPlan {
    fn new(plan: &ReadPlan, of: &Arc<Plan>) -> Self {
        let mut groups: Vec<(Vec<usize>, Vec<Option<usize>>)> = Vec::new();
        let items = plan.items();
        let views = items.iter().map(|item| of.view(&item.view));
        let views: Vec<_> = views.collect();
        let format = |numbers: &[usize]| {
            let parts = numbers
                .iter()
                .map(|&number| Some((views[number]?, items[number].features.as_slice())));
            LastingFormat::new(of, parts.collect::<Option<Vec<_>>>()?)
        };
        for (number, item) in items.iter().enumerate() {
            if item.key.is_empty() || format(&[number]).is_none() {
                continue;
            }
            match groups.iter_mut().find(|(_, key)| *key == item.key) {
                Some((numbers, _)) => numbers.push(number),
                None => groups.push((vec![number], item.key.clone())),
            }
        }
        let groups = groups.into_iter().filter_map(|(numbers, key)| {
            let format = format(&numbers)?;
            let mut name = blake3::Hasher::new();
            for item in numbers.iter().map(|&number| &items[number]) {
                name.update(&item.view);
                name.update(&item.features.len().to_le_bytes());
                for feature in &item.features {
                    name.update(&feature.to_le_bytes());
                }
            }
            let name = name.finalize();
            let mut indexes: Vec<usize> = format.views().iter().map(|v| v.index().0).collect();
            indexes.sort_unstable();
            indexes.dedup();
            Some(Group {
                items: numbers,
                key,
                shape: RowShape {
                    name: name.as_bytes()[..16].try_into().ok()?,
                    indexes,
                    words: format.words(),
                    values: format.values(),
                },
                format,
            })
        });
        let groups: Vec<Group> = groups.collect();
        let mut order: Vec<(usize, usize)> = groups
            .iter()
            .enumerate()
            .flat_map(|(number, group)| (0..group.items.len()).map(move |view| (number, view)))
            .collect();
        order.sort_unstable_by_key(|&(group, view)| groups[group].items[view]);
        KeptPlan {
            of: Arc::clone(of),
            is_whole: order.len() == items.len() && !order.is_empty(),
            order,
            groups,
        }
    }
}

impl KeptPlans {
    fn get(&self, plan: &ReadPlan, of: &Arc<Plan>) -> Arc<KeptPlan> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(kept) if Arc::ptr_eq(&kept.of, of) => Arc::clone(kept),
            _ => {
                let kept = Arc::new(KeptPlan::new(plan, of));
                *last = Some(Arc::clone(&kept));
                kept
            }
        }
    }
}

impl Keys {
    fn of(rows: &[Vec<Value>], key: &[Option<usize>]) -> Self {
        let mut keys = Keys {
            bytes: Vec::with_capacity(rows.len() * 16),
            ends: Vec::with_capacity(rows.len()),
        };
        for row in rows {
            let begin = keys.bytes.len();
            for input in key {
                let part = input.and_then(|input| row.get(input));
                match part.filter(|part| !part.is_missing()) {
                    Some(part) => encode_value(part, &mut keys.bytes),
                    None => return keys,
                }
            }
            if keys.bytes.len() - begin > KEPT_KEY_BYTES_MAX {
                return keys;
            }
            keys.ends.push(keys.bytes.len());
        }
        keys
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn slices(&self) -> Vec<&[u8]> {
        let mut begin = 0;
        let slice = |&end: &usize| &self.bytes[std::mem::replace(&mut begin, end)..end];
        self.ends.iter().map(slice).collect()
    }
}

impl Group {
    /// What is kept of rows up to the first of which nothing is that answers a read at a time.
    fn find<'k>(
        &self,
        reads: &'k KeptReads<'_>,
        keys: &Keys,
        as_of: EventTime,
    ) -> Vec<LastingRow<'k>> {
        let found = reads.find(&self.shape, &keys.slices());
        let rows = found.into_iter().map_while(|row| answer(row?, as_of));
        rows.collect()
    }

    fn append(&self, rows: &[LastingRow<'_>], as_of: EventTime, answers: &mut Answers) {
        for (view, &item) in self.format.views().iter().zip(&self.items) {
            view.append(rows, as_of.0, answers.view_mut(item));
        }
    }
}

/// A row that is kept, if it answers a read at a time.
fn answer(row: KeptRow<'_>, as_of: EventTime) -> Option<LastingRow<'_>> {
    let KeptRow { words, values } = row;
    let row = LastingRow { words, values };
    (row.since() <= as_of.0).then_some(row)
}

impl Engine {
    /// What is kept of rows that were read.
    pub fn kept_counts(&self) -> KeptCounts {
        self.hot().blocks().kept_counts()
    }

    /// Whether kept rows say what is asked: of what is known to this engine now.
    fn is_of_now(&self, knowledge: &Knowledge) -> bool {
        knowledge.known_at.is_none() && knowledge.cut == *self.applied()
    }

    /// Reads the first of some rows, up to one that is not kept, behind those that were read.
    /// Answers how many it read: the next one is for [`Engine::read_more`].
    pub fn read_kept(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
        knowledge: &Knowledge,
        answers: &mut Answers,
    ) -> usize {
        if !self.is_of_now(knowledge) {
            return 0;
        }
        let kept = plan.kept().get(plan, self.hot().shared_plan());
        if !kept.is_whole {
            return 0;
        }
        let reads = self.hot().blocks().kept_rows();
        let mut read = 0;
        // Behind one that is not kept nothing is looked for, but for a few.
        for rows in rows.chunks(LOOK_ROWS) {
            let mut found = Vec::with_capacity(kept.groups.len());
            let mut count = rows.len();
            for group in &kept.groups {
                let keys = Keys::of(&rows[..count], &group.key);
                let rows = group.find(&reads, &keys, as_of);
                count = count.min(rows.len());
                found.push(rows);
            }
            if count > 0 {
                for (group, rows) in kept.groups.iter().zip(&found) {
                    group.append(&rows[..count], as_of, answers);
                }
                reads.count(count * kept.groups.len(), 0);
                answers.add_rows(count);
                read += count;
            }
            if count < rows.len() {
                break;
            }
        }
        read
    }

    /// Reads views of rows that can be kept, and keeps what it makes of them. Answers which items
    /// of the plan are read; what could not be is not.
    pub(crate) fn read_and_keep(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
        knowledge: &Knowledge,
        answers: &mut Answers,
    ) -> Vec<usize> {
        let mut read = Vec::new();
        if !self.is_of_now(knowledge) {
            return read;
        }
        let kept = plan.kept().get(plan, self.hot().shared_plan());
        for group in &kept.groups {
            let keys = Keys::of(rows, &group.key);
            if keys.len() == rows.len()
                && self.read_group(group, &keys, rows, as_of, knowledge, answers)
            {
                read.extend(&group.items);
            }
        }
        read
    }

    /// Whether it could.
    fn read_group(
        &self,
        group: &Group,
        keys: &Keys,
        rows: &[Vec<Value>],
        as_of: EventTime,
        knowledge: &Knowledge,
        answers: &mut Answers,
    ) -> bool {
        let Group { format, shape, .. } = group;
        let slices = keys.slices();
        let mut missing = Vec::new();
        // What is kept is copied: nobody waits for a look that lasts as long as reading does.
        let (mut words, mut values) = format.room(rows.len());
        {
            let reads = self.hot().blocks().kept_rows();
            let found = reads.find(shape, &slices);
            let found: Vec<_> = found.into_iter().map(|r| answer(r?, as_of)).collect();
            if let Some(found) = found.iter().copied().collect::<Option<Vec<_>>>() {
                reads.count(found.len(), 0);
                group.append(&found, as_of, answers);
                return true;
            }
            for (number, row) in found.iter().enumerate() {
                match row {
                    Some(row) => {
                        words[number * shape.words..][..shape.words].copy_from_slice(row.words);
                        values[number * shape.values..][..shape.values]
                            .clone_from_slice(row.values);
                    }
                    None => missing.push(number),
                }
            }
            reads.count(rows.len() - missing.len(), missing.len());
        }
        // A request often has one user and many items.
        let is_again = |number: &usize| *number > 0 && slices[*number] == slices[*number - 1];
        let (again, missing): (Vec<usize>, Vec<usize>) = missing.into_iter().partition(is_again);
        let made = Making {
            engine: self,
            group,
            as_of,
            knowledge,
        };
        let Some(last) = made.rows(rows, &missing, (&mut words[..], &mut values[..])) else {
            return false;
        };
        for number in again {
            let (before, at) = ((number - 1) * shape.words, number * shape.words);
            words.copy_within(before..at, at);
            let (before, own) = values.split_at_mut(number * shape.values);
            own[..shape.values].clone_from_slice(&before[before.len() - shape.values..]);
        }
        let row = |number: usize| LastingRow {
            words: &words[number * shape.words..][..shape.words],
            values: &values[number * shape.values..][..shape.values],
        };
        let all: Vec<LastingRow<'_>> = (0..rows.len()).map(row).collect();
        group.append(&all, as_of, answers);
        let new = missing.iter().zip(last).filter(|(_, lasts)| *lasts);
        let new = new.map(|(&number, _)| NewRow {
            key: slices[number],
            words: all[number].words,
            values: all[number].values.into(),
        });
        let new: Vec<NewRow<'_>> = new.collect();
        if !new.is_empty() {
            self.hot().blocks().keep_rows(shape, new);
        }
        true
    }
}

/// Rows that are made of what the blocks have.
struct Making<'a> {
    engine: &'a Engine,
    group: &'a Group,
    as_of: EventTime,
    knowledge: &'a Knowledge,
}

impl Making<'_> {
    /// Puts the rows with these numbers into their places. Answers whether each stays so; none
    /// if one of them cannot be read like this.
    fn rows(
        &self,
        rows: &[Vec<Value>],
        numbers: &[usize],
        (words, values): (&mut [u64], &mut [Value]),
    ) -> Option<Vec<bool>> {
        let Group { format, shape, .. } = self.group;
        let hot = HotRead::of(self.engine.hot());
        let reader = Reader::new(&hot, self.knowledge);
        let keys: Vec<Vec<Value>> = numbers
            .iter()
            .map(|&number| take(&rows[number], &self.group.key))
            .collect();
        let mut last = vec![true; numbers.len()];
        for view in format.views() {
            if keys.len() > 1 {
                reader.expect(view.view(), keys.iter().map(Vec::as_slice));
            }
            for ((&number, key), lasts) in numbers.iter().zip(&keys).zip(&mut last) {
                let read = reader.lasting(
                    view,
                    key,
                    self.as_of.0,
                    &mut words[number * shape.words..][..shape.words],
                    &mut values[number * shape.values..][..shape.values],
                );
                // What is missing or wrong is found out by who reads it without keeping.
                *lasts &= hot.checked(read).ok()?;
            }
        }
        Some(last)
    }
}
