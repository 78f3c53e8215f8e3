//! `GET /v1/topics/{topic}`: emissions as server-sent events, as they come.
//!
//! An event's `id` is the emission's position: who lost the connection sends it as `Last-Event-ID`, and
//! misses nothing and gets nothing twice. A stream ends at its deadline, and after `limit` events;
//! clients of server-sent events ask again by themselves. Each reader holds a place of its own; what
//! it does not take for a minute ends its stream.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use evenkeel_engine::{emissions, emissions_end, topic_of};
use evenkeel_types::definition::SourceDef;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::catalog::{QueryOf, query};
use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::long_work::{self, Pieces, SEND_TIMEOUT, TICK};
use crate::name::Name;
use crate::reply;
use crate::shared::Shared;
use crate::wire;

/// The type of server-sent events.
pub(crate) const EVENTS: &str = "text/event-stream";
/// Emissions that are read at a time.
const PIECE: usize = 256;
/// About how many bytes of them, but for the last one.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 2;
/// After so long without an emission something is said, so that a client that waits knows that somebody
/// is there.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// Where to begin and when to end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// A position; the end if it is not given.
    from: Option<u64>,
    limit: Option<u64>,
    timeout_ms: Option<u64>,
}

/// A reader of a topic.
struct Reader {
    shared: Arc<Shared>,
    topic: Arc<SourceDef>,
    next: u64,
    left: u64,
    deadline: Deadline,
    sender: mpsc::Sender<Bytes>,
}

pub(crate) async fn topic(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    asked: QueryOf<Ask>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let ask = query(asked)?;
    let deadline = long_work::deadline(&shared, Stopwatch::start(), ask.timeout_ms)?;
    let topic = topic_of(shared.engine().catalog(), &name)?;
    let end = emissions_end(&shared.log, &topic);
    let next = match last_event(&headers)? {
        Some(last) => last.saturating_add(1),
        None => ask.from.unwrap_or(end),
    };
    if next > end {
        return Err(ApiError::invalid(format!(
            "`{name}` has {end} emissions so far: there is no position {next}"
        )));
    }
    let places = Arc::clone(&shared.topic_readers);
    let place: OwnedSemaphorePermit = places
        .try_acquire_owned()
        .map_err(|_| ApiError::new("OVERLOADED", "too many readers of topics"))?;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let reader = Reader {
        shared,
        topic,
        next,
        left: ask.limit.unwrap_or(u64::MAX),
        deadline,
        sender,
    };
    tokio::spawn(reader.tell());
    let body = Body::new(Pieces::new(receiver, place));
    Ok(reply::typed(body, EVENTS))
}

/// The header `Last-Event-ID`.
fn last_event(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(header) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let position = header.to_str().ok().and_then(|text| text.parse().ok());
    position.map(Some).ok_or_else(|| {
        ApiError::invalid("the header `Last-Event-ID` is no position")
            .with_hint("send the `id` of the last event, or leave the header out")
    })
}

impl Reader {
    /// Tells emissions as they come, until somebody has had enough.
    async fn tell(mut self) {
        let mut applied = self.shared.applied.subscribe();
        let mut quiet = Stopwatch::start();
        // So that the client knows at once that it is heard.
        let mut piece = Some(Bytes::from(format!(": from {}\n\n", self.next)));
        loop {
            if let Some(bytes) = piece.take() {
                let sent = tokio::time::timeout(SEND_TIMEOUT, self.sender.send(bytes)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
                quiet = Stopwatch::start();
            }
            if self.left == 0 || self.deadline.has_passed() || self.shared.is_draining() {
                return;
            }
            match self.read().await {
                None => return,
                Some(bytes) if !bytes.is_empty() => piece = Some(bytes.into()),
                Some(_) => {
                    tokio::select! {
                        () = self.sender.closed() => return,
                        _ = tokio::time::timeout(TICK, applied.changed()) => {}
                    }
                    if quiet.elapsed() > QUIET_MAX {
                        piece = Some(Bytes::from_static(b":\n\n"));
                    }
                }
            }
        }
    }

    /// The emissions that come next; none if they cannot be read: the client asks again.
    async fn read(&mut self) -> Option<Vec<u8>> {
        let shared = Arc::clone(&self.shared);
        // It may have more columns by now.
        let known = shared
            .engine()
            .catalog()
            .source_by_id(self.topic.id)
            .cloned();
        let topic = known.unwrap_or_else(|| Arc::clone(&self.topic));
        if emissions_end(&shared.log, &topic) <= self.next {
            return Some(Vec::new());
        }
        let log = shared.log.clone();
        let from = self.next;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        let read = tokio::task::spawn_blocking(move || {
            let found = emissions(&log, &topic, from, (most, PIECE_BYTES)).ok()?;
            let mut bytes = Vec::new();
            for emission in &found {
                let json = wire::emission(&topic, emission);
                let logged = &emission.logged;
                let position = logged.position.offset.0;
                let operation = logged.event.operation;
                let event = format!("id: {position}\nevent: {operation}\ndata: {json}\n\n");
                bytes.extend(event.into_bytes());
            }
            Some((found.len() as u64, bytes))
        });
        let (count, bytes) = read.await.ok()??;
        self.next += count;
        self.left -= count;
        Some(bytes)
    }
}
