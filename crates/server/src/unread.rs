//! What is left of a body when the answer is known before it was read.
//!
//! No token, no such path, another type: such an answer does not wait for the body. Sent at once
//! it would end the stream of HTTP/2 with a reset, and clients are known that lose the answer over
//! it, curl among them; a connection of HTTP/1.1 would be closed. So the rest is taken in first,
//! within bounds, and thrown away.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;

/// Whoever sends more than this must do with a reset.
const BYTES_MAX: u64 = 1 << 20;
/// How long the answer waits for the rest.
const TIME_MAX: Duration = Duration::from_secs(1);

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.back = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            // If nobody waits for it, it is dropped as it would have been.
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}

/// Where a body comes back to.
pub(crate) struct Rest(Option<oneshot::Receiver<Body>>);

/// The request, and what will be left of its body.
pub(crate) fn lend(request: Request) -> (Request, Rest) {
    // Who expects to be asked for the body sends none unasked.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return (request, Rest(None));
    }
    let (sender, receiver) = oneshot::channel();
    let request = request.map(|body| {
        Body::new(Lent {
            body,
            back: Some(sender),
        })
    });
    (request, Rest(Some(receiver)))
}

impl Rest {
    /// Takes in what is left, once the request is done with.
    pub(crate) async fn take(self) {
        let Some(Ok(mut body)) = self.0.map(|mut receiver| receiver.try_recv()) else {
            return;
        };
        if body.size_hint().lower() > BYTES_MAX {
            return;
        }
        let taking = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if bytes > BYTES_MAX {
                    return;
                }
            }
        };
        // Late or not, the answer is given.
        let _ = tokio::time::timeout(TIME_MAX, taking).await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// So many pieces of 64 KiB; counts what was taken of them.
    struct Pieces {
        left: usize,
        taken: Arc<AtomicUsize>,
    }

    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.left -= 1;
            self.taken.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 64 << 10])))))
        }
    }

    fn request(left: usize) -> (Request, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let pieces = Pieces {
            left,
            taken: Arc::clone(&taken),
        };
        (Request::new(Body::new(pieces)), taken)
    }

    #[tokio::test]
    async fn what_nobody_read_is_taken_to_the_bound() {
        for (pieces, expected) in [(0, 0), (5, 5), (16, 16), (1_000, 17)] {
            let (request, taken) = request(pieces);
            let (mut request, rest) = lend(request);
            if pieces == 5 {
                let first = request.body_mut().frame().await;
                assert!(matches!(first, Some(Ok(_))));
            }
            drop(request);
            rest.take().await;
            assert_eq!(taken.load(Ordering::Relaxed), expected);
        }
    }

    #[tokio::test]
    async fn what_was_read_or_not_asked_for_is_left_alone() {
        let (read, taken) = request(3);
        let (read, rest) = lend(read);
        let bytes = read.into_body().collect().await.unwrap().to_bytes();
        rest.take().await;
        assert_eq!((bytes.len(), taken.load(Ordering::Relaxed)), (3 << 16, 3));

        let (mut waits, taken) = request(3);
        let expect = header::HeaderValue::from_static("100-continue");
        waits.headers_mut().insert(header::EXPECT, expect);
        let (waits, rest) = lend(waits);
        drop(waits);
        rest.take().await;
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
