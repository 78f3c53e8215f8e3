//! Column chunks of numbers, encoded straight from arrays.
//!
//! The same encodings as the library's, which asks for every value's place and compares values one by
//! one: whole numbers as what they differ by, doubles as they are, one page per array. What does not shrink
//! to a half is not compressed; that is decided by the first values of a chunk alone, so that the bytes depend on
//! the values and nothing else.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType as ArrowType, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::differences::{self, varint, zigzag};
use crate::error::Cause;

/// What is compressed to see whether it pays.
const SAMPLE_BYTES: usize = 1 << 13;
/// Amounts of money shrink to less than a half at this level, at lower ones they do not; higher ones take
/// more time for little.
const ZSTD_LEVEL: i32 = -2;

/// Whether columns of a type are encoded here.
pub(super) fn has_numbers(data_type: &ArrowType) -> bool {
    matches!(
        data_type,
        ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Date32
            | ArrowType::Float64
            | ArrowType::Timestamp(TimeUnit::Microsecond, _)
    )
}

/// A chunk's bytes, and what the file says of it.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) close: ColumnCloseResult,
}

/// Values of a page, none of them NULL.
enum Values<'a> {
    Narrow(&'a [i32]),
    Wide(&'a [i64]),
    Doubles(&'a [f64]),
}

/// The least and the greatest value, if there is one. NaN is neither.
#[derive(Clone, Copy)]
enum Ends {
    Narrow(Option<(i32, i32)>),
    Wide(Option<(i64, i64)>),
    Doubles(Option<(f64, f64)>),
}

/// Encodes the values of arrays that [have numbers](has_numbers) as one chunk.
pub(super) fn encode(arrays: &[ArrayRef], column: &ColumnDescPtr) -> Result<Chunk, Cause> {
    let mut pages = Pages {
        optional: column.max_def_level() > 0,
        bytes: Vec::new(),
        compressor: None,
        uncompressed: 0,
        rows: 0,
        nulls: 0,
        ends: None,
        places: OffsetIndexBuilder::new(),
        encoding: Encoding::PLAIN,
    };
    for array in arrays {
        pages.push(array.as_ref())?;
    }
    Ok(pages.finish(column)?)
}

struct Pages {
    /// Whether values may be NULL.
    optional: bool,
    bytes: Vec<u8>,
    /// After the first page: what compresses, if that pays.
    compressor: Option<Option<zstd::bulk::Compressor<'static>>>,
    uncompressed: usize,
    rows: usize,
    nulls: usize,
    ends: Option<Ends>,
    places: OffsetIndexBuilder,
    encoding: Encoding,
}

impl Pages {
    /// Appends an array as one page.
    fn push(&mut self, array: &dyn Array) -> Result<(), Cause> {
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut body = Vec::new();
        match (self.optional, nulls) {
            (true, _) => levels(array.len(), nulls, &mut body),
            (false, None) => {}
            (false, Some(_)) => return Err("a column without NULLs has some".into()),
        }
        let (narrow, wide, doubles);
        let values = match array.data_type() {
            ArrowType::Int32 => {
                narrow = present(array.as_primitive::<Int32Type>().values(), nulls);
                Values::Narrow(&narrow)
            }
            ArrowType::Date32 => {
                narrow = present(array.as_primitive::<Date32Type>().values(), nulls);
                Values::Narrow(&narrow)
            }
            ArrowType::Int64 => {
                wide = present(array.as_primitive::<Int64Type>().values(), nulls);
                Values::Wide(&wide)
            }
            ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
                wide = present(
                    array.as_primitive::<TimestampMicrosecondType>().values(),
                    nulls,
                );
                Values::Wide(&wide)
            }
            ArrowType::Float64 => {
                doubles = present(array.as_primitive::<Float64Type>().values(), nulls);
                Values::Doubles(&doubles)
            }
            other => return Err(format!("a column of {other} is not one of numbers").into()),
        };
        self.encoding = values.encoding();
        let start = body.len();
        values.encode(&mut body);
        let ends = values.ends();
        self.ends = Some(self.ends.map_or(ends, |before| before.join(ends)));
        self.nulls += nulls.map_or(0, NullBuffer::null_count);
        self.append(array.len(), body, start)
    }

    /// Appends a page of so many rows; its values begin at `start`.
    fn append(&mut self, rows: usize, body: Vec<u8>, start: usize) -> Result<(), Cause> {
        if self.compressor.is_none() {
            let sample = &body[start..][..SAMPLE_BYTES.min(body.len() - start)];
            let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            let left = compressor.compress(sample)?.len();
            let pays = left * 2 <= sample.len();
            self.compressor = Some(pays.then_some(compressor));
        }
        let length = body.len();
        let stored = match self.compressor.iter_mut().flatten().next() {
            Some(compressor) => compressor.compress(&body)?,
            None => body,
        };
        let header = header(rows, length, stored.len(), self.encoding)?;
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(&stored);
        self.uncompressed += header.len() + length;
        self.rows += rows;
        self.places.append_row_count(i64::try_from(rows)?);
        let size = i32::try_from(self.bytes.len() - offset)?;
        self.places
            .append_offset_and_size(i64::try_from(offset)?, size);
        Ok(())
    }

    fn finish(self, column: &ColumnDescPtr) -> Result<Chunk, ParquetError> {
        let compressed = matches!(self.compressor, Some(Some(_)));
        let compression = match compressed {
            // The file does not say the level.
            true => Compression::ZSTD(ZstdLevel::default()),
            false => Compression::UNCOMPRESSED,
        };
        // Both are lengths of what is in memory.
        let mut metadata = ColumnChunkMetaData::builder(Arc::clone(column))
            .set_compression(compression)
            .set_encodings(vec![self.encoding, Encoding::RLE])
            .set_total_compressed_size(self.bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(0);
        if let Some(ends) = self.ends {
            metadata = metadata.set_statistics(ends.statistics(self.nulls as u64));
        }
        let close = ColumnCloseResult {
            bytes_written: self.bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(self.places.build()),
        };
        Ok(Chunk {
            bytes: self.bytes,
            close,
        })
    }
}

impl Values<'_> {
    fn encoding(&self) -> Encoding {
        match self {
            Values::Narrow(_) | Values::Wide(_) => Encoding::DELTA_BINARY_PACKED,
            Values::Doubles(_) => Encoding::PLAIN,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Values::Narrow(values) => {
                let first = values.first().map_or(0, |first| i64::from(*first));
                let each = values
                    .windows(2)
                    .map(|two| i64::from(two[1].wrapping_sub(two[0])));
                differences::encode(values.len(), first, each, out);
            }
            Values::Wide(values) => {
                let first = values.first().copied().unwrap_or(0);
                let each = values.windows(2).map(|two| two[1].wrapping_sub(two[0]));
                differences::encode(values.len(), first, each, out);
            }
            Values::Doubles(values) => {
                let start = out.len();
                out.resize(start + values.len() * 8, 0);
                let places = out[start..].as_chunks_mut().0;
                for (place, value) in places.iter_mut().zip(*values) {
                    *place = value.to_le_bytes();
                }
            }
        }
    }

    fn ends(&self) -> Ends {
        match self {
            Values::Narrow(values) => {
                let least = values.iter().copied().min();
                Ends::Narrow(least.zip(values.iter().copied().max()))
            }
            Values::Wide(values) => {
                let least = values.iter().copied().min();
                Ends::Wide(least.zip(values.iter().copied().max()))
            }
            Values::Doubles(values) => {
                let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
                for &x in *values {
                    least = if x < least { x } else { least };
                    greatest = if x > greatest { x } else { greatest };
                }
                Ends::Doubles((least <= greatest).then_some((least, greatest)))
            }
        }
    }
}

impl Ends {
    /// Of the values of both.
    fn join(self, other: Ends) -> Ends {
        fn reach<T>(
            a: Option<(T, T)>,
            b: Option<(T, T)>,
            least: fn(T, T) -> T,
            greatest: fn(T, T) -> T,
        ) -> Option<(T, T)> {
            match (a, b) {
                (Some(a), Some(b)) => Some((least(a.0, b.0), greatest(a.1, b.1))),
                (a, b) => a.or(b),
            }
        }
        match (self, other) {
            (Ends::Narrow(a), Ends::Narrow(b)) => Ends::Narrow(reach(a, b, Ord::min, Ord::max)),
            (Ends::Wide(a), Ends::Wide(b)) => Ends::Wide(reach(a, b, Ord::min, Ord::max)),
            (Ends::Doubles(a), Ends::Doubles(b)) => Ends::Doubles(reach(a, b, f64::min, f64::max)),
            // The pages of a chunk are of one type.
            (_, other) => other,
        }
    }

    fn statistics(self, nulls: u64) -> Statistics {
        let nulls = Some(nulls);
        match self {
            Ends::Narrow(ends) => {
                let (least, greatest) = ends.unzip();
                ValueStatistics::<i32>::new(least, greatest, None, nulls, false)
                    .with_backwards_compatible_min_max(true)
                    .into()
            }
            Ends::Wide(ends) => {
                let (least, greatest) = ends.unzip();
                ValueStatistics::<i64>::new(least, greatest, None, nulls, false)
                    .with_backwards_compatible_min_max(true)
                    .into()
            }
            Ends::Doubles(ends) => {
                let (least, greatest) = ends.unzip();
                // Of zeros a reader is told the one on the safe side, as the format wants it.
                let least = least.map(|x| if x == 0.0 { -0.0 } else { x });
                let greatest = greatest.map(|x| if x == 0.0 { 0.0 } else { x });
                ValueStatistics::<f64>::new(least, greatest, None, nulls, false)
                    .with_backwards_compatible_min_max(true)
                    .into()
            }
        }
    }
}

/// The values that are there.
fn present<'a, T: Copy>(values: &'a [T], nulls: Option<&NullBuffer>) -> Cow<'a, [T]> {
    match nulls {
        None => values.into(),
        Some(nulls) => nulls.valid_indices().map(|slot| values[slot]).collect(),
    }
}

