//! What a capture says to the server that takes its rows, and the questions that it hears there: what has the
//! database now?
//!
//! Owns a thread beside the capture, with connections of its own to both. Invariant: a question is taken before
//! the database is asked, and answered when everything that it had then is logged.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel_capture::{CaptureError, CaptureReport, LogEnd, LogPlace};
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
        let mut end = LogEnd::of(source, project)?;
        let (mut remote, project, name) = (remote, project.clone(), source.name.clone());
        let talk = Talk::new(
            render::hex(&source.digest),
            Arc::clone(&reached),
            Box::new(move || end.ask()),
            Box::new(move |said, wait_ms| {
                let heard = remote.report_capture(&name, said, wait_ms);
                // It may have been started again, elsewhere.
                if heard.is_err()
                    && let Ok(Some(found)) = Remote::find(&project)
                {
                    remote = found;
                }
                heard
            }),
        );
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

/// Asks the database where its log ends.
type AskEnd = Box<dyn FnMut() -> Result<LogPlace, CaptureError> + Send>;
/// Says it to the server, and waits so many milliseconds for the next question: the server's name for itself, and the
/// last question.
type Report = Box<dyn FnMut(&CaptureSaid, u64) -> Result<(String, u64), Failure> + Send>;

/// What is said and heard.
struct Talk {
    report: Report,
    ask_end: AskEnd,
    reached: Arc<Reached>,
    said: CaptureSaid,
    /// When the database was asked last.
    heard: Option<Stopwatch>,
    /// A question that is taken, and where the database's log ended behind that.
    open: Option<(u64, LogPlace)>,
}

