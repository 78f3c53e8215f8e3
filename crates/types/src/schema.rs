//! The schema versions of a source, and events of older ones read as events of the newest.
//!
//! Columns are added behind the stored ones, and types are widened; nothing else can happen
//! to the stored columns of a source with events. Invariant: a widened value is equal to the
//! value that it was, and values keep their order, so that what was decided by comparing
//! them stays decided. Every path reads events through [`Schema::upgrade`] before anything
//! is made of their rows, the canonical bytes of a row included.

use std::sync::Arc;

use crate::data_type::{DataType, Field};
use crate::event::{Event, LoggedEvent};
use crate::value::Value;

/// The stored columns of a source, at each version of its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// From version 1 on; never empty.
    versions: Vec<Vec<Field>>,
}

/// An event that does not have the columns of its schema version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SchemaError {
    #[error("it has schema version {version}, the source has {known}")]
    UnknownVersion { version: u32, known: u32 },
    #[error("it has {got} columns, schema version {version} has {has}")]
    Columns {
        version: u32,
        got: usize,
        has: usize,
    },
    #[error("its `{column}` is no {data_type}")]
    Value { column: String, data_type: DataType },
}

impl Schema {
    /// Version 1.
    pub fn first(columns: Vec<Field>) -> Self {
        Schema {
            versions: vec![columns],
        }
    }

    /// The schema with one more version. Its columns begin with those of the version before,
    /// each of a type that its old one [widens to](DataType::widens_to).
    #[must_use]
    pub fn and(mut self, columns: Vec<Field>) -> Self {
        self.versions.push(columns);
        self
    }

    /// The number of the newest version, from 1.
    pub fn version(&self) -> u32 {
        u32::try_from(self.versions.len()).expect("fewer than 2^32 versions")
    }

    /// The columns of a version.
    pub fn columns(&self, version: u32) -> Option<&[Field]> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.versions.get(index).map(Vec::as_slice)
    }

    /// The columns of the newest version.
    pub fn newest(&self) -> &[Field] {
        self.versions.last().map_or(&[], Vec::as_slice)
    }

    /// How many columns version 1 has: those behind them came later, and what is older does
    /// not have them.
    pub fn first_width(&self) -> usize {
        self.versions.first().map_or(0, Vec::len)
    }

    /// The columns whose type was widened, with the types that they had before, oldest first.
    pub fn widened(&self) -> Vec<(usize, Vec<&DataType>)> {
        let newest = self.newest();
        (0..newest.len())
            .filter_map(|slot| {
                let mut types: Vec<&DataType> = self
                    .versions
                    .iter()
                    .filter_map(|columns| Some(&columns.get(slot)?.data_type))
                    .collect();
                types.dedup();
                types.pop();
                (!types.is_empty()).then_some((slot, types))
            })
            .collect()
    }

    /// Makes an event one of the newest version: its values are widened, columns that it
    /// does not have stay away, which reads as NULL.
    ///
    /// # Errors
    /// If the event is not one of the version that it says.
    pub fn upgrade(&self, logged: &mut LoggedEvent) -> Result<(), SchemaError> {
        self.upgrade_event(logged.schema_version, &mut logged.event)?;
        logged.schema_version = self.version();
        Ok(())
    }

    /// The same for an event of a version that is not in the log yet.
    ///
    /// # Errors
    /// If the event is not one of that version.
    pub fn upgrade_event(&self, version: u32, event: &mut Event) -> Result<(), SchemaError> {
        let Some(columns) = self.columns(version) else {
            return Err(SchemaError::UnknownVersion {
                version,
                known: self.version(),
            });
        };
        for row in std::iter::once(&mut event.row).chain(&mut event.before) {
            if row.len() > columns.len() {
                return Err(SchemaError::Columns {
                    version,
                    got: row.len(),
                    has: columns.len(),
                });
            }
            if version == self.version() {
                continue;
            }
            for ((value, from), to) in row.iter_mut().zip(columns).zip(self.newest()) {
                if from.data_type != to.data_type {
                    *value = widen(value, &to.data_type).ok_or_else(|| SchemaError::Value {
                        column: from.name.clone(),
                        data_type: from.data_type.clone(),
                    })?;
                }
            }
        }
        Ok(())
    }
}

