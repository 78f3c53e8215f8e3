//! Numbers of every width. Widening is exact; narrowing is checked value by value.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_schema::DataType as ArrowType;
use evenkeel_types::{ColumnData, DataType, canonical_f32, canonical_f64};

use super::Slots;
use crate::value::{ValueError, fits_precision, format_decimal, rescale};

/// Runs an expression with the array as the primitive type that it is of.
macro_rules! with_type {
    ($array:expr, { $($arrow:pat => $type:ty,)+ }, $typed:ident => $body:expr, else $otherwise:expr) => {
        match $array.data_type() {
            $($arrow => {
                let $typed: &PrimitiveArray<$type> = $array.as_primitive();
                $body
            })+
            _ => $otherwise,
        }
    };
}

macro_rules! with_integers {
    ($array:expr, $typed:ident => $body:expr, else $otherwise:expr) => {
        with_type!($array, {
            ArrowType::Int8 => Int8Type,
            ArrowType::Int16 => Int16Type,
            ArrowType::Int32 => Int32Type,
            ArrowType::Int64 => Int64Type,
            ArrowType::UInt8 => UInt8Type,
            ArrowType::UInt16 => UInt16Type,
            ArrowType::UInt32 => UInt32Type,
            ArrowType::UInt64 => UInt64Type,
        }, $typed => $body, else $otherwise)
    };
}

/// Integers and doubles of the type itself: nothing can be wrong with them.
pub(super) fn as_they_are(array: &dyn Array, target: &DataType) -> Option<ColumnData> {
    Some(match (array.data_type(), target) {
        (ArrowType::Int32, DataType::Int) => {
            ColumnData::Int(array.as_primitive::<Int32Type>().values().to_vec())
        }
        (ArrowType::Int64, DataType::BigInt) => {
            ColumnData::BigInt(array.as_primitive::<Int64Type>().values().to_vec())
        }
        (ArrowType::Float64, DataType::Double) => {
            let values = array.as_primitive::<Float64Type>().values();
            ColumnData::Double(values.iter().map(|x| canonical_f64(*x)).collect())
        }
        _ => return None,
    })
}

/// Integers of any width; floats whose value is whole; decimals without a scale.
pub(super) fn integers<T: Default>(
    array: &dyn Array,
    target: &DataType,
    slots: &mut Slots,
    narrow: impl Fn(i128) -> Option<T>,
) -> Option<Vec<T>> {
    let checked = |x: i128| narrow(x).ok_or_else(|| ValueError::range(&x.to_string(), target));
    let whole = |x: f64| {
        if x.is_finite() && x.trunc() == x {
            // Beyond 128 bits the cast saturates, which is out of range as well.
            checked(x as i128)
        } else {
            Err(ValueError::fraction(&format!("{x:?}"), target))
        }
    };
    with_integers!(array, typed => {
        return Some(slots.read(array, |i| checked(i128::from(typed.value(i)))));
    }, else {});
    Some(match array.data_type() {
        ArrowType::Float16 => {
            let typed = array.as_primitive::<Float16Type>();
            slots.read(array, |i| whole(typed.value(i).to_f64()))
        }
        ArrowType::Float32 => {
            let typed = array.as_primitive::<Float32Type>();
            slots.read(array, |i| whole(f64::from(typed.value(i))))
        }
        ArrowType::Float64 => {
            let typed = array.as_primitive::<Float64Type>();
            slots.read(array, |i| whole(typed.value(i)))
        }
        ArrowType::Decimal32(_, 0) => {
            let typed = array.as_primitive::<Decimal32Type>();
            slots.read(array, |i| checked(i128::from(typed.value(i))))
        }
        ArrowType::Decimal64(_, 0) => {
            let typed = array.as_primitive::<Decimal64Type>();
            slots.read(array, |i| checked(i128::from(typed.value(i))))
        }
        ArrowType::Decimal128(_, 0) => {
            let typed = array.as_primitive::<Decimal128Type>();
            slots.read(array, |i| checked(typed.value(i)))
        }
        _ => return None,
    })
}

