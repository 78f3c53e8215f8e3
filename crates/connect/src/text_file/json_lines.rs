//! JSON lines: one object per line.
//!
//! Lines of Debezium are objects of another shape: see `debezium`.
//!
//! A key that is not there is NULL, like `null`. Blank lines are skipped. Keys that are not
//! declared are ignored; a key that occurs twice rejects its row.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::{DataType, Value, Zone};

use crate::batch::BatchBuilder;
use crate::columns::{missing_column, resolve};
use crate::debezium::{Change, Debezium};
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::format::Format;
use crate::growing_file::Place;
use crate::input::{Input, RECORD_BYTES_MAX};
use crate::options::{ColumnSpec, FileOptions, MissingColumns, TimeUnit};
use crate::strings::Strings;
use crate::suggest::nearest;
use crate::text_file::{Step, TextRows, damaged};
use crate::value::{Context, Json, ValueError, parse_json, read_json, shown, text_from_bytes};

/// Bytes at the start of a file whose keys decide which declared columns it has.
const SAMPLE_BYTES: usize = 1 << 20;
/// Bytes of an over-long line that its dead letter keeps.
const LINE_BYTES_SHOWN: usize = 1_024;

/// The lines of a file that are not blank.
pub(crate) struct LineReader {
    file: SourceFile,
    input: Input,
    row: u64,
    line: u64,
}

/// A line.
pub(crate) enum Line {
    /// It waits in [`LineReader::bytes`].
    Whole {
        /// Without its end.
        length: usize,
        /// With its end.
        consumed: usize,
    },
    /// Beyond [`RECORD_BYTES_MAX`], skipped; with its beginning.
    TooLong(Vec<u8>),
    /// Nothing more.
    End,
}

impl LineReader {
    pub(crate) fn open(file: &SourceFile) -> Result<Self, ConnectError> {
        LineReader::over(file, Input::open(file)?)
    }

    /// The lines of an input that begins a file.
    pub(crate) fn over(file: &SourceFile, mut input: Input) -> Result<Self, ConnectError> {
        input
            .skip_byte_order_mark()
            .map_err(|e| damaged(file, 0, e))?;
        if input.data().trim_ascii_start().starts_with(b"[") {
            return Err(ConnectError::JsonArray {
                path: file.path().to_owned(),
            });
        }
        Ok(LineReader {
            file: file.clone(),
            input,
            row: 0,
            line: 1,
        })
    }

    /// The first bytes that wait to be consumed.
    pub(crate) fn bytes(&self, length: usize) -> &[u8] {
        &self.input.data()[..length]
    }

    /// The number of the line last found, from 1, and its row, from 0.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.row, self.line)
    }

    /// Goes on at a place of the file, with an input that begins there.
    pub(crate) fn go_on(&mut self, input: Input, place: Place) {
        self.input = input;
        self.row = place.row;
        self.line = place.line;
    }

    /// Where the next line begins; ask when the last one is behind.
    pub(crate) fn next_place(&self) -> Place {
        Place {
            bytes: self.input.consumed(),
            row: self.row,
            line: self.line,
        }
    }

    /// Past the line last found.
    pub(crate) fn advance(&mut self, consumed: usize) {
        self.input.consume(consumed);
        self.row += 1;
        self.line += 1;
    }

    pub(crate) fn packed_bytes(&self) -> u64 {
        self.input.packed_bytes()
    }

    /// Finds the next line that is not blank; the caller goes past it.
    pub(crate) fn next_line(&mut self) -> Result<Line, ConnectError> {
        let mut searched = 0;
        loop {
            let data = self.input.data();
            let end = data[searched..].iter().position(|b| *b == b'\n');
            let (length, consumed) = match end {
                Some(end) => (searched + end, searched + end + 1),
                None if self.input.at_end() && data.is_empty() => return Ok(Line::End),
                None if self.input.at_end() => (data.len(), data.len()),
                None if data.len() > RECORD_BYTES_MAX => return self.skip_long_line(),
                None if self.input.is_dry() => return Ok(Line::End),
                None => {
                    searched = data.len();
                    self.fill()?;
                    continue;
                }
            };
            if length > RECORD_BYTES_MAX {
                let beginning = self.bytes(LINE_BYTES_SHOWN).to_vec();
                self.input.consume(consumed);
                return Ok(Line::TooLong(beginning));
            }
            if data[..length].trim_ascii().is_empty() {
                self.input.consume(consumed);
                self.line += 1;
                searched = 0;
                continue;
            }
            return Ok(Line::Whole { length, consumed });
        }
    }

    fn fill(&mut self) -> Result<(), ConnectError> {
        self.input
            .fill()
            .map_err(|e| damaged(&self.file, self.row, e))
    }

    fn skip_long_line(&mut self) -> Result<Line, ConnectError> {
        let beginning = self.bytes(LINE_BYTES_SHOWN).to_vec();
        loop {
            let data = self.input.data();
            if let Some(end) = data.iter().position(|b| *b == b'\n') {
                self.input.consume(end + 1);
                break;
            }
            let length = data.len();
            self.input.consume(length);
            if self.input.at_end() {
                break;
            }
            if self.input.is_dry() {
                return Ok(Line::End);
            }
            self.fill()?;
        }
        Ok(Line::TooLong(beginning))
    }

    /// The keys of the objects at the start of the file, in order of first appearance, and
    /// whether there was an object at all. Consumes nothing.
    fn sample_keys(&mut self) -> (Vec<String>, bool) {
        while self.input.data().len() < SAMPLE_BYTES && !self.input.at_end() {
            // Damage is reported when it is reached.
            if self.input.fill().is_err() {
                break;
            }
        }
        let mut keys: Vec<String> = Vec::new();
        let mut known = BTreeSet::new();
        let mut any = false;
        for line in self.input.data().split(|b| *b == b'\n') {
            let Ok(text) = std::str::from_utf8(line) else {
                continue;
            };
            let Ok(Json::Object(members)) = parse_json(text) else {
                continue;
            };
            any = true;
            for (i, (key, _)) in members.iter().enumerate() {
                // Lines usually have the same keys in the same order.
                let usual = keys.get(i).is_some_and(|k| k == key);
                if !usual && known.insert(key.to_string()) {
                    keys.push(key.to_string());
                }
            }
        }
        (keys, any)
    }
}

