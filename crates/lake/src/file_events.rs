//! The events of a data file, as they were logged: one by one, or several by column.

mod columns;

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use bytes::Bytes;
use evenkeel_connect::arrow_to_column;
use evenkeel_log::{EventParts, Sequence, event_from_bytes};
use evenkeel_types::{
    Column, ColumnData, Cut, DataType, EventTime, LoggedEvent, NO_SLOT, Operation, Origin,
    Partition, Position, SLOT_NULL, SLOT_PRESENT, SourceId, Value, VisibleAt,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::data_file::ROW_GROUP_ROWS;
use crate::error::LakeError;
use crate::held::{Held, same_in};
use crate::layout::{Layout, own, place_of};

/// Own columns whose values differ from row to row.
const BY_ROW: [usize; 3] = [own::EVENT_TIME, own::OFFSET, own::SEQUENCE];

/// Which events of a file are wanted, and what of them.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) source: SourceId,
    pub(crate) after: Cut,
    /// `None`: all that there is.
    pub(crate) until: Option<Cut>,
    pub(crate) event_times: Option<RangeInclusive<EventTime>>,
    pub(crate) parts: Option<EventParts>,
    /// Whether their numbers in the apply order are asked for.
    pub(crate) sequences: bool,
}

impl Wanted {
    /// The offsets of a partition that are wanted.
    fn of_partition(&self, partition: Partition) -> Range<u64> {
        let until = self.until.as_ref();
        let end = until.map_or(u64::MAX, |until| until.end(self.source, partition).0);
        self.after.end(self.source, partition).0..end
    }

    fn at(&self, time: i64) -> bool {
        let times = self.event_times.as_ref();
        times.is_none_or(|times| times.contains(&EventTime(time)))
    }

    /// Offsets among which all are that are wanted, of any partition.
    pub(crate) fn offsets(&self) -> Range<u64> {
        let Some(until) = &self.until else {
            return 0..u64::MAX;
        };
        let ends = until.iter().filter(|(id, ..)| *id == self.source);
        let wanted = ends.map(|(id, partition, end)| (self.after.end(id, partition).0, end.0));
        let wanted = wanted.filter(|(first, end)| first < end);
        let all = wanted.reduce(|(a, b), (first, end)| (a.min(first), b.max(end)));
        all.map_or(0..0, |(first, end)| first..end)
    }

    fn column(&self, slot: usize) -> bool {
        let parts = self.parts.as_ref();
        parts.is_none_or(|parts| parts.columns.get(slot).copied().unwrap_or(false))
    }

    fn origin(&self) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.origin)
    }
}

/// A data file that was read, whose events are answered in the order in which they were logged.
#[derive(Debug)]
pub(crate) struct FileEvents {
    layout: Arc<Layout>,
    path: String,
    wanted: Wanted,
    /// By place in the layout; those that nobody wants are empty.
    columns: Vec<Held>,
    /// The rows that are wanted, in order.
    rows: Vec<u32>,
    /// Of them, the one that is read next.
    next: usize,
    /// Whether all rows are of one partition and one width, and stand in the columns.
    all_alike: bool,
}