/// Floats of up to 32 bits, and integers that are exactly one.
pub(super) fn floats(array: &dyn Array, slots: &mut Slots) -> Option<Vec<f32>> {
    let exact = |x: i128| {
        let float = x as f32;
        if float as i128 == x {
            Ok(canonical_f32(float))
        } else {
            Err(ValueError::inexact(&x.to_string(), &DataType::Float))
        }
    };
    with_integers!(array, typed => {
        return Some(slots.read(array, |i| exact(i128::from(typed.value(i)))));
    }, else {});
    Some(match array.data_type() {
        ArrowType::Float16 => {
            let typed = array.as_primitive::<Float16Type>();
            slots.read(array, |i| Ok(canonical_f32(typed.value(i).to_f32())))
        }
        ArrowType::Float32 => {
            let typed = array.as_primitive::<Float32Type>();
            slots.read(array, |i| Ok(canonical_f32(typed.value(i))))
        }
        _ => return None,
    })
}

/// Floats of any width, and integers that are exactly a double.
pub(super) fn doubles(array: &dyn Array, slots: &mut Slots) -> Option<Vec<f64>> {
    let exact = |x: i128| {
        let double = x as f64;
        if double as i128 == x {
            Ok(canonical_f64(double))
        } else {
            Err(ValueError::inexact(&x.to_string(), &DataType::Double))
        }
    };
    with_integers!(array, typed => {
        return Some(slots.read(array, |i| exact(i128::from(typed.value(i)))));
    }, else {});
    Some(match array.data_type() {
        ArrowType::Float16 => {
            let typed = array.as_primitive::<Float16Type>();
            slots.read(array, |i| Ok(canonical_f64(typed.value(i).to_f64())))
        }
        ArrowType::Float32 => {
            let typed = array.as_primitive::<Float32Type>();
            slots.read(array, |i| Ok(canonical_f64(f64::from(typed.value(i)))))
        }
        ArrowType::Float64 => {
            let typed = array.as_primitive::<Float64Type>();
            slots.read(array, |i| Ok(canonical_f64(typed.value(i))))
        }
        _ => return None,
    })
}

/// Integers, and decimals of any scale whose value fits exactly.
pub(super) fn decimals(
    array: &dyn Array,
    target: &DataType,
    precision: u8,
    scale: u8,
    slots: &mut Slots,
) -> Option<Vec<i128>> {
    let to = i32::from(scale);
    let fit = |x: i128, from: i32| {
        let text = || match u8::try_from(from) {
            Ok(from) => format_decimal(x, from),
            Err(_) => format!("{x}e{}", -from),
        };
        match rescale(x, from, to) {
            Some(rescaled) if fits_precision(rescaled, precision) => Ok(rescaled),
            None if from > to => Err(ValueError::inexact(&text(), target)),
            _ => Err(ValueError::range(&text(), target)),
        }
    };
    with_integers!(array, typed => {
        return Some(slots.read(array, |i| fit(i128::from(typed.value(i)), 0)));
    }, else {});
    Some(match array.data_type() {
        ArrowType::Decimal32(_, from) => {
            let typed = array.as_primitive::<Decimal32Type>();
            slots.read(array, |i| fit(i128::from(typed.value(i)), i32::from(*from)))
        }
        ArrowType::Decimal64(_, from) => {
            let typed = array.as_primitive::<Decimal64Type>();
            slots.read(array, |i| fit(i128::from(typed.value(i)), i32::from(*from)))
        }
        ArrowType::Decimal128(_, from) => {
            let typed = array.as_primitive::<Decimal128Type>();
            slots.read(array, |i| fit(typed.value(i), i32::from(*from)))
        }
        _ => return None,
    })
}
