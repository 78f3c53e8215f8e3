//! Source files: finding them, their formats, their columns.

use std::collections::BTreeMap;
use std::fs;

use evenkeel_connect::{
    ColumnSpec, ConnectError, FileOptions, FileSet, Format, MissingColumns, SourceFile, Table,
    TimeUnit, value_to_json,
};
use evenkeel_types::{Column, DataType, Field, Value, Zone};
use proptest::prelude::*;

use crate::samples::{Directory, accepted, any_columns, check_numbering, read, rejected, rows};

fn specs() -> Vec<ColumnSpec> {
    vec![
        ColumnSpec::new("name", DataType::String),
        ColumnSpec::new("n", DataType::BigInt).required(),
    ]
}

fn expected() -> Vec<Vec<Value>> {
    vec![
        vec![Value::from("a,b"), Value::from(1i64)],
        vec![Value::Null, Value::from(2i64)],
        vec![Value::from(""), Value::from(3i64)],
    ]
}

#[test]
fn every_text_format_and_packing_reads_the_same() {
    let directory = Directory::new();
    let csv = "n,other,name\n1,x,\"a,b\"\r\n2,y,\n\n3,z,\"\"\n";
    let tsv = "n\tother\tname\n1\tx\ta,b\n2\ty\t\n3\tz\t\"\"";
    let json = "{\"name\":\"a,b\",\"n\":1}\n\n{\"n\":2,\"other\":[{}]}\r\n{\"n\":3,\"name\":\"\"}";
    for (name, text) in [
        ("x.csv", csv),
        ("x.csv.gz", csv),
        ("x.csv.zst", csv),
        ("x.tsv", tsv),
        ("x.TSV.GZ.tsv.gz", tsv),
        ("x.jsonl", json),
        ("x.ndjson.gz", json),
        ("x.json.zst", json),
    ] {
        let path = directory.write(name, text);
        assert_eq!(
            rows(&path, &specs(), &FileOptions::default()),
            expected(),
            "{name}"
        );
        // With a byte order mark too.
        let path = directory.write(name, format!("\u{feff}{text}"));
        assert_eq!(
            rows(&path, &specs(), &FileOptions::default()),
            expected(),
            "{name}"
        );
    }
    // Several gzip members in a row are one file.
    let (head, tail) = csv.split_at(20);
    let both = [head, tail]
        .map(|part| crate::samples::gzip(part.as_bytes()))
        .concat();
    let path = directory.path("members.csv.gz");
    fs::write(&path, both).unwrap();
    assert_eq!(rows(&path, &specs(), &FileOptions::default()), expected());
}

#[test]
fn options_change_how_text_is_read() {
    let directory = Directory::new();
    let path = directory.write("x.txt", "n;t;f\n1;1388563200;NA\n2;1388563200.0;NaN\n");
    let options = FileOptions {
        format: Some(Format::Csv),
        delimiter: Some(b';'),
        null_text: "NA".into(),
        time_unit: Some(TimeUnit::Seconds),
        ..FileOptions::default()
    };
    let specs = [
        ColumnSpec::new("t", DataType::Timestamp),
        ColumnSpec::new("f", DataType::Double),
    ];
    let t = Value::Timestamp(1_388_563_200_000_000);
    assert_eq!(
        rows(&path, &specs, &options),
        vec![
            vec![t.clone(), Value::Null],
            vec![t, Value::double(f64::NAN)]
        ]
    );
}