/// The rows of a JSON lines file as declared columns.
pub(crate) struct JsonRows {
    lines: LineReader,
    /// Behind the last row.
    place: Place,
    /// Each row's keys stand for themselves: what comes later is not known.
    by_row: bool,
    /// What a line says, if it is no row itself.
    changes: Option<Debezium>,
    specs: Arc<[ColumnSpec]>,
    /// The key of each declared column.
    keys: Vec<String>,
    /// Where each key stood in the last row: usually there again.
    hints: Vec<usize>,
    seen: Vec<bool>,
    zone: Zone,
    time_unit: Option<TimeUnit>,
    strings: Strings,
    values: Vec<Value>,
}

impl JsonRows {
    pub(crate) fn open(
        file: &SourceFile,
        specs: &Arc<[ColumnSpec]>,
        options: &FileOptions,
    ) -> Result<Self, ConnectError> {
        let mut lines = LineReader::open(file)?;
        if file.format() == Format::Debezium {
            return Ok(JsonRows::growing(lines, specs, options));
        }
        let (sample, any) = lines.sample_keys();
        let names: Vec<&str> = sample.iter().map(String::as_str).collect();
        let keys = specs
            .iter()
            .map(|spec| match resolve(file.path(), &names, &spec.name)? {
                Some(i) => Ok(sample[i].clone()),
                // A key may well be missing from many objects. It is taken for a mistake if
                // every row needs it, or if a key looks like it.
                None if any && looks_wrong(spec, &names, specs, options) => {
                    Err(missing_column(file.path(), &names, &spec.name))
                }
                None => Ok(spec.name.clone()),
            })
            .collect::<Result<Vec<_>, ConnectError>>()?;
        Ok(JsonRows::new(lines, keys, false, specs, options))
    }

    /// The rows of lines of which more may come. A column is the key of its name, or else
    /// the row's only one that differs in case or in white space around it.
    pub(crate) fn growing(
        lines: LineReader,
        specs: &Arc<[ColumnSpec]>,
        options: &FileOptions,
    ) -> Self {
        let keys = specs.iter().map(|spec| spec.name.clone()).collect();
        JsonRows::new(lines, keys, true, specs, options)
    }

    fn new(
        lines: LineReader,
        keys: Vec<String>,
        by_row: bool,
        specs: &Arc<[ColumnSpec]>,
        options: &FileOptions,
    ) -> Self {
        let is_changes = lines.file.format() == Format::Debezium;
        JsonRows {
            place: lines.next_place(),
            lines,
            by_row,
            changes: is_changes.then(|| Debezium::new(specs, options)),
            hints: vec![0; keys.len()],
            seen: vec![false; keys.len()],
            keys,
            specs: Arc::clone(specs),
            zone: options.zone.clone(),
            time_unit: options.time_unit,
            strings: Strings::new(),
            values: Vec::new(),
        }
    }

