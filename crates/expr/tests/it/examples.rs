//! One line per function: what it answers.

use evenkeel_expr::build::{self, call};
use evenkeel_expr::{Program, functions};
use evenkeel_types::time::{Zone, parse_timestamp};
use evenkeel_types::{DataType, ErrorReason, Expr, Field, Interval, Value};

fn eval(name: &str, args: Vec<Expr>) -> Value {
    let expr = call(name, args).unwrap_or_else(|e| panic!("{name}: {e}"));
    Program::compile(&expr).eval_row(&[], 0)
}

/// A literal from the text of an example: a number, a quoted text, a time, NULL, a list.
fn literal(text: &str) -> Expr {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix('\'') {
        return build::string(inner.strip_suffix('\'').expect("a closing quote"));
    }
    if let Some(inner) = text.strip_prefix("@") {
        return build::timestamp(parse_timestamp(inner, &Zone::utc()).expect("a time"));
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').expect("a closing bracket");
        return call("array", inner.split(' ').map(literal).collect()).expect("a list");
    }
    match text {
        "NULL" => build::null(),
        "true" => build::boolean(true),
        "false" => build::boolean(false),
        "NaN" => build::double(f64::NAN),
        "inf" => build::double(f64::INFINITY),
        "-inf" => build::double(f64::NEG_INFINITY),
        number => build::number(number).unwrap_or_else(|e| panic!("{e}")),
    }
}

/// Checks lines of `function | argument | argument = answer`.
fn check(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (left, want) = line.rsplit_once(" = ").expect("an answer");
        let mut parts = left.split(" | ");
        let name = parts.next().expect("a function").trim();
        let got = eval(name, parts.map(literal).collect());
        let want = match want.trim().strip_prefix("ERROR ") {
            Some(reason) => Value::Error(
                ErrorReason::ALL
                    .into_iter()
                    .find(|r| r.to_string() == reason)
                    .expect("a reason"),
            ),
            None => Program::compile(&literal(want)).eval_row(&[], 0),
        };
        // Whole numbers are written without their width.
        let got = match got {
            Value::BigInt(n) if i32::try_from(n).is_ok() => Value::Int(n as i32),
            other => other,
        };
        assert_eq!(got, want, "{line}");
    }
}

#[test]
fn arithmetic() {
    check(
        "
        + | 2 | 3 = 5
        - | 2 | 3.5 = -1.5
        * | 4 | 2 = 8
        / | 5 | 2 = 2.5
        / | 5 | 0 = ERROR DIVISION_BY_ZERO
        / | 5.0 | 0 = inf
        / | 0.0 | 0.0 = NaN
        // | -7 | 2 = -3
        // | 7 | 0 = ERROR DIVISION_BY_ZERO
        % | -7 | 3 = -1
        % | 7.5 | -2 = 1.5
        % | 7.5 | 0 = NaN
        - | 3 = -3
        + | 3 = 3
        abs | -3 = 3
        abs | -3.5 = 3.5
        sign | -3 = -1
        sign | 0.0 = 0.0
        sign | NaN = NaN
        round | 2.5 = 3.0
        round | -2.5 = -3.0
        round | 2.675 | 2 = 2.68
        round | 1234 | -2 = 1200
        round | 1250 | -2 = 1300
        round | 9223372036854775807 | -1 = ERROR OVERFLOW
        trunc | -2.7 = -2.0
        trunc | 2.679 | 2 = 2.67
        floor | -2.1 = -3.0
        ceil | 2.1 = 3.0
        floor | 7 = 7
        bit_and | 12 | 10 = 8
        bit_or | 12 | 10 = 14
        xor | 12 | 10 = 6
        bit_not | 0 = -1
        bit_count | 255 = 8
        shift_left | 1 | 10 = 1024
        shift_left | 1 | 63 = ERROR OVERFLOW
        shift_left | 1 | 64 = ERROR INVALID_ARGUMENT
        shift_right | -8 | 1 = -4
        greatest | 1 | NULL | 3 = 3
        least | 2.5 | NULL | 1 = 1.0
        greatest | 1.0 | NaN = NaN
        "
        .replace("| | 12 | 10", "bit_or | 12 | 10")
        .as_str(),
    );
}

