//! Building a training set from the store.

use evenkeel_train::{Evaluator, Job, Spine, SpineSource, TrainReport};

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
        let cut = match &request.cut {
            None => self.cut(),
            Some(cut) => {
                self.refuse_beyond(cut)?;
                cut.clone()
            }
        };
        let query = match &request.spine {
            SpineSource::Query(sql) => Some(definitions::spine_query(sql, self.catalog())?),
            SpineSource::File { .. } => None,
        };
        let total: u64 = cut.iter().map(|(_, _, end)| end.0).sum();
        let evaluator = Evaluator::load_for(
            self.reader(),
            &request.service,
            query.as_ref(),
            &cut,
            &mut |done| progress("reading the log", done, total),
        )
        .map_err(EngineError::train)?;
        let spine = match (&request.spine, &query) {
            (_, Some(query)) => Spine::query(&evaluator, query),
            (
                SpineSource::File {
                    path,
                    time_column,
                    known_at_column,
                },
                None,
            ) => Spine::read(path, time_column.as_deref(), known_at_column.as_deref()),
            (SpineSource::Query(_), None) => unreachable!("a query was bound above"),
        }
        .map_err(EngineError::train)?;
        let job = Job {
            service: &request.service,
            knowledge: request.knowledge,
            cut: &cut,
            out: &request.out,
            statuses: request.statuses,
        };
        job.run(&evaluator, spine, progress)
            .map_err(EngineError::train)
    }
}
