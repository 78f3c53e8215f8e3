//! Random values, rows and expressions over the whole closed list, from a seed.

use std::sync::Arc;

use evenkeel_expr::build;
use evenkeel_types::time::{DAY, TIME_MAX, TIME_MIN};
use evenkeel_types::{DataType, ErrorReason, Expr, Field, Interval, Value};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

pub(crate) fn decimal(precision: u8, scale: u8) -> DataType {
    DataType::Decimal { precision, scale }
}

/// The columns of every random row: two of each type, and some more.
pub(crate) fn schema() -> Vec<DataType> {
    use DataType as T;
    let struct_type = T::Struct(vec![
        Field::new("value", T::String),
        Field::new("count", T::BigInt),
    ]);
    let vector = |element: T, length| T::Vector {
        element: Box::new(element),
        length,
    };
    let array = |element: T| T::Array(Box::new(element));
    let once = vec![
        T::Boolean,
        T::Int,
        T::BigInt,
        T::Float,
        T::Double,
        decimal(10, 2),
        T::String,
        T::Bytes,
        T::Date,
        T::Timestamp,
    ];
    let mut columns = once.clone();
    columns.extend(once);
    columns.extend([
        decimal(38, 6),
        decimal(5, 0),
        array(T::BigInt),
        array(T::String),
        array(T::Double),
        vector(T::Float, 3),
        vector(T::Double, 3),
        struct_type,
    ]);
    columns
}

/// A random value of a type: often an edge, sometimes NULL, rarely an ERROR.
pub(crate) fn value(random: &mut Random, data_type: &DataType) -> Value {
    match random.below(16) {
        0 | 1 => return Value::Null,
        2 if random.one_in(2) => {
            return Value::Error(*random.pick(&ErrorReason::ALL));
        }
        _ => {}
    }
    present(random, data_type)
}

fn double(random: &mut Random) -> f64 {
    match random.below(4) {
        0 => *random.pick(&[
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            2.5,
            1e-300,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            9_007_199_254_740_993.0,
            9.3e18,
            -9_223_372_036_854_775_808.0,
        ]),
        1 => f64::from_bits(random.next()),
        2 => random.below(2_000) as f64 / 8.0 - 100.0,
        _ => (random.next() as i64 as f64) / 1e15,
    }
}

fn integer(random: &mut Random) -> i64 {
    match random.below(4) {
        0 => *random.pick(&[
            0,
            1,
            -1,
            2,
            i64::MAX,
            i64::MIN,
            i64::MAX - 1,
            i64::from(i32::MAX),
            1 << 53,
        ]),
        1 => random.next() as i64,
        _ => random.below(41) as i64 - 20,
    }
}

fn text(random: &mut Random) -> String {
    const WORDS: &[&str] = &[
        "",
        "a",
        "ab",
        "abc",
        "%",
        "_b%",
        "ß",
        "İstanbul",
        "x y",
        "  pad ",
        "12",
        "-7.5",
        "1e3",
        "NaN",
        "true",
        "F",
        "2026-03-01",
        "2026-03-29T02:30:00Z",
        "a,b,,c",
        ",",
        "\u{1F600}",
        "\0",
        "99999999999999999999",
    ];
    let mut text = (*random.pick::<&str>(WORDS)).to_owned();
    if random.one_in(4) {
        text.push_str(random.pick::<&str>(WORDS));
    }
    text
}