#[test]
fn mathematics() {
    check(
        "
        sqrt | 2 = 1.4142135623730951
        sqrt | -1 = ERROR INVALID_ARGUMENT
        sqrt | NaN = NaN
        cbrt | 27 = 3.0
        exp | 0 = 1.0
        exp | 1000 = inf
        expm1 | 0 = 0.0
        ln | 1 = 0.0
        ln | 0 = -inf
        ln | -1 = ERROR INVALID_ARGUMENT
        ln1p | 0 = 0.0
        log10 | 1000 = 3.0
        log2 | 8 = 3.0
        log | 2 | 8 = 3.0
        pow | 2 | 10 = 1024.0
        pow | -8 | 0.5 = ERROR INVALID_ARGUMENT
        pow | 0 | -1 = inf
        sin | 0 = 0.0
        sin | inf = ERROR INVALID_ARGUMENT
        cos | 0 = 1.0
        tan | 0 = 0.0
        cot | 0 = inf
        asin | 1 = 1.5707963267948966
        acos | 2 = ERROR INVALID_ARGUMENT
        atan | 1 = 0.7853981633974483
        atan2 | 1 | -1 = 2.356194490192345
        sinh | 0 = 0.0
        cosh | 0 = 1.0
        tanh | inf = 1.0
        degrees | 3.141592653589793 = 180.0
        radians | 180 = 3.141592653589793
        pi = 3.141592653589793
        is_nan | NaN = true
        is_finite | inf = false
        is_inf | -inf = true
        width_bucket | 5.35 | 0.024 | 10.06 | 5 = 3
        haversine | 0 | 0 | 0 | 0 = 0.0
        ",
    );
}

#[test]
fn comparison() {
    check(
        "
        = | 1 | 1.0 = true
        <> | 'a' | 'b' = true
        < | 'Z' | 'a' = true
        < | 'z' | 'é' = true
        <= | 2 | 2 = true
        > | NaN | inf = true
        >= | 1 | NULL = NULL
        is_distinct_from | 1 | NULL = true
        is_not_distinct_from | NULL | NULL = true
        between | 2 | 1 | 3 = true
        between | 0 | 1 | NULL = false
        between | 2 | 1 | NULL = NULL
        in | 2 | 1 | 2 = true
        in | 2 | 1 | NULL = NULL
        in | NULL | 1 = NULL
        is_null | NULL = true
        is_not_null | NULL = false
        = | [1 2] | [1 2] = true
        < | [1 2] | [1 3] = true
        ",
    );
}

#[test]
fn conditions() {
    check(
        "
        and | true | NULL = NULL
        or | true | NULL = true
        not | false = true
        is_true | NULL = false
        is_false | false = true
        if | true | 1 | 2 = 1
        iff | NULL | 1 | 2 = 2
        nvl2 | NULL | 1 | 2 = 2
        coalesce | NULL | 3 = 3
        ifnull | NULL | 3 = 3
        nullif | 3 | 3 = NULL
        nullif | 3 | NULL = 3
        ",
    );
}

#[test]
fn text() {
    check(
        "
        length | 'añb' = 3
        octet_length | 'añb' = 4
        lower | 'ÀB' = 'àb'
        upper | 'straße' = 'STRASSE'
        trim | '  a ' = 'a'
        trim | 'xxaxy' | 'xy' = 'a'
        ltrim | '  a ' = 'a '
        rtrim | '  a ' = '  a'
        ltrim | 'xyax' | 'xy' = 'ax'
        rtrim | 'xyax' | 'xy' = 'xya'
        substr | 'hello' | 2 = 'ello'
        substr | 'hello' | 2 | 3 = 'ell'
        substr | 'hello' | -3 = 'llo'
        substr | 'hello' | 2 | -1 = ERROR INVALID_ARGUMENT
        left | 'hello' | 2 = 'he'
        left | 'hello' | -2 = 'hel'
        right | 'hello' | 2 = 'lo'
        right | 'hello' | -2 = 'llo'
        lpad | '7' | 3 | '0' = '007'
        rpad | 'ab' | 4 = 'ab  '
        lpad | 'abc' | 2 | '0' = 'ab'
        concat | 'a' | NULL | 'b' = 'ab'
        concat_ws | '-' | 'a' | NULL | 'b' = 'a-b'
        concat_ws | NULL | 'a' = NULL
        replace | 'aXbX' | 'X' | '--' = 'a--b--'
        translate | 'abc' | 'ab' | 'x' = 'xc'
        strpos | 'añb' | 'b' = 3
        strpos | 'abc' | 'x' = 0
        contains | 'abc' | 'bc' = true
        starts_with | 'abc' | 'ab' = true
        ends_with | 'abc' | 'ab' = false
        like | 'abc' | 'a%c' = true
        like | 'abc' | 'A%' = false
        like | '50%' | '50!%' | '!' = true
        ilike | 'ABC' | 'a_c' = true
        split_part | 'a,b,c' | ',' | 2 = 'b'
        split_part | 'a,b,c' | ',' | -1 = 'c'
        split_part | 'a,b,c' | ',' | 9 = ''
        split_part | 'a,b,c' | ',' | 0 = ERROR INVALID_ARGUMENT
        reverse | 'añb' = 'bña'
        repeat | 'ab' | 3 = 'ababab'
        repeat | 'ab' | -1 = ''
        repeat | 'ab' | 9999999999 = ERROR LIMIT
        ascii | 'é' = 233
        chr | 233 = 'é'
        chr | 55296 = ERROR INVALID_ARGUMENT
        hash | 'a' = 6309293351177207005
        ",
    );
    assert_eq!(
        eval("||", vec![literal("'a'"), literal("'b'")]),
        Value::string("ab")
    );
    assert_eq!(
        eval("||", vec![literal("'a'"), literal("NULL")]),
        Value::Null
    );
    let hash = |args: &[&str]| eval("hash", args.iter().map(|a| literal(a)).collect());
    assert_eq!(
        hash(&["1"]),
        eval(
            "hash",
            vec![Expr::literal(Value::BigInt(1), DataType::BigInt)]
        )
    );
    assert_ne!(hash(&["'ab'", "'c'"]), hash(&["'a'", "'bc'"]));
    assert_ne!(hash(&["NULL"]), Value::Null);
}

