//! Which rows are in which part.
//!
//! A row's part depends on the row and the definition alone: by time on its time, by hash on
//! the canonical encoding of some columns, at random on its number. So one entity is always in
//! one part, whatever other rows there are.

use evenkeel_connect::Table;
use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::{SharePart, Split, TimePart};
use evenkeel_types::{Column, DataType};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::TrainError;

/// The rows of each part, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Name and rows; the first is the part that is trained on.
    pub parts: Vec<(String, Vec<u32>)>,
    /// Rows that are in no part.
    pub left_out: u64,
}

impl Parts {
    /// Parts rows. `keys` are the spine's columns of the service's entity keys.
    ///
    /// # Errors
    /// If a column to hash is not there.
    pub(super) fn of(
        split: &Split,
        spine: &Table,
        times: &[i64],
        keys: &[String],
    ) -> Result<Self, TrainError> {
        let mut parts: Vec<(String, Vec<u32>)> = split
            .parts()
            .into_iter()
            .map(|name| (name.to_owned(), Vec::new()))
            .collect();
        let mut left_out = 0;
        let place: Box<dyn Fn(usize) -> Option<usize>> = match split {
            Split::None => Box::new(|_| Some(0)),
            Split::Time(bounds) => Box::new(|row| by_time(bounds, times[row])),
            Split::EntityHash {
                columns,
                parts,
                seed,
            } => {
                let names = columns.as_deref().unwrap_or(keys);
                let columns = hashed_columns(spine, names)?;
                Box::new(move |row| {
                    let mut bytes = Vec::new();
                    for column in &columns {
                        encode_value(&column.get(row), &mut bytes);
                    }
                    by_share(parts, xxh3_64_with_seed(&bytes, *seed))
                })
            }
            Split::Random { parts, seed } => Box::new(|row| {
                let number = (row as u64).to_le_bytes();
                by_share(parts, xxh3_64_with_seed(&number, *seed))
            }),
        };
        for (number, row) in (0u32..).zip(0..times.len()) {
            match place(row) {
                Some(part) => parts[part].1.push(number),
                None => left_out += 1,
            }
        }
        Ok(Parts { parts, left_out })
    }

    /// The rows of the part that is trained on.
    pub fn trained(&self) -> &[u32] {
        self.parts.first().map_or(&[], |(_, rows)| rows)
    }
}

fn by_time(parts: &[TimePart], time: i64) -> Option<usize> {
    parts
        .iter()
        .position(|part| part.before.is_none_or(|before| time < before))
}

fn by_share(parts: &[SharePart], hash: u64) -> Option<usize> {
    let total: u64 = parts.iter().map(|p| u64::from(p.share)).sum();
    // The hash as a fraction of the whole, times the whole: below it.
    let place = (u128::from(hash) * u128::from(total)) >> 64;
    let mut end = 0;
    parts.iter().position(|part| {
        end += u128::from(part.share);
        place < end
    })
}