fn present(random: &mut Random, data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => Value::Boolean(random.one_in(2)),
        DataType::Int => Value::Int(match random.below(4) {
            0 => *random.pick(&[i32::MAX, i32::MIN, 0, -1]),
            _ => integer(random) as i32,
        }),
        DataType::BigInt => Value::BigInt(integer(random)),
        DataType::Float => Value::float(match random.below(3) {
            0 => f32::from_bits(random.next() as u32),
            _ => double(random) as f32,
        }),
        DataType::Double => Value::double(double(random)),
        DataType::Decimal { precision, .. } => {
            let bound = 10i128.pow(u32::from(*precision));
            let raw = (i128::from(random.next() as i64) << 64) | i128::from(random.next());
            Value::decimal(
                match random.below(4) {
                    0 => *random.pick(&[0, 1, -1, bound - 1, 1 - bound, 50, -150]),
                    1 => raw % bound,
                    _ => raw % 1_000,
                } % bound,
            )
        }
        DataType::String => Value::string(text(random)),
        DataType::Bytes => Value::Bytes(text(random).as_bytes().into()),
        DataType::Date => Value::Date(match random.below(5) {
            0 => (*random.pick(&[TIME_MIN, TIME_MAX]) / DAY) as i32,
            _ => random.below(40_000) as i32 - 5_000,
        }),
        DataType::Timestamp => Value::Timestamp(match random.below(5) {
            0 => *random.pick(&[TIME_MIN, TIME_MAX, 0, -1, 1_774_747_800_000_000]),
            _ => (random.next() >> 13) as i64 - 500_000_000_000_000,
        }),
        DataType::Interval => Value::Interval(Interval {
            months: random.below(30) as i32 - 10,
            micros: integer(random),
        }),
        DataType::Array(element) => {
            let length = random.below(4);
            Value::Array(
                (0..length)
                    .map(|_| {
                        if random.one_in(5) {
                            Value::Null
                        } else {
                            present(random, element)
                        }
                    })
                    .collect(),
            )
        }
        DataType::Vector { element, length } => {
            Value::Array((0..*length).map(|_| present(random, element)).collect())
        }
        DataType::Struct(fields) => Value::Struct(
            fields
                .iter()
                .map(|f| value_without_error(random, &f.data_type))
                .collect(),
        ),
        DataType::Null => Value::Null,
    }
}

fn value_without_error(random: &mut Random, data_type: &DataType) -> Value {
    if random.one_in(6) {
        Value::Null
    } else {
        present(random, data_type)
    }
}

/// What may stand at an argument's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    /// Of the type of the argument before it, more or less.
    Same,
    Number,
    /// Literal or column, small.
    Small,
    Truth,
    Text,
    Time,
    Span,
    List,
    Vector,
    Struct,
    /// Constants by name.
    Unit,
    Part,
    Zone,
    Escape,
    FieldName,
    Places,
}

/// Arguments that most functions accept, by function; others take their overloads' types.
fn shapes(name: &str) -> &'static [&'static [Kind]] {
    use Kind::*;
    match name {
        "add" | "subtract" => &[
            &[Number, Number],
            &[Number, Same],
            &[Time, Span],
            &[Span, Span],
        ],
        "multiply" => &[&[Number, Number], &[Number, Same], &[Span, Small]],
        "divide" | "int_divide" | "modulo" => &[&[Number, Number], &[Number, Same]],
        "negate" => &[&[Number], &[Span]],
        "abs" | "unary_plus" | "floor" | "ceil" => &[&[Number]],
        "round" | "trunc" => &[&[Number], &[Number, Places], &[Number, Small]],
        "eq"
        | "ne"
        | "lt"
        | "le"
        | "gt"
        | "ge"
        | "is_distinct_from"
        | "is_not_distinct_from"
        | "nullif" => &[&[Any, Same], &[Number, Number]],
        "between" => &[&[Any, Same, Same], &[Number, Number, Number]],
        "in" => &[&[Any, Same, Same], &[Number, Number, Number, Same]],
        "is_null" | "is_not_null" => &[&[Any]],
        "greatest" | "least" | "coalesce" => &[&[Any, Same, Same], &[Any, Same], &[Number, Number]],
        "and" | "or" => &[&[Truth, Truth], &[Truth, Truth, Truth]],
        "if" => &[&[Truth, Any, Same], &[Truth, Any]],
        "nvl2" => &[&[Any, Any, Same]],
        "length" => &[&[Text], &[List]],
        "concat" => &[&[Text, Text, Text]],
        "concat_ws" => &[&[Text, Text, Text]],
        "hash" => &[&[Any, Any], &[Any]],
        "like" | "ilike" => &[&[Text, Text], &[Text, Text, Escape]],
        "date_trunc" => &[&[Unit, Time], &[Unit, Time, Zone]],
        "date_part" => &[&[Part, Time], &[Part, Time, Zone]],
        "date_diff" => &[&[Unit, Time, Time], &[Unit, Time, Time, Zone]],
        "year" | "quarter" | "month" | "week" | "iso_year" | "day" | "day_of_week"
        | "day_of_year" | "hour" | "minute" | "second" | "microsecond" => &[&[Time], &[Time, Zone]],
        "make_timestamp" => &[
            &[Small, Small, Small, Small, Small, Number],
            &[Small, Small, Small, Small, Small, Number, Zone],
        ],
        "to_local" | "from_local" => &[&[Time, Zone]],
        "array" => &[&[Any, Same], &[Number, Number, Number]],
        "array_length" => &[&[List]],
        "element_at" => &[&[List, Small], &[Vector, Small]],
        "array_contains" | "array_position" => &[&[List, Any], &[List, Number], &[List, Text]],
        "struct_field" => &[&[Struct, FieldName]],
        "dot_product" | "cosine_similarity" | "cosine_distance" | "l2_distance" => {
            &[&[Vector, Vector], &[Vector, List]]
        }
        "l2_norm" => &[&[Vector]],
        "read_time" => &[&[]],
        _ => &[],
    }
}