    fn decode(&mut self, length: usize) -> Result<Says, (Option<usize>, ValueError)> {
        let whole = |e| (None, e);
        let text = std::str::from_utf8(self.lines.bytes(length))
            .map_err(|_| whole(ValueError::NotUtf8))?;
        let json = parse_json(text).map_err(whole)?;
        if let Some(changes) = &self.changes {
            return Ok(match changes.change(&json)? {
                Change::Row(values) => {
                    self.values = values;
                    Says::Row
                }
                Change::Nothing => Says::Nothing,
                Change::Truncated => Says::Emptied,
            });
        }
        let members = match json {
            Json::Object(members) => members,
            other => {
                return Err(whole(ValueError::NotAnObject {
                    found: other.kind(),
                }));
            }
        };
        let context = Context {
            zone: &self.zone,
            time_unit: self.time_unit,
        };
        self.values.clear();
        for (i, spec) in self.specs.iter().enumerate() {
            let mut found = find(&members, &self.keys[i], &mut self.hints[i]);
            if found.is_none() && self.by_row {
                found = find_similar(&members, &self.keys[i]).map_err(|e| (Some(i), e))?;
            }
            let Some(json) = found else {
                self.values.push(Value::Null);
                continue;
            };
            self.seen[i] = true;
            self.values.push(match (json, &spec.data_type) {
                (Json::String(text), DataType::String) => Value::String(self.strings.get(text)),
                _ => read_json(&spec.data_type, json, &context).map_err(|e| (Some(i), e))?,
            });
        }
        Ok(Says::Row)
    }
}

/// What a line says.
enum Says {
    /// A row, whose values wait.
    Row,
    Nothing,
    /// That all rows of a table ended.
    Emptied,
}

/// Whether a column that the sample does not have is more likely a mistake than sparse.
fn looks_wrong(
    spec: &ColumnSpec,
    names: &[&str],
    specs: &[ColumnSpec],
    options: &FileOptions,
) -> bool {
    let undeclared = names
        .iter()
        .copied()
        .filter(|name| specs.iter().all(|s| s.name != **name));
    spec.required
        || (options.missing_columns == MissingColumns::Refuse
            && !spec.optional
            && nearest(&spec.name, undeclared).0.is_some())
}

fn find<'m, 'a>(
    members: &'m [(Cow<'a, str>, Json<'a>)],
    key: &str,
    hint: &mut usize,
) -> Option<&'m Json<'a>> {
    if let Some((found, json)) = members.get(*hint)
        && found == key
    {
        return Some(json);
    }
    let at = members.iter().position(|(found, _)| found == key)?;
    *hint = at;
    Some(&members[at].1)
}

/// The member whose key differs from a name in case or in white space around it.
fn find_similar<'m, 'a>(
    members: &'m [(Cow<'a, str>, Json<'a>)],
    name: &str,
) -> Result<Option<&'m Json<'a>>, ValueError> {
    let lower = name.to_lowercase();
    let mut similar = members
        .iter()
        .filter(|(key, _)| key.trim().to_lowercase() == lower);
    match (similar.next(), similar.next()) {
        (Some(_), Some((second, _))) => Err(ValueError::DuplicateKey { key: shown(second) }),
        (first, _) => Ok(first.map(|(_, json)| json)),
    }
}

impl TextRows for JsonRows {
    fn step(&mut self, batch: &mut BatchBuilder) -> Result<Step, ConnectError> {
        let found = self.lines.next_line()?;
        let (row, line) = self.lines.place();
        match found {
            Line::End => Ok(Step::End),
            Line::TooLong(beginning) => {
                let reason = ValueError::RecordLength {
                    limit: RECORD_BYTES_MAX,
                };
                batch.push(row, line, Err((None, reason)), || {
                    text_from_bytes(&beginning)
                });
                self.lines.advance(0);
                self.place = self.lines.next_place();
                Ok(Step::Row(RECORD_BYTES_MAX))
            }
            Line::Whole { length, consumed } => {
                let says = self.decode(length);
                match says {
                    Ok(Says::Emptied) => {
                        return Err(ConnectError::Emptied {
                            path: self.lines.file.path().to_owned(),
                            row,
                        });
                    }
                    Ok(Says::Nothing) => {
                        self.lines.advance(consumed);
                        self.place = self.lines.next_place();
                        return Ok(Step::Row(consumed));
                    }
                    Ok(Says::Row) | Err(_) => {}
                }
                let values = says.map(|_| self.values.as_slice());
                let bytes = self.lines.bytes(length).trim_ascii();
                batch.push(row, line, values, || match std::str::from_utf8(bytes) {
                    Ok(text) if serde_json::from_str::<serde_json::Value>(text).is_ok() => {
                        text.to_owned()
                    }
                    _ => text_from_bytes(bytes),
                });
                self.lines.advance(consumed);
                self.place = self.lines.next_place();
                Ok(Step::Row(consumed))
            }
        }
    }

    fn packed_bytes(&self) -> u64 {
        self.lines.packed_bytes()
    }

    fn place(&self) -> Place {
        self.place
    }

    fn columns_not_seen(&self) -> Vec<usize> {
        (0..self.seen.len()).filter(|&i| !self.seen[i]).collect()
    }
}
