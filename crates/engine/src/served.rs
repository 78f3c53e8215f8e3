//! What was served: a sampled, bounded log of requests with the cut and a digest of their
//! answers, so that what was sent yesterday can be reproduced today, bit for bit.
//!
//! JSON lines in `served/` of the store, each behind its XXH3-64 in hexadecimal; a few files
//! of bounded size, the oldest of which gives way. It is not synced: a line that a crash cut
//! short is left out, and nothing depends on it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use evenkeel_connect::{json_to_value, value_to_json};
use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{EventTime, Knowledge, Value, VisibleAt, Zone};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use xxhash_rust::xxh3::xxh3_64;

use crate::api::Answer;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::{Offline, Online};
use crate::project::Project;
use crate::serving::ReadPlan;

/// Files that are kept.
const FILES: u64 = 8;
/// Answers of at most so many values are logged whole, to say which of them differs.
const VALUES_MAX: usize = 256;
/// Values that are computed again in one piece.
const PIECE_VALUES: usize = 512;

/// One answer that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServedAnswer {
    /// When, microseconds since the epoch.
    pub at: i64,
    /// `service@version`; none for a list of features.
    pub service: Option<String>,
    /// `view@version:feature` in order, for a list of features.
    pub features: Vec<String>,
    /// The inputs of each row, in the service's order.
    pub rows: Vec<Vec<Json>>,
    /// The time of the read, microseconds.
    pub as_of: i64,
    /// What bounded the visible time, microseconds.
    pub known_at: Option<i64>,
    /// The cut, as [`Engine::format_cut`] writes it.
    pub cut: String,
    /// BLAKE3 of values, statuses and event times, in order.
    pub digest: String,
    /// The values in words, where they are few.
    pub values: Option<Vec<Vec<Json>>>,
}

/// Appends to the log of served answers.
#[derive(Debug)]
pub struct ServedLog {
    directory: PathBuf,
    bytes_max: u64,
    number: u64,
    file: File,
    bytes: u64,
}

/// What replaying the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedReport {
    /// Answers that were computed again.
    pub answers: u64,
    /// Values in them.
    pub values: u64,
    /// Answers of definitions or events that are not there any more.
    pub skipped: u64,
    /// Lines that do not read: cut short by a crash, or damaged.
    pub unreadable: u64,
    /// Answers that came out otherwise.
    pub mismatches: u64,
    /// The first of them in words.
    pub examples: Vec<String>,
}

/// The most mismatches that are told.
const EXAMPLES_MAX: usize = 10;

fn directory_of(project: &Project) -> PathBuf {
    project.store.join("served")
}

/// The files of a store.
pub(crate) fn files_in(store: &Path) -> Vec<PathBuf> {
    let directory = store.join("served");
    let numbers = numbers(&directory).into_iter();
    numbers
        .map(|number| directory.join(file_name(number)))
        .collect()
}

fn file_name(number: u64) -> String {
    format!("{number:08}.jsonl")
}

/// The numbers of the files, ascending.
fn numbers(directory: &Path) -> Vec<u64> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_suffix(".jsonl")?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

fn digest(rows: &[Vec<Answer>]) -> String {
    let mut bytes = Vec::new();
    for row in rows {
        for answer in row {
            encode_value(&answer.value, &mut bytes);
            bytes.extend(answer.status.to_string().bytes());
            let time = answer
                .event_time
                .map_or(Value::Null, |t| Value::Timestamp(t.0));
            encode_value(&time, &mut bytes);
        }
        bytes.push(b'\n');
    }
    blake3::hash(&bytes).to_hex().to_string()
}

fn values_of(plan: &ReadPlan, rows: &[Vec<Answer>]) -> Vec<Vec<Json>> {
    let types = plan.features();
    rows.iter()
        .map(|row| {
            let answers = row.iter().zip(types);
            answers
                .map(|(a, field)| value_to_json(&field.data_type, &a.value))
                .collect()
        })
        .collect()
}

