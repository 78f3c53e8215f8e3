//! The native form of each type: how it lies in a column, in a value, and in a register.

use std::sync::Arc;

use evenkeel_types::{ColumnData, Interval, Value, canonical_f32, canonical_f64};

/// A type of column. The total order is the one of `Value::total_cmp` on present values.
pub(crate) trait Slot: 'static {
    /// As it lies in a column.
    type Stored: Clone + Send + Sync + 'static;
    /// As a function takes it.
    type Ref<'a>: Copy;

    /// The column's values.
    fn slice(data: &ColumnData) -> &[Self::Stored];
    /// A column's values.
    fn data(values: Vec<Self::Stored>) -> ColumnData;
    /// From a column.
    fn of_stored(stored: &Self::Stored) -> Self::Ref<'_>;
    /// From a present value.
    fn of_value(value: &Value) -> Self::Ref<'_>;
    /// To a column.
    fn to_stored(value: Self::Ref<'_>) -> Self::Stored;
    /// To a value.
    fn value(stored: Self::Stored) -> Value;
    /// The one representative: see `canonical_f64`.
    #[inline(always)]
    fn canonical(stored: Self::Stored) -> Self::Stored {
        stored
    }
    /// What lies in a slot without a value.
    fn placeholder() -> Self::Stored;
    /// Whether `a` comes before `b`.
    fn less(a: Self::Ref<'_>, b: Self::Ref<'_>) -> bool;
    /// Whether they are the same.
    fn equal(a: Self::Ref<'_>, b: Self::Ref<'_>) -> bool;
}

fn mismatch(found: &dyn std::fmt::Debug, wanted: &str) -> ! {
    // Types are checked when the expression is built; rows come with their columns' types.
    panic!("{found:?} is where a {wanted} belongs")
}

