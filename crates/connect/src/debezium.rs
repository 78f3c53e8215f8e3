//! Debezium's JSON: one change of a row per record, as values of declared columns.
//!
//! Owns the envelope (`before`, `after`, `op`, `source`, with or without `schema` and
//! `payload` around it) and which column comes from where; what a value means by its schema
//! is in `field`. Knows no files.
//!
//! Invariant: one record is one row, or nothing, or the reason why it is neither. A delete
//! needs its key alone: what else of it cannot be read is NULL, so that a row never outlives
//! its end for a value that nobody asks.

mod field;

use std::borrow::Cow;
use std::sync::Arc;

use evenkeel_types::{DataType, Value, Zone};

use self::field::{Field, read_field};
use crate::change::{ChangeError, place_in_log};
use crate::options::{ColumnSpec, FileOptions, MissingColumns};
use crate::value::{Context, Json, ValueError, parse_json, time_from_count};
use crate::{TimeUnit, value};

type Members<'a> = [(Cow<'a, str>, Json<'a>)];

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// A version of a row, or its end.
    Row(Vec<Value>),
    /// Nothing: a tombstone, or a message beside the rows.
    Nothing,
    /// That the table was emptied.
    Truncated,
}

/// What is wrong with a record, and in which declared column, if in one.
type Wrong = (Option<usize>, ValueError);

/// See the module.
#[derive(Clone, Debug)]
pub struct Debezium {
    specs: Arc<[ColumnSpec]>,
    roles: Vec<Role>,
    /// Whether rows may be changed and deleted.
    is_table: bool,
    missing: MissingColumns,
    zone: Zone,
    time_unit: Option<TimeUnit>,
}

/// Where a declared column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The row.
    Row,
    /// The row, of which it is the primary key.
    Key,
    Operation,
    Time,
    Position,
}

impl Debezium {
    /// For a source's columns and options.
    pub fn new(specs: &Arc<[ColumnSpec]>, options: &FileOptions) -> Self {
        let changes = &options.changes;
        let role = |spec: &ColumnSpec| {
            let is = |name: &Option<String>| name.as_deref() == Some(spec.name.as_str());
            match () {
                () if is(&changes.operation) => Role::Operation,
                () if is(&changes.time) => Role::Time,
                () if is(&changes.position) => Role::Position,
                () if changes.key.contains(&spec.name) => Role::Key,
                () => Role::Row,
            }
        };
        Debezium {
            roles: specs.iter().map(role).collect(),
            specs: Arc::clone(specs),
            is_table: changes.operation.is_some(),
            missing: options.missing_columns,
            zone: options.zone.clone(),
            time_unit: options.time_unit,
        }
    }

    /// The values of a record that was a dead letter; in words what is still wrong with it.
    ///
    /// # Errors
    /// If it is no version or end of a row.
    pub fn values_of(&self, record: &str) -> Result<Vec<Value>, String> {
        let json = parse_json(record).map_err(|e| e.to_string())?;
        match self.change(&json) {
            Ok(Change::Row(values)) => Ok(values),
            Ok(Change::Nothing) => Err("the record says nothing of a row".to_owned()),
            Ok(Change::Truncated) => Err("the record says that the table was emptied".to_owned()),
            Err((None, error)) => Err(error.to_string()),
            Err((Some(i), error)) => Err(format!("column `{}`: {error}", self.specs[i].name)),
        }
    }