impl FileEvents {
    /// Reads a file's bytes, which are those that were written.
    ///
    /// # Errors
    /// If they are no data file of this layout.
    pub(crate) fn read(
        layout: &Arc<Layout>,
        path: &str,
        bytes: Bytes,
        wanted: &Wanted,
    ) -> Result<Self, LakeError> {
        let damaged = |reason: String| LakeError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| damaged(e.to_string()))?;
        let is_wanted = |place: usize| match place {
            own::ORIGIN_KIND..=own::ORIGIN_NUMBER => wanted.origin(),
            place if place < place_of(0) => !matches!(place, own::VISIBLE_AT | own::BUCKET),
            place => wanted.column(place - place_of(0)),
        };
        let groups: Vec<(usize, &RowGroupMetaData)> = builder
            .metadata()
            .row_groups()
            .iter()
            .enumerate()
            .filter(|(_, group)| may_hold(group, wanted.event_times.as_ref()))
            .collect();
        let (groups, metadata): (Vec<usize>, Vec<&RowGroupMetaData>) = groups.into_iter().unzip();
        let partition = &layout.fields[own::PARTITION];
        let is_of_one = same_in(&metadata, &partition.name, &partition.data_type).is_some();
        let is_wanted = |place: usize| {
            is_wanted(place) && (place != own::SEQUENCE || wanted.sequences || !is_of_one)
        };
        let rows: i64 = metadata.iter().map(|group| group.num_rows()).sum();
        let rows = usize::try_from(rows).unwrap_or(0);
        let mut columns: Vec<Held> = Vec::with_capacity(layout.fields.len());
        let mut places = Vec::with_capacity(layout.fields.len());
        for (place, field) in layout.fields.iter().enumerate() {
            let is_own = place < place_of(0) && !BY_ROW.contains(&place);
            let same = match is_own && is_wanted(place) {
                true => same_in(&metadata, &field.name, &field.data_type),
                false => None,
            };
            match same {
                Some(value) => columns.push(Held::Same(value)),
                None => {
                    let mut column = Column::new(&field.data_type);
                    if is_wanted(place) {
                        places.push(place);
                        // One batch is taken as it is.
                        if rows > ROW_GROUP_ROWS {
                            column.reserve(rows);
                        }
                    }
                    columns.push(Held::Each(column));
                }
            }
        }
        let schema = builder.parquet_schema();
        let roots: Vec<&str> = schema
            .root_schema()
            .get_fields()
            .iter()
            .map(|f| f.name())
            .collect();
        let mut indices = Vec::with_capacity(places.len());
        for &place in &places {
            let name = layout.fields[place].name.as_str();
            let found = roots.iter().position(|root| *root == name);
            indices.push(found);
        }
        let mask = ProjectionMask::roots(schema, indices.iter().flatten().copied());
        let reader = builder
            .with_projection(mask)
            .with_row_groups(groups)
            .with_batch_size(ROW_GROUP_ROWS)
            .build()
            .map_err(|e| damaged(e.to_string()))?;
        for batch in reader {
            let batch = batch.map_err(|e| damaged(e.to_string()))?;
            for (&place, found) in places.iter().zip(&indices) {
                let field = &layout.fields[place];
                let column = match found.and_then(|_| batch.column_by_name(&field.name)) {
                    Some(array) => column_of(array.as_ref(), place, &field.data_type)
                        .map_err(|reason| damaged(format!("column `{}`: {reason}", field.name)))?,
                    // The file is older than the column.
                    None => Column::repeat(&field.data_type, &Value::Null, batch.num_rows()),
                };
                if let Held::Each(before) = &mut columns[place] {
                    before.append(column);
                }
            }
        }
        let mut events = FileEvents {
            layout: Arc::clone(layout),
            path: path.to_owned(),
            wanted: wanted.clone(),
            columns,
            rows: Vec::new(),
            next: 0,
            all_alike: false,
        };
        let is_same = |place: usize| events.columns[place].same().is_some();
        events.all_alike = is_same(own::PARTITION)
            && is_same(own::COLUMNS)
            && events.columns[own::EXACT].same() == Some(&Value::Null);
        events.rows = events.in_order();
        Ok(events)
    }

    /// The rows that are wanted, in the order in which they were logged.
    fn in_order(&self) -> Vec<u32> {
        let count = match &self.columns[own::OFFSET] {
            Held::Each(column) => column.len(),
            Held::Same(_) => unreachable!("its values are read"),
        };
        let one = self.columns[own::PARTITION].same().map(|_| {
            let partition = Partition(self.position(0).partition.0);
            self.wanted.of_partition(partition)
        });
        let times = self.columns[own::EVENT_TIME].each_number();
        let offsets = self.columns[own::OFFSET].each_number();
        let is_wanted = |&row: &u32| {
            let offset = offsets[row as usize].cast_unsigned();
            let in_cut = match &one {
                Some(offsets) => offsets.contains(&offset),
                None => {
                    let partition = self.position(row as usize).partition;
                    self.wanted.of_partition(partition).contains(&offset)
                }
            };
            in_cut && self.wanted.at(times[row as usize])
        };
        // In one partition offsets are in the order of the log, too.
        let order = match self.wanted.sequences || one.is_none() {
            true => self.columns[own::SEQUENCE].each_number(),
            false => offsets,
        };
        let rows = (0..).take(count).filter(is_wanted);
        sorted(rows.collect(), |row| order[row as usize].cast_unsigned())
    }

    fn position(&self, row: usize) -> Position {
        let partition = self.columns[own::PARTITION].number(row);
        let offset = self.columns[own::OFFSET].number(row);
        Position::new(
            u32::try_from(partition).unwrap_or(u32::MAX),
            offset.cast_unsigned(),
        )
    }

    /// Reads the next event, and answers its number in the apply order, which is 0 if nobody asked for
    /// them; none once there is no more.
    ///
    /// # Errors
    /// If the file does not hold what it should.
    pub(crate) fn next_into(
        &mut self,
        logged: &mut LoggedEvent,
    ) -> Result<Option<Sequence>, LakeError> {
        let Some(&row) = self.rows.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let row = row as usize;
        let sequence = match self.wanted.sequences {
            true => Sequence(self.columns[own::SEQUENCE].number(row).cast_unsigned()),
            false => Sequence(0),
        };
        let position = self.position(row);
        logged.source = self.wanted.source;
        logged.position = position;
        logged.logged_at = VisibleAt(self.columns[own::LOGGED_AT].number(row));
        logged.schema_version = self.layout.schema_version;
        if let Value::Bytes(bytes) = self.columns[own::EXACT].get(row) {
            logged.event = event_from_bytes(bytes.to_vec(), position)
                .map_err(|flaw| self.damaged(format!("the event at {position}: {flaw}")))?;
            return Ok(Some(sequence));
        }
        let width = self.width(row)?;
        let event = &mut logged.event;
        event.operation = self.operation(row)?;
        event.revision = self.revision(row)?;
        event.event_time = EventTime(self.columns[own::EVENT_TIME].number(row));
        event.known_at = self.known_at(row);
        event.origin = match self.wanted.origin() {
            true => self.origin(row)?,
            false => Origin::Log(position),
        };
        event.before = None;
        event.row.clear();
        for slot in 0..width {
            let column = &self.columns[place_of(slot)];
            let value = match self.wanted.column(slot) {
                true => column.get(row),
                false => Value::Null,
            };
            event.row.push(value);
        }
        Ok(Some(sequence))
    }

    fn revision(&self, row: usize) -> Result<u32, LakeError> {
        u32::try_from(self.columns[own::REVISION].number(row))
            .map_err(|_| self.damaged("a revision".to_owned()))
    }

    fn known_at(&self, row: usize) -> Option<VisibleAt> {
        match self.columns[own::KNOWN_AT].get(row) {
            Value::Timestamp(time) => Some(VisibleAt(time)),
            _ => None,
        }
    }

    /// How many values a row has.
    fn width(&self, row: usize) -> Result<usize, LakeError> {
        let Value::Int(width) = self.columns[own::COLUMNS].get(row) else {
            return Err(self.damaged("a row has no width".to_owned()));
        };
        usize::try_from(width)
            .ok()
            .filter(|width| *width <= self.layout.stored.len())
            .ok_or_else(|| self.damaged("a row has more values than columns".to_owned()))
    }

    fn damaged(&self, reason: String) -> LakeError {
        LakeError::Damaged {
            path: self.path.clone(),
            reason,
        }
    }

    fn text(&self, place: usize, row: usize) -> Result<Arc<str>, LakeError> {
        match self.columns[place].get(row) {
            Value::String(text) => Ok(text),
            _ => Err(self.damaged(format!("`{}` is missing", self.layout.fields[place].name))),
        }
    }

    fn operation(&self, row: usize) -> Result<Operation, LakeError> {
        let text = self.text(own::OPERATION, row)?;
        Ok(match text.as_ref() {
            "insert" => Operation::Insert,
            "upsert" => Operation::Upsert,
            "delete" => Operation::Delete,
            "replace" => Operation::Replace,
            "remove" => Operation::Remove,
            other => return Err(self.damaged(format!("operation `{other}`"))),
        })
    }

    fn origin(&self, row: usize) -> Result<Origin, LakeError> {
        let kind = self.text(own::ORIGIN_KIND, row)?;
        let last = self.columns[own::ORIGIN_NUMBER].number(row).cast_unsigned();
        let partition = || match self.columns[own::ORIGIN_PARTITION].get(row) {
            Value::BigInt(x) => {
                u32::try_from(x).map_err(|_| self.damaged("a partition".to_owned()))
            }
            _ => Err(self.damaged("an origin has no partition".to_owned())),
        };
        Ok(match kind.as_ref() {
            "file" => Origin::File {
                digest: digest_of(&self.text(own::ORIGIN, row)?)
                    .ok_or_else(|| self.damaged("the digest of an origin".to_owned()))?,
                row: last,
            },
            "topic" => Origin::Kafka {
                topic: self.text(own::ORIGIN, row)?.as_ref().to_owned(),
                partition: partition()?,
                offset: last,
            },
            "producer" => Origin::Producer {
                id: self.text(own::ORIGIN, row)?.as_ref().to_owned(),
                sequence: last,
            },
            "log" => Origin::Log(Position {
                partition: Partition(partition()?),
                offset: evenkeel_types::Offset(last),
            }),
            other => return Err(self.damaged(format!("origin `{other}`"))),
        })
    }
}

