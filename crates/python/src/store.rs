//! A project's store in this process.

mod correct;
mod datasets;
mod pushed;
mod read;
mod triggers;
mod write;

use std::path::PathBuf;
use std::sync::RwLock;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::push::Pusher;
use evenkeel_engine::{DefinitionFile, Engine, Project};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::error::Failure;
use crate::reports;

/// An engine, and what its pushes remember.
struct Open {
    engine: Engine,
    pusher: Pusher,
}

/// See the module. Threads may share it: reads run side by side, writes one after the other.
#[pyclass(frozen, module = "evenkeel._evenkeel")]
pub(crate) struct Store {
    open: RwLock<Option<Open>>,
    root: PathBuf,
}

impl Store {
    /// Works on the engine to read, without the interpreter's lock.
    fn read<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Engine) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        let result = py.detach(|| {
            let open = self.open.read().map_err(|_| Failure::broken())?;
            work(&open.as_ref().ok_or_else(Failure::closed)?.engine)
        });
        Ok(result?)
    }

    /// The same to write.
    fn write<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Engine, &mut Pusher) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        let result = py.detach(|| {
            let mut open = self.open.write().map_err(|_| Failure::broken())?;
            let open = open.as_mut().ok_or_else(Failure::closed)?;
            work(&mut open.engine, &mut open.pusher)
        });
        Ok(result?)
    }
}

/// Texts of definitions with what is registered, or those of the project's files.
fn definitions(
    engine: &Engine,
    texts: Option<Vec<(String, String)>>,
) -> Result<Vec<DefinitionFile>, Failure> {
    match texts {
        None => Ok(engine.project().definition_files()?),
        Some(texts) => {
            let texts = texts.into_iter();
            let texts = texts.map(|(name, text)| DefinitionFile { name, text });
            Ok(engine.with_registered(texts.collect()))
        }
    }
}

#[pymethods]
impl Store {
    /// Opens a project's store; to write it is made if it is not there.
    #[staticmethod]
    fn open(
        py: Python<'_>,
        root: PathBuf,
        environment: Option<&str>,
        read_only: bool,
    ) -> PyResult<Self> {
        let opened = py.detach(|| -> Result<Engine, Failure> {
            let project = Project::open(&root, environment)?;
            Ok(if read_only {
                Engine::open_read_only(&project)?
            } else {
                Engine::open(&project)?
            })
        });
        let open = Open {
            engine: opened?,
            pusher: Pusher::default(),
        };
        Ok(Store {
            open: RwLock::new(Some(open)),
            root,
        })
    }

    /// The project's folder.
    #[getter]
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.open.read().map_or(true, |open| open.is_none()))
    }

    /// Closes it; the store can be opened elsewhere then.
    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            let mut open = match self.open.write() {
                Ok(open) => open,
                Err(broken) => broken.into_inner(),
            };
            *open = None;
        });
    }

    /// What applying definitions would change, and warnings.
    fn plan<'py>(
        &self,
        py: Python<'py>,
        texts: Option<Vec<(String, String)>>,
    ) -> PyResult<(Bound<'py, PyList>, Vec<String>)> {
        let (changes, warnings) = self.read(py, |engine| {
            let files = definitions(engine, texts)?;
            let plan = engine
                .plan(&files)
                .map_err(|error| Failure::engine(error, &files))?;
            let warnings = reports::warnings(&plan.warnings, &files);
            Ok((plan.changes, warnings))
        })?;
        let changes = changes.iter().map(|change| reports::change(py, change));
        let changes = changes.collect::<PyResult<Vec<_>>>()?;
        Ok((PyList::new(py, changes)?, warnings))
    }

    /// Applies definitions: what changed, and warnings.
    fn apply<'py>(
        &self,
        py: Python<'py>,
        texts: Option<Vec<(String, String)>>,
    ) -> PyResult<(Bound<'py, PyList>, Vec<String>)> {
        let (changes, warnings) = self.write(py, |engine, _| {
            let files = definitions(engine, texts)?;
            let plan = engine
                .plan(&files)
                .map_err(|error| Failure::engine(error, &files))?;
            let warnings = reports::warnings(&plan.warnings, &files);
            Ok((engine.apply(plan)?, warnings))
        })?;
        let changes = changes.iter().map(|change| reports::change(py, change));
        let changes = changes.collect::<PyResult<Vec<_>>>()?;
        Ok((PyList::new(py, changes)?, warnings))
    }

    /// Compares the paths of evaluation on a sample.
    fn verify<'py>(
        &self,
        py: Python<'py>,
        services: Vec<String>,
        values: u64,
        oracle_values: u64,
        cuts: usize,
        seed: u64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let options = VerifyOptions {
            seed,
            values,
            oracle_values,
            cuts,
            services,
            ..VerifyOptions::default()
        };
        let (report, mismatches) = self.read(py, |engine| {
            let report = engine.verify(&options, &mut |_, _, _| ())?;
            let mismatches = reports::mismatches(engine, &report);
            Ok((report, mismatches))
        })?;
        reports::verify(py, &report, &mismatches)
    }

    /// The dead letters of a source.
    fn dead_letters<'py>(&self, py: Python<'py>, source: &str) -> PyResult<Bound<'py, PyList>> {
        let rows = self.read(py, |engine| Ok(engine.dead_letters(source)?))?;
        reports::dead_letters(py, &rows)
    }

    /// What the store holds.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let status = self.read(py, |engine| Ok(engine.status()?))?;
        reports::status(py, &status)
    }
}
