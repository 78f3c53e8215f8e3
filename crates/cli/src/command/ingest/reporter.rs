//! What a capture says to the server that takes its rows, and the questions that it hears there: what has the
//! database now?
//!
//! Owns a thread beside the capture, with connections of its own to both. Invariant: a question is taken before
//! the database is asked, and answered when everything that it had then is logged.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel_capture::{CaptureReport, LogEnd, LogPlace};
use evenkeel_engine::Project;
use evenkeel_types::definition::SourceDef;

use crate::clock::Stopwatch;
use crate::failure::Failure;
use crate::remote::{CaptureSaid, Remote};
use crate::render;

/// How long a request waits for the next question.
const WAIT_MS: u64 = 1_000;
/// How long the capture is given to come to a place, before it is said again how far it is.
const REACH: Duration = Duration::from_millis(500);
/// How long the database is not asked where its log ends, if nobody wants to know.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long nobody is asked who did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module. The thread ends after it is dropped.
pub(super) struct Reporter {
    reached: Arc<Reached>,
}

/// How far the capture is.
#[derive(Default)]
struct Reached {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    place: Option<LogPlace>,
    lag_micros: Option<i64>,
    has_ended: bool,
}

impl Reporter {
    /// Reports the capture of a source to a server.
    pub(super) fn start(
        remote: Remote,
        source: &SourceDef,
        project: &Project,
    ) -> Result<Self, Failure> {
        let reached = Arc::new(Reached::default());
        let talk = Talk {
            remote,
            source: source.name.clone(),
            end: LogEnd::of(source, project)?,
            reached: Arc::clone(&reached),
            project: project.clone(),
            said: CaptureSaid {
                definition: render::hex(&source.digest),
                ..CaptureSaid::default()
            },
            heard: None,
            open: None,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the command line is the edge, and a capture waits for its database"
        )]
        std::thread::spawn(move || talk.go_on());
        Ok(Reporter { reached })
    }

    /// Says how far the capture is: everything before its place is logged.
    pub(super) fn reached(&self, report: &CaptureReport) {
        let mut state = self.reached.lock();
        state.place.clone_from(&report.place);
        state.lag_micros = report.lag_micros;
        drop(state);
        self.reached.changed.notify_all();
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.reached.lock().has_ended = true;
        self.reached.changed.notify_all();
    }
}

impl Reached {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a while for something to be so; whether it is.
    fn wait_for(&self, time: Duration, is_so: impl Fn(&State) -> bool) -> bool {
        let waits = |state: &mut State| !is_so(state) && !state.has_ended;
        let waited = self.changed.wait_timeout_while(self.lock(), time, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        is_so(&state)
    }
}

/// What is said and heard.
struct Talk {
    remote: Remote,
    project: Project,
    source: String,
    end: LogEnd,
    reached: Arc<Reached>,
    said: CaptureSaid,
    /// When the database was asked last.
    heard: Option<Stopwatch>,
    /// A question that is taken, and where the database's log ended behind that.
    open: Option<(u64, LogPlace)>,
}

impl Talk {
    fn go_on(mut self) {
        while !self.reached.lock().has_ended {
            if !self.turn() {
                self.reached.wait_for(PAUSE, |_| false);
            }
        }
    }

    /// Says how far it is, takes a question if there is a new one, and waits for what answers it. False if the
    /// server or the database does not answer.
    fn turn(&mut self) -> bool {
        if let Some((question, end)) = &self.open {
            let is_there = |state: &State| {
                let place = state.place.as_ref();
                place.is_some_and(|place| place.has_passed(end))
            };
            if self.reached.wait_for(REACH, is_there) {
                self.said.kept = *question;
                self.open = None;
            }
        }
        self.say_how_far();
        // With an open question it is only said how far it is.
        let wait_ms = if self.open.is_none() { WAIT_MS } else { 0 };
        let Ok((instance, asked)) = self
            .remote
            .report_capture(&self.source, &self.said, wait_ms)
        else {
            // It may have been started again, elsewhere.
            if let Ok(Some(remote)) = Remote::find(&self.project) {
                self.remote = remote;
            }
            return false;
        };
        if self.said.instance.as_ref() != Some(&instance) {
            // It knows nothing of what was said to another one.
            (self.said.taken, self.said.kept) = (0, 0);
            self.said.instance = Some(instance);
            self.open = None;
        }
        if self.open.is_some() {
            return true;
        }
        let is_heard = self.heard.is_some_and(|heard| heard.elapsed() < ASK_AGAIN);
        if asked <= self.said.taken && is_heard {
            return true;
        }
        let place = self.reached.lock().place.clone();
        match self.end.ask() {
            Ok(end) if place.as_ref().is_some_and(|p| !p.is_of_one_log(&end)) => {
                let why = "another server, or another log, than the one that is followed";
                self.said.failed = Some(why.to_owned());
                false
            }
            Ok(end) => {
                self.heard = Some(Stopwatch::start());
                self.said.failed = None;
                self.said.database = Some(end.clone());
                if asked > self.said.taken {
                    self.said.taken = asked;
                    self.open = Some((asked, end));
                }
                true
            }
            Err(error) => {
                self.said.failed = Some(error.to_string());
                false
            }
        }
    }

    fn say_how_far(&mut self) {
        let state = self.reached.lock();
        self.said.place.clone_from(&state.place);
        let (place, database) = (state.place.as_ref(), self.said.database.as_ref());
        let has_all = place
            .zip(database)
            .is_some_and(|(place, database)| place.has_passed(database));
        self.said.lag_ms = match state.lag_micros {
            Some(_) if has_all => Some(0),
            Some(lag) => u64::try_from(lag.div_euclid(1_000)).ok(),
            None => None,
        };
    }
}