impl ServedAnswer {
    /// An answer that was read by a plan at a knowledge, for the log.
    #[expect(clippy::too_many_arguments, reason = "a request and its answer")]
    pub fn new(
        at: EventTime,
        plan: &ReadPlan,
        is_list: bool,
        inputs: &[Vec<Value>],
        as_of: EventTime,
        known_at: Option<VisibleAt>,
        cut: &str,
        rows: &[Vec<Answer>],
    ) -> Self {
        let service: &ServiceDef = plan.service();
        let types = &service.inputs;
        let inputs = inputs.iter().map(|row| {
            let fields = row.iter().zip(types);
            fields
                .map(|(v, field)| value_to_json(&field.data_type, v))
                .collect()
        });
        let few = rows.len() * plan.features().len() <= VALUES_MAX;
        ServedAnswer {
            at: at.0,
            service: (!is_list).then(|| format!("{}@{}", service.name, service.version)),
            features: if is_list {
                feature_names(service)
            } else {
                Vec::new()
            },
            rows: inputs.collect(),
            as_of: as_of.0,
            known_at: known_at.map(|k| k.0),
            cut: cut.to_owned(),
            digest: digest(rows),
            values: few.then(|| values_of(plan, rows)),
        }
    }
}

fn feature_names(service: &ServiceDef) -> Vec<String> {
    let items = service.items.iter();
    items
        .flat_map(|item| {
            let view = &item.view;
            item.features.iter().map(|(index, _)| {
                format!(
                    "{}@{}:{}",
                    view.name, view.version, view.features[*index].name
                )
            })
        })
        .collect()
}

impl ServedLog {
    /// Opens a project's log of served answers, which may take about `bytes_max` in all.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn open(project: &Project, bytes_max: u64) -> Result<Self, EngineError> {
        let directory = directory_of(project);
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::Write { path, source }
        };
        fs::create_dir_all(&directory).map_err(write(&directory))?;
        // A new file, so that a line that was cut short stays the last of its own.
        let number = numbers(&directory).last().map_or(1, |last| last + 1);
        let path = directory.join(file_name(number));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(write(&path))?;
        let log = ServedLog {
            directory,
            bytes_max,
            number,
            file,
            bytes: 0,
        };
        log.drop_old();
        Ok(log)
    }

    /// Appends an answer.
    ///
    /// # Errors
    /// If it cannot be written; the answer was sent all the same.
    pub fn append(&mut self, answer: &ServedAnswer) -> std::io::Result<()> {
        let json = serde_json::to_string(answer)?;
        let line = format!("{:016x} {json}\n", xxh3_64(json.as_bytes()));
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        if self.bytes >= self.bytes_max / FILES {
            self.number += 1;
            let path = self.directory.join(file_name(self.number));
            self.file = OpenOptions::new()
                .create_new(true)
                .append(true)
                .open(path)?;
            self.bytes = 0;
            self.drop_old();
        }
        Ok(())
    }

    /// Removes what is older than the files that are kept.
    fn drop_old(&self) {
        for number in numbers(&self.directory) {
            if number + FILES <= self.number {
                // If it cannot be removed now, the next file's turn tries again.
                let _ = fs::remove_file(self.directory.join(file_name(number)));
            }
        }
    }
}

