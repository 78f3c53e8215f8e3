//! Values as text and JSON: what is written is read back with the same bits.

use evenkeel_connect::{
    JSON_DEPTH_MAX, VALUE_TEXT_MAX, ValueError, json_to_value, text_to_value, value_to_json,
    value_to_text,
};
use evenkeel_types::{DataType, ErrorReason, Field, Interval, Value, Zone};
use proptest::prelude::*;
use serde_json::json;

use crate::samples::{any_value, types};

fn any_typed() -> impl Strategy<Value = (DataType, Value)> {
    prop::sample::select(types()).prop_flat_map(|t| {
        let values = any_value(&t);
        (Just(t), values)
    })
}

proptest! {
    #[test]
    fn json_round_trips((data_type, value) in any_typed()) {
        let utc = Zone::utc();
        let json = value_to_json(&data_type, &value);
        prop_assert_eq!(json_to_value(&data_type, &json, &utc), Ok(value.clone()), "{}", json);
        // Through text as well: this is what goes over the wire.
        let text = json.to_string();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(json_to_value(&data_type, &parsed, &utc), Ok(value), "{}", text);
    }

    #[test]
    fn text_round_trips((data_type, value) in any_typed()) {
        match value_to_text(&data_type, &value) {
            None => prop_assert!(value.is_null()),
            Some(text) => {
                prop_assert_eq!(text_to_value(&data_type, &text, &Zone::utc()), Ok(value), "{}", text);
            }
        }
    }

    #[test]
    fn any_text_is_a_value_or_an_error(text in "\\PC{0,12}|[0-9:TZ.+e-]{0,24}", (data_type, _) in any_typed()) {
        let _ = text_to_value(&data_type, &text, &Zone::utc());
    }
}

#[test]
fn json_forms() {
    let decimal = DataType::Decimal {
        precision: 10,
        scale: 2,
    };
    let vector = DataType::Vector {
        element: Box::new(DataType::Float),
        length: 2,
    };
    let cases = [
        (
            DataType::BigInt,
            Value::from(i64::MAX),
            json!(9_223_372_036_854_775_807_i64),
        ),
        (DataType::Double, Value::double(1.0), json!(1.0)),
        (DataType::Double, Value::double(f64::NAN), json!("NaN")),
        (
            DataType::Double,
            Value::double(f64::NEG_INFINITY),
            json!("-Infinity"),
        ),
        (DataType::Float, Value::float(0.1), json!(0.1)),
        (decimal, Value::decimal(1230), json!("12.30")),
        (
            DataType::Timestamp,
            Value::Timestamp(1_500_000),
            json!("1970-01-01T00:00:01.500000Z"),
        ),
        (DataType::Date, Value::Date(-1), json!("1969-12-31")),
        (
            DataType::Bytes,
            Value::Bytes([0xff, 0x00].into()),
            json!("/wA="),
        ),
        (
            vector,
            Value::Array([Value::float(1.5), Value::float(-2.0)].into()),
            json!([1.5, -2.0]),
        ),
        (
            DataType::Struct(vec![
                Field::new("b", DataType::Int),
                Field::new("a", DataType::String),
            ]),
            Value::Struct([Value::from(1), Value::Null].into()),
            json!({"b": 1, "a": null}),
        ),
        (
            DataType::Int,
            Value::Error(ErrorReason::Overflow),
            json!(null),
        ),
        (
            DataType::Interval,
            Value::Interval(Interval::from_months(1)),
            json!("1 month"),
        ),
    ];
    for (data_type, value, json) in cases {
        let written = value_to_json(&data_type, &value);
        assert_eq!(written, json);
        assert_eq!(written.to_string(), json.to_string());
    }
}

