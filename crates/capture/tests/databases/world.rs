//! A store that captures a table, in this process or in one that is killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use evenkeel_capture::{Capture, CaptureError, CaptureReport, LogEnd, Start, Stepped};
use evenkeel_engine::{Engine, EngineError, Intake, Project, RowSink};
use evenkeel_log::ReadOptions;
use evenkeel_types::{Operation, Value};

use crate::database::{Database, Product};

/// The folder of a child's project.
pub(crate) const CHILD: &str = "EVENKEEL_CAPTURE_CHILD";

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
}

/// What capturing failed with.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl From<CaptureError> for Failed {
    fn from(error: CaptureError) -> Self {
        Failed(error.to_string())
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        Failed(error.to_string())
    }
}

impl World {
    /// A source `t` of a table; `columns` are those of the table, `options` further ones.
    pub(crate) fn new(database: &Database, table: &str, columns: &str, options: &str) -> Self {
        let world = World {
            folder: tempfile::tempdir().unwrap(),
        };
        world.define(database, table, columns, options);
        world
    }

    pub(crate) fn define(&self, database: &Database, table: &str, columns: &str, options: &str) {
        // What MySQL does not know of a password yet is shown under its key.
        let key = match database.product {
            Product::MariaDb => "",
            Product::MySql => ", server_key = 'ask'",
        };
        self.define_for(
            "reader",
            database,
            table,
            columns,
            &format!("{options}{key}"),
        );
    }

    /// The same, read by an account.
    pub(crate) fn define_for(
        &self,
        account: &str,
        database: &Database,
        table: &str,
        columns: &str,
        options: &str,
    ) {
        let text = format!(
            "CREATE TABLE t ({columns}, op STRING, changed_at TIMESTAMP, place BIGINT, PRIMARY KEY (id),
               EVENT TIME changed_at, SEQUENCE BY (place))
             WITH (connector = 'mysql', url = 'mysql://{account}@127.0.0.1:{}', table = '{table}',
               password = SECRET '{}', operation = 'op', change_time = 'changed_at',
               change_position = 'place'{options});",
            database.port,
            crate::PASSWORD,
        );
        std::fs::write(self.folder.path().join("t.sql"), text).unwrap();
        let project = Project::open(self.folder.path(), None).unwrap();
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
    }

    /// Captures until nothing happens.
    pub(crate) fn capture(&self, start: Start) -> Result<CaptureReport, Failed> {
        capture(self.folder.path(), start, false)
    }

    /// Asks where the log of its server ends.
    pub(crate) fn log_end(&self) -> LogEnd {
        let project = Project::open(self.folder.path(), None).unwrap();
        let source = Engine::open(&project).unwrap().source("t").unwrap();
        LogEnd::of(&source, &project).unwrap()
    }

    /// What the record of how far it is says; and makes it say so again, as if all behind it was not recorded.
    pub(crate) fn record(&self) -> String {
        std::fs::read_to_string(self.record_path()).unwrap()
    }

    pub(crate) fn set_record(&self, record: &str) {
        std::fs::write(self.record_path(), record).unwrap();
    }

    fn record_path(&self) -> PathBuf {
        self.folder.path().join(".evenkeel/captures/t.json")
    }

    /// A process that captures until it is killed.
    pub(crate) fn child(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .env(CHILD, self.folder.path())
            .stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The versions in the log: of each key what happened, in order.
    pub(crate) fn history(&self) -> BTreeMap<String, Vec<(Operation, Vec<Value>)>> {
        let project = Project::open(self.folder.path(), None).unwrap();
        let engine = Engine::open(&project).unwrap();
        let mut events: Vec<_> = (engine.reader().read(ReadOptions::default()))
            .map(|logged| logged.unwrap().event)
            .collect();
        let place = |row: &[Value]| match row.last() {
            Some(Value::BigInt(place)) => *place,
            other => panic!("{other:?} is no place"),
        };
        events.sort_by_key(|event| (event.event_time, place(&event.row)));
        let mut history: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in events {
            let key = format!("{:?}", event.row[0]);
            history
                .entry(key)
                .or_default()
                .push((event.operation, event.row));
        }
        history
    }

    /// Columns of the rows that live, by key.
    pub(crate) fn live(&self, columns: usize) -> Vec<Vec<Value>> {
        let last = self
            .history()
            .into_values()
            .filter_map(|mut versions| versions.pop());
        let live = last.filter(|(operation, _)| *operation != Operation::Delete);
        let mut rows: Vec<Vec<Value>> = live.map(|(_, row)| row[..columns].to_vec()).collect();
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }

    pub(crate) fn dead_letters(&self) -> Vec<String> {
        let project = Project::open(self.folder.path(), None).unwrap();
        let engine = Engine::open(&project).unwrap();
        let letters = engine.dead_letters("t").unwrap();
        letters.into_iter().map(|letter| letter.text).collect()
    }
}

fn capture(folder: &Path, start: Start, for_ever: bool) -> Result<CaptureReport, Failed> {
    let project = Project::open(folder, None).unwrap();
    let mut engine = Engine::open(&project)?;
    let source = engine.source("t")?;
    let mut capture = Capture::open(source, &project, start, engine.now())?;
    let mut intake = Intake::new(&mut engine);
    let mut told = false;
    loop {
        let stepped = capture.step::<_, Failed>(&mut intake)?;
        if stepped == Stepped::Idle && !for_ever {
            break;
        }
        if for_ever && !told {
            // The parent waits for this.
            println!("begun");
            told = true;
        }
    }
    intake.finish()?;
    let now = intake.now();
    capture.finish(now)?;
    Ok(capture.report(now))
}

pub(crate) fn child() -> ExitCode {
    let folder = std::env::var_os(CHILD).unwrap();
    match capture(Path::new(&folder), Start::GoOn, true) {
        Ok(_) => ExitCode::SUCCESS,
        Err(Failed(reason)) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
