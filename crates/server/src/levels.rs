//! Read promises: waiting until a cut holds what it must, or time is up.
//!
//! One node applies what it logs at once, so `strong_now` and `strong` are the same here:
//! what a read waits for is at most the commit in progress.

use evenkeel_engine::{Engine, ReadPlan, SessionToken, Unmet};
use evenkeel_types::{Cut, EventTime};

use crate::clock::Deadline;
use crate::shared::Shared;

/// How much an answer must know at least (`docs/semantics.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    /// Any cut.
    #[default]
    Eventual,
    /// The positions that the request names.
    AtLeast,
    /// Everything acknowledged before the request arrived.
    Strong,
    /// The same.
    StrongNow,
    /// The same, and every watermark has passed a time.
    Complete(EventTime),
}

/// What a read must know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promise {
    pub(crate) level: Level,
    /// Positions of a session, and others that the request names: at every level.
    pub(crate) session: SessionToken,
}

impl Promise {
    /// The positions that an answer must know: what was acknowledged before this moment, and
    /// what the request names.
    pub(crate) fn positions(&self, shared: &Shared, plan: &ReadPlan) -> Cut {
        let mut wanted = self.session.positions.clone();
        if matches!(self.level, Level::Eventual | Level::AtLeast) {
            return wanted;
        }
        let logged = shared.log.ends();
        let reads = |source| plan.sources().iter().any(|def| def.id == source);
        for (source, partition, end) in logged.iter().filter(|(s, ..)| reads(*s)) {
            wanted.set_end(source, partition, end.max(wanted.end(source, partition)));
        }
        wanted
    }

    /// What of the promise is not kept by what is applied.
    pub(crate) fn unmet(&self, engine: &Engine, plan: &ReadPlan, positions: &Cut) -> Option<Unmet> {
        engine.unmet(positions).or_else(|| match self.level {
            Level::Complete(time) => engine.unmet_watermark(plan.sources(), time),
            _ => None,
        })
    }

    /// Waits until the promise is kept; what is missing if time is up before.
    pub(crate) async fn wait(
        &self,
        shared: &Shared,
        plan: &ReadPlan,
        positions: &Cut,
        deadline: Deadline,
    ) -> Result<(), Unmet> {
        let mut applied = shared.applied.subscribe();
        loop {
            let unmet = self.unmet(&shared.engine(), plan, positions);
            let Some(unmet) = unmet else { return Ok(()) };
            match tokio::time::timeout(deadline.left(), applied.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(unmet),
            }
        }
    }
}
