//! Putting a source right.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use evenkeel_engine::correction::{
    CorrectionReport, Difference, Means, Period, Truth, parse_positions,
};
use evenkeel_engine::{EngineError, Offline};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Store;
use crate::error::Failure;
use crate::reports;

fn go_on(_: &str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[pymethods]
impl Store {
    /// Logs the difference to a file with the truth.
    fn correct<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        path: PathBuf,
        times: (Option<String>, Option<String>),
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (Some(from), Some(to)) = times else {
            return Err(Failure::invalid("a period has a start and an end").into());
        };
        self.put_right(py, dry_run, |store, means| {
            let source = store.source(source)?;
            let period = Period::parse(&from, &to, &source.zone)?;
            let truth = Truth::open(&source, Path::new(""), &path.to_string_lossy())?;
            store.difference(&source, truth, &period, means, &mut go_on)
        })
    }

    /// Leaves out what was logged at positions.
    fn exclude<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        positions: &str,
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.put_right(py, dry_run, |store, means| {
            let source = store.source(source)?;
            store.exclusion(&source, &parse_positions(positions)?, means, &mut go_on)
        })
    }
}

impl Store {
    /// Finds a difference and logs it, unless it is a dry run.
    fn put_right<'py>(
        &self,
        py: Python<'py>,
        dry_run: bool,
        find: impl FnOnce(&Offline, Means) -> Result<Difference, EngineError> + Send,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (report, cuts) = self.write(py, |engine, _| {
            let store = engine.offline();
            let difference = find(&store, engine.means())?;
            let report: CorrectionReport = if dry_run {
                difference.foresee(&store, &mut go_on)?
            } else {
                engine.correct(&difference, &mut go_on)?
            };
            let cuts = [&report.before, &report.after].map(|cut| engine.format_cut(cut));
            Ok((report, cuts))
        })?;
        reports::correction(py, &report, dry_run, &cuts)
    }
}
