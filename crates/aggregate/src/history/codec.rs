//! The bytes of a block: column by column, with differences between neighbours.
//!
//! `docs/format/hot-tier.md` has the table. No checksum of its own: the store that keeps the
//! bytes has one over key and value.

mod packed;

use std::sync::Arc;

use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_bytes, put_signed, put_varint};
use evenkeel_types::codec::{Decoder, encode_value};
use evenkeel_types::{
    Column, ColumnData, DataType, ErrorReason, Interval, Offset, Partition, Position, SLOT_NULL,
    SLOT_PRESENT, Value,
};

use super::block::{Block, Columnar};
use super::bounds::{Bounds, OffsetSpan};
use packed::{doubles, numbers_of, orders, put_doubles, put_numbers_of, put_orders};

/// The version that is written; older ones are read.
const VERSION: u8 = 2;
/// Its numbers, order bytes and doubles are not packed.
const PLAIN_VERSION: u8 = 1;
const HAS_CONTESTED: u8 = 1;

impl Block {
    /// The bytes of entries whose columns have these types.
    pub(super) fn encode(&self, types: &[DataType], out: &mut Vec<u8>) {
        self.columnar(types).encode(&mut Vec::new(), out);
    }

    pub(super) fn decode(bytes: &[u8], types: &[DataType]) -> Result<Block, MalformedBytes> {
        Columnar::decode(bytes, types).map(Block::from_columns)
    }
}

impl Columnar {
    /// Appends the block's bytes. `scratch` is memory that whoever encodes many may use again.
    pub(super) fn encode(&self, scratch: &mut Vec<i64>, out: &mut Vec<u8>) {
        out.push(VERSION);
        let parts = self.parts();
        out.push(if parts.contested.is_empty() {
            0
        } else {
            HAS_CONTESTED
        });
        put_varint(self.len() as u64, out);
        put_numbers_of(parts.times, out);
        let mut put = |numbers: &mut dyn Iterator<Item = i64>| {
            scratch.clear();
            scratch.extend(numbers);
            put_numbers_of(scratch, out);
        };
        let after = parts.visible_at.iter().zip(parts.times);
        put(&mut after.map(|(v, t)| v.wrapping_sub(*t)));
        put(&mut parts.partitions.iter().map(|&p| i64::from(p)));
        put(&mut parts.offsets.iter().map(|&o| o.cast_signed()));
        // Of a source with one partition they are the offsets.
        let ids = parts.ids.iter().zip(parts.offsets);
        put(&mut ids.map(|(id, o)| id.wrapping_sub(*o).cast_signed()));
        if !parts.contested.is_empty() {
            put_bits(parts.contested, out);
        }
        if self.len() > 0 {
            let orders: Vec<&[u8]> = (0..self.len()).map(|slot| self.order(slot).order).collect();
            put_orders(&orders, parts.partitions, parts.offsets, out);
        }
        for column in self.columns() {
            put_column(column, out);
        }
    }

    fn decode(bytes: &[u8], types: &[DataType]) -> Result<Columnar, MalformedBytes> {
        let mut reader = ByteReader::new(bytes);
        let packed = match reader.byte("the version of a block")? {
            VERSION => true,
            PLAIN_VERSION => false,
            _ => return Err(reader.malformed("a block of version 1 or 2")),
        };
        let has_contested = reader.byte("the flags of a block")? == HAS_CONTESTED;
        let count = reader.count("the entries of a block")?;
        let times = numbers_of(&mut reader, count, packed)?;
        if !times.is_sorted() {
            return Err(reader.malformed("times in order"));
        }
        let visible_at = numbers_of(&mut reader, count, packed)?
            .into_iter()
            .zip(&times)
            .map(|(v, t)| v.wrapping_add(*t))
            .collect();
        let partitions = numbers_of(&mut reader, count, packed)?
            .into_iter()
            .map(|p| u32::try_from(p).map_err(|_| reader.malformed("a partition")))
            .collect::<Result<Vec<_>, _>>()?;
        let offsets = unsigned(numbers_of(&mut reader, count, packed)?);
        let mut ids = unsigned(numbers_of(&mut reader, count, packed)?);
        if packed {
            for (id, offset) in ids.iter_mut().zip(&offsets) {
                *id = id.wrapping_add(*offset);
            }
        }
        let contested = if has_contested {
            bits(&mut reader, count)?
        } else {
            Vec::new()
        };
        let (order_ends, order_bytes) = if packed && count > 0 {
            orders(&mut reader, &partitions, &offsets)?
        } else {
            plain_orders(&mut reader, count)?
        };
        let columns = types
            .iter()
            .map(|data_type| column(&mut reader, data_type, count, packed))
            .collect::<Result<_, _>>()?;
        reader.end("a block")?;
        Ok(Columnar::from_parts(
            times,
            visible_at,
            partitions,
            offsets,
            ids,
            contested,
            order_ends,
            order_bytes,
            columns,
        ))
    }
}

