//! Rows of files as a message: an Arrow IPC stream of the declared columns, with each row's
//! file and number, and for a row that could not be decoded its reason and its record.
//!
//! Invariant: what is read from a message is what the batches had, row by row, bit for bit.

use evenkeel_types::{Column, DataType, Field, NO_SLOT, Value, Zone};

use super::Table;
use crate::batch::{FileRow, FileRows, RejectedRow, Undecoded};
use crate::error::ConnectError;
use crate::options::ColumnSpec;

/// The column of the rows' files.
pub const ROW_FILE: &str = "evenkeel:file";
/// The column of the rows' numbers in their file.
pub const ROW_NUMBER: &str = "evenkeel:row";
/// The column of why a row could not be decoded; NULL: it could.
pub const ROW_REASON: &str = "evenkeel:reason";
/// The column of the records of rows that could not be decoded.
pub const ROW_RECORD: &str = "evenkeel:record";

/// Rows of files as an Arrow IPC stream, in their order.
///
/// # Errors
/// If a column has no arrow type, or one of the names that only messages have.
pub fn file_rows_message(
    parts: &[FileRows],
    specs: &[ColumnSpec],
) -> Result<Vec<u8>, ConnectError> {
    let mut marks = Marks::default();
    let slots: Vec<Vec<u32>> = parts.iter().map(|part| marks.add(part)).collect();
    let mut table = Table::of_rows(marks.files.len());
    for (i, spec) in specs.iter().enumerate() {
        let mut pieces = parts.iter().zip(&slots);
        let mut piece = || {
            let (part, slots) = pieces.next()?;
            Some(part.rows.columns[i].gather_optional(slots))
        };
        let mut column = piece().unwrap_or_else(|| Column::new(&spec.data_type));
        while let Some(more) = piece() {
            column.append(more);
        }
        table.append(Field::new(&spec.name, spec.data_type.clone()), &column)?;
    }
    let column = |name: &str, data_type: DataType, values: &[Value]| {
        let column = Column::from_values(&data_type, values.iter());
        (Field::new(name, data_type), column)
    };
    let marks = table.with_columns([
        column(ROW_FILE, DataType::Bytes, &marks.files),
        column(ROW_NUMBER, DataType::BigInt, &marks.numbers),
        column(ROW_REASON, DataType::String, &marks.reasons),
        column(ROW_RECORD, DataType::String, &marks.records),
    ]);
    marks?.to_stream()
}

/// What a message says of each row besides its values.
#[derive(Default)]
struct Marks {
    files: Vec<Value>,
    numbers: Vec<Value>,
    reasons: Vec<Value>,
    records: Vec<Value>,
}

impl Marks {
    /// Adds the rows of a batch in their order: the slot of each in the batch's columns.
    fn add(&mut self, part: &FileRows) -> Vec<u32> {
        let file = Value::Bytes(part.file.into());
        let batch = &part.rows;
        let mut slots = Vec::with_capacity(batch.len());
        let mut rejected = batch.rejected.iter().peekable();
        let mut add = |row: u64, slot: u32, rejected: Option<&RejectedRow>| {
            slots.push(slot);
            self.files.push(file.clone());
            // Numbers of rows are far below 2^63.
            let number = i64::try_from(row).map_or(Value::Null, Value::BigInt);
            self.numbers.push(number);
            let text = |text: &str| Value::from(text);
            let reason = rejected.map(|rejected| text(&rejected.in_words()));
            self.reasons.push(reason.unwrap_or(Value::Null));
            let record = rejected.map(|rejected| text(&rejected.record));
            self.records.push(record.unwrap_or(Value::Null));
        };
        for (slot, &row) in (0u32..).zip(&batch.rows) {
            while let Some(found) = rejected.next_if(|found| found.row < row) {
                add(found.row, NO_SLOT, Some(found));
            }
            add(row, slot, None);
        }
        for found in rejected {
            add(found.row, NO_SLOT, Some(found));
        }
        slots
    }
}