impl Talk {
    /// Of a source whose definition has a digest.
    fn new(definition: String, reached: Arc<Reached>, ask_end: AskEnd, report: Report) -> Self {
        Talk {
            report,
            ask_end,
            reached,
            said: CaptureSaid {
                definition,
                ..CaptureSaid::default()
            },
            heard: None,
            open: None,
        }
    }

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
        let Ok((instance, asked)) = (self.report)(&self.said, wait_ms) else {
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
        match (self.ask_end)() {
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A server that answers as it is told, and a database whose log ends where it is told, or that does not answer.
    #[derive(Default)]
    struct World {
        answers: VecDeque<Option<(&'static str, u64)>>,
        said: Vec<CaptureSaid>,
        ends: VecDeque<Option<LogPlace>>,
    }

    /// A talk with a world.
    struct Heard(Arc<Mutex<World>>, Talk);

    fn at(server: &str, position: u64) -> LogPlace {
        LogPlace::new(server.to_owned(), "log.000001".to_owned(), position)
    }

    fn not_there() -> CaptureError {
        CaptureError::NoPassword {
            source_name: "customers".to_owned(),
            variable: "SHOP_PASSWORD".to_owned(),
        }
    }

    impl Heard {
        fn new() -> Self {
            let world = Arc::new(Mutex::new(World::default()));
            let (server, database) = (Arc::clone(&world), Arc::clone(&world));
            let talk = Talk::new(
                "00ff".to_owned(),
                Arc::default(),
                Box::new(move || {
                    let end = database.lock().unwrap().ends.pop_front();
                    end.expect("it is asked as often as it is to be")
                        .ok_or_else(not_there)
                }),
                Box::new(move |said, _| {
                    let mut world = server.lock().unwrap();
                    world.said.push(said.clone());
                    let answer = world
                        .answers
                        .pop_front()
                        .expect("it is told as often as it is to be");
                    let (instance, asked) =
                        answer.ok_or_else(|| Failure::data("nobody is there"))?;
                    Ok((instance.to_owned(), asked))
                }),
            );
            Heard(world, talk)
        }

        fn is_at(&self, place: LogPlace) {
            self.1.reached.lock().place = Some(place);
        }

        /// One turn; whether all was answered, and what was said to the server.
        fn turn(
            &mut self,
            answer: Option<(&'static str, u64)>,
            ends: &[Option<LogPlace>],
        ) -> (bool, CaptureSaid) {
            let Heard(world, talk) = self;
            {
                let mut world = world.lock().unwrap();
                world.answers.push_back(answer);
                world.ends.extend(ends.iter().cloned());
            }
            let went_well = talk.turn();
            let mut world = world.lock().unwrap();
            assert!(world.ends.is_empty() && world.answers.is_empty());
            (went_well, world.said.pop().unwrap())
        }
    }

    #[test]
    fn a_question_is_answered_when_what_the_database_had_behind_it_is_logged() {
        let mut heard = Heard::new();
        heard.is_at(at("one", 4));
        let (well, said) = heard.turn(Some(("a", 1)), &[Some(at("one", 900))]);
        assert_eq!(
            (well, said.taken, said.kept, said.instance),
            (true, 0, 0, None)
        );
        assert_eq!(said.definition, "00ff");
        // It is taken, and not answered: the capture is before that place.
        heard.is_at(at("one", 899));
        let (_, said) = heard.turn(Some(("a", 2)), &[]);
        assert_eq!((said.taken, said.kept), (1, 0));
        assert_eq!(said.instance.as_deref(), Some("a"));
        assert_eq!(
            (said.place, said.database),
            (Some(at("one", 899)), Some(at("one", 900)))
        );
        heard.is_at(at("one", 900));
        // The next one is put meanwhile: the database is asked once more.
        let (_, said) = heard.turn(Some(("a", 2)), &[Some(at("one", 950))]);
        assert_eq!((said.taken, said.kept), (1, 1));
        heard.is_at(at("one", 950));
        let (_, said) = heard.turn(Some(("a", 2)), &[]);
        assert_eq!((said.taken, said.kept), (2, 2));
        // What the database has is known well enough while nobody asks.
        let (_, said) = heard.turn(Some(("a", 2)), &[]);
        assert_eq!((said.taken, said.kept), (2, 2));
    }

    #[test]
    fn nothing_has_a_lag_when_all_is_logged() {
        let mut heard = Heard::new();
        heard.is_at(at("one", 4));
        heard.1.reached.lock().lag_micros = Some(7_000_000);
        let (_, said) = heard.turn(Some(("a", 0)), &[Some(at("one", 9))]);
        assert_eq!(said.lag_ms, Some(7_000));
        heard.is_at(at("one", 9));
        let (_, said) = heard.turn(Some(("a", 0)), &[]);
        assert_eq!(said.lag_ms, Some(0));
    }

    #[test]
    fn another_server_knows_nothing_of_what_was_said_to_the_one_before() {
        let mut heard = Heard::new();
        heard.is_at(at("one", 4));
        heard.turn(Some(("a", 5)), &[Some(at("one", 900))]);
        // The one that is asked is gone, and the next one has put one question.
        let (well, said) = heard.turn(None, &[]);
        assert_eq!((well, said.taken), (false, 5));
        heard.is_at(at("one", 1_000));
        let (_, said) = heard.turn(Some(("b", 1)), &[Some(at("one", 1_000))]);
        assert_eq!(
            (said.taken, said.kept),
            (5, 5),
            "said to whom it was before"
        );
        let (_, said) = heard.turn(Some(("b", 1)), &[]);
        assert_eq!((said.taken, said.kept), (1, 1));
        assert_eq!(said.instance.as_deref(), Some("b"));
    }

    #[test]
    fn a_database_that_does_not_answer_or_is_another_one_answers_no_question() {
        let mut heard = Heard::new();
        heard.is_at(at("one", 1_000));
        let (well, said) = heard.turn(Some(("a", 1)), &[None]);
        assert_eq!((well, said.failed), (false, None));
        let (well, said) = heard.turn(Some(("a", 1)), &[Some(at("other", 3))]);
        assert_eq!((well, said.taken, said.kept), (false, 0, 0));
        assert!(said.failed.unwrap().contains("`SHOP_PASSWORD`"));
        let (well, said) = heard.turn(Some(("a", 1)), &[Some(at("one", 1_000))]);
        assert_eq!((well, said.taken, said.kept), (true, 0, 0));
        assert!(
            said.failed
                .unwrap()
                .contains("another server, or another log")
        );
        let (_, said) = heard.turn(Some(("a", 1)), &[]);
        assert_eq!((said.taken, said.kept, said.failed), (1, 1, None));
    }
}
