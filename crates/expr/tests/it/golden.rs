//! The bits of every function of doubles, fixed: any drift of the mathematical library, the
//! compiler or the processor fails here. A second run has the processor's newer features
//! hidden, which changes the answers of a platform's library and must not change these.

use std::process::Command;

use evenkeel_expr::build::{self, call};
use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::{Column, DataType, Expr, Value, codec};
use xxhash_rust::xxh3::Xxh3;

use crate::generate::Random;

const INPUTS: usize = 10_000;

/// Doubles of every size, with more where functions are interesting.
fn inputs(seed: u64) -> Column {
    let mut random = Random(seed);
    let unit = |random: &mut Random| (random.next() >> 11) as f64 / (1u64 << 53) as f64;
    let values: Vec<Value> = (0..INPUTS)
        .map(|i| {
            Value::double(match i % 5 {
                0 => f64::from_bits(random.next()),
                1 => unit(&mut random) * 2.0 - 1.0,
                2 => unit(&mut random) * 40.0 - 20.0,
                3 => unit(&mut random) * 1_400.0 - 700.0,
                _ => unit(&mut random) * 1e9,
            })
        })
        .collect();
    Column::from_values(&DataType::Double, &values)
}

fn digest(expr: &Expr) -> u64 {
    let columns: Vec<Column> = (1..=4).map(inputs).collect();
    let results = Program::compile(expr).eval_batch(
        &columns.iter().collect::<Vec<_>>(),
        INPUTS,
        ReadTime::Constant(0),
    );
    let mut hash = Xxh3::new();
    for value in results.iter() {
        hash.update(&codec::encode_values([&value]));
    }
    hash.digest()
}

fn x(column: usize) -> Expr {
    Expr::column(column, DataType::Double)
}

fn expressions() -> Vec<(String, Expr)> {
    const UNARY: &[&str] = &[
        "sqrt", "cbrt", "exp", "expm1", "ln", "ln1p", "log10", "log2", "sin", "cos", "tan", "cot",
        "asin", "acos", "atan", "sinh", "cosh", "tanh", "degrees", "radians", "round", "floor",
        "ceil", "trunc",
    ];
    const BINARY: &[&str] = &["log", "pow", "atan2", "%", "+", "-", "*", "/"];
    let unary = UNARY
        .iter()
        .map(|name| ((*name).to_owned(), call(name, vec![x(0)])));
    let binary = BINARY
        .iter()
        .map(|name| ((*name).to_owned(), call(name, vec![x(0), x(1)])));
    let list = |a, b| call("array", vec![x(a), x(b)]).expect("an array");
    let others = [
        ("haversine", call("haversine", (0..4).map(x).collect())),
        ("round to 2", call("round", vec![x(0), build::integer(2)])),
        ("round to -3", call("round", vec![x(0), build::integer(-3)])),
        (
            "width_bucket",
            call(
                "width_bucket",
                vec![
                    x(0),
                    build::double(-20.0),
                    build::double(20.0),
                    build::integer(7),
                ],
            ),
        ),
        (
            "cosine_similarity",
            call("cosine_similarity", vec![list(0, 1), list(2, 3)]),
        ),
        (
            "l2_distance",
            call("l2_distance", vec![list(0, 1), list(2, 3)]),
        ),
        ("text", build::cast(x(0), &DataType::String)),
        ("float", build::cast(x(0), &DataType::Float)),
        (
            "decimal",
            build::cast(
                x(0),
                &DataType::Decimal {
                    precision: 38,
                    scale: 18,
                },
            ),
        ),
        (
            "read back",
            build::cast(
                build::cast(x(0), &DataType::String).expect("a text"),
                &DataType::Double,
            ),
        ),
        ("hash", call("hash", vec![x(0), x(1)])),
    ];
    unary
        .chain(binary)
        .chain(others.map(|(name, expr)| (name.to_owned(), expr)))
        .map(|(name, expr)| (name, expr.expect("doubles are taken")))
        .collect()
}

const GOLDEN: &[(&str, u64)] = &[
    ("sqrt", 0x0c73957602859e6c),
    ("cbrt", 0xa0cc9508cfd71907),
    ("exp", 0x4041e56a5397e070),
    ("expm1", 0xbbd94ad66ba8d09a),
    ("ln", 0xa7a9cc1abf212ecb),
    ("ln1p", 0x6b172156ffa4741d),
    ("log10", 0x39d3ce62c802ee0b),
    ("log2", 0x030b80303b7fde22),
    ("sin", 0x885e3370dfcb37cf),
    ("cos", 0x8ac9d69725216166),
    ("tan", 0x82aa444503a0a4d3),
    ("cot", 0x28359d670fca28c3),
    ("asin", 0x4f1f9e10b018a458),
    ("acos", 0xbb1f34ed559bd730),
    ("atan", 0x4f29861409c4e5b9),
    ("sinh", 0xc3fb1689e1df4dbf),
    ("cosh", 0xdfa6a4a690f7203f),
    ("tanh", 0x8636c7c6cfb155ef),
    ("degrees", 0xe316bf5845db0b95),
    ("radians", 0x46116582c466c4f0),
    ("round", 0x12f3c9b43fc4a41d),
    ("floor", 0xfbbebac13ee6ce1d),
    ("ceil", 0x89c0c9fd34ed6ced),
    ("trunc", 0x16d76d727e8a1998),
    ("log", 0x1d4357583e5f73c9),
    ("pow", 0x4d9fe90861e2fdee),
    ("atan2", 0xeec0c224d9166a12),
    ("%", 0x6cc319fbf60335ff),
    ("+", 0x1fa1a5903b7efe21),
    ("-", 0xf740e65f3201d209),
    ("*", 0xd17d6b7e9bbf0a6e),
    ("/", 0x821f578fbe52c5dd),
    ("haversine", 0x488dc47918dcddf1),
    ("round to 2", 0x0c1309e1b33d1217),
    ("round to -3", 0x22909c369dfd9d90),
    ("width_bucket", 0x482b3764392d01b2),
    ("cosine_similarity", 0x863cb6cb088cc311),
    ("l2_distance", 0x5b7493075d5d872c),
    ("text", 0x16fe033c024bfb7c),
    ("float", 0xf3b261bdc502f450),
    ("decimal", 0x5ac91ffd2d225c93),
    ("read back", 0x0f2481bb63020a97),
    ("hash", 0xbab897bc508ca757),
];

#[test]
fn bits_are_the_same_everywhere() {
    let got: Vec<(String, u64)> = expressions()
        .into_iter()
        .map(|(name, expr)| (name, digest(&expr)))
        .collect();
    let lines: Vec<String> = got
        .iter()
        .map(|(name, digest)| format!("    (\"{name}\", {digest:#018x}),"))
        .collect();
    let same = got.len() == GOLDEN.len()
        && got
            .iter()
            .zip(GOLDEN)
            .all(|((name, got), (golden, want))| name == golden && got == want);
    assert!(
        same,
        "the bits have changed; if that is meant, LANGUAGE_VERSION grows and these stand here:\n{}",
        lines.join("\n")
    );
}

#[test]
fn bits_are_the_same_without_newer_instructions() {
    let tests = std::env::current_exe().expect("the test runs from a file");
    let output = Command::new(tests)
        .args(["--exact", "golden::bits_are_the_same_everywhere"])
        .env(
            "GLIBC_TUNABLES",
            "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4,-BMI1,-BMI2,-SSE4_2,-SSE4_1",
        )
        .output()
        .expect("the test starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "the test did run: {text}");
}
