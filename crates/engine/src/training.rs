//! Building a training set from the store.

use evenkeel_train::{Evaluator, Job, KnowledgeMode, Spine, SpineSource, TrainReport, TrainingSet};
use evenkeel_types::Cut;
use evenkeel_types::definition::ServiceDef;

use crate::api::TrainRequest;
use crate::definitions;
use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Builds a training set and writes it. `progress` is told stage, done and total.
    pub fn train(
        &self,
        request: &TrainRequest,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<TrainReport, EngineError> {
        self.training_set(
            &request.service,
            &request.spine,
            request.knowledge,
            request.cut.as_ref(),
            request.statuses,
            progress,
        )?
        .write(request.out.clone())
        .map_err(EngineError::train)
    }

    /// [`Engine::train`] into memory.
    pub fn training_set(
        &self,
        service: &ServiceDef,
        spine: &SpineSource,
        knowledge: KnowledgeMode,
        cut: Option<&Cut>,
        statuses: bool,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<TrainingSet, EngineError> {
        let cut = match cut {
            None => self.cut(),
            Some(cut) => {
                self.refuse_beyond(cut)?;
                cut.clone()
            }
        };
        let query = match spine {
            SpineSource::Query(sql) => Some(definitions::spine_query(sql, self.catalog())?),
            SpineSource::File { .. } | SpineSource::Table { .. } => None,
        };
        let total: u64 = cut.iter().map(|(_, _, end)| end.0).sum();
        let evaluator =
            Evaluator::load_for(self.reader(), service, query.as_ref(), &cut, &mut |done| {
                progress("reading the log", done, total)
            })
            .map_err(EngineError::train)?;
        let spine = match (spine, &query) {
            (_, Some(query)) => Spine::query(&evaluator, query),
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
        let job = Job {
            service,
            knowledge,
            cut: &cut,
            statuses,
        };
        job.run(&evaluator, spine, progress)
            .map_err(EngineError::train)
    }
}