#[test]
fn nothing_is_converted_silently() {
    let utc = Zone::utc();
    let decimal = DataType::Decimal {
        precision: 10,
        scale: 2,
    };
    let vector = DataType::Vector {
        element: Box::new(DataType::Double),
        length: 2,
    };
    let object = DataType::Struct(vec![Field::new("a", DataType::Int)]);
    let cases = [
        (
            DataType::BigInt,
            json!(1.0),
            "`1.0` has a fraction or an exponent, BIGINT is a whole number",
        ),
        (
            DataType::Int,
            json!(2_147_483_648_i64),
            "`2147483648` is outside the range of INT",
        ),
        (DataType::BigInt, json!("1"), "a string is not BIGINT"),
        (DataType::Double, json!("1.5"), "a string is not DOUBLE"),
        (DataType::Double, json!("inf"), "a string is not DOUBLE"),
        (DataType::Boolean, json!(1), "a number is not BOOLEAN"),
        (DataType::String, json!(1), "a number is not STRING"),
        (
            decimal.clone(),
            json!(1.234),
            "`1.234` is not exactly DECIMAL(10, 2)",
        ),
        (
            decimal.clone(),
            json!("100000000"),
            "`100000000` is outside the range of DECIMAL(10, 2)",
        ),
        (
            DataType::Decimal {
                precision: 38,
                scale: 20,
            },
            json!(0.1_f64 + 0.2),
            "`0.30000000000000004` is not exactly DECIMAL(38, 20)",
        ),
        (
            DataType::Timestamp,
            json!(1_388_563_200),
            "`1388563200` is a number, not a time: say what it counts with time_unit = 's', 'ms' or 'us'",
        ),
        (DataType::Bytes, json!("//"), "`//` is not BYTES"),
        (
            DataType::Bytes,
            json!("not base64"),
            "`not base64` is not BYTES",
        ),
        (
            vector.clone(),
            json!([1.0]),
            "a vector of 1 elements is not DOUBLE[2]",
        ),
        (
            vector,
            json!([1.0, null]),
            "element 1 of the vector is missing",
        ),
        (
            object,
            json!({"b": 1}),
            "`b` is not a field of STRUCT<a INT>",
        ),
        (
            DataType::Date,
            json!("2014-02-30"),
            "`2014-02-30` is no time of the calendar between the years 1 and 9999",
        ),
        (
            DataType::Interval,
            json!("1 month"),
            "INTERVAL has no written form",
        ),
    ];
    for (data_type, json, message) in cases {
        let error = json_to_value(&data_type, &json, &utc).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(
        json_to_value(&decimal, &json!(12.34), &utc),
        Ok(Value::decimal(1234))
    );
}

#[test]
fn times_are_local_to_the_zone_given() {
    let zone = Zone::named("America/Los_Angeles").unwrap();
    let read = |text: &str| text_to_value(&DataType::Timestamp, text, &zone);
    let instant = |text: &str| text_to_value(&DataType::Timestamp, text, &Zone::utc()).unwrap();
    assert_eq!(
        read("2014-11-02 01:00"),
        Ok(instant("2014-11-02T08:00:00Z"))
    );
    assert_eq!(
        read("2014-03-09 02:30").unwrap_err().to_string(),
        "`2014-03-09 02:30` does not exist in America/Los_Angeles: the clock was put forward over it"
    );
    assert_eq!(read("2014-07-01 12:00Z"), Ok(instant("2014-07-01 12:00")));
}

#[test]
fn long_texts_are_cut_in_errors() {
    let error = text_to_value(&DataType::Int, &"é".repeat(1_000), &Zone::utc()).unwrap_err();
    assert_eq!(
        error,
        ValueError::Syntax {
            text: format!("{}…", "é".repeat(VALUE_TEXT_MAX)),
            data_type: "INT".into()
        }
    );
    let nested = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    let list = DataType::Array(Box::new(DataType::Int));
    assert_eq!(
        text_to_value(&list, &nested, &Zone::utc()),
        Err(ValueError::Depth {
            limit: JSON_DEPTH_MAX
        })
    );
}
