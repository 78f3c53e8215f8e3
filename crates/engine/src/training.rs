//! Building a training set from the store.

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_train::dataset::TrainingRows;
use evenkeel_train::{
    Evaluator, Job, KnowledgeMode, NamedLabel, Reading, Spine, SpineSource, TrainError,
    TrainReport, TrainingSet,
};
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{Cut, SourceId};
use evenkeel_view::Uses;

use crate::api::TrainRequest;
use crate::definitions;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::function;
use crate::offline::Offline;

/// A training set that is asked for.
#[derive(Clone, Debug)]
pub struct TrainingPlan {
    /// The features.
    pub service: Arc<ServiceDef>,
    /// The rows.
    pub spine: SpineSource,
    /// Latest or as served.
    pub knowledge: KnowledgeMode,
    /// The cut; `None`: everything applied.
    pub cut: Option<Cut>,
    /// Also a status column per feature.
    pub statuses: bool,
    /// Rows times features that it may have.
    pub values_max: u64,
}

impl Engine {
    /// Builds a training set and writes it. `progress` is told stage, done and total.
    pub fn train(
        &self,
        request: &TrainRequest,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<TrainReport, EngineError> {
        self.offline().train(request, progress)
    }

    /// [`Engine::train`] into memory.
    pub fn training_set(
        &self,
        plan: &TrainingPlan,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<TrainingSet, EngineError> {
        self.offline()
            .training_set(plan, &mut |stage, done, total| {
                progress(stage, done, total);
                ControlFlow::Continue(())
            })
    }
}

impl Offline {
    /// Builds a training set and writes it. `progress` is told stage, done and total.
    ///
    /// # Errors
    /// As [`Offline::training_set`]; if it cannot be written.
    pub fn train(
        &self,
        request: &TrainRequest,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<TrainReport, EngineError> {
        TrainingSet::refuse_out(&request.out).map_err(EngineError::train)?;
        let plan = TrainingPlan {
            service: Arc::clone(&request.service),
            spine: request.spine.clone(),
            knowledge: request.knowledge,
            cut: request.cut.clone(),
            statuses: request.statuses,
            values_max: u64::MAX,
        };
        let mut go_on = |stage: &str, done, total| {
            progress(stage, done, total);
            ControlFlow::Continue(())
        };
        self.training_set(&plan, &mut go_on)?
            .write(request.out.clone())
            .map_err(EngineError::train)
    }

    /// Builds a training set in memory. `progress` is told stage, done and total, and may
    /// stop it: while the log is read and between views.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the spine does not fit the service, or the log cannot be
    /// read.
    pub fn training_set(
        &self,
        plan: &TrainingPlan,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<TrainingSet, EngineError> {
        Ok(self.training_rows(plan, &[], progress)?.set)
    }

    /// The same with labels besides, and what a dataset needs to know of the spine.
    pub(crate) fn training_rows(
        &self,
        plan: &TrainingPlan,
        labels: &[NamedLabel],
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<TrainingRows, EngineError> {
        let cut = self.known(plan.cut.as_ref())?;
        self.training_rows_of(plan, labels, &cut, progress)
    }

    /// The same with the rows that a query had at a cut of its own.
    pub(crate) fn training_rows_of(
        &self,
        plan: &TrainingPlan,
        labels: &[NamedLabel],
        spine_cut: &Cut,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<TrainingRows, EngineError> {
        let service = plan.service.as_ref();
        let cut = self.known(plan.cut.as_ref())?;
        let query = match &plan.spine {
            SpineSource::Query(sql) => Some(definitions::spine_query(sql, self.catalog())?),
            SpineSource::File { .. } | SpineSource::Table { .. } => None,
        };
        let uses = Evaluator::uses_of(service, labels, query.as_ref());
        let sources: Vec<SourceId> = uses.sources().into_keys().collect();
        let events = self.events(&sources)?;
        let mut reading = Reading::new(&events, uses, &cut);
        let spine = match (&plan.spine, &query) {
            (_, Some(query)) => {
                let mut of_rows = Uses::default();
                of_rows.add_spine(query);
                let mut of_another_cut = Reading::new(&events, of_rows.clone(), spine_cut);
                let of_spine = match *spine_cut == cut {
                    true => &mut reading,
                    false => &mut of_another_cut,
                };
                let evaluator = of_spine.with(&of_rows, progress);
                evaluator.and_then(|evaluator| Spine::query(evaluator, query))
            }
            (
                SpineSource::File {
                    path,
                    time_column,
                    known_at_column,
                },
                None,
            ) => Spine::read(path, time_column.as_deref(), known_at_column.as_deref()),
            (
                SpineSource::Table {
                    table,
                    time_column,
                    known_at_column,
                },
                None,
            ) => Spine::table(
                table.clone(),
                time_column.as_deref(),
                known_at_column.as_deref(),
            ),
            (SpineSource::Query(_), None) => unreachable!("a query was bound above"),
        }
        .map_err(EngineError::train)?;
        let spine = labels
            .iter()
            .try_fold(spine, |spine, label| spine.with_label(label))
            .map_err(EngineError::train)?;
        refuse_too_many(&spine, service, plan.values_max).map_err(EngineError::train)?;
        let job = Job {
            service,
            knowledge: plan.knowledge,
            statuses: plan.statuses,
        };
        let rows = || job.rows(&mut reading, spine, progress);
        function::taking(rows)?.map_err(EngineError::train)
    }
}

fn refuse_too_many(spine: &Spine, service: &ServiceDef, values_max: u64) -> Result<(), TrainError> {
    let (rows, features) = (spine.len() as u64, service.features().len() as u64);
    if rows.saturating_mul(features.max(1)) > values_max {
        return Err(TrainError::TooManyValues {
            rows,
            features,
            values_max,
        });
    }
    Ok(())
}
