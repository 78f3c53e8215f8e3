//! Read promises: waiting until a cut holds what it must, or time is up.
//!
//! One node applies what it logs at once, so `strong_now` and `strong` are the same here for what is logged
//! here first: what a read waits for is at most the commit in progress. Of tables of other systems `strong_now`
//! waits until what these had committed is logged ([`Promise::caught_up`]).

use evenkeel_engine::{Engine, Lack, ReadPlan, SessionToken, Unmet, captured_among, record_behind};
use evenkeel_types::{Cut, EventTime};

use crate::clock::Deadline;
use crate::error::ApiError;
use crate::promises::Outcome;
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
    /// The same, and everything that databases had committed whose tables are captured.
    StrongNow,
    /// The same, and every watermark has passed a time.
    Complete(EventTime),
}

/// What an answer must know, as it was when the request arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) positions: Cut,
    /// Derived streams must have emitted everything for the records before this one.
    record: u64,
}

/// What a read must know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promise {
    pub(crate) level: Level,
    /// Positions of a session, and others that the request names: at every level.
    pub(crate) session: SessionToken,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Eventual => "eventual",
            Level::AtLeast => "at_least",
            Level::Strong => "strong",
            Level::StrongNow => "strong_now",
            Level::Complete(_) => "complete",
        }
    }
}

/// Why a promise is not kept: time is up, or the server stops.
pub(crate) fn not_kept(shared: &Shared, unmet: &Unmet, deadline: Deadline) -> ApiError {
    match shared.is_draining() && !deadline.has_passed() {
        true => ApiError::unmet_at_the_end(unmet),
        false => ApiError::unmet(unmet, deadline.timeout_ms()),
    }
}

impl Promise {
    /// Waits until captures have logged what their databases had when this was called, if that is promised; what
    /// is missing, if time is up before. What must be known is then asked for behind it.
    pub(crate) async fn caught_up(
        &self,
        shared: &Shared,
        plan: &ReadPlan,
        deadline: Deadline,
    ) -> Option<Unmet> {
        if self.level != Level::StrongNow {
            return None;
        }
        let captured = captured_among(shared.engine().catalog(), plan.sources());
        let names: Vec<String> = captured.iter().map(|source| source.name.clone()).collect();
        if names.is_empty() {
            return None;
        }
        // Those that wait take a part of the places alone: rows that they wait for need the others.
        let place = shared.waiters.try_acquire();
        let deadline = match place {
            Ok(_) => deadline,
            Err(_) => deadline.ended(),
        };
        shared.captures.caught_up(&names, deadline).await
    }

    /// Waits until the promise is kept, from before this was called on.
    ///
    /// # Errors
    /// If time is up before.
    pub(crate) async fn keep(
        &self,
        shared: &Shared,
        plan: &ReadPlan,
        deadline: Deadline,
    ) -> Result<Known, ApiError> {
        let mut unmet = self.caught_up(shared, plan, deadline).await;
        let known = self.known(shared, plan);
        if unmet.is_none() {
            unmet = self.wait(shared, plan, &known, deadline).await.err();
        }
        self.ended(
            shared,
            match unmet {
                Some(_) => Outcome::Unmet,
                None => Outcome::Kept,
            },
        );
        match unmet {
            Some(unmet) => Err(not_kept(shared, &unmet, deadline)),
            None => Ok(known),
        }
    }

    /// Counts how it ended.
    pub(crate) fn ended(&self, shared: &Shared, outcome: Outcome) {
        if self.level != Level::Eventual {
            shared.metrics.promises.add(self.level.word(), outcome);
        }
    }

    /// What an answer must know: what was acknowledged before this moment, what the request names, and
    /// what of it is emitted.
    pub(crate) fn known(&self, shared: &Shared, plan: &ReadPlan) -> Known {
        Known {
            record: match plan.reads_emissions() {
                true => self.record(shared, plan),
                false => 0,
            },
            positions: self.positions(shared, plan),
        }
    }

    /// See [`Known::record`].
    fn record(&self, shared: &Shared, plan: &ReadPlan) -> u64 {
        let all = shared.log.next_sequence().0;
        if !matches!(self.level, Level::Eventual | Level::AtLeast) {
            return all;
        }
        let unmet = shared.engine().unmet_emissions(plan.sources(), all);
        match unmet {
            None => 0,
            // What cannot be found is before everything that is there.
            Some(_) => record_behind(&shared.log, &self.session.positions).unwrap_or(all),
        }
    }

    fn positions(&self, shared: &Shared, plan: &ReadPlan) -> Cut {
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
    pub(crate) fn unmet(&self, engine: &Engine, plan: &ReadPlan, known: &Known) -> Option<Unmet> {
        let unmet = engine.unmet(&known.positions);
        let unmet = unmet.or_else(|| engine.unmet_emissions(plan.sources(), known.record));
        unmet.or_else(|| match self.level {
            Level::Complete(time) => engine.unmet_watermark(plan.sources(), time),
            _ => None,
        })
    }

    /// Waits until the promise is kept; what is missing if time is up before.
    pub(crate) async fn wait(
        &self,
        shared: &Shared,
        plan: &ReadPlan,
        known: &Known,
        deadline: Deadline,
    ) -> Result<(), Unmet> {
        let mut applied = shared.applied.subscribe();
        let mut known = known.clone();
        // What has moved the watermarks past the time makes streams emit, too.
        let mut is_passed = !matches!(self.level, Level::Complete(_)) || !plan.reads_emissions();
        loop {
            let unmet = self.unmet(&shared.engine(), plan, &known);
            let Some(unmet) = unmet else {
                if is_passed {
                    return Ok(());
                }
                is_passed = true;
                known.record = shared.log.next_sequence().0;
                continue;
            };
            // What is logged is applied yet when the server stops; nothing else is to be waited for.
            let is_coming =
                || unmet.lack == Lack::Applied && shared.log.ends().covers(&known.positions);
            if shared.is_draining() && !is_coming() {
                return Err(unmet);
            }
            match tokio::time::timeout(deadline.left(), applied.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(unmet),
            }
        }
    }
}
