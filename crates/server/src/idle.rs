//! Connections on which nothing happens: they are closed, so that nobody keeps places for nothing.
//!
//! Something happens while a request is answered, and while bytes of an answer go out, however
//! slowly. Bytes that come in are not enough: a head that never ends is made of them. (Of HTTP/1.1
//! heads have a time of their own.) Nor are bytes that go out because the protocol wants it: the
//! answers to PINGs ([`Outgoing`]).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::outgoing::Outgoing;

/// Looks in one time of patience.
const LOOKS: u32 = 4;

/// What happens on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    /// Of writes that took bytes of answers.
    writes: Arc<AtomicU64>,
    /// How many requests are being answered.
    requests: Arc<AtomicUsize>,
}

/// A request that is being answered.
#[derive(Debug)]
struct Request(Arc<AtomicUsize>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// To be held as long as a request is being answered.
    pub(crate) fn request(&self) -> impl Send + use<> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Request(Arc::clone(&self.requests))
    }

    /// A stream whose writes are seen.
    pub(crate) fn over<S>(&self, stream: S) -> Watched<S> {
        Watched {
            stream,
            outgoing: Outgoing::default(),
            writes: Arc::clone(&self.writes),
        }
    }

    /// Ends when nothing has happened for so long, or a little longer; never if that is no time.
    pub(crate) async fn ceases(&self, patience: Duration) {
        if patience.is_zero() {
            return std::future::pending().await;
        }
        let (mut seen, mut quiet) = (0, 0);
        while quiet < LOOKS {
            tokio::time::sleep(patience / LOOKS).await;
            let writes = self.writes.load(Ordering::Relaxed);
            let is_quiet = writes == seen && self.requests.load(Ordering::Relaxed) == 0;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            seen = writes;
        }
    }
}

/// See [`Activity::over`].
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    outgoing: Outgoing,
    writes: Arc<AtomicU64>,
}

impl<S> Watched<S> {
    fn wrote(&mut self, pieces: &[io::IoSlice<'_>], written: &Poll<io::Result<usize>>) {
        let Poll::Ready(Ok(mut left)) = *written else {
            return;
        };
        for piece in pieces {
            let taken = &piece[..left.min(piece.len())];
            left -= taken.len();
            if self.outgoing.carries_answer(taken) {
                self.writes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&[io::IoSlice::new(bytes)], &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.wrote(pieces, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_ceases_when_nothing_is_answered_and_nothing_goes_out() {
        let activity = Activity::default();
        let ceases = |time| {
            let activity = activity.clone();
            async move {
                let ceased = tokio::time::timeout(time, activity.ceases(PATIENCE));
                ceased.await.is_ok()
            }
        };
        assert!(ceases(LONG).await);
        let request = activity.request();
        assert!(!ceases(4 * PATIENCE).await);
        drop(request);
        let mut stream = activity.over(tokio::io::sink());
        let mut drops = tokio::time::interval(PATIENCE / 100);
        let writing = async {
            for _ in 0..400 {
                drops.tick().await;
                stream.write_all(b"x").await.unwrap();
            }
        };
        tokio::select! {
            () = writing => {}
            () = activity.ceases(PATIENCE) => panic!("bytes go out"),
        }
        assert!(ceases(LONG).await);
        // Answers to PINGs are none.
        let mut stream = activity.over(tokio::io::sink());
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        let pongs = async {
            loop {
                drops.tick().await;
                let pong = [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
                stream.write_all(&pong).await.unwrap();
            }
        };
        tokio::select! {
            () = pongs => {}
            ceased = ceases(LONG) => assert!(ceased),
        }
    }

    #[tokio::test]
    async fn without_a_time_it_never_ceases() {
        let activity = Activity::default();
        let ceased = tokio::time::timeout(PATIENCE, activity.ceases(Duration::ZERO));
        assert!(ceased.await.is_err());
    }
}