impl Engine {
    /// Computes logged answers again, each at its cut, and compares them, bit for bit.
    /// `progress` is called with the answers done.
    ///
    /// # Errors
    /// If the log cannot be read at all.
    pub fn verify_served(
        &self,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ServedReport, EngineError> {
        let mut told = |done| {
            progress(done);
            ControlFlow::Continue(())
        };
        self.offline()
            .verify_served(self, &directory_of(self.project()), &mut told)
    }

    /// Where answers that were served are logged.
    pub fn served_directory(&self) -> PathBuf {
        directory_of(self.project())
    }
}

impl Offline {
    /// [`Engine::verify_served`] of an engine that is asked for a few values at a time, so
    /// that others have their turn in between. `progress` may stop it.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the log cannot be read at all.
    pub fn verify_served(
        &self,
        online: &impl Online,
        directory: &Path,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ServedReport, EngineError> {
        let mut report = ServedReport::default();
        for number in numbers(directory) {
            let path = directory.join(file_name(number));
            let file = match File::open(&path) {
                // Older answers give way while others are logged.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                opened => opened.map_err(|source| EngineError::Read {
                    path: path.clone(),
                    source,
                })?,
            };
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(|source| EngineError::Read {
                    path: path.clone(),
                    source,
                })?;
                match parse(&line) {
                    None => report.unreadable += 1,
                    Some(served) => self.replay_served(online, &served, &mut report)?,
                }
                if progress(report.answers).is_break() {
                    return Err(EngineError::Stopped);
                }
            }
        }
        Ok(report)
    }

    fn replay_served(
        &self,
        online: &impl Online,
        served: &ServedAnswer,
        report: &mut ServedReport,
    ) -> Result<(), EngineError> {
        let service = match &served.service {
            Some(name) => self.service(name),
            None => self.feature_list(&served.features),
        };
        let (Ok(service), Ok(cut)) = (service, self.parse_cut(&served.cut)) else {
            report.skipped += 1;
            return Ok(());
        };
        let rows: Option<Vec<Vec<Value>>> = served
            .rows
            .iter()
            .map(|row| {
                let fields = row.iter().zip(&service.inputs);
                fields
                    .map(|(json, f)| json_to_value(&f.data_type, json, &Zone::utc()).ok())
                    .collect()
            })
            .collect();
        let applied = online.with(|engine| engine.refuse_beyond(&cut)).is_ok();
        let Some(rows) = rows.filter(|_| applied) else {
            report.skipped += 1;
            return Ok(());
        };
        let plan = ReadPlan::new(service);
        let knowledge = Knowledge {
            cut,
            known_at: served.known_at.map(VisibleAt),
        };
        let as_of = EventTime(served.as_of);
        let step = (PIECE_VALUES / plan.features().len().max(1)).max(1);
        let mut answers: Vec<Vec<Answer>> = Vec::with_capacity(rows.len());
        for piece in rows.chunks(step) {
            let read = online.read_with(|engine| engine.read(&plan, piece, as_of, &knowledge));
            answers.extend(read?.to_rows());
        }
        report.answers += 1;
        report.values += (answers.len() * plan.features().len()) as u64;
        if digest(&answers) == served.digest {
            return Ok(());
        }
        report.mismatches += 1;
        if report.examples.len() < EXAMPLES_MAX {
            report.examples.push(difference(served, &plan, &answers));
        }
        Ok(())
    }
}

fn parse(line: &[u8]) -> Option<ServedAnswer> {
    let text = std::str::from_utf8(line).ok()?;
    let (sum, json) = text.split_once(' ')?;
    if u64::from_str_radix(sum, 16).ok()? != xxh3_64(json.as_bytes()) {
        return None;
    }
    serde_json::from_str(json).ok()
}

fn difference(served: &ServedAnswer, plan: &ReadPlan, answers: &[Vec<Answer>]) -> String {
    let what = served
        .service
        .clone()
        .unwrap_or_else(|| served.features.join(", "));
    let when = evenkeel_types::time::format_timestamp(served.as_of);
    let now = values_of(plan, answers);
    let sent = served.values.as_ref();
    let first = sent.and_then(|sent| {
        sent.iter().zip(&now).enumerate().find_map(|(row, (a, b))| {
            let column = a.iter().zip(b).position(|(a, b)| a != b)?;
            Some(format!(
                ", row {row} {}: {} was sent, {} is computed",
                plan.features()[column].name,
                a[column],
                b[column]
            ))
        })
    });
    format!(
        "{what} as of {when} at {}{}",
        served.cut,
        first.unwrap_or_else(|| ": values, statuses or times differ".to_owned())
    )
}