impl DataType {
    /// Whether a column of this type may become one of the other: every value has an equal
    /// one there, and they are in the same order.
    pub fn widens_to(&self, to: &DataType) -> bool {
        match (self, to) {
            (DataType::Int, DataType::BigInt | DataType::Double)
            | (DataType::Float, DataType::Double) => true,
            (
                DataType::Decimal { precision, scale },
                DataType::Decimal {
                    precision: larger,
                    scale: same,
                },
            ) => scale == same && precision < larger,
            (DataType::Array(from), DataType::Array(to)) => from.widens_to(to),
            (
                DataType::Vector { element, length },
                DataType::Vector {
                    element: wider,
                    length: same,
                },
            ) => length == same && element.widens_to(wider),
            _ => false,
        }
    }
}

impl DataType {
    /// Whether equal values of the two types have the same bytes
    /// ([`crate::codec::encode_value`]).
    pub fn has_bytes_of(&self, other: &DataType) -> bool {
        match (self, other) {
            (DataType::Decimal { scale, .. }, DataType::Decimal { scale: same, .. }) => {
                scale == same
            }
            _ => self == other,
        }
    }
}

/// The value in a wider type; `None` if it is not of one that widens to it.
fn widen(value: &Value, to: &DataType) -> Option<Value> {
    Some(match (value, to) {
        (Value::Null | Value::Error(_), _) => value.clone(),
        (Value::Int(x), DataType::BigInt) => Value::BigInt(i64::from(*x)),
        (Value::Int(x), DataType::Double) => Value::double(f64::from(*x)),
        (Value::Float(x), DataType::Double) => Value::double(f64::from(*x)),
        (Value::Decimal(_), DataType::Decimal { .. }) => value.clone(),
        (Value::Array(values), DataType::Array(element) | DataType::Vector { element, .. }) => {
            let wider: Option<Arc<[Value]>> = values.iter().map(|v| widen(v, element)).collect();
            Value::Array(wider?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::encode_value;
    use crate::event::{Operation, Origin, Position, SourceId};
    use crate::time::{EventTime, VisibleAt};

    fn logged(version: u32, row: Vec<Value>) -> LoggedEvent {
        LoggedEvent {
            source: SourceId(0),
            position: Position::new(0, 0),
            logged_at: VisibleAt(0),
            schema_version: version,
            event: Event {
                operation: Operation::Insert,
                revision: 0,
                event_time: EventTime(0),
                known_at: None,
                origin: Origin::Log(Position::new(0, 0)),
                before: Some(row.clone()),
                row,
            },
        }
    }

    fn upgraded(from: &DataType, to: &DataType, value: Value) -> Value {
        let schema = Schema::first(vec![Field::new("x", from.clone())])
            .and(vec![Field::new("x", to.clone())]);
        let mut event = logged(1, vec![value]);
        schema.upgrade(&mut event).unwrap();
        assert_eq!(event.schema_version, 2);
        let before = event.event.before.unwrap();
        assert!(before[0].same_bits(&event.event.row[0]));
        event.event.row.remove(0)
    }

    #[test]
    fn edges_survive() {
        use DataType::{BigInt, Double, Float, Int};
        for x in [i32::MIN, -1, 0, 1, i32::MAX] {
            let wide = upgraded(&Int, &BigInt, Value::Int(x));
            assert_eq!(wide, Value::BigInt(i64::from(x)));
            let wide = upgraded(&Int, &Double, Value::Int(x));
            assert_eq!(wide, Value::double(f64::from(x)));
        }
        let subnormal = f32::from_bits(1);
        for x in [
            f32::MIN,
            f32::MAX,
            subnormal,
            -subnormal,
            0.1,
            f32::INFINITY,
        ] {
            let Value::Double(wide) = upgraded(&Float, &Double, Value::float(x)) else {
                panic!("a float became something else")
            };
            #[expect(clippy::cast_possible_truncation, reason = "that is what is tested")]
            let back = wide as f32;
            assert_eq!(back.to_bits(), x.to_bits());
        }
        let nan = upgraded(&Float, &Double, Value::float(f32::NAN));
        assert!(nan.same_bits(&Value::double(f64::NAN)));
        let error = Value::Error(crate::value::ErrorReason::Overflow);
        assert_eq!(upgraded(&Int, &BigInt, error.clone()), error);
        assert_eq!(upgraded(&Int, &BigInt, Value::Null), Value::Null);
        let list = |values: Vec<Value>| Value::Array(values.into());
        assert_eq!(
            upgraded(
                &DataType::Array(Box::new(Int)),
                &DataType::Array(Box::new(BigInt)),
                list(vec![Value::Int(i32::MIN), Value::Null])
            ),
            list(vec![Value::BigInt(i64::from(i32::MIN)), Value::Null])
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let schema = Schema::first(vec![Field::new("x", DataType::Int)]).and(vec![
            Field::new("x", DataType::BigInt),
            Field::new("y", DataType::String),
        ]);
        assert_eq!(schema.first_width(), 1);
        assert_eq!(schema.widened(), vec![(0, vec![&DataType::Int])]);
        let upgrade = |version, row: &[Value]| {
            let mut event = logged(version, row.to_vec());
            schema.upgrade(&mut event).map(|()| event.event.row)
        };
        assert_eq!(upgrade(1, &[]), Ok(vec![]));
        let row = [Value::BigInt(1), Value::string("a")];
        assert_eq!(upgrade(2, &row), Ok(row.to_vec()));
        for version in [0, 3] {
            assert_eq!(
                upgrade(version, &row),
                Err(SchemaError::UnknownVersion { version, known: 2 })
            );
        }
        let (got, has, version) = (2, 1, 1);
        assert_eq!(
            upgrade(1, &row),
            Err(SchemaError::Columns { version, got, has })
        );
        assert!(matches!(
            upgrade(1, &[Value::string("a")]),
            Err(SchemaError::Value { .. })
        ));
    }

    #[test]
    fn few_types_widen() {
        let decimal = |precision, scale| DataType::Decimal { precision, scale };
        let vector = |element, length| DataType::Vector {
            element: Box::new(element),
            length,
        };
        assert!(decimal(10, 2).widens_to(&decimal(12, 2)));
        assert!(vector(DataType::Float, 3).widens_to(&vector(DataType::Double, 3)));
        for (from, to) in [
            (DataType::BigInt, DataType::Int),
            (DataType::BigInt, DataType::Double),
            (DataType::Double, DataType::Float),
            (DataType::Int, DataType::Float),
            (DataType::Int, DataType::Int),
            (DataType::Date, DataType::Timestamp),
            (DataType::Int, DataType::String),
            (decimal(12, 2), decimal(10, 2)),
            (decimal(10, 2), decimal(12, 3)),
            (decimal(10, 2), DataType::Double),
            (vector(DataType::Float, 3), vector(DataType::Double, 4)),
        ] {
            assert!(!from.widens_to(&to), "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn order_is_kept(a in any::<f32>(), b in any::<f32>(), i in any::<i32>(), j in any::<i32>()) {
            use DataType::{BigInt, Double, Float, Int};
            let cases = [
                (Float, Double, Value::float(a), Value::float(b)),
                (Int, BigInt, Value::Int(i), Value::Int(j)),
                (Int, Double, Value::Int(i), Value::Int(j)),
            ];
            for (from, to, x, y) in cases {
                let bytes = |v: &Value| {
                    let mut out = Vec::new();
                    encode_value(v, &mut out);
                    out
                };
                let (wide_x, wide_y) =
                    (upgraded(&from, &to, x.clone()), upgraded(&from, &to, y.clone()));
                prop_assert_eq!(bytes(&x).cmp(&bytes(&y)), bytes(&wide_x).cmp(&bytes(&wide_y)));
            }
        }
    }
}