/// Expressions built so far, from which larger ones are built.
pub(crate) struct Pool {
    pub(crate) built: Vec<Expr>,
}

impl Pool {
    /// The columns of [`schema`].
    pub(crate) fn new() -> Self {
        Pool {
            built: schema()
                .into_iter()
                .enumerate()
                .map(|(i, t)| Expr::column(i, t))
                .collect(),
        }
    }

    fn of_kind(&self, random: &mut Random, fits: impl Fn(&DataType) -> bool) -> Option<Expr> {
        (0..200)
            .map(|_| random.pick(&self.built))
            .find(|e| fits(&e.data_type))
            .cloned()
    }

    fn argument(&self, random: &mut Random, kind: Kind, before: Option<&Expr>) -> Option<Expr> {
        let constant =
            |random: &mut Random, texts: &[&str]| Some(build::string(random.pick::<&str>(texts)));
        match kind {
            Kind::Any => self.of_kind(random, |_| true),
            Kind::Same => {
                let like = before?.data_type.clone();
                if random.one_in(4) && like.is_scalar() {
                    let literal = value(random, &like);
                    return Some(Expr::literal(literal, like));
                }
                self.of_kind(random, |t| *t == like)
            }
            Kind::Number => {
                if random.one_in(5) {
                    let types = [
                        DataType::Int,
                        DataType::BigInt,
                        DataType::Double,
                        decimal(4, 1),
                    ];
                    let data_type = random.pick(&types).clone();
                    let literal = present(random, &data_type);
                    return Some(Expr::literal(literal, data_type));
                }
                self.of_kind(random, DataType::is_numeric)
            }
            Kind::Small => {
                if random.one_in(3) {
                    self.of_kind(random, DataType::is_integer)
                } else {
                    let choices = [-2, -1, 0, 1, 2, 3, 12, 28, 59, 2024, 2026];
                    Some(build::integer(*random.pick(&choices)))
                }
            }
            Kind::Truth => self.of_kind(random, |t| *t == DataType::Boolean),
            Kind::Text => {
                if random.one_in(4) {
                    let text = text(random);
                    return Some(build::string(&text));
                }
                self.of_kind(random, |t| *t == DataType::String)
            }
            Kind::Time => self.of_kind(random, |t| {
                matches!(t, DataType::Date | DataType::Timestamp)
            }),
            Kind::Span => {
                if random.one_in(2) {
                    let Value::Interval(span) = present(random, &DataType::Interval) else {
                        return None;
                    };
                    Some(build::interval(span))
                } else {
                    self.of_kind(random, |t| *t == DataType::Interval)
                }
            }
            Kind::List => self.of_kind(random, |t| {
                matches!(t, DataType::Array(_) | DataType::Vector { .. })
            }),
            Kind::Vector => self.of_kind(random, |t| {
                matches!(t, DataType::Vector { .. })
                    || *t == DataType::Array(Box::new(DataType::Double))
            }),
            Kind::Struct => self.of_kind(random, |t| matches!(t, DataType::Struct(_))),
            Kind::Unit => constant(
                random,
                &[
                    "microsecond",
                    "second",
                    "hour",
                    "day",
                    "week",
                    "month",
                    "quarter",
                    "years",
                ],
            ),
            Kind::Part => constant(random, &["year", "isodow", "hour", "WEEK", "seconds"]),
            Kind::Zone => constant(
                random,
                &[
                    "UTC",
                    "Europe/Berlin",
                    "America/Los_Angeles",
                    "Asia/Kolkata",
                    "-03:30",
                ],
            ),
            Kind::Escape => constant(random, &["!", "\\", "a"]),
            Kind::FieldName => constant(random, &["value", "count"]),
            Kind::Places => Some(build::integer(random.below(6) as i64 - 2)),
        }
    }

