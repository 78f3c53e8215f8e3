//! Damaged files: cut off anywhere, any bit flipped. Always an error or rows, never a panic
//! that gets out, and what is delivered before the damage is what was there.

use std::fs;
use std::path::Path;

use evenkeel_connect::{ColumnSpec, ConnectError, FileOptions, SourceFile, Table};
use evenkeel_types::{Column, DataType, Field, Value};

use crate::samples::{Directory, accepted, chain, check_numbering, read, types};

fn sample_table(rows: i64) -> Table {
    let numbers: Vec<Value> = (0..rows).map(Value::from).collect();
    let words: Vec<Value> = (0..rows)
        .map(|i| {
            if i % 5 == 0 {
                Value::Null
            } else {
                Value::string(format!("w{}", i % 17))
            }
        })
        .collect();
    let lists: Vec<Value> = (0..rows)
        .map(|i| Value::Array((0..i % 4).map(|j| Value::double(j as f64)).collect()))
        .collect();
    let list = DataType::Array(Box::new(DataType::Double));
    Table::from_columns([
        (
            Field::new("n", DataType::BigInt),
            Column::from_values(&DataType::BigInt, &numbers),
        ),
        (
            Field::new("w", DataType::String),
            Column::from_values(&DataType::String, &words),
        ),
        (
            Field::new("l", list.clone()),
            Column::from_values(&list, &lists),
        ),
    ])
    .unwrap()
}

fn specs() -> Vec<ColumnSpec> {
    vec![
        ColumnSpec::new("n", DataType::BigInt),
        ColumnSpec::new("w", DataType::String),
        ColumnSpec::new("l", DataType::Array(Box::new(DataType::Double))),
    ]
}

/// Reads whatever there is, in every way that there is.
fn exercise(path: &Path) {
    let options = FileOptions {
        batch_rows: 16,
        ..FileOptions::default()
    };
    if let Ok(file) = SourceFile::open(path, &options) {
        let (batches, _) = read(path, &specs(), &options);
        check_numbering(&batches);
        let _ = file.infer(&options, None);
    }
    if let Ok(table) = Table::read(path) {
        for (name, _) in table.fields() {
            let _ = table.column(name);
        }
        let _ = table.digest();
    }
}

/// A new file in place of an old one: some file systems flush what is overwritten.
fn replace(path: &Path, bytes: &[u8]) {
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
    fs::write(path, bytes).unwrap();
}

/// Offsets all over a file, densely at its ends where the headers and footers are.
fn offsets(length: usize) -> Vec<usize> {
    let step = (length / 60).max(1);
    let mut offsets: Vec<usize> = (0..length).step_by(step).collect();
    offsets.extend(0..length.min(24));
    offsets.extend((length.saturating_sub(400)..length).step_by(3));
    offsets
}

#[test]
fn flipped_bits_and_cuts_never_panic() {
    let directory = Directory::new();
    let table = sample_table(100);
    let csv = directory.path("x.csv");
    table.write(&csv).unwrap();
    let text = fs::read(&csv).unwrap();
    directory.write("x.csv.gz", &text);
    directory.write("x.csv.zst", &text);
    let json: String = (0..100)
        .map(|i| format!("{{\"n\":{i},\"w\":\"w\\u00e9\",\"l\":[{i}.5]}}\n"))
        .collect();
    directory.write("x.jsonl", json);
    for name in ["x.parquet", "x.arrow", "x.arrows"] {
        table.write(&directory.path(name)).unwrap();
    }
    for name in [
        "x.csv",
        "x.csv.gz",
        "x.csv.zst",
        "x.jsonl",
        "x.parquet",
        "x.arrow",
        "x.arrows",
    ] {
        let whole = fs::read(directory.path(name)).unwrap();
        let damaged = directory.path(&format!("damaged.{}", name.split_once('.').unwrap().1));
        for (i, at) in offsets(whole.len()).into_iter().enumerate() {
            replace(&damaged, &whole[..at]);
            exercise(&damaged);
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (i % 8);
            replace(&damaged, &flipped);
            exercise(&damaged);
        }
    }
}