/// Appends which of so many rows have a value: one run of ones, or a bit for each.
fn levels(rows: usize, nulls: Option<&NullBuffer>, out: &mut Vec<u8>) {
    let mut runs = Vec::new();
    match nulls {
        None => {
            varint((rows as u64) << 1, &mut runs);
            runs.push(1);
        }
        Some(nulls) => {
            let groups = rows.div_ceil(8);
            varint((groups as u64) << 1 | 1, &mut runs);
            let bits = runs.len();
            runs.resize(bits + groups, 0);
            for slot in nulls.valid_indices() {
                runs[bits + slot / 8] |= 1 << (slot % 8);
            }
        }
    }
    // Fewer than 2^32, as rows of a page are.
    out.extend((runs.len() as u32).to_le_bytes());
    out.extend(runs);
}

/// What the format calls an encoding.
fn number_of(encoding: Encoding) -> Result<i32, Cause> {
    match encoding {
        Encoding::PLAIN => Ok(0),
        Encoding::RLE => Ok(3),
        Encoding::DELTA_BINARY_PACKED => Ok(5),
        other => Err(format!("numbers are not encoded as {other}").into()),
    }
}

/// The header of a data page in Thrift's compact protocol.
fn header(rows: usize, length: usize, stored: usize, encoding: Encoding) -> Result<Vec<u8>, Cause> {
    /// A field of 32 bits whose number is one more than that of the field before.
    const NEXT_INT: u8 = 0x15;
    /// A struct whose number is two more.
    const NEXT_BUT_ONE_STRUCT: u8 = 0x2c;
    const STOP: u8 = 0;
    const DATA_PAGE: i32 = 0;
    let number = |field: i32, out: &mut Vec<u8>| {
        out.push(NEXT_INT);
        zigzag(i64::from(field), out);
    };
    let mut out = Vec::with_capacity(32);
    number(DATA_PAGE, &mut out);
    number(i32::try_from(length)?, &mut out);
    number(i32::try_from(stored)?, &mut out);
    out.push(NEXT_BUT_ONE_STRUCT);
    number(i32::try_from(rows)?, &mut out);
    for encoding in [encoding, Encoding::RLE, Encoding::RLE] {
        number(number_of(encoding)?, &mut out);
    }
    out.extend([STOP, STOP]);
    Ok(out)
}