    /// A call of the function on what is there, if the draw fits its types.
    pub(crate) fn call(
        &self,
        random: &mut Random,
        name: &str,
        signatures: &[String],
    ) -> Option<Expr> {
        let mut args: Vec<Expr> = Vec::new();
        let shapes = shapes(name);
        if shapes.is_empty() {
            let signature = random.pick(signatures);
            for parameter in overload(signature)? {
                let arg = match parameter {
                    "STRING" => self.argument(random, Kind::Text, None),
                    "BIGINT" => self.argument(random, Kind::Small, None),
                    "INTERVAL" => self.argument(random, Kind::Span, None),
                    "TIMESTAMP" => self.argument(random, Kind::Time, None),
                    "DOUBLE" => self.argument(random, Kind::Number, None),
                    other => self.of_kind(random, |t| t.to_string() == other),
                };
                args.push(arg?);
            }
        } else {
            for kind in *random.pick(shapes) {
                let arg = self.argument(random, *kind, args.last())?;
                args.push(arg);
            }
        }
        if name == "case" {
            return None;
        }
        build::call(name, args).ok()
    }

    /// A cast, a CASE or another form that is no plain call.
    pub(crate) fn form(&self, random: &mut Random) -> Option<Expr> {
        let any = self.of_kind(random, |_| true)?;
        match random.below(4) {
            0 => {
                let to = random.pick(&schema()).clone();
                build::cast(any, &to).ok()
            }
            1 => {
                let to = random.pick(&schema()).clone();
                build::try_cast(any, &to).ok()
            }
            2 => {
                let truth = |random: &mut Random| self.argument(random, Kind::Truth, None);
                let second = self.argument(random, Kind::Same, Some(&any))?;
                let otherwise = self.argument(random, Kind::Same, Some(&any));
                let branches = vec![(truth(random)?, any), (truth(random)?, second)];
                build::case(branches, otherwise.filter(|_| random.one_in(2))).ok()
            }
            _ => {
                let value = self.argument(random, Kind::Same, Some(&any))?;
                let result = self.of_kind(random, |_| true)?;
                build::case_of(any, vec![(value, result)], None).ok()
            }
        }
    }
}

/// The parameters of `name(A, B) -> C`.
fn overload(signature: &str) -> Option<Vec<&str>> {
    let (_, rest) = signature.split_once('(')?;
    let (inside, _) = rest.split_once(')')?;
    Some(if inside.is_empty() {
        Vec::new()
    } else {
        inside.split(", ").collect()
    })
}

/// Whether a value may be the value of an expression of this type.
pub(crate) fn is_of_type(value: &Value, data_type: &DataType) -> bool {
    match (value, data_type) {
        (Value::Null | Value::Error(_), _)
        | (Value::Boolean(_), DataType::Boolean)
        | (Value::Int(_), DataType::Int)
        | (Value::BigInt(_), DataType::BigInt)
        | (Value::String(_), DataType::String)
        | (Value::Bytes(_), DataType::Bytes)
        | (Value::Interval(_), DataType::Interval) => true,
        (Value::Date(d), DataType::Date) => {
            (TIME_MIN / DAY..=TIME_MAX / DAY).contains(&i64::from(*d))
        }
        (Value::Timestamp(t), DataType::Timestamp) => (TIME_MIN..=TIME_MAX).contains(t),
        (Value::Float(x), DataType::Float) => {
            x.to_bits() == evenkeel_types::canonical_f32(*x).to_bits()
        }
        (Value::Double(x), DataType::Double) => {
            x.to_bits() == evenkeel_types::canonical_f64(*x).to_bits()
        }
        (Value::Decimal(x), DataType::Decimal { precision, .. }) => {
            x.get().unsigned_abs() < 10u128.pow(u32::from(*precision))
        }
        (Value::Array(values), DataType::Array(element)) => {
            values.iter().all(|v| is_of_type(v, element))
        }
        (Value::Array(values), DataType::Vector { element, length }) => {
            values.len() == *length as usize && values.iter().all(|v| is_of_type(v, element))
        }
        (Value::Struct(values), DataType::Struct(fields)) => {
            values.len() == fields.len()
                && values
                    .iter()
                    .zip(fields)
                    .all(|(v, f)| is_of_type(v, &f.data_type))
        }
        _ => false,
    }
}

/// Rows of [`schema`].
pub(crate) fn rows(random: &mut Random, count: usize) -> Vec<Arc<[Value]>> {
    let schema = schema();
    (0..count)
        .map(|_| schema.iter().map(|t| value(random, t)).collect())
        .collect()
}