/// Order bytes one behind the other, and where each ends.
fn plain_orders(
    reader: &mut ByteReader<'_>,
    count: usize,
) -> Result<(Vec<u32>, Vec<u8>), MalformedBytes> {
    let mut ends = Vec::with_capacity(count);
    let mut bytes = Vec::new();
    for _ in 0..count {
        bytes.extend_from_slice(reader.bytes("order bytes")?);
        let end = u32::try_from(bytes.len());
        ends.push(end.map_err(|_| reader.malformed("order bytes of a block"))?);
    }
    Ok((ends, bytes))
}

fn put_differences(values: impl Iterator<Item = i64>, out: &mut Vec<u8>) {
    let mut last = 0i64;
    for value in values {
        put_signed(value.wrapping_sub(last), out);
        last = value;
    }
}

fn differences(reader: &mut ByteReader<'_>, count: usize) -> Result<Vec<i64>, MalformedBytes> {
    let mut last = 0i64;
    (0..count)
        .map(|_| {
            last = last.wrapping_add(reader.signed("a difference")?);
            Ok(last)
        })
        .collect()
}

fn unsigned(values: Vec<i64>) -> Vec<u64> {
    values.into_iter().map(i64::cast_unsigned).collect()
}

fn put_bits(values: &[bool], out: &mut Vec<u8>) {
    for eight in values.chunks(8) {
        let byte = eight
            .iter()
            .enumerate()
            .fold(0u8, |byte, (i, &bit)| byte | u8::from(bit) << i);
        out.push(byte);
    }
}

fn bits(reader: &mut ByteReader<'_>, count: usize) -> Result<Vec<bool>, MalformedBytes> {
    let bytes = reader.take(count.div_ceil(8), "bits")?;
    Ok((0..count)
        .map(|i| bytes[i / 8] >> (i % 8) & 1 == 1)
        .collect())
}

/// States as runs (byte, length) if any slot is missing, then the present values.
fn put_column(column: &Column, out: &mut Vec<u8>) {
    let states = column.states();
    let missing = states.iter().any(|&s| s != SLOT_PRESENT);
    out.push(u8::from(missing));
    if missing {
        for run in states.chunk_by(|a, b| a == b) {
            out.push(run[0]);
            put_varint(run.len() as u64, out);
        }
    }
    let present = || (0..column.len()).filter(|&i| column.state(i) == SLOT_PRESENT);
    match column.data() {
        ColumnData::Boolean(v) => put_bits(&present().map(|i| v[i]).collect::<Vec<_>>(), out),
        ColumnData::Int(v) | ColumnData::Date(v) => {
            put_differences(present().map(|i| i64::from(v[i])), out);
        }
        ColumnData::BigInt(v) | ColumnData::Timestamp(v) => {
            put_differences(present().map(|i| v[i]), out);
        }
        ColumnData::Float(v) => present().for_each(|i| out.extend(v[i].to_le_bytes())),
        ColumnData::Double(v) if !missing => put_doubles(v, out),
        ColumnData::Double(v) => put_doubles(&present().map(|i| v[i]).collect::<Vec<_>>(), out),
        ColumnData::Decimal(v) => present().for_each(|i| out.extend(v[i].to_le_bytes())),
        ColumnData::String(v) => present().for_each(|i| put_bytes(v[i].as_bytes(), out)),
        ColumnData::Bytes(v) => present().for_each(|i| put_bytes(&v[i], out)),
        ColumnData::Interval(v) => present().for_each(|i| {
            put_signed(i64::from(v[i].months), out);
            put_signed(v[i].micros, out);
        }),
        ColumnData::Nested(v) => present().for_each(|i| {
            let mut bytes = Vec::new();
            encode_value(&v[i], &mut bytes);
            put_bytes(&bytes, out);
        }),
    }
}