impl Table {
    /// The rows of a message that [`file_rows_message`] made, in its order.
    ///
    /// # Errors
    /// If a column of the message is missing, is not declared or not read as declared, if a
    /// value does not fit, or a row has no file or number.
    pub fn file_rows(
        &self,
        specs: &[ColumnSpec],
        zone: &Zone,
    ) -> Result<Vec<FileRow>, ConnectError> {
        let files = self.column_as(ROW_FILE, &DataType::Bytes)?;
        let numbers = self.column_as(ROW_NUMBER, &DataType::BigInt)?;
        let reasons = self.column_as(ROW_REASON, &DataType::String)?;
        let records = self.column_as(ROW_RECORD, &DataType::String)?;
        let fields = self.fields();
        let names: Vec<&str> = fields
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| ![ROW_FILE, ROW_NUMBER, ROW_REASON, ROW_RECORD].contains(name))
            .collect();
        let batch = self.select(&names)?.rows(specs, zone)?;
        let rows = batch.in_order().map(|(slot, values)| {
            let wrong = |reason: String| ConnectError::MessageRow {
                table: self.label.clone(),
                row: slot,
                reason,
            };
            // Rows of a table in memory have numbers that fit.
            let slot = usize::try_from(slot).unwrap_or(usize::MAX);
            let file = match files.get(slot) {
                Value::Bytes(file) => file.as_ref().try_into().ok(),
                _ => None,
            };
            let file = file.ok_or_else(|| wrong(format!("`{ROW_FILE}` is not 16 bytes")))?;
            let number = match numbers.get(slot) {
                Value::BigInt(number) => u64::try_from(number).ok(),
                _ => None,
            };
            let number =
                number.ok_or_else(|| wrong(format!("`{ROW_NUMBER}` is no number of a row")))?;
            let values = match (reasons.get(slot), values) {
                (Value::String(reason), _) => {
                    let record = match records.get(slot) {
                        Value::String(record) => record.as_bytes().to_vec(),
                        _ => return Err(wrong(format!("`{ROW_RECORD}` is missing"))),
                    };
                    let reason = reason.to_string();
                    Err(Undecoded { reason, record })
                }
                (_, Ok(values)) => Ok(values),
                (_, Err(rejected)) => return Err(wrong(rejected.in_words())),
            };
            Ok(FileRow {
                file,
                number,
                values,
            })
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::RowBatch;
    use crate::value::ValueError;

    /// Every kind of column with values at its edges, NULLs last.
    fn columns() -> Vec<(DataType, Vec<Value>)> {
        let texts = |texts: [&str; 2]| texts.map(Value::from).to_vec();
        let list = |values: Vec<Value>| Value::Array(values.into());
        let of = |data_type: DataType| Box::new(data_type);
        let decimal = DataType::Decimal {
            precision: 38,
            scale: 7,
        };
        let vector = DataType::Vector {
            element: of(DataType::Float),
            length: 2,
        };
        let point = DataType::Struct(vec![
            Field::new("x", DataType::String),
            Field::new("n", DataType::BigInt),
        ]);
        let unscaled = |digits: &str| digits.parse::<i128>().unwrap();
        vec![
            (
                DataType::Boolean,
                vec![Value::Boolean(true), Value::Boolean(false)],
            ),
            (
                DataType::Int,
                vec![Value::Int(i32::MIN), Value::Int(i32::MAX)],
            ),
            (
                DataType::BigInt,
                vec![Value::BigInt(i64::MIN), Value::BigInt(i64::MAX)],
            ),
            (
                DataType::Float,
                vec![Value::Float(f32::NAN), Value::Float(f32::MIN_POSITIVE)],
            ),
            (
                DataType::Double,
                vec![Value::Double(f64::NAN), Value::Double(f64::NEG_INFINITY)],
            ),
            (
                decimal,
                ["-99999999999999999999999999999999999999", "1"]
                    .map(|digits| Value::Decimal(unscaled(digits).into()))
                    .to_vec(),
            ),
            (DataType::String, texts(["", "wörd,\n\"0\u{0}"])),
            (
                DataType::Bytes,
                vec![Value::Bytes([0, 255].into()), Value::Bytes([].into())],
            ),
            (
                DataType::Date,
                vec![Value::Date(-719_162), Value::Date(2_932_896)],
            ),
            (
                DataType::Timestamp,
                vec![
                    Value::Timestamp(evenkeel_types::time::TIME_MIN),
                    Value::Timestamp(evenkeel_types::time::TIME_MAX),
                ],
            ),
            (
                DataType::Array(of(DataType::String)),
                vec![list(texts(["a", ""])), list(vec![Value::Null])],
            ),
            (
                vector,
                vec![
                    list(vec![Value::Float(0.1), Value::Float(-0.5)]),
                    list(vec![Value::Float(0.0), Value::Float(f32::INFINITY)]),
                ],
            ),
            (
                DataType::Array(of(point)),
                vec![
                    list(vec![Value::Struct(
                        [Value::from("p"), Value::BigInt(1)].into(),
                    )]),
                    list(vec![]),
                ],
            ),
        ]
    }

    fn specs() -> Vec<ColumnSpec> {
        let columns = (0..).zip(columns());
        columns
            .map(|(i, (data_type, _))| ColumnSpec::new(format!("c{i}"), data_type))
            .collect()
    }

    /// Rows of a file from number 7 on; 7, 9, 11 and 12 are rejected.
    fn batch() -> RowBatch {
        let rejected = |row: u64| RejectedRow {
            row,
            line: Some(row + 2),
            column: (row % 2 == 1).then(|| "c1".to_owned()),
            reason: ValueError::Missing,
            record: format!("[\"{row}\"]"),
        };
        RowBatch {
            rows: vec![8, 10, 13],
            columns: columns()
                .iter()
                .map(|(data_type, values)| {
                    Column::from_values(data_type, values.iter().chain([&Value::Null]))
                })
                .collect(),
            rejected: [7, 9, 11, 12].map(rejected).to_vec(),
        }
    }

    fn message(rows: RowBatch) -> Vec<u8> {
        let file = [7; 16];
        file_rows_message(&[FileRows { file, rows }], &specs()).unwrap()
    }

    fn sent(message: Vec<u8>) -> Result<Vec<FileRow>, ConnectError> {
        Table::from_stream(message, 1 << 20)?.file_rows(&specs(), &Zone::utc())
    }

    #[test]
    fn what_is_read_is_what_the_batch_had() {
        let parts = [[1; 16], [0xff; 16]].map(|file| FileRows {
            file,
            rows: batch(),
        });
        let rows = sent(file_rows_message(&parts, &specs()).unwrap()).unwrap();
        let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [7, 8, 9, 10, 11, 12, 13].repeat(2));
        let files: Vec<u8> = rows.iter().map(|row| row.file[3]).collect();
        assert_eq!(files, [[1; 7], [0xff; 7]].concat());
        // NaN is equal to itself in canonical bytes alone.
        let bytes = |rows: &[FileRow]| -> Vec<Result<Vec<u8>, Undecoded>> {
            let row = |row: &FileRow| {
                let values = row.values.clone()?;
                Ok(evenkeel_types::codec::canonical_row(&values))
            };
            rows.iter().map(row).collect()
        };
        let had: Vec<FileRow> = parts.into_iter().flat_map(FileRows::in_order).collect();
        assert_eq!(bytes(&rows), bytes(&had));
        let reason = &rows[4].values.as_ref().unwrap_err().reason;
        assert!(reason.starts_with("line 13, column `c1`: "), "{reason}");
        assert_eq!(sent(message(batch().within(0..7))).unwrap(), []);
        assert_eq!(sent(file_rows_message(&[], &specs()).unwrap()).unwrap(), []);
    }

    #[test]
    fn parts_of_a_batch_are_the_batch() {
        for cut in 6..15 {
            let parts = [batch().within(0..cut), batch().within(cut..u64::MAX)];
            assert_eq!(parts.iter().map(RowBatch::len).sum::<usize>(), 7);
            let numbers = parts.map(|part| part.in_order().map(|(row, _)| row).collect::<Vec<_>>());
            assert_eq!(numbers.concat(), [7, 8, 9, 10, 11, 12, 13], "{cut}");
            assert!(numbers[0].iter().all(|row| *row < cut));
        }
    }

    #[test]
    fn what_is_no_row_of_a_file_is_refused() {
        let table = || Table::from_stream(message(batch()), 1 << 20).unwrap();
        let names: Vec<String> = specs().into_iter().map(|spec| spec.name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let refused = |table: Table| {
            let error = table.file_rows(&specs(), &Zone::utc()).unwrap_err();
            error.to_string()
        };
        let bare = table().select(&names).unwrap();
        assert!(refused(bare.clone()).contains(ROW_FILE));
        let marked = |file: &[u8], numbers: &[Value; 7]| {
            let column = |data_type: DataType, values: &[Value]| {
                Column::from_values(&data_type, values.iter())
            };
            let files = [const { Value::Null }; 7].map(|_| Value::Bytes(file.into()));
            let nulls = [const { Value::Null }; 7];
            bare.clone()
                .with_columns([
                    (
                        Field::new(ROW_FILE, DataType::Bytes),
                        column(DataType::Bytes, &files),
                    ),
                    (
                        Field::new(ROW_NUMBER, DataType::BigInt),
                        column(DataType::BigInt, numbers),
                    ),
                    (
                        Field::new(ROW_REASON, DataType::String),
                        column(DataType::String, &nulls),
                    ),
                    (
                        Field::new(ROW_RECORD, DataType::String),
                        column(DataType::String, &nulls),
                    ),
                ])
                .unwrap()
        };
        let mut numbers = [1, 2, 3, 4, 5, 6, -7].map(Value::BigInt);
        assert!(refused(marked(&[1; 16], &numbers)).contains("row 6"));
        numbers[6] = Value::BigInt(9);
        assert!(refused(marked(&[1; 15], &numbers)).contains("16 bytes"));
        let numbered = |numbers| marked(&[1; 16], numbers);
        assert_eq!(
            numbered(&numbers)
                .file_rows(&specs(), &Zone::utc())
                .unwrap()
                .len(),
            7
        );
        let other = &specs()[1..];
        let error = numbered(&numbers)
            .file_rows(other, &Zone::utc())
            .unwrap_err();
        assert!(error.to_string().contains("`c0`"), "{error}");
    }
}