#[test]
fn rows_before_the_damage_are_delivered() {
    let directory = Directory::new();
    let mut noise = 1u64;
    let rows: Vec<String> = (0..20_000)
        .map(|_| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            format!("{noise}\n")
        })
        .collect();
    let specs = [ColumnSpec::new("v", DataType::String)];
    let options = FileOptions::default();
    for name in ["x.csv.gz", "x.csv.zst", "x.jsonl.gz"] {
        let text = if name.contains("csv") {
            format!("v\n{}", rows.concat())
        } else {
            rows.iter()
                .map(|r| format!("{{\"v\":\"{}\"}}\n", r.trim()))
                .collect()
        };
        let path = directory.write(name, text);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() * 3 / 4]).unwrap();
        let (batches, error) = read(&path, &specs, &options);
        let got = accepted(&batches);
        assert!(
            got.len() > 10_000 && got.len() < 20_000,
            "{name}: {}",
            got.len()
        );
        for (row, expected) in got.iter().zip(&rows) {
            assert_eq!(row[0], Value::from(expected.trim()));
        }
        let Some(ConnectError::Damaged { place, .. }) = &error else {
            panic!("{name}: {error:?}");
        };
        assert_eq!(place, &format!("after row {}", got.len() - 1));
    }
}

#[test]
fn damage_in_the_middle_of_parquet_says_after_which_row() {
    let directory = Directory::new();
    let path = directory.path("x.parquet");
    let values: Vec<Value> = (0..200_000)
        .map(|i| Value::string(format!("word {} and {}", i, i * 7)))
        .collect();
    let column = Column::from_values(&DataType::String, &values);
    Table::from_columns([(Field::new("v", DataType::String), column)])
        .unwrap()
        .write(&path)
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() * 3 / 4;
    // As far as the footer, so that page headers are hit: no checksum protects the rest.
    let end = bytes.len() - 2_000;
    bytes[middle..end].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let specs = [ColumnSpec::new("v", DataType::String)];
    let (batches, error) = read(&path, &specs, &FileOptions::default());
    let got = accepted(&batches);
    assert!(
        !got.is_empty() && got.len() < values.len(),
        "{} {error:?}",
        got.len()
    );
    assert!(got.iter().zip(&values).all(|(row, v)| row[0] == *v));
    let error = error.unwrap();
    let expected = format!("is damaged after row {}", got.len() - 1);
    assert!(error.to_string().ends_with(&expected), "{}", chain(&error));
}

#[test]
fn a_footer_that_announces_too_much_is_refused() {
    let directory = Directory::new();
    // A list of 2^31 - 1 row groups in a footer of some bytes.
    let footer = [0x15, 0x02, 0x39, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00];
    let mut bytes = b"PAR1".to_vec();
    bytes.extend(footer);
    bytes.extend(u32::try_from(footer.len()).unwrap().to_le_bytes());
    bytes.extend(b"PAR1");
    let path = directory.write("x.parquet", bytes);
    let error = read(&path, &specs(), &FileOptions::default()).1.unwrap();
    assert!(
        chain(&error).contains("says that it has 2147483647 elements"),
        "{}",
        chain(&error)
    );
}

#[test]
fn random_bytes_are_no_files() {
    let directory = Directory::new();
    let mut noise = 7u64;
    for length in [0, 1, 7, 8, 11, 12, 40, 1_000] {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                noise.to_be_bytes()[0]
            })
            .collect();
        for name in [
            "x.parquet",
            "x.arrow",
            "x.arrows",
            "x.csv",
            "x.jsonl",
            "x.csv.gz",
        ] {
            let path = directory.path(name);
            fs::write(&path, &bytes).unwrap();
            exercise(&path);
            if !name.contains("csv") && !name.contains("json") {
                assert!(Table::read(&path).is_err(), "{name}");
            }
        }
    }
    assert!(types().len() > 10);
}
