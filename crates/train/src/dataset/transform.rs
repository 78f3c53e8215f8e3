//! Transforms of features: fitted on the rows that are trained on, applied to rows and to
//! vectors that are served by one function.
//!
//! A value that is missing, or NaN where a number is asked for, is imputed first, if the
//! transform says with what; what a shape needs to know is of the values after that. NaN and the
//! infinities are not among the values that it is fitted on, and stay what they are.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use evenkeel_connect::{json_to_value, value_to_json, value_to_text};
use evenkeel_types::definition::{DatasetTransform, Impute, Shape};
use evenkeel_types::{Column, DataType, Field, Value, Zone, canonical_f64, compare_f64};
use serde_json::{Value as Json, json};

use super::numbers::{Moments, double_of};

/// What becomes of the features of a dataset, with all that was learnt from its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fitted {
    /// One per feature of the service, in its order.
    pub features: Vec<FittedTransform>,
}

/// What becomes of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedTransform {
    /// The feature as the service gives it.
    pub feature: Field,
    impute: Imputed,
    shape: FittedShape,
    outputs: Vec<Field>,
}

/// What stands in for a missing value.
#[derive(Clone, Debug, PartialEq)]
enum Imputed {
    Nothing,
    /// A value of the feature's type.
    Value(Value),
    /// A number; none if no value had one.
    Mean(Option<f64>),
}

