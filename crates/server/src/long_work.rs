//! Work that takes long: in a pool of its own, with progress, until its deadline or until
//! nobody waits for it any more.
//!
//! A request with the header `Evenkeel-Progress: true` is answered at once, by lines of JSON:
//! `{"progress": {"stage", "done", "total"}}` now and then, at last `{"result": ...}` or
//! `{"error": ..., "status"}`; a file follows the line of its result, whose `bytes` is its
//! length. Without the header the answer comes when the work is done.

mod asked;

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use evenkeel_engine::Offline;
use hyper::body::Frame;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

pub(crate) use asked::{Asked, asked, fields};

use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::reply::{self, Reply};
use crate::shared::Shared;
use crate::spool::Spooled;

/// The header that asks for progress.
const PROGRESS: &str = "evenkeel-progress";
/// The type of an answer with progress.
pub(crate) const LINES: &str = "application/vnd.evenkeel.progress";
/// How often it is looked whether there is progress to tell.
pub(crate) const TICK: Duration = Duration::from_millis(200);
/// After so many ticks something is said in any case, so that a client that waits knows that
/// somebody works.
const QUIET_TICKS_MAX: u32 = 25;
/// Bytes of a file that are sent at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 4;
/// How long a client may take to accept a piece.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// What work made.
pub(crate) enum Made {
    /// An answer.
    Report(Json),
    /// A file, and what it holds.
    File {
        report: Json,
        file: Spooled,
        content_type: &'static str,
    },
}

/// How far the work is, and whether somebody still wants it.
struct Standing {
    shared: Arc<Shared>,
    deadline: Deadline,
    nobody_waits: AtomicBool,
    progress: Mutex<(String, u64, u64)>,
}

/// Says how far the work is.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<Standing>);

impl Reporter {
    /// Says how far it is; a break if the work is to stop.
    pub(crate) fn reach(&self, stage: &str, done: u64, total: u64) -> ControlFlow<()> {
        let standing = &self.0;
        let mut progress = standing
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if progress.0 != stage {
            stage.clone_into(&mut progress.0);
        }
        (progress.1, progress.2) = (done, total);
        let stops = standing.nobody_waits.load(Ordering::Relaxed)
            || standing.shared.is_draining()
            || standing.deadline.has_passed();
        if stops {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Why it was stopped.
    pub(crate) fn stopped(&self) -> ApiError {
        if self.0.shared.is_draining() {
            return ApiError::new("UNAVAILABLE", "the server stops");
        }
        ApiError::new(
            "DEADLINE",
            format!("after {} ms it is not done", self.0.deadline.timeout_ms()),
        )
        .with_hint("wait longer with `timeout_ms`, or ask for less")
    }
}

/// Stops the work when whoever waits for it goes away.
struct Waiting(Arc<Standing>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.nobody_waits.store(true, Ordering::Relaxed);
    }
}

/// The deadline of long work.
pub(crate) fn deadline(
    shared: &Shared,
    started: Stopwatch,
    timeout_ms: Option<u64>,
) -> Result<Deadline, ApiError> {
    let most = shared.limits.long_timeout_ms;
    let timeout = timeout_ms.unwrap_or(most);
    if timeout == 0 || timeout > most {
        return Err(ApiError::new(
            "TIMEOUT_RANGE",
            format!("`timeout_ms` is {timeout}: from 1 to {most}"),
        )
        .at(json!({"field": "timeout_ms"})));
    }
    Ok(started.deadline(Duration::from_millis(timeout)))
}

/// Who comes first where others want the processors, too.
#[derive(Clone, Copy)]
pub(crate) enum Comes {
    /// Everybody in turn.
    InTurn,
    /// Everybody else: of work that reads the log and the registry alone.
    Behind,
}

impl Comes {
    /// For training. What a thread behind everybody else starts is behind, too, and a function's process
    /// that training happens to start is one that reads use as well: with functions it comes in turn.
    pub(crate) fn for_training(offline: &Offline) -> Self {
        match offline.catalog().functions.is_empty() {
            true => Comes::Behind,
            false => Comes::InTurn,
        }
    }
}

/// Runs work, and answers with what it made.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    deadline: Deadline,
    work: impl FnOnce(&Reporter) -> Result<Made, ApiError> + Send + 'static,
) -> Result<Response<Body>, ApiError> {
    run_as(Comes::InTurn, shared, headers, deadline, work).await
}