#[test]
fn text_has_a_limit() {
    let half = call("repeat", vec![literal("'ab'"), literal("300000")]).unwrap();
    for name in ["concat", "||"] {
        let limit = Value::Error(ErrorReason::Limit);
        assert_eq!(eval(name, vec![half.clone(), half.clone()]), limit);
    }
}

#[test]
fn times() {
    check(
        "
        year | @2026-03-29T23:30:00 = 2026
        date_part | 'year' | @2026-03-29T23:30:00 = 2026
        date_part | 'HOURS' | @2026-03-29T23:30:00 | 'Europe/Berlin' = 1
        date_part | 'doy' | @2026-02-01 = 32
        year | @2025-12-31T23:30:00 | 'Europe/Berlin' = 2026
        quarter | @2026-03-29 = 1
        month | @2026-03-29 = 3
        week | @2027-01-01 = 53
        iso_year | @2027-01-01 = 2026
        week | @2024-12-30 = 1
        iso_year | @2024-12-30 = 2025
        day | @2026-03-29 = 29
        day_of_week | @2026-03-29 = 7
        day_of_week | @2026-03-29T22:30:00 | 'Europe/Berlin' = 1
        day_of_year | @2024-12-31 = 366
        hour | @2026-03-29T00:59:59 | 'Europe/Berlin' = 1
        hour | @2026-03-29T01:00:00 | 'Europe/Berlin' = 3
        minute | @2026-03-29T01:02:03.000004 | '+05:30' = 32
        second | @2026-03-29T01:02:03.000004 = 3
        microsecond | @2026-03-29T01:02:03.000004 = 4
        epoch | @1970-01-01T00:00:01.5 = 1.5
        epoch_ms | @1969-12-31T23:59:59.999999 = -1
        epoch_us | @1970-01-01T00:00:00.000007 = 7
        date_trunc | 'hour' | @2026-03-29T01:59:59 = @2026-03-29T01:00:00
        date_trunc | 'hour' | @2026-03-29T01:59:59 | 'Asia/Kolkata' = @2026-03-29T01:30:00
        date_trunc | 'day' | @2026-03-28T23:30:00 | 'Europe/Berlin' = @2026-03-28T23:00:00
        date_trunc | 'WEEK' | @2026-03-29 = @2026-03-23
        date_trunc | 'month' | @2026-03-29 = @2026-03-01
        date_trunc | 'quarter' | @2026-06-30 = @2026-04-01
        date_trunc | 'quarter' | @2026-01-01 = @2026-01-01
        date_trunc | 'year' | @2026-06-30 | 'America/New_York' = @2026-01-01T05:00:00
        date_trunc | 'milliseconds' | @2026-06-30T00:00:00.0019 = @2026-06-30T00:00:00.001
        date_diff | 'day' | @2026-01-01T23:00:00 | @2026-01-02T01:00:00 = 1
        date_diff | 'day' | @2026-01-01T23:00:00 | @2026-01-02T01:00:00 | 'Europe/Berlin' = 0
        date_diff | 'hour' | @2026-01-01T23:59:00 | @2026-01-02T00:01:00 = 1
        date_diff | 'week' | @2026-03-29 | @2026-03-30 = 1
        date_diff | 'month' | @2026-03-31 | @2025-12-31 = -3
        date_diff | 'quarter' | @2026-03-31 | @2026-04-01 = 1
        date_diff | 'year' | @2025-12-31 | @2026-01-01 = 1
        date_diff | 'second' | @1969-12-31T23:59:59.5 | @1970-01-01 = 1
        make_timestamp | 2026 | 3 | 29 | 2 | 30 | 1.5 = @2026-03-29T02:30:01.5
        make_timestamp | 2026 | 3 | 29 | 2 | 30 | 0 | 'Europe/Berlin' = ERROR INVALID_ARGUMENT
        make_timestamp | 2026 | 10 | 25 | 2 | 30 | 0 | 'Europe/Berlin' = @2026-10-25T00:30:00
        make_timestamp | 2026 | 2 | 29 | 0 | 0 | 0 = ERROR INVALID_ARGUMENT
        make_timestamp | 2026 | 2 | 1 | 0 | 0 | 60 = ERROR INVALID_ARGUMENT
        to_timestamp | 1 = @1970-01-01T00:00:01
        to_timestamp | 1.5 = @1970-01-01T00:00:01.5
        to_timestamp | 1700000000.123456 = @2023-11-14T22:13:20.123456
        to_timestamp | 1e300 = ERROR OVERFLOW
        to_timestamp | NaN = ERROR INVALID_ARGUMENT
        timestamp_ms | 1500 = @1970-01-01T00:00:01.5
        timestamp_us | 7 = @1970-01-01T00:00:00.000007
        timestamp_ms | 9223372036854775807 = ERROR OVERFLOW
        to_local | @2026-07-01T12:00:00 | 'Europe/Berlin' = @2026-07-01T14:00:00
        from_local | @2026-07-01T14:00:00 | 'Europe/Berlin' = @2026-07-01T12:00:00
        from_local | @2026-03-29T02:30:00 | 'Europe/Berlin' = ERROR INVALID_ARGUMENT
        + | @2026-01-01 | NULL = NULL
        ",
    );
    let date = |d: i32| Value::Date(d);
    assert_eq!(
        eval("make_date", ["2026", "1", "31"].map(literal).to_vec()),
        date(20_484)
    );
    assert_eq!(
        eval("make_date", ["2026", "2", "31"].map(literal).to_vec()),
        Value::Error(ErrorReason::InvalidArgument)
    );
    assert_eq!(
        eval("+", vec![build::date(20_484), literal("1")]),
        date(20_485)
    );
    assert_eq!(
        eval("-", vec![build::date(20_484), build::date(20_480)]),
        Value::BigInt(4)
    );
    assert_eq!(
        eval("+", vec![build::date(i32::MAX), literal("1")]),
        Value::Error(ErrorReason::Overflow)
    );
    let span = |months, micros| build::interval(Interval { months, micros });
    let moved =
        |name: &str, t: &str, months, micros| eval(name, vec![literal(t), span(months, micros)]);
    let time = |t: &str| eval("+", vec![literal(t), span(0, 0)]);
    // A day that the month lacks is the first instant of the next month.
    assert_eq!(
        moved("+", "@2026-01-31T10:00:00", 1, 0),
        time("@2026-03-01")
    );
    assert_eq!(
        moved("-", "@2026-03-31", 1, 1),
        time("@2026-02-28T23:59:59.999999")
    );
    let bucket = |hours: i64, t: &str| {
        eval(
            "time_bucket",
            vec![span(0, hours * 3_600_000_000), literal(t)],
        )
    };
    assert_eq!(
        bucket(6, "@2026-01-01T17:00:00"),
        time("@2026-01-01T12:00:00")
    );
    assert_eq!(
        bucket(6, "@1969-12-31T23:00:00"),
        time("@1969-12-31T18:00:00")
    );
    assert_eq!(
        bucket(0, "@2026-01-01"),
        Value::Error(ErrorReason::InvalidArgument)
    );
    assert_eq!(
        eval("*", vec![literal("3"), span(1, 2)]),
        Value::Interval(Interval {
            months: 3,
            micros: 6
        })
    );
    assert_eq!(
        eval("*", vec![literal("3000000000"), span(1, 2)]),
        Value::Error(ErrorReason::Overflow)
    );
}

