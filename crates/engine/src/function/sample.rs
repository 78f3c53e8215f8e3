//! Rows to check a function with: what its types allow at their edges, and many values between.
//!
//! Invariant: the rows depend on the types of the parameters alone.

use std::sync::Arc;

use evenkeel_types::definition::FunctionSpec;
use evenkeel_types::{DataType, Value};

/// Rows between the edges.
const ROWS: u64 = 256;

/// The rows; the columns are the parameters.
pub(super) fn rows(spec: &FunctionSpec) -> Vec<Vec<Value>> {
    let types: Vec<&DataType> = spec.parameters.iter().map(|p| &p.data_type).collect();
    let edges: Vec<Vec<Value>> = types.iter().map(|t| edges_of(t)).collect();
    let most = edges.iter().map(Vec::len).max().unwrap_or(0);
    let mut rows = Vec::new();
    // All at an edge, each parameter at its own; then one at an edge and the others between.
    for number in 0..most {
        let at = |(i, of): (usize, &Vec<Value>)| of[(number + i) % of.len()].clone();
        rows.push(edges.iter().enumerate().map(at).collect());
    }
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    let usual =
        |draws: &mut Draws| -> Vec<Value> { types.iter().map(|t| usual_of(t, draws)).collect() };
    for (i, of) in edges.iter().enumerate() {
        for edge in of {
            let mut row = usual(&mut draws);
            row[i] = edge.clone();
            rows.push(row);
        }
    }
    rows.extend((0..ROWS).map(|_| usual(&mut draws)));
    rows
}

/// A sequence that looks like chance and is always the same (xorshift64*).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn edges_of(data_type: &DataType) -> Vec<Value> {
    let mut edges = vec![Value::Null];
    match data_type {
        DataType::Boolean => edges.extend([true, false].map(Value::Boolean)),
        DataType::Int => edges.extend([0, 1, -1, i32::MIN, i32::MAX].map(Value::Int)),
        DataType::BigInt => {
            edges.extend([0, 1, -1, i64::MIN, i64::MAX, 1 << 53].map(Value::BigInt))
        }
        DataType::Float => edges.extend(
            [
                0.0,
                1.0,
                -1.0,
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::MAX,
                1e-45,
            ]
            .map(Value::float),
        ),
        DataType::Double => edges.extend(
            [
                0.0,
                1.0,
                -1.0,
                0.1,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MAX,
                5e-324,
            ]
            .map(Value::double),
        ),
        DataType::Decimal { precision, .. } => {
            let most = 10i128.pow(u32::from(*precision)) - 1;
            edges.extend([0, 1, -1, most, -most].map(Value::decimal));
        }
        DataType::String => {
            let long = "x".repeat(10_000);
            let texts = [
                "",
                " ",
                "a",
                "A",
                "äöü ß",
                "日本語",
                "👩‍🚀",
                "e\u{301}",
                "a'b\"c\\\n\t",
                "null",
                &long,
            ];
            edges.extend(texts.map(Value::from));
        }
        DataType::Bytes => {
            let all: Vec<u8> = (0..=255).collect();
            edges.extend([&[][..], &[0], &all].map(|b| Value::Bytes(b.into())));
        }
        // From the year 1 to 9999, which is what Python has.
        DataType::Date => edges.extend([0, -1, 19_723, -719_162, 2_932_896].map(Value::Date)),
        DataType::Timestamp => edges.extend(
            [
                0,
                -1,
                1_704_067_200_000_000,
                -62_135_596_800_000_000,
                253_402_300_799_999_999,
            ]
            .map(Value::Timestamp),
        ),
        DataType::Array(element) => {
            let elements: Vec<Value> = edges_of(element);
            edges.push(Value::Array(Arc::from([])));
            edges.push(Value::Array(elements.into()));
        }
        DataType::Vector { element, length } => {
            let one = |x: f64| match element.as_ref() {
                DataType::Float => Value::float(x as f32),
                _ => Value::double(x),
            };
            let all = |x: f64| Value::Array(vec![one(x); *length as usize].into());
            edges.extend([0.0, 1.0, f64::NAN].map(all));
        }
        DataType::Struct(_) | DataType::Interval | DataType::Null => {}
    }
    edges
}

fn usual_of(data_type: &DataType, draws: &mut Draws) -> Value {
    match data_type {
        DataType::Boolean => Value::Boolean(draws.below(2) == 1),
        DataType::Int => Value::Int(draws.below(20_001) as i32 - 10_000),
        DataType::BigInt => Value::BigInt(draws.below(2_000_001) as i64 - 1_000_000),
        DataType::Float => Value::float(real(draws) as f32),
        DataType::Double => Value::double(real(draws)),
        DataType::Decimal { precision, .. } => {
            let most = 10u64.pow(u32::from((*precision).min(15)));
            Value::decimal(i128::from(draws.below(most)))
        }
        DataType::String => {
            let letters = ["a", "b", "c", " ", "e", "X", "7", "-", "ö", "日"];
            let length = draws.below(24);
            let text = (0..length).map(|_| letters[draws.below(10) as usize]);
            Value::string(text.collect::<String>())
        }
        DataType::Bytes => {
            let length = draws.below(24);
            Value::Bytes((0..length).map(|_| draws.below(256) as u8).collect())
        }
        DataType::Date => Value::Date(draws.below(30_000) as i32),
        DataType::Timestamp => Value::Timestamp(draws.below(2_000_000_000_000_000) as i64),
        DataType::Array(element) => {
            let length = draws.below(6);
            Value::Array((0..length).map(|_| usual_of(element, draws)).collect())
        }
        DataType::Vector { element, length } => {
            Value::Array((0..*length).map(|_| usual_of(element, draws)).collect())
        }
        DataType::Struct(fields) => {
            let fields = fields.iter();
            Value::Struct(fields.map(|f| usual_of(&f.data_type, draws)).collect())
        }
        DataType::Interval | DataType::Null => Value::Null,
    }
}

/// Of all sizes that numbers usually have, with all digits.
fn real(draws: &mut Draws) -> f64 {
    let scale = [1.0, 10.0, 1e3, 1e6, 1e-3][draws.below(5) as usize];
    (draws.share() * 2.0 - 1.0) * scale
}
