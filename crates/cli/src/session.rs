//! What every command gets: where the project is, where its words go, and the project's parts
//! as they are asked for.

use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_engine::{DefinitionFile, Engine, EngineError, ErrorKind, Offline, Project};
use evenkeel_sql::SqlColumns;
use serde_json::Value as Json;

use crate::arguments::Common;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::remote::Remote;

/// One run of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Where words go.
    pub(crate) output: Output,
    dir: Option<PathBuf>,
    environment: Option<String>,
}

/// What a command has to say in the end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// With `--json`: one object; NULL if all was said already, line by line.
    pub(crate) json: Json,
    /// Without: text.
    pub(crate) text: String,
    /// How the process ends.
    pub(crate) exit: Exit,
}

impl Answer {
    /// An answer of a command that did what it should.
    pub(crate) fn done(json: Json, text: impl Into<String>) -> Self {
        Answer {
            json,
            text: text.into(),
            exit: Exit::Done,
        }
    }

    /// An answer of a command that has said everything.
    pub(crate) fn silent() -> Self {
        Answer::done(Json::Null, "")
    }
}

impl Session {
    /// From the options of every command.
    pub(crate) fn new(common: &Common) -> Self {
        Session {
            output: Output::new(common.json),
            dir: common.dir.clone(),
            environment: common.env.clone(),
        }
    }

    /// The same with another folder, where none was given.
    pub(crate) fn with_default_folder(&self, folder: &str) -> Self {
        Session {
            dir: Some(self.dir.clone().unwrap_or_else(|| PathBuf::from(folder))),
            ..self.clone()
        }
    }

    /// The project's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| PathBuf::from("."))
    }

    /// The project in the folder.
    pub(crate) fn project(&self) -> Result<Project, Failure> {
        let mut project = Project::open(&self.folder(), self.environment.as_deref())?;
        project.queries = Some(Arc::new(SqlColumns));
        Ok(project)
    }

    /// The project with its definition files.
    pub(crate) fn definitions(&self) -> Result<(Project, Vec<DefinitionFile>), Failure> {
        let project = self.project()?;
        let files = project.definition_files()?;
        Ok((project, files))
    }

    /// The project's engine, to write into a store that is there.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        open(&self.project_with_store()?)
    }

    /// The same for a server, which emits itself.
    pub(crate) fn engine_to_serve(&self) -> Result<Engine, Failure> {
        let project = self.project_with_store()?;
        Engine::open_to_serve(&project).map_err(|error| not_opened(&project, error))
    }

    /// The server that holds the project's store, if one does.
    pub(crate) fn server(&self) -> Result<Option<Remote>, Failure> {
        let project = self.project()?;
        Remote::find(&project)
    }

    /// The project's engine, to read: others may read at the same time.
    pub(crate) fn reader(&self) -> Result<Engine, Failure> {
        Ok(Engine::open_to_read(&self.project()?)?)
    }

    /// What training reads of the project's store: others may write at the same time.
    pub(crate) fn offline(&self) -> Result<Offline, Failure> {
        Ok(Offline::open(&self.project()?)?)
    }

    /// The project, which has a store.
    pub(crate) fn project_with_store(&self) -> Result<Project, Failure> {
        let project = self.project()?;
        if Engine::has_store(&project) {
            return Ok(project);
        }
        let path = project.store;
        Err(Failure::from(EngineError::NoStore { path }))
    }
}

/// A project's engine, to write; a server that holds the store is named.
pub(crate) fn open(project: &Project) -> Result<Engine, Failure> {
    Engine::open(project).map_err(|error| not_opened(project, error))
}

fn not_opened(project: &Project, error: EngineError) -> Failure {
    let busy = error.kind() == ErrorKind::Busy;
    match Remote::find(project) {
        Ok(Some(remote)) if busy => remote.holds_the_store(),
        _ => Failure::from(error),
    }
}
