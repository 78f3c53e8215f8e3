//! `POST /v1/sources/{source}/capture`: a capture says how far it is, and hears of reads that want everything
//! that its database has now (`docs/decisions/0046-promises.md`).
//!
//! The database is spoken to by the process that captures, never by this one. Reads put questions, which have
//! numbers; the capture takes the newest, asks the database where its log ends, and says when it is there: so one
//! query answers everyone who asked before it. Invariant: a question is answered only by what the database said
//! after it was put.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use evenkeel_connect::parse_json;
use evenkeel_engine::{Lack, Unmet, is_captured};
use evenkeel_types::definition::Catalog;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::body::{self, Content};
use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::metrics::{head, label, line};
use crate::name::Name;
use crate::reply::Reply;
use crate::request::{self, json_error};
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &[
    "definition",
    "instance",
    "taken",
    "kept",
    "place",
    "database",
    "lag_ms",
    "failed",
    "wait_ms",
];
/// How long a request for the next question waits at most.
const WAIT_MS_MAX: u64 = 10_000;
/// A capture that has said nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Characters of what a capture says in words.
const WORDS_MAX: usize = 512;

/// The captures that report to this server, by source.
pub(crate) struct Captures {
    /// Whoever reported to the server before has a while to come back.
    began: Stopwatch,
    followed: Mutex<BTreeMap<String, Followed>>,
    changed: watch::Sender<()>,
    /// The server stops: nobody waits any more.
    has_ended: AtomicBool,
}

/// What is known of the capture of one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed {
    /// The last question.
    asked: u64,
    /// The last one that is answered.
    kept: u64,
    seen: Option<Stopwatch>,
    /// Everything before it is logged.
    place: Option<String>,
    /// Where the database's log ended.
    database: Option<String>,
    lag_ms: Option<u64>,
    /// Why the database cannot be asked.
    failed: Option<String>,
}

impl Followed {
    /// Whether the capture runs, as far as can be seen.
    fn is_there(&self) -> bool {
        self.seen.is_some_and(|seen| seen.elapsed() < SILENCE_MAX)
    }

    /// How far the log is behind the database, in seconds; 0: nothing is missing.
    fn lag_seconds(&self) -> Option<f64> {
        let lag_ms = self.lag_ms.filter(|_| self.is_there())?;
        Some(Duration::from_millis(lag_ms).as_secs_f64())
    }

    fn unmet(&self, source: &str) -> Unmet {
        let wanted = self.database.as_deref().filter(|_| self.is_there());
        let reached = match (&self.failed, &self.place) {
            _ if !self.is_there() => {
                "an unknown place: no capture reports to this server".to_owned()
            }
            (Some(reason), _) => {
                format!("an unknown place, as its database does not answer: {reason}")
            }
            (None, Some(place)) => place.clone(),
            (None, None) => "a place that it has not said, as within a snapshot".to_owned(),
        };
        Unmet {
            lack: Lack::Captured,
            source: source.to_owned(),
            partition: None,
            wanted: match wanted {
                Some(place) => format!("what its database has committed, at least {place}"),
                None => "what its database has committed".to_owned(),
            },
            reached,
        }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Json {
        json!({
            "running": self.is_there(),
            "place": self.place,
            "database": self.database,
            "lag_ms": self.lag_ms,
            "failed": self.failed,
        })
    }
}

impl Default for Captures {
    fn default() -> Self {
        Captures {
            began: Stopwatch::start(),
            followed: Mutex::default(),
            changed: watch::Sender::new(()),
            has_ended: AtomicBool::new(false),
        }
    }
}

impl Captures {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who waits is answered, from now on at once.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// What is known of the capture of a source.
    pub(crate) fn of(&self, source: &str) -> Followed {
        self.lock().get(source).cloned().unwrap_or_default()
    }

    /// Waits until everything is logged that the databases of some sources had when this was called; what is
    /// missing, if time is up before.
    pub(crate) async fn caught_up(&self, sources: &[String], deadline: Deadline) -> Option<Unmet> {
        let mut changed = self.changed.subscribe();
        let questions: Vec<(&String, u64)> = {
            let mut followed = self.lock();
            let ask = |source: &'_ String| {
                let of = followed.entry(source.clone()).or_default();
                of.asked += 1;
                of.asked
            };
            let numbers: Vec<u64> = sources.iter().map(ask).collect();
            sources.iter().zip(numbers).collect()
        };
        self.changed.send_replace(());
        loop {
            let open = questions.iter().find_map(|(source, question)| {
                let of = self.of(source);
                (of.kept < *question).then(|| (of.is_there(), of.unmet(source)))
            });
            let (is_there, open) = open?;
            // Or nobody hears the question.
            let is_gone = !is_there && self.began.elapsed() > SILENCE_MAX;
            if is_gone || self.has_ended() {
                return Some(open);
            }
            match tokio::time::timeout(deadline.left(), changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Some(open),
            }
        }
    }