fn column(
    reader: &mut ByteReader<'_>,
    data_type: &DataType,
    count: usize,
    packed: bool,
) -> Result<Column, MalformedBytes> {
    let mut states = Vec::new();
    if reader.byte("the states of a column")? != 0 {
        while states.len() < count {
            let state = reader.byte("a state")?;
            let known = state == SLOT_PRESENT
                || state == SLOT_NULL
                || ErrorReason::from_code(state).is_some();
            let run = reader.varint("a run of states")?;
            let run = usize::try_from(run).unwrap_or(usize::MAX);
            if !known || run == 0 || run > count - states.len() {
                return Err(reader.malformed("states of a column"));
            }
            states.resize(states.len() + run, state);
        }
    }
    let present = if states.is_empty() {
        count
    } else {
        states.iter().filter(|&&s| s == SLOT_PRESENT).count()
    };
    let mut values = Values {
        reader,
        present,
        states: &states,
        count,
    };
    let data = match Column::new(data_type).into_parts().0 {
        ColumnData::Boolean(_) => {
            let found = bits(values.reader, present)?;
            ColumnData::Boolean(values.spread(found))
        }
        ColumnData::Int(_) => ColumnData::Int(values.narrow()?),
        ColumnData::Date(_) => ColumnData::Date(values.narrow()?),
        ColumnData::BigInt(_) => ColumnData::BigInt(values.wide()?),
        ColumnData::Timestamp(_) => ColumnData::Timestamp(values.wide()?),
        ColumnData::Float(_) => {
            ColumnData::Float(values.each(|r| Ok(f32::from_le_bytes(r.array("a FLOAT")?)))?)
        }
        ColumnData::Double(_) if packed => {
            let found = doubles(values.reader, present)?;
            ColumnData::Double(values.spread(found))
        }
        ColumnData::Double(_) => {
            ColumnData::Double(values.each(|r| Ok(f64::from_le_bytes(r.array("a DOUBLE")?)))?)
        }
        ColumnData::Decimal(_) => {
            ColumnData::Decimal(values.each(|r| Ok(i128::from_le_bytes(r.array("a DECIMAL")?)))?)
        }
        ColumnData::String(_) => {
            let empty: Arc<str> = Arc::from("");
            ColumnData::String(values.each_or(empty, |r| {
                let text = std::str::from_utf8(r.bytes("a STRING")?);
                text.map(Arc::from).map_err(|_| r.malformed("UTF-8"))
            })?)
        }
        ColumnData::Bytes(_) => {
            let empty: Arc<[u8]> = Arc::from(&[][..]);
            ColumnData::Bytes(values.each_or(empty, |r| Ok(Arc::from(r.bytes("BYTES")?)))?)
        }
        ColumnData::Interval(_) => {
            let none = Interval {
                months: 0,
                micros: 0,
            };
            ColumnData::Interval(values.each_or(none, |r| {
                let months = r.signed("months")?;
                Ok(Interval {
                    months: i32::try_from(months).map_err(|_| r.malformed("months"))?,
                    micros: r.signed("microseconds")?,
                })
            })?)
        }
        ColumnData::Nested(_) => ColumnData::Nested(values.each_or(Value::Null, |r| {
            let mut decoder = Decoder::new(r.bytes("a value")?);
            let value = decoder.value(data_type);
            value
                .and_then(|value| decoder.finish().map(|()| value))
                .map_err(|_| r.malformed("a value"))
        })?),
    };
    Ok(Column::from_parts(data, states))
}

/// The present values of a column, about to be spread over its slots.
struct Values<'a, 'b> {
    reader: &'a mut ByteReader<'b>,
    present: usize,
    states: &'a [u8],
    count: usize,
}

