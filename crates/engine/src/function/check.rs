//! Which class a function is of: whether equal arguments give equal bits.
//!
//! A sample of rows is computed at once, one by one, in pieces, in another order, again, in other
//! processes, with another order of hashes, and with what processors have in addition turned off.
//! Invariant: a difference is a counter-example that anybody can repeat; that none is found proves
//! nothing, but for these rows on this machine.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use evenkeel_types::definition::{FunctionClass, FunctionSpec};
use evenkeel_types::{Column, Value};

use super::call::{Pieces, evaluate};
use super::columns_of;
use super::failure::FunctionFailure;
use super::program::Program;
use super::sample;
use super::workers::Workers;

/// Turns off what only some processors have, as far as libraries can be asked to.
const MASKED: [(&str, &str); 5] = [
    ("PYTHONHASHSEED", "7919"),
    (
        "GLIBC_TUNABLES",
        "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F,-AVX512VL,-AVX512DQ,-AVX512BW",
    ),
    (
        "NPY_DISABLE_CPU_FEATURES",
        "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
    ),
    ("OPENBLAS_CORETYPE", "Nehalem"),
    ("ARROW_USER_SIMD_LEVEL", "NONE"),
];

/// What is recorded of a counter-example.
const EXAMPLE_CHARACTERS_MAX: usize = 2000;

/// What the checks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCheck {
    /// Whether equal arguments gave equal bits.
    pub class: FunctionClass,
    /// The rows that it was called with.
    pub rows: usize,
    /// For how many of them it raised, or gave what is no value of its type.
    pub errors: usize,
    /// For how many of them it gave a value; the others are NULL.
    pub values: usize,
}

impl FunctionCheck {
    /// What is to be said if nothing is known of its values, as it gave none.
    pub fn remark(&self) -> Option<String> {
        (self.errors > 0 && self.values == 0).then(|| {
            format!(
                "it gave no value for any of the {} rows that it was checked with, {} of them are \
                 ERROR: nothing is known of its bits",
                self.rows, self.errors
            )
        })
    }
}

/// The class of a function.
///
/// # Errors
/// If it cannot be run at all.
pub(super) fn checked(
    interpreter: &Path,
    spec: &Arc<FunctionSpec>,
) -> Result<FunctionCheck, FunctionFailure> {
    let rows = sample::rows(spec);
    let usual = Run::new(interpreter, spec, &[]);
    let all = usual.values(&rows)?;
    let differs = |how: &str, values: &[Value], order: &dyn Fn(usize) -> usize| {
        let found = (0..rows.len()).find(|at| !values[*at].same_bits(&all[order(*at)]));
        found.map(|at| {
            let row = order(at);
            counter_example(spec, &rows[row], &all[row], &values[at], how)
        })
    };
    let same = |at: usize| at;
    let mut found = differs("called again", &usual.values(&rows)?, &same);
    if found.is_none() {
        let mut alone = Vec::new();
        for row in &rows {
            alone.extend(usual.values(std::slice::from_ref(row))?);
        }
        found = differs("called with this row alone", &alone, &same);
    }
    if found.is_none() {
        let mut pieces = Vec::new();
        for piece in rows.chunks(7) {
            pieces.extend(usual.values(piece)?);
        }
        found = differs("called with seven rows at a time", &pieces, &same);
    }
    if found.is_none() {
        let last = rows.len().saturating_sub(1);
        let reversed: Vec<Vec<Value>> = rows.iter().rev().cloned().collect();
        found = differs(
            "called with the rows in another order",
            &usual.values(&reversed)?,
            &|at| last - at,
        );
    }
    if found.is_none() {
        let seed = Run::new(interpreter, spec, &[("PYTHONHASHSEED", "1")]);
        found = differs(
            "in another process, with another PYTHONHASHSEED",
            &seed.values(&rows)?,
            &same,
        );
    }
    if found.is_none() {
        // Where the variables mean nothing to the platform this is one more fresh process.
        let masked = Run::new(interpreter, spec, &MASKED);
        found = differs(
            "without AVX2, AVX-512 and FMA",
            &masked.values(&rows)?,
            &same,
        );
    }
    Ok(FunctionCheck {
        class: match found {
            None => FunctionClass::BitStable,
            Some(example) => FunctionClass::RecordedOnly(example),
        },
        rows: all.len(),
        errors: all.iter().filter(|value| value.error().is_some()).count(),
        values: all.iter().filter(|value| !value.is_missing()).count(),
    })
}

/// Processes of their own, ended with the check.
struct Run<'a> {
    spec: &'a FunctionSpec,
    program: Program,
    workers: Arc<Workers>,
}

impl<'a> Run<'a> {
    fn new(
        interpreter: &Path,
        spec: &'a FunctionSpec,
        variables: &[(&'static str, &'static str)],
    ) -> Self {
        Run {
            spec,
            program: Program::new(interpreter, spec, variables),
            workers: Arc::default(),
        }
    }

    fn values(&self, rows: &[Vec<Value>]) -> Result<Vec<Value>, FunctionFailure> {
        let arguments: Vec<Column> = columns_of(self.spec, rows);
        let asked = (arguments.as_slice(), rows.len());
        let answered = evaluate(
            &self.workers,
            &self.program,
            self.spec,
            asked,
            Pieces::Whole,
        )?;
        Ok(answered.column.iter().collect())
    }
}

/// In words, with bits.
fn counter_example(
    spec: &FunctionSpec,
    row: &[Value],
    first: &Value,
    second: &Value,
    how: &str,
) -> String {
    let arguments: Vec<String> = row.iter().map(in_bits).collect();
    let example = format!(
        "`{}({})` is {} and, {how}, {}",
        spec.name,
        arguments.join(", "),
        in_bits(first),
        in_bits(second)
    );
    example.chars().take(EXAMPLE_CHARACTERS_MAX).collect()
}

/// A value, a float with its bits.
fn in_bits(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Error(reason) => format!("ERROR({reason})"),
        Value::Double(x) => format!("{x:?} (0x{:016x})", x.to_bits()),
        Value::Float(x) => format!("{x:?} (0x{:08x})", x.to_bits()),
        Value::String(text) if text.len() > 60 => format!("a text of {} bytes", text.len()),
        Value::String(text) => format!("'{text}'"),
        Value::Boolean(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::BigInt(x) => x.to_string(),
        Value::Decimal(x) => format!("{} (unscaled)", x.get()),
        Value::Date(days) => format!("day {days}"),
        Value::Timestamp(micros) => format!("{micros} µs"),
        Value::Interval(x) => x.to_string(),
        Value::Bytes(bytes) => bytes
            .iter()
            .take(30)
            .fold("0x".to_owned(), |mut text, byte| {
                // Writing to a string does not fail.
                let _ = write!(text, "{byte:02x}");
                text
            }),
        Value::Array(values) | Value::Struct(values) => {
            let shown: Vec<String> = values.iter().take(4).map(in_bits).collect();
            format!(
                "[{}{}]",
                shown.join(", "),
                if values.len() > 4 { ", ..." } else { "" }
            )
        }
    }
}
