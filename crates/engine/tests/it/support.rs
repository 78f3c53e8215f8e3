//! A store in a temporary folder, and reads that are made on both paths: every answer of
//! `get` is also trained, and has to have the same bits.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_engine::api::{
    Answer, GetAnswer, GetRequest, IngestReport, KnowledgeMode, SpineSource, TrainRequest,
};
use evenkeel_engine::{DefinitionFile, Engine, Machine, Project};
use evenkeel_log::{LogOptions, ManualClock};
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Column, Cut, DataType, EventTime, Field, Status, Value, VisibleAt, Zone};

/// A project in a folder of its own. Its clock stands at noon of 2026-03-02 until it is set.
pub(crate) struct World {
    directory: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    /// A project with these definitions and no files.
    pub(crate) fn new(definitions: &str) -> Self {
        let world = World {
            directory: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(t("2026-03-02T12:00:00Z"))),
        };
        world.write("definitions.sql", definitions);
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn project(&self) -> Project {
        Project::open(self.path(), None).unwrap()
    }

    /// The store, with the definitions of the folder applied.
    pub(crate) fn engine(&self) -> Engine {
        let project = self.project();
        let mut engine = Engine::open_with(&project, self.clock.clone()).unwrap();
        apply(&mut engine, &project.definition_files().unwrap());
        engine
    }

    /// The same, whose log has short segments.
    pub(crate) fn engine_of_short_segments(&self) -> Engine {
        let project = self.project();
        let machine = Machine {
            clock: self.clock.clone(),
            log: LogOptions {
                segment_bytes: 2_000,
                ..LogOptions::default()
            },
            ..Machine::default()
        };
        let mut engine = Engine::open_on(&project, machine).unwrap();
        apply(&mut engine, &project.definition_files().unwrap());
        engine
    }

    /// The store with its sources' files ingested.
    pub(crate) fn loaded(&self, sources: &[&str]) -> Engine {
        let mut engine = self.engine();
        for source in sources {
            ingest(&mut engine, source);
        }
        engine
    }

    /// Writes a file and ingests it into a source.
    pub(crate) fn ingest_text(
        &self,
        engine: &mut Engine,
        source: &str,
        name: &str,
        text: &str,
    ) -> IngestReport {
        let path = self.write(name, text);
        engine.ingest(source, Some(&path), &mut |_| ()).unwrap()
    }
}

pub(crate) fn apply(engine: &mut Engine, files: &[DefinitionFile]) {
    let plan = engine.plan(files).unwrap();
    engine.apply(plan).unwrap();
}

/// Applies a project of one file.
pub(crate) fn apply_text(engine: &mut Engine, text: &str) {
    let file = DefinitionFile {
        name: "definitions.sql".to_owned(),
        text: text.to_owned(),
    };
    apply(engine, &[file]);
}

/// Ingests the files that a source's definition names.
pub(crate) fn ingest(engine: &mut Engine, source: &str) -> IngestReport {
    engine.ingest(source, None, &mut |_| ()).unwrap()
}

pub(crate) fn t(text: &str) -> i64 {
    parse_timestamp(text, &Zone::utc()).unwrap()
}

/// A request of a service for several entities at a time.
pub(crate) fn request(
    engine: &Engine,
    service: &str,
    rows: Vec<Vec<Value>>,
    as_of: i64,
) -> GetRequest {
    GetRequest {
        service: engine.service(service).unwrap(),
        rows,
        as_of: EventTime(as_of),
        cut: None,
        known_at: None,
    }
}

/// Reads on both paths, which have to agree to the bit, and answers the read path's.
pub(crate) fn read(engine: &Engine, request: &GetRequest) -> GetAnswer {
    let answer = engine.get(request).unwrap();
    let spine = Spine {
        rows: &request.rows,
        times: vec![request.as_of.0; request.rows.len()],
        known_at: request.known_at.map(|k| vec![k.0; request.rows.len()]),
    };
    let trained = train(engine, &request.service, &spine, request.cut.as_ref());
    for (number, (row, trained)) in answer.rows.iter().zip(&trained).enumerate() {
        let names = answer.features.iter().map(|f| &f.name);
        for ((name, served), trained) in names.zip(row).zip(trained) {
            assert!(
                served.value.same_bits(&trained.0) && served.status.to_string() == trained.1,
                "row {number}, `{name}` at {}: `get` answers {served:?}, training {trained:?}",
                request.as_of,
            );
        }
    }
    assert_eq!(answer.rows.len(), trained.len());
    answer
}