    pub(crate) fn change(&self, record: &Json<'_>) -> Result<Change, Wrong> {
        let Some(envelope) = Envelope::of(record)? else {
            return Ok(Change::Nothing);
        };
        let op = envelope.op()?;
        let (image, name) = match op {
            "c" | "r" => (envelope.member("after"), "after"),
            "u" | "d" if !self.is_table => return Err(whole(ChangeError::Stream(op.to_owned()))),
            "u" => (envelope.member("after"), "after"),
            "d" => (envelope.member("before"), "before"),
            "t" => return Ok(Change::Truncated),
            // A message of an application, in the log beside the rows.
            "m" => return Ok(Change::Nothing),
            other => return Err(whole(ChangeError::Operation(value::shown(other)))),
        };
        let Some(Json::Object(image)) = image else {
            return Err(whole(ChangeError::NoImage {
                op: op.to_owned(),
                image: name,
            }));
        };
        let row = RowImage {
            members: image,
            schema: envelope.schema_of(name),
        };
        let values = (0..self.specs.len())
            .map(|i| match self.roles[i] {
                Role::Operation => Ok(Value::string(op)),
                Role::Time => envelope.time().map_err(|e| (Some(i), e)),
                Role::Position => envelope.position().map_err(|e| (Some(i), e)),
                Role::Key => self.read(i, &row).map_err(|e| (Some(i), e)),
                Role::Row if op == "d" => Ok(self.read(i, &row).unwrap_or(Value::Null)),
                Role::Row => self.read(i, &row).map_err(|e| (Some(i), e)),
            })
            .collect::<Result<Vec<Value>, Wrong>>()?;
        if op == "u" {
            self.refuse_other_key(&envelope, &values)?;
        }
        Ok(Change::Row(values))
    }

    /// A column's value in an image of the row.
    fn read(&self, column: usize, row: &RowImage<'_, '_>) -> Result<Value, ValueError> {
        let spec = &self.specs[column];
        let Some((name, json)) = row.find(&spec.name)? else {
            let may_lack = spec.optional || self.missing == MissingColumns::Null;
            return if may_lack {
                Ok(Value::Null)
            } else {
                Err(ValueError::change(ChangeError::NoColumn))
            };
        };
        let field = row.schema.and_then(|fields| Field::named(fields, name));
        let context = Context {
            zone: &self.zone,
            time_unit: self.time_unit,
        };
        read_field(&spec.data_type, json, field, &context)
    }

    /// Debezium tells another primary key as an end and a beginning; a record that does not
    /// would leave the row of the old key alive.
    fn refuse_other_key(&self, envelope: &Envelope<'_, '_>, now: &[Value]) -> Result<(), Wrong> {
        let Some(Json::Object(before)) = envelope.member("before") else {
            return Ok(());
        };
        let before = RowImage {
            members: before,
            schema: envelope.schema_of("before"),
        };
        for (i, role) in self.roles.iter().enumerate() {
            if *role == Role::Key && self.read(i, &before).is_ok_and(|old| old != now[i]) {
                return Err((Some(i), ValueError::change(ChangeError::KeyChanged)));
            }
        }
        Ok(())
    }
}

fn whole(error: ChangeError) -> Wrong {
    (None, ValueError::change(error))
}

/// One of a record's two images of a row.
struct RowImage<'r, 'a> {
    members: &'r Members<'a>,
    /// The schemas of its fields.
    schema: Option<&'r [Json<'a>]>,
}

impl<'r, 'a> RowImage<'r, 'a> {
    /// The member of a name, or else the only one that differs from it in case.
    fn find(&self, name: &str) -> Result<Option<(&'r str, &'r Json<'a>)>, ValueError> {
        if let Some((key, json)) = self.members.iter().find(|(key, _)| key == name) {
            return Ok(Some((key, json)));
        }
        let lower = name.to_lowercase();
        let mut similar = (self.members.iter()).filter(|(key, _)| key.to_lowercase() == lower);
        match (similar.next(), similar.next()) {
            (Some(_), Some((second, _))) => Err(ValueError::DuplicateKey {
                key: value::shown(second),
            }),
            (found, _) => Ok(found.map(|(key, json)| (key.as_ref(), json))),
        }
    }
}

/// A record's payload, with what its schema says.
struct Envelope<'r, 'a> {
    payload: &'r Members<'a>,
    schema: Option<&'r Json<'a>>,
}