#[derive(Clone, Debug, PartialEq)]
enum FittedShape {
    /// As it is; a number if it was imputed by one.
    Keep,
    /// `(x - offset) / divisor`
    Scale {
        kind: ScaleKind,
        offset: f64,
        divisor: f64,
    },
    /// 1 in the column of its value, 0 in the others.
    OneHot { values: Vec<Value> },
    /// How many of the bounds are not above it.
    Bucketize { bounds: Vec<f64> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScaleKind {
    Standardize,
    MinMax,
}

impl Fitted {
    /// Fits what is asked for on some rows of the features' columns.
    pub(super) fn fit(
        asked: &[DatasetTransform],
        features: &[Field],
        columns: &[Column],
        trained: &[u32],
    ) -> Self {
        let fitted = features.iter().zip(columns).map(|(feature, column)| {
            let asked = asked.iter().find(|t| t.feature == feature.name);
            FittedTransform::fit(feature, asked, column, trained)
        });
        Fitted {
            features: fitted.collect(),
        }
    }

    /// The columns that come out, in order.
    pub fn outputs(&self) -> Vec<Field> {
        let outputs = self.features.iter().flat_map(|f| f.outputs.iter());
        outputs.cloned().collect()
    }

    /// Whether every feature stays as it is.
    pub fn is_nothing(&self) -> bool {
        self.features.iter().all(FittedTransform::is_nothing)
    }
}

impl FittedTransform {
    /// A feature that stays as it is.
    pub fn keep(feature: Field) -> Self {
        FittedTransform {
            outputs: vec![feature.clone()],
            feature,
            impute: Imputed::Nothing,
            shape: FittedShape::Keep,
        }
    }

    fn fit(
        feature: &Field,
        asked: Option<&DatasetTransform>,
        column: &Column,
        trained: &[u32],
    ) -> Self {
        let mut fitted = FittedTransform::keep(feature.clone());
        let Some(asked) = asked else { return fitted };
        let values = || trained.iter().map(|&row| column.get(row as usize));
        fitted.impute = match &asked.impute {
            None => Imputed::Nothing,
            Some(Impute::Constant(value)) => Imputed::Value(value.clone()),
            Some(Impute::Mean) => {
                let mut moments = Moments::new();
                values().for_each(|value| {
                    let number = double_of(&feature.data_type, &value);
                    number
                        .filter(|n| n.is_finite())
                        .into_iter()
                        .for_each(|n| moments.add(n));
                });
                Imputed::Mean(moments.mean())
            }
        };
        fitted.shape = match &asked.shape {
            None => FittedShape::Keep,
            Some(Shape::Bucketize { bounds }) => FittedShape::Bucketize {
                bounds: bounds.clone(),
            },
            Some(Shape::OneHot { limit }) => FittedShape::OneHot {
                values: most_frequent(values().map(|v| fitted.imputed(&v)), *limit as usize),
            },
            Some(shape @ (Shape::Standardize | Shape::MinMax)) => {
                let mut moments = Moments::new();
                values().for_each(|value| {
                    let number = fitted.number(&value);
                    number
                        .filter(|n| n.is_finite())
                        .into_iter()
                        .for_each(|n| moments.add(n));
                });
                scale(shape, &moments)
            }
        };
        fitted.outputs = fitted.made_of();
        fitted
    }

    /// Whether the feature stays as it is.
    pub fn is_nothing(&self) -> bool {
        self.impute == Imputed::Nothing && self.shape == FittedShape::Keep
    }

    /// The columns that come out, in order.
    pub fn outputs(&self) -> &[Field] {
        &self.outputs
    }

    fn made_of(&self) -> Vec<Field> {
        let named = |data_type| vec![Field::new(self.feature.name.clone(), data_type)];
        match (&self.shape, &self.impute) {
            (FittedShape::Keep, Imputed::Mean(_)) | (FittedShape::Scale { .. }, _) => {
                named(DataType::Double)
            }
            (FittedShape::Keep, _) => vec![self.feature.clone()],
            (FittedShape::Bucketize { .. }, _) => named(DataType::Int),
            (FittedShape::OneHot { values }, _) => {
                let feature = &self.feature;
                let name = |value: &Value| {
                    let text = value_to_text(&feature.data_type, value).unwrap_or_default();
                    Field::new(format!("{}__{text}", feature.name), DataType::Int)
                };
                values.iter().map(name).collect()
            }
        }
    }

    /// What comes out of one value: as many as [`FittedTransform::outputs`]. The only way from
    /// a feature to a dataset's column, in training and in serving.
    pub fn apply(&self, value: &Value, out: &mut Vec<Value>) {
        match &self.shape {
            FittedShape::Keep => out.push(match self.impute {
                Imputed::Mean(_) => double(self.number(value)),
                _ => self.imputed(value),
            }),
            FittedShape::Scale {
                offset, divisor, ..
            } => {
                let number = self.number(value);
                out.push(double(number.map(|x| (x - offset) / divisor)));
            }
            FittedShape::Bucketize { bounds } => out.push(match self.number(value) {
                None => Value::Null,
                // It counts as missing.
                Some(x) if x.is_nan() => Value::Null,
                Some(x) => {
                    let below = |bound: &f64| compare_f64(*bound, x) != Ordering::Greater;
                    // At most as many bounds as a definition may have.
                    Value::Int(i32::try_from(bounds.partition_point(below)).unwrap_or(i32::MAX))
                }
            }),
            FittedShape::OneHot { values } => {
                let value = self.imputed(value);
                let is_it = |known: &Value| !value.is_missing() && *known == value;
                out.extend(values.iter().map(|known| Value::Int(is_it(known).into())));
            }
        }
    }

    /// The value, or what stands in for it, in the feature's type.
    fn imputed(&self, value: &Value) -> Value {
        let is_missing = value.is_missing()
            || double_of(&self.feature.data_type, value).is_some_and(f64::is_nan);
        match &self.impute {
            Imputed::Value(constant) if is_missing => constant.clone(),
            _ if value.is_missing() => Value::Null,
            _ => value.clone(),
        }
    }

    /// The same as a number.
    fn number(&self, value: &Value) -> Option<f64> {
        let number = double_of(&self.feature.data_type, &self.imputed(value));
        match self.impute {
            Imputed::Mean(mean) if number.is_none_or(f64::is_nan) => mean.or(number),
            _ => number,
        }
    }

    /// As JSON that [`FittedTransform::from_json`] reads back to the bit.
    pub fn to_json(&self) -> Json {
        let number = |x: f64| value_to_json(&DataType::Double, &Value::Double(x));
        let of = |value: &Value| value_to_json(&self.feature.data_type, value);
        let impute = match &self.impute {
            Imputed::Nothing => Json::Null,
            Imputed::Value(value) => json!({"constant": of(value)}),
            Imputed::Mean(mean) => json!({"mean": mean.map_or(Json::Null, number)}),
        };
        let shape = match &self.shape {
            FittedShape::Keep => Json::Null,
            FittedShape::Scale {
                kind,
                offset,
                divisor,
            } => json!({
                "kind": match kind {
                    ScaleKind::Standardize => "standardize",
                    ScaleKind::MinMax => "min_max",
                },
                "offset": number(*offset),
                "divisor": number(*divisor),
            }),
            FittedShape::OneHot { values } => json!({
                "kind": "one_hot",
                "values": values.iter().map(of).collect::<Vec<_>>(),
            }),
            FittedShape::Bucketize { bounds } => json!({
                "kind": "bucketize",
                "bounds": bounds.iter().map(|b| number(*b)).collect::<Vec<_>>(),
            }),
        };
        json!({"impute": impute, "shape": shape})
    }

    /// Reads [`FittedTransform::to_json`]; none if it is no such JSON.
    pub fn from_json(feature: Field, json: &Json) -> Option<Self> {
        let number = |json: &Json| match json_to_value(&DataType::Double, json, &Zone::utc()) {
            Ok(Value::Double(x)) => Some(x),
            _ => None,
        };
        let data_type = feature.data_type.clone();
        let value = |json: &Json| {
            let value = json_to_value(&data_type, json, &Zone::utc()).ok()?;
            (!value.is_null()).then_some(value)
        };
        let impute = &json["impute"];
        let impute = match (impute.get("constant"), impute.get("mean")) {
            (Some(constant), None) => Imputed::Value(value(constant)?),
            (None, Some(Json::Null)) => Imputed::Mean(None),
            (None, Some(mean)) => Imputed::Mean(Some(number(mean)?)),
            (None, None) if impute.is_null() => Imputed::Nothing,
            _ => return None,
        };
        let shape = &json["shape"];
        let list = |name: &str| shape[name].as_array();
        let scale = |kind| {
            Some(FittedShape::Scale {
                kind,
                offset: number(&shape["offset"])?,
                divisor: number(&shape["divisor"])?,
            })
        };
        let shape = match shape["kind"].as_str() {
            None if shape.is_null() => FittedShape::Keep,
            Some("standardize") => scale(ScaleKind::Standardize)?,
            Some("min_max") => scale(ScaleKind::MinMax)?,
            Some("one_hot") => FittedShape::OneHot {
                values: list("values")?.iter().map(value).collect::<Option<_>>()?,
            },
            Some("bucketize") => FittedShape::Bucketize {
                bounds: list("bounds")?.iter().map(number).collect::<Option<_>>()?,
            },
            _ => return None,
        };
        let mut fitted = FittedTransform {
            impute,
            shape,
            ..FittedTransform::keep(feature)
        };
        fitted.outputs = fitted.made_of();
        Some(fitted)
    }
}

fn double(number: Option<f64>) -> Value {
    number.map_or(Value::Null, |x| Value::Double(canonical_f64(x)))
}

fn scale(shape: &Shape, moments: &Moments) -> FittedShape {
    let (kind, offset, divisor) = match shape {
        Shape::MinMax => {
            let (least, greatest) = (moments.least(), moments.greatest());
            let range = greatest.zip(least).map(|(g, l)| g - l);
            (ScaleKind::MinMax, least, range)
        }
        _ => (ScaleKind::Standardize, moments.mean(), moments.deviation()),
    };
    FittedShape::Scale {
        kind,
        offset: offset.unwrap_or(0.0),
        // Where all values are one, what is left of them is 0.
        divisor: divisor.filter(|d| *d != 0.0).unwrap_or(1.0),
    }
}

/// The most frequent values, the smaller first among equals; in the order of values.
fn most_frequent(values: impl Iterator<Item = Value>, limit: usize) -> Vec<Value> {
    let mut counts: BTreeMap<Vec<u8>, (Value, u64)> = BTreeMap::new();
    for value in values.filter(|v| !v.is_missing()) {
        let bytes = evenkeel_types::codec::encode_values([&value]);
        counts.entry(bytes).or_insert((value, 0)).1 += 1;
    }
    let mut found: Vec<(Value, u64)> = counts.into_values().collect();
    found.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.total_cmp(b)));
    found.truncate(limit);
    let mut values: Vec<Value> = found.into_iter().map(|(value, _)| value).collect();
    values.sort_by(Value::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fitted(
        data_type: DataType,
        values: &[Value],
        impute: Option<Impute>,
        shape: Option<Shape>,
    ) -> FittedTransform {
        let asked = DatasetTransform {
            feature: "x".to_owned(),
            impute,
            shape,
        };
        let column = Column::from_values(&data_type, values);
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        FittedTransform::fit(&Field::new("x", data_type), Some(&asked), &column, &rows)
    }

    fn applied(fitted: &FittedTransform, value: Value) -> Vec<Value> {
        let mut out = Vec::new();
        fitted.apply(&value, &mut out);
        assert_eq!(out.len(), fitted.outputs().len());
        out
    }

    fn doubles(numbers: &[f64]) -> Vec<Value> {
        numbers.iter().map(|x| Value::Double(*x)).collect()
    }

    #[test]
    fn numbers_are_scaled() {
        let values = doubles(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        let of = |shape| fitted(DataType::Double, &values, None, Some(shape));
        let standard = of(Shape::Standardize);
        assert_eq!(applied(&standard, Value::Double(9.0)), doubles(&[2.0]));
        assert_eq!(applied(&standard, Value::Null), [Value::Null]);
        let range = of(Shape::MinMax);
        assert_eq!(applied(&range, Value::Double(9.0)), doubles(&[1.0]));
        // Not cut at the ends: a model sees that a value is beyond what it was trained on.
        assert_eq!(applied(&range, Value::Double(16.0)), doubles(&[2.0]));
    }

    #[test]
    fn what_does_not_vary_becomes_zero_and_nothing_stays_nothing() {
        for shape in [Shape::Standardize, Shape::MinMax] {
            let same = fitted(
                DataType::Int,
                &[Value::Int(3), Value::Int(3)],
                None,
                Some(shape.clone()),
            );
            assert_eq!(applied(&same, Value::Int(3)), doubles(&[0.0]));
            assert_eq!(applied(&same, Value::Int(5)), doubles(&[2.0]));
            let empty = fitted(
                DataType::Int,
                &[Value::Null],
                Some(Impute::Mean),
                Some(shape),
            );
            assert_eq!(applied(&empty, Value::Null), [Value::Null]);
            assert_eq!(applied(&empty, Value::Int(5)), doubles(&[5.0]));
        }
    }

    #[test]
    fn nan_counts_as_missing() {
        let values = doubles(&[1.0, f64::NAN, 3.0]);
        let mean = fitted(DataType::Double, &values, Some(Impute::Mean), None);
        assert_eq!(applied(&mean, Value::Double(f64::NAN)), doubles(&[2.0]));
        assert_eq!(applied(&mean, Value::Null), doubles(&[2.0]));
        let bare = fitted(DataType::Double, &values, None, Some(Shape::MinMax));
        assert_eq!(applied(&bare, Value::Double(3.0)), doubles(&[1.0]));
        assert_eq!(
            applied(&bare, Value::Double(f64::NAN)),
            doubles(&[f64::NAN])
        );
        let constant = Impute::Constant(Value::Double(-1.0));
        let constant = fitted(DataType::Double, &values, Some(constant), None);
        assert_eq!(
            applied(&constant, Value::Double(f64::NAN)),
            doubles(&[-1.0])
        );
    }

    #[test]
    fn infinities_are_not_learnt_from_and_stay() {
        let infinity = f64::INFINITY;
        let values = doubles(&[1.0, infinity, 3.0, -infinity]);
        let mean = fitted(DataType::Double, &values, Some(Impute::Mean), None);
        assert_eq!(applied(&mean, Value::Null), doubles(&[2.0]));
        for shape in [Shape::Standardize, Shape::MinMax] {
            let bare = fitted(DataType::Double, &values, None, Some(shape.clone()));
            let without = doubles(&[1.0, 3.0]);
            let without = fitted(DataType::Double, &without, None, Some(shape));
            assert_eq!(bare, without);
            assert_eq!(applied(&bare, Value::Double(3.0)), doubles(&[1.0]));
            for x in [infinity, -infinity] {
                assert_eq!(applied(&bare, Value::Double(x)), doubles(&[x]));
            }
            let nothing = fitted(
                DataType::Double,
                &doubles(&[infinity]),
                None,
                Some(Shape::MinMax),
            );
            assert_eq!(applied(&nothing, Value::Double(2.0)), doubles(&[2.0]));
        }
    }

    #[test]
    fn the_most_frequent_values_get_a_column() {
        let values: Vec<Value> = ["b", "a", "c", "c", "b", "d"]
            .into_iter()
            .map(Value::from)
            .collect();
        let two = fitted(
            DataType::String,
            &values,
            None,
            Some(Shape::OneHot { limit: 3 }),
        );
        let names: Vec<&str> = two.outputs().iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["x__a", "x__b", "x__c"]);
        let ones = |a, b, c| [Value::Int(a), Value::Int(b), Value::Int(c)];
        assert_eq!(applied(&two, Value::from("b")), ones(0, 1, 0));
        assert_eq!(applied(&two, Value::from("d")), ones(0, 0, 0));
        assert_eq!(applied(&two, Value::Null), ones(0, 0, 0));
        let imputed = Some(Impute::Constant(Value::from("a")));
        let imputed = fitted(
            DataType::String,
            &values,
            imputed,
            Some(Shape::OneHot { limit: 9 }),
        );
        assert_eq!(applied(&imputed, Value::Null)[0], Value::Int(1));
    }

    #[test]
    fn a_bound_is_in_the_bucket_above_it() {
        let bounds = vec![0.0, 10.0, 100.0];
        let buckets = fitted(DataType::Int, &[], None, Some(Shape::Bucketize { bounds }));
        for (x, bucket) in [(-1, 0), (0, 1), (9, 1), (10, 2), (100, 3), (1000, 3)] {
            assert_eq!(
                applied(&buckets, Value::Int(x)),
                [Value::Int(bucket)],
                "{x}"
            );
        }
        assert_eq!(applied(&buckets, Value::Null), [Value::Null]);
        let shape = Some(Shape::Bucketize { bounds: vec![0.5] });
        let doubles = fitted(DataType::Double, &[], None, shape);
        assert_eq!(applied(&doubles, Value::double(f64::NAN)), [Value::Null]);
        assert_eq!(
            applied(&doubles, Value::double(f64::INFINITY)),
            [Value::Int(1)]
        );
    }

    fn any_double() -> impl Strategy<Value = Value> {
        prop_oneof![
            8 => any::<f64>().prop_map(|x| Value::Double(canonical_f64(x))),
            2 => (-5i32..5).prop_map(|x| Value::Double(f64::from(x))),
            1 => Just(Value::Null),
        ]
    }

    proptest! {
        /// What a server reads from a manifest does what the build did, to the bit.
        #[test]
        fn parameters_read_back_to_the_bit(
            values in prop::collection::vec(any_double(), 0..12),
            others in prop::collection::vec(any_double(), 1..6),
            impute in prop_oneof![
                Just(None),
                Just(Some(Impute::Mean)),
                Just(Some(Impute::Constant(Value::Double(0.1)))),
            ],
            shape in prop_oneof![
                Just(None),
                Just(Some(Shape::Standardize)),
                Just(Some(Shape::MinMax)),
                Just(Some(Shape::Bucketize { bounds: vec![-0.3, 1e-300, 7.1] })),
            ],
        ) {
            let made = fitted(DataType::Double, &values, impute, shape);
            let text = made.to_json().to_string();
            let json: Json = serde_json::from_str(&text).unwrap();
            let read = FittedTransform::from_json(made.feature.clone(), &json).unwrap();
            prop_assert_eq!(read.outputs(), made.outputs());
            for value in values.iter().chain(&others) {
                let bytes = |t: &FittedTransform| {
                    evenkeel_types::codec::encode_values(&applied(t, value.clone()))
                };
                prop_assert_eq!(bytes(&read), bytes(&made));
            }
        }
    }
}
