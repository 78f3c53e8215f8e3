//! A store of ticks whose lake is in an object store, and what it must answer.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use evenkeel_engine::api::{KnowledgeMode, SpineSource, TrainRequest};
use evenkeel_engine::{Engine, EngineError, FlushReport, Machine, Offline, Project};
use evenkeel_log::{Clock, LogOptions, SystemClock};

use crate::server::{BUCKET, ObjectStore, Speaks};
use crate::ticks::{self, DEFINITIONS, LIMITS, Ticker};

/// Events of a data file.
pub(crate) const FILE_EVENTS: u64 = 40;

/// How the object store is reached.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) speaks: Speaks,
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) retry_seconds: u64,
    pub(crate) further: &'static str,
}

impl Access {
    /// To a lake that nobody has used.
    pub(crate) fn new(store: &ObjectStore) -> Self {
        Access {
            speaks: store.speaks,
            url: store.new_lake(),
            port: store.port,
            key: store.key.clone(),
            secret: store.secret.clone(),
            retry_seconds: 20,
            further: "",
        }
    }

    pub(crate) fn through(&self, port: u16) -> Self {
        Access {
            port,
            ..self.clone()
        }
    }

    /// The project file says so from now on.
    pub(crate) fn write(&self, directory: &Path) {
        let options = match self.speaks {
            Speaks::S3 => format!(
                "endpoint = \"http://127.0.0.1:{}\"\nallow_http = \"true\"\nregion = \"us-east-1\"\n\
                 access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
                self.port, self.key, self.secret
            ),
            // The bucket is the name of a service, so that an address stays as it is, whatever is in between.
            Speaks::Hdfs => format!(
                "\"dfs.ha.namenodes.{BUCKET}\" = \"one\"\n\
                 \"dfs.namenode.rpc-address.{BUCKET}.one\" = \"127.0.0.1:{}\"\n",
                self.port
            ),
        };
        let text = format!(
            "[lake]\nurl = \"{}\"\nfile_events = {FILE_EVENTS}\nretry_seconds = {}\n\
             [lake.options]\n{options}{}{LIMITS}",
            self.url, self.retry_seconds, self.further
        );
        fs::write(directory.join("evenkeel.toml"), text).unwrap();
    }
}

/// A folder with definitions, without a store.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ticks.sql"), DEFINITIONS).unwrap();
    fs::write(folder.path().join("evenkeel.toml"), LIMITS).unwrap();
    folder
}

/// A machine whose log has short segments, and whose clock goes ahead by so many days.
fn machine(days: i64) -> Machine {
    Machine {
        sealed_entries: 4,
        clock: Arc::new(Ahead(days * 86_400_000_000)),
        log: LogOptions {
            segment_bytes: 4_000,
            ..LogOptions::default()
        },
        ..Machine::default()
    }
}

#[derive(Debug)]
struct Ahead(i64);

impl Clock for Ahead {
    fn now_micros(&self) -> i64 {
        SystemClock.now_micros() + self.0
    }
}

pub(crate) fn open(directory: &Path) -> Engine {
    ticks::open_on(directory, machine(0))
}

/// The same so many days later.
pub(crate) fn open_later(directory: &Path, days: i64) -> Engine {
    ticks::open_on(directory, machine(days))
}

/// Opens the store of a folder and applies what it defines.
pub(crate) fn ticker(directory: &Path) -> Ticker {
    let mut engine = open(directory);
    ticks::apply(&mut engine);
    Ticker::over(engine)
}

/// Pushes until there are at least so many ticks. The same number is reached by the same pushes.
pub(crate) fn push_until(ticker: &mut Ticker, ticks: u64) {
    while ticker.next < ticks {
        ticker.push();
    }
}

/// A store without a lake that has the same ticks.
pub(crate) fn plain(ticks: u64) -> (tempfile::TempDir, Ticker) {
    let folder = folder();
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, ticks);
    (folder, ticker)
}

/// Reads beside whoever writes.
pub(crate) fn offline(directory: &Path) -> Offline {
    Offline::open(&Project::open(directory, None).unwrap()).unwrap()
}

pub(crate) fn try_flush(offline: &Offline) -> FlushReport {
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    offline.flush(&[], &mut go_on).unwrap()
}

pub(crate) fn flush(offline: &Offline) -> FlushReport {
    let report = try_flush(offline);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report
}

/// What a flush failed with.
pub(crate) fn flush_error(offline: &Offline) -> EngineError {
    let mut report = try_flush(offline);
    report.failed.pop().unwrap().error
}

/// Digests of a training set of all ticks, and of a sample of answers on which all ways of reading agree.
pub(crate) fn answers(engine: &Engine) -> (String, String) {
    let request = TrainRequest {
        service: engine.service("model").unwrap(),
        spine: SpineSource::Query("SELECT world, n AS tick FROM ticks".to_owned()),
        knowledge: KnowledgeMode::Latest,
        cut: None,
        out: engine.project().root.join("train.parquet"),
        statuses: true,
    };
    let trained = engine.train(&request, &mut |_, _, _| ()).unwrap().digest;
    (trained.to_string(), ticks::digest(engine, 300).unwrap())
}

/// Every event of the log is in the lake, once: what its files have, and what its tables say that they cover.
pub(crate) fn assert_flushed_once(offline: &Offline) {
    let status = offline.lake_status().unwrap();
    for table in &status.tables {
        let covered: u64 = table.covered.iter().map(|(.., end)| end.0).sum();
        assert_eq!((table.events, table.behind), (covered, 0), "{table:?}");
    }
    let logged: u64 = offline.cut().iter().map(|(.., end)| end.0).sum();
    let in_lake: u64 = status.tables.iter().map(|table| table.events).sum();
    assert_eq!(in_lake, logged);
}

/// An error with its causes and what it says to do.
pub(crate) fn in_words(error: &EngineError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    words + " | " + &error.hint().unwrap_or_default()
}
