//! A store in a temporary folder, and queries over it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use evenkeel_connect::TableType;
use evenkeel_engine::batch::QueryColumns;
use evenkeel_engine::{Engine, Project};
use evenkeel_sql::{GoOn, Limits, Query, Rows, SqlColumns, SqlError};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Value, Zone};

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) engine: Engine,
}

impl World {
    /// A store with these definitions, and lines of JSON per source.
    pub(crate) fn new(definitions: &str, events: &[(&str, &str)]) -> Self {
        World::asking(definitions, events, None)
    }

    /// The same with batch views.
    pub(crate) fn batch(definitions: &str, events: &[(&str, &str)]) -> Self {
        World::asking(definitions, events, Some(Arc::new(SqlColumns)))
    }

    fn asking(
        definitions: &str,
        events: &[(&str, &str)],
        queries: Option<Arc<dyn QueryColumns>>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("definitions.sql"), definitions).unwrap();
        let mut project = Project::open(folder.path(), None).unwrap();
        project.queries = queries;
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        let mut world = World { folder, engine };
        for (source, lines) in events {
            world.ingest(source, "events.jsonl", lines);
        }
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ingest(&mut self, source: &str, name: &str, lines: &str) {
        let path = self.path().join(format!("{source}-{name}"));
        fs::write(&path, lines).unwrap();
        let report = self.engine.ingest(source, Some(&path), &mut |_| ());
        report.unwrap();
    }

    /// Applies other definitions.
    pub(crate) fn apply(&mut self, definitions: &str) {
        fs::write(self.path().join("definitions.sql"), definitions).unwrap();
        let files = self.engine.project().definition_files().unwrap();
        let plan = self.engine.plan(&files).unwrap();
        self.engine.apply(plan).unwrap();
    }

    pub(crate) fn query(&self, text: &str) -> Query {
        Query {
            text: text.to_owned(),
            at: time("2026-03-01"),
            cut: None,
            files: false,
            limits: Limits::NONE,
        }
    }

    pub(crate) fn run(&self, query: &Query) -> Result<Rows, SqlError> {
        let go_on: GoOn = Arc::new(|| true);
        evenkeel_sql::run(&self.engine.offline(), query, &go_on)
    }

    /// The rows of an answer, as values.
    pub(crate) fn rows(&self, text: &str) -> Vec<Vec<Value>> {
        values(
            &self
                .run(&self.query(text))
                .unwrap_or_else(|e| panic!("{text}: {e}")),
        )
    }

    /// What is wrong with a query, the place, and the hint.
    pub(crate) fn refused(&self, text: &str) -> (String, String, String) {
        let error = self.run(&self.query(text)).map(|_| ()).unwrap_err();
        let hint = error.hint().unwrap_or_default();
        let place = match &error {
            SqlError::Mistake(found) => text[found.span.start..found.span.end].to_owned(),
            _ => String::new(),
        };
        (error.to_string(), place, hint)
    }
}

pub(crate) fn values(rows: &Rows) -> Vec<Vec<Value>> {
    let table = &rows.table;
    let columns: Vec<_> = table
        .fields()
        .into_iter()
        .map(|(name, data_type)| {
            assert!(matches!(data_type, TableType::Known(_)), "{name}");
            table.column(name).unwrap()
        })
        .collect();
    (0..table.len())
        .map(|row| columns.iter().map(|column| column.get(row)).collect())
        .collect()
}

pub(crate) fn time(text: &str) -> EventTime {
    EventTime(parse_timestamp(text, &Zone::utc()).unwrap())
}