macro_rules! plain_slot {
    ($(#[$doc:meta])* $slot:ident, $variant:ident, $native:ty, $zero:expr) => {
        $(#[$doc])*
        pub(crate) struct $slot;

        impl Slot for $slot {
            type Stored = $native;
            type Ref<'a> = $native;

            #[inline(always)]
            fn slice(data: &ColumnData) -> &[$native] {
                match data {
                    ColumnData::$variant(values) => values,
                    other => mismatch(other, stringify!($variant)),
                }
            }
            #[inline(always)]
            fn data(values: Vec<$native>) -> ColumnData {
                ColumnData::$variant(values)
            }
            #[inline(always)]
            fn of_stored(stored: &$native) -> $native {
                *stored
            }
            #[inline(always)]
            fn of_value(value: &Value) -> $native {
                match value {
                    Value::$variant(x) => *x,
                    other => mismatch(other, stringify!($variant)),
                }
            }
            #[inline(always)]
            fn to_stored(value: $native) -> $native {
                value
            }
            #[inline(always)]
            fn value(stored: $native) -> Value {
                Value::$variant(stored)
            }
            #[inline(always)]
            fn placeholder() -> $native {
                $zero
            }
            #[inline(always)]
            fn less(a: $native, b: $native) -> bool {
                a < b
            }
            #[inline(always)]
            fn equal(a: $native, b: $native) -> bool {
                a == b
            }
        }
    };
}

plain_slot!(
    /// `BOOLEAN`; false comes before true.
    Boolean, Boolean, bool, false
);
plain_slot!(
    /// `INT`
    Int, Int, i32, 0
);
plain_slot!(
    /// `BIGINT`
    BigInt, BigInt, i64, 0
);
plain_slot!(
    /// `DATE`
    Date, Date, i32, 0
);
plain_slot!(
    /// `TIMESTAMP`
    Timestamp, Timestamp, i64, 0
);
plain_slot!(
    /// `INTERVAL`
    Span, Interval, Interval, Interval::default()
);

macro_rules! float_slot {
    ($(#[$doc:meta])* $slot:ident, $native:ty, $canonical:path) => {
        $(#[$doc])*
        pub(crate) struct $slot;

        impl Slot for $slot {
            type Stored = $native;
            type Ref<'a> = $native;

            #[inline(always)]
            fn slice(data: &ColumnData) -> &[$native] {
                match data {
                    ColumnData::$slot(values) => values,
                    other => mismatch(other, stringify!($slot)),
                }
            }
            #[inline(always)]
            fn data(values: Vec<$native>) -> ColumnData {
                ColumnData::$slot(values)
            }
            #[inline(always)]
            fn of_stored(stored: &$native) -> $native {
                *stored
            }
            #[inline(always)]
            fn of_value(value: &Value) -> $native {
                match value {
                    Value::$slot(x) => *x,
                    other => mismatch(other, stringify!($slot)),
                }
            }
            #[inline(always)]
            fn to_stored(value: $native) -> $native {
                value
            }
            #[inline(always)]
            fn value(stored: $native) -> Value {
                Value::$slot(stored)
            }
            #[inline(always)]
            fn canonical(stored: $native) -> $native {
                $canonical(stored)
            }
            #[inline(always)]
            fn placeholder() -> $native {
                0.0
            }
            #[inline(always)]
            fn less(a: $native, b: $native) -> bool {
                // NaN is greatest and equal to itself.
                a < b || (b.is_nan() && !a.is_nan())
            }
            #[inline(always)]
            fn equal(a: $native, b: $native) -> bool {
                a == b || (a.is_nan() && b.is_nan())
            }
        }
    };
}

float_slot!(
    /// `FLOAT`
    Float, f32, canonical_f32
);
float_slot!(
    /// `DOUBLE`
    Double, f64, canonical_f64
);

/// `DECIMAL`, unscaled.
pub(crate) struct Decimal;

impl Slot for Decimal {
    type Stored = i128;
    type Ref<'a> = i128;

    #[inline(always)]
    fn slice(data: &ColumnData) -> &[i128] {
        match data {
            ColumnData::Decimal(values) => values,
            other => mismatch(other, "Decimal"),
        }
    }
    fn data(values: Vec<i128>) -> ColumnData {
        ColumnData::Decimal(values)
    }
    #[inline(always)]
    fn of_stored(stored: &i128) -> i128 {
        *stored
    }
    #[inline(always)]
    fn of_value(value: &Value) -> i128 {
        match value {
            Value::Decimal(x) => x.get(),
            other => mismatch(other, "Decimal"),
        }
    }
    #[inline(always)]
    fn to_stored(value: i128) -> i128 {
        value
    }
    fn value(stored: i128) -> Value {
        Value::decimal(stored)
    }
    fn placeholder() -> i128 {
        0
    }
    #[inline(always)]
    fn less(a: i128, b: i128) -> bool {
        a < b
    }
    #[inline(always)]
    fn equal(a: i128, b: i128) -> bool {
        a == b
    }
}

macro_rules! shared_slot {
    ($(#[$doc:meta])* $slot:ident, $variant:ident, $shared:ty) => {
        $(#[$doc])*
        pub(crate) struct $slot;

        impl Slot for $slot {
            type Stored = $shared;
            type Ref<'a> = &'a $shared;

            fn slice(data: &ColumnData) -> &[$shared] {
                match data {
                    ColumnData::$variant(values) => values,
                    other => mismatch(other, stringify!($variant)),
                }
            }
            fn data(values: Vec<$shared>) -> ColumnData {
                ColumnData::$variant(values)
            }
            #[inline(always)]
            fn of_stored(stored: &$shared) -> &$shared {
                stored
            }
            #[inline(always)]
            fn of_value(value: &Value) -> &$shared {
                match value {
                    Value::$variant(x) => x,
                    other => mismatch(other, stringify!($variant)),
                }
            }
            fn to_stored(value: &$shared) -> $shared {
                value.clone()
            }
            fn value(stored: $shared) -> Value {
                Value::$variant(stored)
            }
            fn placeholder() -> $shared {
                <$shared>::default()
            }
            #[inline(always)]
            fn less(a: &$shared, b: &$shared) -> bool {
                // Text compares by bytes, which is how Rust orders it too.
                a < b
            }
            #[inline(always)]
            fn equal(a: &$shared, b: &$shared) -> bool {
                a == b
            }
        }
    };
}

shared_slot!(
    /// `STRING`; compares by bytes.
    Text, String, Arc<str>
);
shared_slot!(
    /// `BYTES`
    Bytes, Bytes, Arc<[u8]>
);

/// Arrays, vectors and structs.
pub(crate) struct Nested;

impl Slot for Nested {
    type Stored = Value;
    type Ref<'a> = &'a Value;

    fn slice(data: &ColumnData) -> &[Value] {
        match data {
            ColumnData::Nested(values) => values,
            other => mismatch(other, "Nested"),
        }
    }
    fn data(values: Vec<Value>) -> ColumnData {
        ColumnData::Nested(values)
    }
    fn of_stored(stored: &Value) -> &Value {
        stored
    }
    fn of_value(value: &Value) -> &Value {
        value
    }
    fn to_stored(value: &Value) -> Value {
        value.clone()
    }
    fn value(stored: Value) -> Value {
        stored
    }
    fn placeholder() -> Value {
        Value::Null
    }
    fn less(a: &Value, b: &Value) -> bool {
        a.total_cmp(b).is_lt()
    }
    fn equal(a: &Value, b: &Value) -> bool {
        a.total_cmp(b).is_eq()
    }
}

/// Evaluates an expression with `$slot` standing for the [`Slot`] of a data type.
macro_rules! with_slot {
    ($data_type:expr, $slot:ident => $body:expr) => {{
        use evenkeel_types::DataType as T;
        use $crate::kernel as k;
        match $data_type {
            T::Boolean => {
                type $slot = k::Boolean;
                $body
            }
            T::Int => {
                type $slot = k::Int;
                $body
            }
            T::BigInt => {
                type $slot = k::BigInt;
                $body
            }
            T::Float => {
                type $slot = k::Float;
                $body
            }
            T::Double => {
                type $slot = k::Double;
                $body
            }
            T::Decimal { .. } => {
                type $slot = k::Decimal;
                $body
            }
            T::String => {
                type $slot = k::Text;
                $body
            }
            T::Bytes => {
                type $slot = k::Bytes;
                $body
            }
            T::Date => {
                type $slot = k::Date;
                $body
            }
            T::Timestamp => {
                type $slot = k::Timestamp;
                $body
            }
            T::Interval => {
                type $slot = k::Span;
                $body
            }
            T::Array(_) | T::Vector { .. } | T::Struct(_) | T::Null => {
                type $slot = k::Nested;
                $body
            }
        }
    }};
}

/// A kernel over slots of one type that are compared: `$make` with `$slot` standing for the
/// [`Slot`] of the type of the signature's first argument, or for [`Nested`] if the type is
/// rare.
macro_rules! with_ordered_slot {
    ($signature:expr, $slot:ident => $make:expr) => {{
        use evenkeel_types::DataType as T;
        use $crate::kernel as k;
        match &$signature.arguments[0] {
            T::Int => {
                type $slot = k::Int;
                $make
            }
            T::BigInt => {
                type $slot = k::BigInt;
                $make
            }
            T::Float => {
                type $slot = k::Float;
                $make
            }
            T::Double => {
                type $slot = k::Double;
                $make
            }
            T::Decimal { .. } => {
                type $slot = k::Decimal;
                $make
            }
            T::String => {
                type $slot = k::Text;
                $make
            }
            T::Date => {
                type $slot = k::Date;
                $make
            }
            T::Timestamp => {
                type $slot = k::Timestamp;
                $make
            }
            T::Boolean
            | T::Bytes
            | T::Interval
            | T::Array(_)
            | T::Vector { .. }
            | T::Struct(_)
            | T::Null => {
                type $slot = k::Nested;
                k::boxed($signature.result, $make)
            }
        }
    }};
}

pub(crate) use with_ordered_slot;
pub(crate) use with_slot;

#[cfg(test)]
mod tests {
    use evenkeel_types::compare_f64;

    use super::*;

    #[test]
    fn floats_order_as_values_do() {
        let values = [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for a in values {
            for b in values {
                let order = compare_f64(a, b);
                assert_eq!(Double::less(a, b), order.is_lt());
                assert_eq!(Double::equal(a, b), order.is_eq());
            }
        }
    }
}