impl<'r, 'a> Envelope<'r, 'a> {
    /// `None` for a tombstone.
    fn of(record: &'r Json<'a>) -> Result<Option<Self>, Wrong> {
        let not_an_object = |json: &Json<'_>| {
            let found = json.kind();
            Err((None, ValueError::NotAnObject { found }))
        };
        let members = match record {
            Json::Null => return Ok(None),
            Json::Object(members) => members,
            other => return not_an_object(other),
        };
        let (Some(payload), Some(schema)) = (member(members, "payload"), member(members, "schema"))
        else {
            return Ok(Some(Envelope {
                payload: members,
                schema: None,
            }));
        };
        match payload {
            Json::Null => Ok(None),
            Json::Object(payload) => Ok(Some(Envelope {
                payload,
                schema: Some(schema),
            })),
            other => not_an_object(other),
        }
    }

    fn member(&self, name: &str) -> Option<&'r Json<'a>> {
        member(self.payload, name)
    }

    fn op(&self) -> Result<&'r str, Wrong> {
        match self.member("op") {
            Some(Json::String(op)) => Ok(op),
            _ => Err(whole(ChangeError::NoOperation)),
        }
    }

    /// The schemas of the fields of an image.
    fn schema_of(&self, image: &str) -> Option<&'r [Json<'a>]> {
        let Json::Array(fields) = member(self.schema?.members()?, "fields")? else {
            return None;
        };
        let named = |schema: &&Json<'_>| {
            let name = schema.members().and_then(|m| member(m, "field"));
            matches!(name, Some(Json::String(name)) if name == image)
        };
        match member(fields.iter().find(named)?.members()?, "fields")? {
            Json::Array(fields) => Some(fields),
            _ => None,
        }
    }

    /// When the change was made, by the source; where it does not know, when it was read.
    fn time(&self) -> Result<Value, ValueError> {
        let source = self.member("source").and_then(Json::members);
        let of_source = source.map(time_in).transpose()?.flatten();
        let time = match of_source.filter(|time| *time != 0) {
            Some(time) => Some(time),
            None => time_in(self.payload)?,
        };
        time.map(Value::Timestamp)
            .ok_or_else(|| ValueError::change(ChangeError::NoTime))
    }

    /// Where the change stands in the source's log: a number that grows.
    fn position(&self) -> Result<Value, ValueError> {
        let unknown = || ValueError::change(ChangeError::NoPosition);
        let source = (self.member("source").and_then(Json::members)).ok_or_else(unknown)?;
        if let Some(Json::String(file)) = member(source, "file") {
            let pos = whole_number(source, "pos").ok_or_else(unknown)?;
            let row = whole_number(source, "row").unwrap_or(0);
            let place = pos.checked_add(row).and_then(|at| u64::try_from(at).ok());
            let place = place.and_then(|at| place_in_log(file, at));
            return place.map(Value::BigInt).ok_or_else(unknown);
        }
        let lsn = whole_number(source, "lsn").map(Value::BigInt);
        lsn.ok_or_else(unknown)
    }
}

/// `ts_us`, or what is less exact, in microseconds.
fn time_in(members: &Members<'_>) -> Result<Option<i64>, ValueError> {
    if let Some(time) = whole_number(members, "ts_us") {
        return Ok(Some(time));
    }
    if let Some(time) = whole_number(members, "ts_ns") {
        // What is finer than a microsecond tells no two changes apart.
        return Ok(Some(time.div_euclid(1_000)));
    }
    let Some(time) = whole_number(members, "ts_ms") else {
        return Ok(None);
    };
    let in_range = time_from_count(time, TimeUnit::Milliseconds);
    in_range
        .map(Some)
        .ok_or_else(|| ValueError::range(&time.to_string(), &DataType::Timestamp))
}

fn whole_number(members: &Members<'_>, name: &str) -> Option<i64> {
    match member(members, name)? {
        Json::Number { text, .. } => text.parse().ok(),
        _ => None,
    }
}

fn member<'r, 'a>(members: &'r Members<'a>, name: &str) -> Option<&'r Json<'a>> {
    let found = members.iter().find(|(key, _)| key == name);
    found.map(|(_, json)| json)
}

impl<'a> Json<'a> {
    fn members(&self) -> Option<&Members<'a>> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