/// Values and statuses of one entity at a time, read on both paths.
pub(crate) fn one(engine: &Engine, service: &str, key: &[Value], as_of: i64) -> Vec<Answer> {
    let request = request(engine, service, vec![key.to_vec()], as_of);
    read(engine, &request).rows.remove(0)
}

/// The values of one entity at a time, read on both paths.
pub(crate) fn values(engine: &Engine, service: &str, key: &[Value], as_of: &str) -> Vec<Value> {
    let answers = one(engine, service, key, t(as_of));
    answers.into_iter().map(|a| a.value).collect()
}

/// The statuses of one entity at a time, read on both paths.
pub(crate) fn statuses(engine: &Engine, service: &str, key: &[Value], as_of: &str) -> Vec<Status> {
    let answers = one(engine, service, key, t(as_of));
    answers.into_iter().map(|a| a.status).collect()
}

/// As [`values`], with only what was visible at a time.
pub(crate) fn values_known_at(
    engine: &Engine,
    service: &str,
    key: &[Value],
    as_of: &str,
    known_at: &str,
) -> Vec<Value> {
    let request = GetRequest {
        known_at: Some(VisibleAt(t(known_at))),
        ..request(engine, service, vec![key.to_vec()], t(as_of))
    };
    let mut answer = read(engine, &request);
    answer.rows.remove(0).into_iter().map(|a| a.value).collect()
}

/// The rows of a training set to build.
pub(crate) struct Spine<'a> {
    /// The service's inputs, per row.
    pub(crate) rows: &'a [Vec<Value>],
    pub(crate) times: Vec<i64>,
    /// If given, the knowledge is `as_served`.
    pub(crate) known_at: Option<Vec<i64>>,
}

/// Builds a training set from a Parquet file into another: value and status in words of every
/// feature, per row.
pub(crate) fn train(
    engine: &Engine,
    service: &Arc<ServiceDef>,
    spine: &Spine<'_>,
    cut: Option<&Cut>,
) -> Vec<Vec<(Value, String)>> {
    let directory = tempfile::tempdir().unwrap();
    let table = train_table(
        engine,
        service,
        spine,
        cut,
        &directory.path().join("out.parquet"),
    );
    let columns: Vec<(Column, Column)> = service
        .features()
        .iter()
        .map(|field| {
            (
                table.column_as(&field.name, &field.data_type).unwrap(),
                table.column(&format!("{}__status", field.name)).unwrap(),
            )
        })
        .collect();
    (0..spine.rows.len())
        .map(|row| {
            let cell = |(values, statuses): &(Column, Column)| match statuses.get(row) {
                Value::String(status) => (values.get(row), status.to_string()),
                other => panic!("a status is a text, not {other:?}"),
            };
            columns.iter().map(cell).collect()
        })
        .collect()
}

/// As [`train`], into a file of the caller's; its table.
pub(crate) fn train_table(
    engine: &Engine,
    service: &Arc<ServiceDef>,
    spine: &Spine<'_>,
    cut: Option<&Cut>,
    out: &Path,
) -> Table {
    let timestamps = |times: &[i64]| {
        let values: Vec<Value> = times.iter().map(|t| Value::Timestamp(*t)).collect();
        Column::from_values(&DataType::Timestamp, &values)
    };
    let mut columns: Vec<(Field, Column)> = Vec::new();
    for (i, input) in service.inputs.iter().enumerate() {
        let column = Column::from_values(&input.data_type, spine.rows.iter().map(|r| &r[i]));
        columns.push((input.clone(), column));
    }
    let time = |name: &str| Field::new(name.to_owned(), DataType::Timestamp);
    columns.push((time("event_time"), timestamps(&spine.times)));
    if let Some(known_at) = &spine.known_at {
        columns.push((time("known_at"), timestamps(known_at)));
    }
    let path = out.with_file_name("spine.parquet");
    Table::from_columns(columns).unwrap().write(&path).unwrap();
    let request = TrainRequest {
        service: Arc::clone(service),
        spine: SpineSource::File {
            path,
            time_column: None,
            known_at_column: None,
        },
        knowledge: match spine.known_at {
            None => KnowledgeMode::Latest,
            Some(_) => KnowledgeMode::AsServed,
        },
        cut: cut.cloned(),
        out: out.to_owned(),
        statuses: true,
    };
    let report = engine.train(&request, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.rows, spine.rows.len() as u64);
    Table::read(out).unwrap()
}