/// Times of events are whatever the log has, numbers within the limits of a column or not.
fn column_of(array: &dyn Array, place: usize, data_type: &DataType) -> Result<Column, String> {
    match array.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) if place < place_of(0) && *data_type == DataType::Timestamp => {
            let states = match times.null_count() {
                0 => Vec::new(),
                _ => (0..times.len())
                    .map(|row| match times.is_null(row) {
                        true => SLOT_NULL,
                        false => SLOT_PRESENT,
                    })
                    .collect(),
            };
            let times = ColumnData::Timestamp(times.values().to_vec());
            Ok(Column::from_parts(times, states))
        }
        _ => arrow_to_column(array, data_type),
    }
}

fn digest_of(text: &str) -> Option<[u8; 16]> {
    Some(u128::from_str_radix(text, 16).ok()?.to_be_bytes())
}

/// Rows in the order of their numbers, of which no two are equal. Numbers that are close together,
/// as those of a file mostly are, find their place at once.
fn sorted(mut rows: Vec<u32>, number: impl Fn(u32) -> u64) -> Vec<u32> {
    let (mut least, mut greatest) = (u64::MAX, 0);
    for row in &rows {
        let number = number(*row);
        least = least.min(number);
        greatest = greatest.max(number);
    }
    let room = greatest.checked_sub(least).map(usize::try_from);
    if let Some(Ok(room)) = room
        && room / 4 <= rows.len()
    {
        let mut places = vec![NO_SLOT; room + 1];
        for row in &rows {
            // Less than the room.
            places[(number(*row) - least) as usize] = *row;
        }
        places.retain(|row| *row != NO_SLOT);
        if places.len() == rows.len() {
            return places;
        }
    }
    rows.sort_unstable_by_key(|row| number(*row));
    rows
}

/// Whether a row group may hold events of these times.
fn may_hold(group: &RowGroupMetaData, times: Option<&RangeInclusive<EventTime>>) -> bool {
    let Some(times) = times else {
        return true;
    };
    let chunk = group
        .columns()
        .iter()
        .find(|c| c.column_path().string() == "_event_time");
    match chunk.and_then(|chunk| chunk.statistics()) {
        Some(Statistics::Int64(bounds)) => {
            let (least, greatest) = (bounds.min_opt(), bounds.max_opt());
            least.is_none_or(|x| *x <= times.end().0)
                && greatest.is_none_or(|x| *x >= times.start().0)
        }
        _ => true,
    }
}