    /// As metrics.
    pub(crate) fn text(&self, text: &mut String, catalog: &Catalog) {
        let sources = catalog.sources.values().filter(|def| is_captured(def));
        let all: Vec<(String, Followed)> = sources
            .map(|def| (label(&def.name), self.of(&def.name)))
            .collect();
        let name = "evenkeel_capture_running";
        let help = "1 while the capture of a table of another system reports to this server.";
        head(text, name, "gauge", help);
        for (source, of) in &all {
            let running = u8::from(of.is_there());
            line(text, &format!("{name}{{source=\"{source}\"}}"), running);
        }
        let name = "evenkeel_capture_lag_seconds";
        let help = "How far the log is behind the database: now less the time of the last change that is logged, or 0 if all are.";
        head(text, name, "gauge", help);
        for (source, of) in &all {
            if let Some(lag) = of.lag_seconds() {
                line(text, &format!("{name}{{source=\"{source}\"}}"), lag);
            }
        }
    }

    /// Takes down what a capture says.
    fn report(&self, source: &str, said: Followed) {
        {
            let mut followed = self.lock();
            let known = followed.entry(source.to_owned()).or_default();
            *known = Followed {
                asked: known.asked,
                // No question is answered before it was put.
                kept: known.kept.max(said.kept.min(known.asked)),
                ..said
            };
        }
        self.changed.send_replace(());
    }

    /// Waits for a question behind one; the last one that was put.
    async fn question(&self, source: &str, behind: u64, deadline: Deadline) -> u64 {
        let mut changed = self.changed.subscribe();
        loop {
            let asked = self.of(source).asked;
            if asked > behind || self.has_ended() {
                return asked;
            }
            match tokio::time::timeout(deadline.left(), changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return asked,
            }
        }
    }
}

pub(crate) async fn report(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Reply, ApiError> {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    Content::of(&parts.headers, &[Content::Json])?;
    let longest = started.deadline(Duration::from_millis(shared.limits.timeout_ms_max));
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let json = parse_json(body::utf8(&body)?).map_err(json_error)?;
    let fields = request::fields(&json, FIELDS)?;
    let def = shared.engine().source(&source)?;
    if !is_captured(&def) {
        return Err(ApiError::invalid(format!(
            "`{source}` is no table of another system: nothing captures it"
        )));
    }
    let by = fields.text("definition")?;
    if by.is_some_and(|by| by != wire::hex(&def.digest)) {
        return Err(ApiError::invalid(format!(
            "`{source}` is not defined as it was when its capture began"
        ))
        .with_hint("begin the capture again"));
    }
    let words = |name: &str| -> Result<Option<String>, ApiError> {
        let text = fields.text(name)?;
        Ok(text.map(|text| text.chars().take(WORDS_MAX).collect()))
    };
    // What was said to another server answers no question of this one.
    let is_known = fields.text("instance")? == Some(shared.instance.as_str());
    let number = |name: &str| -> Result<u64, ApiError> {
        let number = fields.number(name)?.unwrap_or(0);
        Ok(if is_known { number } else { 0 })
    };
    let said = Followed {
        asked: 0,
        kept: number("kept")?,
        seen: Some(started),
        place: words("place")?,
        database: words("database")?,
        lag_ms: fields.number("lag_ms")?,
        failed: words("failed")?,
    };
    let taken = number("taken")?;
    let wait_ms = fields.number("wait_ms")?.unwrap_or(0).min(WAIT_MS_MAX);
    let deadline = started.deadline(Duration::from_millis(wait_ms));
    shared.captures.report(&source, said);
    let asked = shared.captures.question(&source, taken, deadline).await;
    Ok(Reply(json!({"instance": shared.instance, "asked": asked})))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Deadline {
        Stopwatch::start().deadline(Duration::from_millis(5))
    }

    fn late() -> Deadline {
        Stopwatch::start().deadline(Duration::from_secs(60))
    }

    fn said(kept: u64) -> Followed {
        Followed {
            kept,
            seen: Some(Stopwatch::start()),
            place: Some("log.000001:90".to_owned()),
            ..Followed::default()
        }
    }

    #[tokio::test]
    async fn a_question_is_answered_by_what_is_said_behind_it_alone() {
        let captures = Captures::default();
        let sources = ["t".to_owned()];
        // Whatever is said before, also of questions that nobody put.
        captures.report("t", said(9));
        let unmet = captures.caught_up(&sources, soon()).await.unwrap();
        assert_eq!(unmet.reached, "log.000001:90");
        assert_eq!(captures.question("t", 0, late()).await, 1);
        // Two that wait are answered at once.
        let both = async {
            tokio::join!(
                captures.caught_up(&sources, late()),
                captures.caught_up(&sources, late()),
                async {
                    let taken = captures.question("t", 2, late()).await;
                    assert_eq!(taken, 3);
                    captures.report("t", said(taken));
                }
            )
        };
        let (first, second, ()) = both.await;
        assert_eq!((first, second), (None, None));
    }

    #[tokio::test]
    async fn without_a_capture_it_is_said_that_there_is_none() {
        let captures = Captures::default();
        let unmet = captures.caught_up(&["t".to_owned()], soon()).await.unwrap();
        assert_eq!((unmet.lack, unmet.source.as_str()), (Lack::Captured, "t"));
        assert!(unmet.reached.contains("no capture reports"), "{unmet:?}");
        assert_eq!(captures.caught_up(&[], soon()).await, None);
    }
}
