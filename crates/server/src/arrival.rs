//! How long a body may take to arrive.
//!
//! A request's own deadline may be long; who sends a byte now and then would hold its place for
//! all of it. So a body has a time of its own, which grows with what has come.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use evenkeel_engine::ServerLimits;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;

/// So many bytes more a second are always quick enough.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// A body on its way.
pub(crate) struct Arrival {
    body: Limited<Body>,
    started: Stopwatch,
    /// Without a byte.
    patience: Duration,
    deadline: Deadline,
    bytes: u64,
}

impl Arrival {
    /// A body of so many bytes at most, for a request with a deadline.
    pub(crate) fn of(
        body: Body,
        bytes_max: usize,
        limits: &ServerLimits,
        deadline: Deadline,
    ) -> Self {
        Arrival {
            body: Limited::new(body, bytes_max),
            started: Stopwatch::start(),
            patience: Duration::from_millis(limits.body_timeout_ms),
            deadline,
            bytes: 0,
        }
    }

    /// What is left for the next bytes.
    fn left(&self) -> Duration {
        let earned = Duration::from_millis(self.bytes.saturating_mul(1_000) / BYTES_PER_SECOND);
        let own = self.started.deadline(self.patience.saturating_add(earned));
        own.left().min(self.deadline.left())
    }

    /// The next bytes; none at the end. `too_large` says what it means that there are more than
    /// may be.
    pub(crate) async fn next(
        &mut self,
        too_large: impl FnOnce() -> ApiError,
    ) -> Result<Option<Bytes>, ApiError> {
        loop {
            let left = self.left();
            if left.is_zero() {
                return Err(self.late());
            }
            let frame = match tokio::time::timeout(left, self.body.frame()).await {
                Err(_) => return Err(self.late()),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) if error.is::<LengthLimitError>() => return Err(too_large()),
                Ok(Some(frame)) => frame,
            };
            let frame = frame
                .map_err(|error| ApiError::invalid(format!("the body cannot be read: {error}")))?;
            if let Ok(data) = frame.into_data() {
                self.bytes += data.len() as u64;
                return Ok(Some(data));
            }
        }
    }

    fn late(&self) -> ApiError {
        ApiError::new(
            "DEADLINE",
            format!("the body did not arrive in time: {} bytes came", self.bytes),
        )
    }
}