impl<'b> Values<'_, 'b> {
    fn spread<T: Clone + Default>(&self, found: Vec<T>) -> Vec<T> {
        self.spread_or(T::default(), found)
    }

    fn spread_or<T: Clone>(&self, placeholder: T, found: Vec<T>) -> Vec<T> {
        if self.states.is_empty() {
            return found;
        }
        let mut found = found.into_iter();
        let mut slot = |&state: &u8| {
            (state == SLOT_PRESENT)
                .then(|| found.next())
                .flatten()
                .unwrap_or_else(|| placeholder.clone())
        };
        let mut spread = Vec::with_capacity(self.count);
        spread.extend(self.states.iter().map(&mut slot));
        spread
    }

    fn each<T: Clone + Default>(
        &mut self,
        read: impl FnMut(&mut ByteReader<'b>) -> Result<T, MalformedBytes>,
    ) -> Result<Vec<T>, MalformedBytes> {
        self.each_or(T::default(), read)
    }

    fn each_or<T: Clone>(
        &mut self,
        placeholder: T,
        mut read: impl FnMut(&mut ByteReader<'b>) -> Result<T, MalformedBytes>,
    ) -> Result<Vec<T>, MalformedBytes> {
        let found = (0..self.present)
            .map(|_| read(self.reader))
            .collect::<Result<Vec<T>, _>>()?;
        Ok(self.spread_or(placeholder, found))
    }

    fn wide(&mut self) -> Result<Vec<i64>, MalformedBytes> {
        let found = differences(self.reader, self.present)?;
        Ok(self.spread(found))
    }

    fn narrow(&mut self) -> Result<Vec<i32>, MalformedBytes> {
        let found = differences(self.reader, self.present)?
            .into_iter()
            .map(|x| i32::try_from(x).map_err(|_| self.reader.malformed("an INT")))
            .collect::<Result<Vec<i32>, _>>()?;
        Ok(self.spread(found))
    }
}

impl Bounds {
    /// Appends the bounds' bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_signed(self.first_time, out);
        put_signed(self.last_time.wrapping_sub(self.first_time), out);
        put_signed(self.first_visible_at.wrapping_sub(self.first_time), out);
        put_signed(self.last_visible_at.wrapping_sub(self.first_time), out);
        out.push(u8::from(self.contested));
        put_varint(self.offsets.len() as u64, out);
        for span in &self.offsets {
            put_varint(u64::from(span.partition.0), out);
            put_varint(span.first.0, out);
            put_varint(span.last.0.wrapping_sub(span.first.0), out);
        }
    }

    /// [`Bounds::encode`]'s bounds.
    ///
    /// # Errors
    /// Where the bytes are not bounds.
    pub fn decode(reader: &mut ByteReader<'_>) -> Result<Bounds, MalformedBytes> {
        let first_time = reader.signed("the bounds of a block")?;
        let last_time = first_time.wrapping_add(reader.signed("the bounds of a block")?);
        let first_visible_at = first_time.wrapping_add(reader.signed("the bounds of a block")?);
        let last_visible_at = first_time.wrapping_add(reader.signed("the bounds of a block")?);
        let contested = reader.byte("the bounds of a block")? != 0;
        let spans = reader.count("the partitions of a block")?;
        let offsets = (0..spans)
            .map(|_| {
                let partition = reader.varint("a partition")?;
                let partition =
                    u32::try_from(partition).map_err(|_| reader.malformed("a partition"))?;
                let first = reader.varint("an offset")?;
                let last = first.wrapping_add(reader.varint("an offset")?);
                Ok(OffsetSpan {
                    partition: Partition(partition),
                    first: Offset(first),
                    last: Offset(last),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Bounds {
            first_time,
            last_time,
            first_visible_at,
            last_visible_at,
            offsets,
            contested,
        })
    }

    /// The first position that the bounds name, of any partition.
    pub(super) fn a_position(&self) -> Position {
        self.offsets
            .first()
            .map_or(Position::new(0, 0), |span| Position {
                partition: span.partition,
                offset: span.first,
            })
    }
}