#[test]
fn lists_and_structs() {
    check(
        "
        array_length | [1 NULL 3] = 3
        length | [1 2] = 2
        [] | [7 8 9] | 1 = 7
        [] | [7 8 9] | 0 = NULL
        [] | [7 8 9] | -1 = NULL
        [] | [7 8 9] | 4 = NULL
        array_contains | [1 NULL 3] | 3 = true
        array_contains | [1 NULL 3] | 2 = false
        array_contains | [1 3] | 3.0 = true
        array_contains | [1 3] | NULL = NULL
        array_position | ['a' 'b'] | 'b' = 2
        array_position | ['a' 'b'] | 'c' = NULL
        dot_product | [1.0 2.0] | [3.0 4.0] = 11.0
        dot_product | [1.0 NULL] | [3.0 4.0] = NULL
        dot_product | [1.0] | [3.0 4.0] = ERROR INVALID_ARGUMENT
        l2_distance | [0.0 0.0] | [3.0 4.0] = 5.0
        l2_norm | [3 4] = 5.0
        cosine_similarity | [1.0 0.0] | [2.0 0.0] = 1.0
        cosine_similarity | [0.0 0.0] | [2.0 0.0] = NaN
        cosine_distance | [1.0 0.0] | [0.0 2.0] = 1.0
        ",
    );
    let row = DataType::Struct(vec![
        Field::new("value", DataType::String),
        Field::new("count", DataType::BigInt),
    ]);
    let value = Value::Struct([Value::string("x"), Value::BigInt(3)].into());
    let field = build::field(Expr::literal(value, row), "count").unwrap();
    assert_eq!(Program::compile(&field).eval_row(&[], 0), Value::BigInt(3));
}