/// [`run`] by who comes first.
pub(crate) async fn run_as(
    comes: Comes,
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    deadline: Deadline,
    work: impl FnOnce(&Reporter) -> Result<Made, ApiError> + Send + 'static,
) -> Result<Response<Body>, ApiError> {
    let with_progress = asks_for_progress(headers)?;
    let standing = Arc::new(Standing {
        shared: Arc::clone(shared),
        deadline,
        nobody_waits: AtomicBool::new(false),
        progress: Mutex::default(),
    });
    let waiting = Waiting(Arc::clone(&standing));
    let admitted = shared.long_work.admit("too much long work at once")?;
    let reporter = Reporter(Arc::clone(&standing));
    let pool = shared.long_work.clone();
    let done = async move {
        let Ok(turn) = tokio::time::timeout(deadline.left(), pool.turn(admitted)).await else {
            return Err(reporter.stopped());
        };
        let work = move || work(&reporter);
        match comes {
            Comes::InTurn => turn?.run(work).await?,
            Comes::Behind => turn?.run_behind(work).await?,
        }
    };
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    if with_progress {
        tokio::spawn(tell(done, standing, sender));
        let body = Body::new(Pieces::new(receiver, waiting));
        return Ok(reply::typed(body, LINES));
    }
    match done.await? {
        Made::Report(report) => Ok(Reply(report).into_response()),
        Made::File {
            report,
            file,
            content_type,
        } => {
            let bytes = length(&file)?;
            tokio::spawn(send(file, sender));
            let body = Body::new(Pieces::new(receiver, waiting));
            let mut response = reply::typed(body, content_type);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
            for name in ["rows", "definition", "digest", "cut", "as_of", "more"] {
                if report[name].is_null() {
                    continue;
                }
                let text = match &report[name] {
                    Json::Null => continue,
                    Json::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let named =
                    format!("evenkeel-{}", name.replace('_', "-")).parse::<header::HeaderName>();
                if let (Ok(name), Ok(value)) = (named, HeaderValue::from_str(&text)) {
                    headers.insert(name, value);
                }
            }
            Ok(response)
        }
    }
}

fn asks_for_progress(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(PROGRESS).map(HeaderValue::as_bytes) {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(ApiError::invalid(format!(
            "the header `{PROGRESS}` is neither `true` nor `false`"
        ))),
    }
}

fn length(file: &Spooled) -> Result<u64, ApiError> {
    let found = std::fs::metadata(file.path());
    found
        .map(|m| m.len())
        .map_err(|e| ApiError::new("STORAGE", format!("the spool cannot be read: {e}")))
}

/// Tells how far the work is until it is done, then what it made.
async fn tell(
    done: impl Future<Output = Result<Made, ApiError>>,
    standing: Arc<Standing>,
    sender: mpsc::Sender<Bytes>,
) {
    tokio::pin!(done);
    let mut tick = tokio::time::interval(TICK);
    let (mut told, mut quiet) = ((String::new(), 0, 0), 0);
    let made = loop {
        tokio::select! {
            made = &mut done => break made,
            _ = tick.tick() => {
                let now = standing.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
                quiet += 1;
                if now != told || quiet > QUIET_TICKS_MAX {
                    let (stage, done, total) = &now;
                    let progress = json!({"stage": stage, "done": done, "total": total});
                    // A client that reads slowly misses some of it.
                    let _ = sender.try_send(line(&json!({"progress": progress})));
                    (told, quiet) = (now, 0);
                }
            }
        }
    };
    let made = match made {
        Ok(Made::File { report, file, .. }) => {
            length(&file).map(|bytes| (report, bytes, Some(file)))
        }
        Ok(Made::Report(report)) => Ok((report, 0, None)),
        Err(error) => Err(error),
    };
    let (last, file) = match made {
        Ok((report, bytes, file)) => (json!({"result": report, "bytes": bytes}), file),
        Err(error) => {
            let mut last = error.to_json();
            last["status"] = json!(error.status().as_u16());
            (last, None)
        }
    };
    if sender.send(line(&last)).await.is_ok()
        && let Some(file) = file
    {
        send(file, sender).await;
    }
}

fn line(json: &Json) -> Bytes {
    Bytes::from(format!("{json}\n"))
}

/// Sends a file in pieces; one that cannot be read is cut short, which the client sees by its
/// length.
async fn send(file: Spooled, sender: mpsc::Sender<Bytes>) {
    let Ok(mut open) = File::open(file.path()) else {
        return;
    };
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = open
                .by_ref()
                .take(PIECE_BYTES as u64)
                .read_to_end(&mut piece);
            (open, read.map(|_| piece))
        });
        let Ok((again, Ok(piece))) = read.await else {
            return;
        };
        if piece.is_empty() {
            return;
        }
        open = again;
        let sent = tokio::time::timeout(SEND_TIMEOUT, sender.send(piece.into())).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// A body whose pieces come as they are made.
pub(crate) struct Pieces<G> {
    receiver: mpsc::Receiver<Bytes>,
    #[expect(dead_code, reason = "it is held for its drop")]
    held: G,
}

impl<G> Pieces<G> {
    /// What comes; something is held as long as somebody takes it.
    pub(crate) fn new(receiver: mpsc::Receiver<Bytes>, held: G) -> Self {
        Pieces { receiver, held }
    }
}

impl<G: Unpin> hyper::body::Body for Pieces<G> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.receiver.poll_recv(context);
        piece.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