#[test]
fn globs_are_sorted_and_say_what_is_near() {
    let directory = Directory::new();
    for name in ["b.csv", "a.csv", "c.jsonl", "a[1].csv"] {
        directory.write(name, "n\n1\n");
    }
    fs::create_dir(directory.path("d.csv")).unwrap();
    let options = FileOptions::default();
    let names = |pattern: &str| {
        FileSet::expand(directory.root(), pattern, &options).map(|set| {
            set.files()
                .iter()
                .map(|f| f.path().file_name().unwrap().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(names("*.csv").unwrap(), ["a.csv", "a[1].csv", "b.csv"]);
    assert_eq!(names("[ab].csv").unwrap(), ["a.csv", "b.csv"]);
    assert_eq!(names("a[1].csv").unwrap(), ["a[1].csv"]);
    assert_eq!(names("**/c.*").unwrap(), ["c.jsonl"]);
    let text = |e: ConnectError| e.to_string();
    assert!(text(names("d.csv").unwrap_err()).ends_with("d.csv/*.parquet`"));
    let missing = text(names("c.json").unwrap_err());
    assert!(missing.ends_with("; did you mean `c.jsonl`?"), "{missing}");
    assert!(text(names("*.parquet").unwrap_err()).starts_with("no file matches"));
    assert!(matches!(
        names("a***").unwrap_err(),
        ConnectError::Pattern { .. }
    ));
    let absolute = directory.path("?.csv");
    let set = FileSet::expand(directory.root(), absolute.to_str().unwrap(), &options).unwrap();
    assert_eq!(set.files().len(), 2);
    assert_eq!(set.bytes(), 8);
}

#[test]
fn digests_are_those_of_the_bytes_on_disk() {
    let directory = Directory::new();
    let path = directory.write("x.csv", "n\n".repeat(100_000));
    let file = SourceFile::open(&path, &FileOptions::default()).unwrap();
    let mut last = 0;
    let digest = file.digest(&mut |bytes| last = bytes).unwrap();
    assert_eq!(last, 200_000);
    let whole = blake3::hash(&fs::read(&path).unwrap());
    assert_eq!(digest, whole.as_bytes()[..16]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let directory = Directory::new();
    let path = directory.write("x.csv", "n\n1\n");
    let options = FileOptions::default();
    let file = SourceFile::open(&path, &options).unwrap();
    let mut reader = file
        .read(&[ColumnSpec::new("n", DataType::Int)], &options)
        .unwrap();
    assert!(reader.next().unwrap().is_ok());
    directory.write("x.csv", "n\n1\n2\n");
    assert!(matches!(
        reader.next(),
        Some(Err(ConnectError::Changed { .. }))
    ));
    assert!(reader.next().is_none());
}

#[test]
fn columns_are_found_by_name() {
    let directory = Directory::new();
    let csv = directory.write("x.csv", "ID, Amount ,amount2,B,b\n1,2,3,4,5\n");
    let json = directory.write(
        "x.jsonl",
        "{\"ID\":1,\"Amount\":2,\"amount2\":3,\"B\":4,\"b\":5}\n",
    );
    let table = Table::from_columns(
        ["ID", "Amount", "amount2", "B", "b"]
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let value = Value::from(i64::try_from(i).unwrap() + 1);
                (
                    Field::new(*name, DataType::BigInt),
                    Column::from_values(&DataType::BigInt, &[value]),
                )
            }),
    )
    .unwrap();
    let parquet = directory.path("x.parquet");
    table.write(&parquet).unwrap();
    let options = FileOptions::default();
    let spec = |name: &str| vec![ColumnSpec::new(name, DataType::BigInt)];
    for path in [csv, json, parquet] {
        let one = |name: &str| rows(&path, &spec(name), &options)[0][0].clone();
        assert_eq!(one("id"), Value::from(1i64));
        assert_eq!(one("amount"), Value::from(2i64));
        assert_eq!(one("b"), Value::from(5i64));
        assert_eq!(one("B"), Value::from(4i64));
        let error = read(&path, &spec("amonut"), &options)
            .1
            .unwrap()
            .to_string();
        assert!(
            error.contains("no column `amonut`; did you mean `Amount`?"),
            "{error}"
        );
        assert!(error.contains("its columns are `ID`"), "{error}");
        // A required column is never invented.
        let lenient = FileOptions {
            missing_columns: MissingColumns::Null,
            ..options.clone()
        };
        assert_eq!(rows(&path, &spec("other"), &lenient)[0][0], Value::Null);
        let required = [ColumnSpec::new("other", DataType::BigInt).required()];
        assert!(matches!(
            read(&path, &required, &lenient).1,
            Some(ConnectError::MissingColumn { .. })
        ));
    }
    let twice = directory.write("y.csv", "A,a\n1,2\n");
    assert!(rows(&twice, &spec("a"), &options)[0][0] == Value::from(2i64));
    let twice = directory.write("y.csv", "AA,Aa,c,c\n1,2,3,4\n");
    assert!(matches!(
        read(&twice, &spec("aa"), &options).1,
        Some(ConnectError::AmbiguousColumn { .. })
    ));
    assert!(matches!(
        read(&twice, &spec("c"), &options).1,
        Some(ConnectError::DuplicateColumn { .. })
    ));
}

#[test]
fn sparse_json_keys_are_null_and_are_told() {
    let directory = Directory::new();
    let path = directory.write("x.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    let options = FileOptions::default();
    let specs = [
        ColumnSpec::new("a", DataType::Int),
        ColumnSpec::new("rare_one", DataType::Int),
    ];
    let file = SourceFile::open(&path, &options).unwrap();
    let mut reader = file.read(&specs, &options).unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.columns[1].get(0), Value::Null);
    assert!(reader.next().is_none());
    assert_eq!(reader.columns_not_seen(), ["rare_one"]);
    assert_eq!(reader.progress().bytes, reader.progress().bytes_total);
    assert_eq!(reader.progress().rows, 2);
}

#[test]
fn batches_do_not_change_what_is_read() {
    let directory = Directory::new();
    let text: String = (0..1_000)
        .map(|i| {
            if i % 7 == 0 {
                format!("{i},x\n")
            } else {
                format!("{i},{i}\n")
            }
        })
        .collect();
    let csv = directory.write("x.csv", format!("a,b\n{text}"));
    let specs = [
        ColumnSpec::new("a", DataType::Int),
        ColumnSpec::new("b", DataType::Int),
    ];
    let whole = read(&csv, &specs, &FileOptions::default()).0;
    assert_eq!(check_numbering(&whole), 1_000);
    assert_eq!(rejected(&whole).len(), 143);
    for batch_rows in [1, 7, 100] {
        let options = FileOptions {
            batch_rows,
            ..FileOptions::default()
        };
        let parts = read(&csv, &specs, &options).0;
        assert!(
            parts
                .iter()
                .all(|b| b.rows.len() + b.rejected.len() <= batch_rows)
        );
        assert_eq!(check_numbering(&parts), 1_000);
        assert_eq!(accepted(&parts), accepted(&whole));
        assert_eq!(rejected(&parts), rejected(&whole));
    }
}

#[test]
fn an_empty_file_has_no_rows() {
    let directory = Directory::new();
    let options = FileOptions::default();
    let specs = [ColumnSpec::new("a", DataType::Int)];
    let json = directory.write("x.jsonl", "");
    assert!(rows(&json, &specs, &options).is_empty());
    let csv = directory.write("x.csv", "a\n");
    assert!(rows(&csv, &specs, &options).is_empty());
    let csv = directory.write("x.csv", "\n\n");
    assert!(matches!(
        read(&csv, &specs, &options).1,
        Some(ConnectError::NoHeader { .. })
    ));
    let table =
        Table::from_columns([(Field::new("a", DataType::Int), Column::new(&DataType::Int))])
            .unwrap();
    let parquet = directory.path("x.parquet");
    table.write(&parquet).unwrap();
    assert!(rows(&parquet, &specs, &options).is_empty());
}

#[test]
fn the_options_of_a_source_are_understood() {
    use evenkeel_types::definition::OptionValue;
    let directory = Directory::new();
    directory.write("x.log", "t|v\n2014-11-02 01:00|1\n");
    let options: BTreeMap<String, OptionValue> = [
        ("connector", "file"),
        ("path", "*.log"),
        ("format", "csv"),
        ("delimiter", "|"),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), OptionValue::Text(v.to_owned())))
    .collect();
    let zone = Zone::named("America/Los_Angeles").unwrap();
    let (path, options) = FileOptions::from_source(&options, &zone).unwrap();
    let set = FileSet::expand(directory.root(), &path, &options).unwrap();
    let specs = [ColumnSpec::new("t", DataType::Timestamp)];
    assert_eq!(
        rows(set.files()[0].path(), &specs, &options),
        vec![vec![Value::Timestamp(1_414_915_200_000_000)]]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every type through every source format.
    #[test]
    fn what_is_written_is_read(columns in any_columns(0usize..20)) {
        let directory = Directory::new();
        let length = columns[0].1.len();
        let expected: Vec<Vec<Value>> = (0..length)
            .map(|i| columns.iter().map(|(_, c)| c.get(i)).collect())
            .collect();
        let specs: Vec<ColumnSpec> = columns
            .iter()
            .map(|(f, _)| ColumnSpec::new(&f.name, f.data_type.clone()))
            .collect();
        let json: String = expected
            .iter()
            .map(|row| {
                let members = columns.iter().zip(row).map(|((f, _), v)| {
                    (f.name.clone(), value_to_json(&f.data_type, v))
                });
                serde_json::Value::Object(members.collect()).to_string() + "\n"
            })
            .collect();
        let table = Table::from_columns(columns).unwrap();
        let mut paths = vec![directory.write("x.jsonl", json)];
        for name in ["x.parquet", "x.csv"] {
            let path = directory.path(name);
            table.write(&path).unwrap();
            paths.push(path);
        }
        for path in paths {
            prop_assert_eq!(
                rows(&path, &specs, &FileOptions::default()),
                expected.clone(),
                "{:?}",
                path.extension()
            );
        }
    }
}