#[test]
fn read_time_is_the_only_clock() {
    let program = Program::compile(&call("read_time", vec![]).unwrap());
    assert_eq!(program.eval_row(&[], 42), Value::Timestamp(42));
}

#[test]
fn casts() {
    let cast = |from: &str, to: DataType| {
        Program::compile(&build::cast(literal(from), &to).unwrap()).eval_row(&[], 0)
    };
    let invalid = Value::Error(ErrorReason::InvalidCast);
    assert_eq!(cast("'yes'", DataType::Boolean), invalid);
    assert_eq!(cast("'TRUE'", DataType::Boolean), Value::Boolean(true));
    assert_eq!(cast("1", DataType::Boolean), Value::Boolean(true));
    assert_eq!(cast("2", DataType::Boolean), invalid);
    assert_eq!(cast("true", DataType::Int), Value::Int(1));
    assert_eq!(
        cast("'1e400'", DataType::Double),
        Value::Error(ErrorReason::Overflow)
    );
    assert_eq!(
        cast("'Infinity'", DataType::Double),
        Value::double(f64::INFINITY)
    );
    assert_eq!(
        cast("'3000000000'", DataType::Int),
        Value::Error(ErrorReason::Overflow)
    );
    assert_eq!(cast("2.5", DataType::String), Value::string("2.5"));
    assert_eq!(
        cast("@2026-01-31T10:00:00.5", DataType::String),
        Value::string("2026-01-31T10:00:00.500000Z")
    );
    assert_eq!(
        cast("@2026-01-31T10:00:00", DataType::Date),
        Value::Date(20_484)
    );
    assert_eq!(cast("'2026-01-31'", DataType::Date), Value::Date(20_484));
    let list = DataType::Array(Box::new(DataType::BigInt));
    assert_eq!(
        cast("['1' NULL]", list.clone()),
        Value::Array([Value::BigInt(1), Value::Null].into())
    );
    assert_eq!(cast("['1' 'x']", list), invalid);
    let vector = DataType::Vector {
        element: Box::new(DataType::Double),
        length: 2,
    };
    assert_eq!(
        cast("[1 2]", vector.clone()),
        Value::Array([Value::double(1.0), Value::double(2.0)].into())
    );
    assert_eq!(cast("[1 NULL]", vector.clone()), invalid);
    assert_eq!(cast("[1]", vector), invalid);
    let tried = build::try_cast(literal("'x'"), &DataType::Int).unwrap();
    assert_eq!(Program::compile(&tried).eval_row(&[], 0), Value::Null);
}

#[test]
fn every_function_has_an_example() {
    let source = include_str!("examples.rs");
    let missing: Vec<&str> = functions()
        .filter(|f| {
            let names = f.aliases.iter().chain([&f.name]);
            !names
                .flat_map(|n| [format!("\n        {n} "), format!("\"{n}\"")])
                .any(|mention| source.contains(&mention))
        })
        .map(|f| f.name)
        .collect();
    let elsewhere = [
        "unary_plus",
        "negate",
        "concat_operator",
        "bit_or",
        "array",
        "cast",
        "try_cast",
        "struct_field",
        "is_not_distinct_from",
    ];
    let missing: Vec<&&str> = missing.iter().filter(|n| !elsewhere.contains(n)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