/// The columns in the types in which equal keys are equal bytes: a number is one whatever its
/// width in the file.
fn hashed_columns(spine: &Table, names: &[String]) -> Result<Vec<Column>, TrainError> {
    let column = |name: &String| {
        if !spine.has_column(name) {
            return Err(TrainError::MissingColumn {
                column: name.clone(),
                has: crate::spine::names(spine),
            });
        }
        let column = spine.column(name).map_err(TrainError::table)?;
        match column.data() {
            evenkeel_types::ColumnData::Int(_) => spine.column_as(name, &DataType::BigInt),
            evenkeel_types::ColumnData::Float(_) => spine.column_as(name, &DataType::Double),
            _ => return Ok(column),
        }
        .map_err(TrainError::table)
    };
    names.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use evenkeel_types::{Field, Value};
    use proptest::prelude::*;

    use super::*;

    fn shares(shares: &[u32]) -> Vec<SharePart> {
        let named = shares.iter().enumerate();
        named
            .map(|(i, share)| SharePart {
                name: format!("p{i}"),
                share: *share,
            })
            .collect()
    }

    fn spine(keys: &[Option<i64>]) -> Table {
        let values: Vec<Value> = keys
            .iter()
            .map(|k| k.map_or(Value::Null, Value::BigInt))
            .collect();
        let column = Column::from_values(&DataType::BigInt, &values);
        Table::from_columns([(Field::new("k", DataType::BigInt), column)]).unwrap()
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_part_and_an_entity_in_the_same(
            keys in prop::collection::vec(prop::option::of(0i64..20), 0..80),
            parts in prop::collection::vec(1u32..9, 1..5),
            seed in any::<u64>(),
        ) {
            let split = Split::EntityHash { columns: None, parts: shares(&parts), seed };
            let times = vec![0; keys.len()];
            let found = Parts::of(&split, &spine(&keys), &times, &["k".to_owned()]).unwrap();
            let mut rows: Vec<u32> = found.parts.iter().flat_map(|(_, r)| r.clone()).collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..keys.len() as u32).collect::<Vec<_>>());
            prop_assert_eq!(found.left_out, 0);
            let mut part_of: BTreeMap<Option<i64>, usize> = BTreeMap::new();
            for (part, (_, rows)) in found.parts.iter().enumerate() {
                for row in rows {
                    let part_of = part_of.entry(keys[*row as usize]).or_insert(part);
                    prop_assert_eq!(*part_of, part);
                }
            }
            // Each alone is where it is among others.
            for key in keys.iter().take(5) {
                let alone = Parts::of(&split, &spine(&[*key]), &[0], &["k".to_owned()]).unwrap();
                let part = alone.parts.iter().position(|(_, rows)| !rows.is_empty());
                prop_assert_eq!(part, Some(part_of[key]));
            }
        }

        #[test]
        fn random_parts_depend_on_number_and_seed_alone(rows in 0usize..200, seed in any::<u64>()) {
            let split = Split::Random { parts: shares(&[3, 1]), seed };
            let of = |rows: usize| {
                Parts::of(&split, &Table::of_rows(rows), &vec![7; rows], &[]).unwrap()
            };
            let (all, fewer) = (of(rows), of(rows / 2));
            for (more, less) in all.parts.iter().zip(&fewer.parts) {
                prop_assert!(more.1.starts_with(&less.1));
            }
        }
    }

    #[test]
    fn shares_are_what_they_say() {
        let split = Split::Random {
            parts: shares(&[80, 20]),
            seed: 7,
        };
        let found = Parts::of(&split, &Table::of_rows(10_000), &vec![0; 10_000], &[]).unwrap();
        let trained = found.trained().len();
        assert!((7_800..8_200).contains(&trained), "{trained}");
    }

    #[test]
    fn a_bound_of_time_is_not_in_its_part() {
        let part = |name: &str, before| TimePart {
            name: name.to_owned(),
            before,
        };
        let split = Split::Time(vec![part("train", Some(10)), part("test", Some(20))]);
        let times = [9, 10, 19, 20, -5];
        let found = Parts::of(&split, &Table::of_rows(5), &times, &[]).unwrap();
        assert_eq!(found.parts[0].1, [0, 4]);
        assert_eq!(found.parts[1].1, [1, 2]);
        assert_eq!(found.left_out, 1);
    }

    #[test]
    fn a_key_is_one_whatever_its_width() {
        let split = Split::EntityHash {
            columns: None,
            parts: shares(&[1, 1, 1, 1, 1, 1, 1]),
            seed: 3,
        };
        let narrow: Vec<Value> = (0..50).map(Value::Int).collect();
        let column = Column::from_values(&DataType::Int, &narrow);
        let narrow = Table::from_columns([(Field::new("k", DataType::Int), column)]).unwrap();
        let wide = spine(&(0..50).map(Some).collect::<Vec<_>>());
        let keys = ["k".to_owned()];
        assert_eq!(
            Parts::of(&split, &narrow, &[0; 50], &keys).unwrap(),
            Parts::of(&split, &wide, &[0; 50], &keys).unwrap()
        );
    }
}
