//! How long an answer is waited for, and how long is tried again: the library does neither.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use object_store::{Error, Result};
use tokio::time::{Instant, sleep, timeout};

use super::STORE;
use super::refusals::may_pass;

/// Before it is tried for the second time.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two attempts, at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a request may take longer for what it carries.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// An attempt that takes longer is given up, but for the bytes that it carries.
    pub(super) timeout: Duration,
    /// For so long it is tried again.
    pub(super) retry: Duration,
}

/// Nothing came.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {}", humantime::format_duration(*.0))]
pub(super) struct NoAnswer(Duration);

/// What came is not what was said to come.
#[derive(Debug, thiserror::Error)]
#[error("the answer contradicts itself: the file was replaced meanwhile, or it is damaged")]
pub(super) struct Broken;

impl Patience {
    /// How long an attempt may take that carries so many bytes.
    fn allowed(self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
    }

    /// Tries until there is an answer, or an error that stays. Each time that none comes, `anew` is called.
    pub(super) async fn ask<T, A>(
        self,
        bytes: u64,
        attempt: impl Fn() -> A,
        anew: impl Fn(),
    ) -> Result<T>
    where
        A: Future<Output = Result<T>>,
    {
        let (began, allowed) = (Instant::now(), self.allowed(bytes));
        let mut pause = PAUSE;
        loop {
            // The library takes some of what does not fit together for impossible.
            let caught = AssertUnwindSafe(attempt()).catch_unwind();
            let answer = match timeout(allowed, caught).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_panic)) => Err(Error::Generic {
                    store: STORE,
                    source: Broken.into(),
                }),
                Err(_elapsed) => {
                    anew();
                    Err(Error::Generic {
                        store: STORE,
                        source: NoAnswer(allowed).into(),
                    })
                }
            };
            match answer {
                Err(error) if may_pass(&error) && began.elapsed() + pause < self.retry => {}
                Err(error) => return Err(super::refusals::translated(error)),
                answer => return answer,
            }
            sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hdfs_native::HdfsError;

    use super::*;

    /// What comes of a request that fails so often as it is said, and how often it was tried.
    fn tried(patience: Patience, failures: u32, error: fn() -> HdfsError) -> (Result<u32>, u32) {
        let tries = Cell::new(0);
        let attempt = || async {
            tries.set(tries.get() + 1);
            match tries.get() <= failures {
                true => Err(Error::Generic {
                    store: STORE,
                    source: error().into(),
                }),
                false => Ok(7),
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let answer = runtime.block_on(patience.ask(0, attempt, || ()));
        (answer, tries.get())
    }

    fn cut_off() -> HdfsError {
        std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let patience = Patience {
            timeout: Duration::from_secs(60),
            retry: Duration::from_secs(60),
        };
        let (answer, tries) = tried(patience, 2, cut_off);
        assert_eq!((answer.unwrap(), tries), (7, 3));
        let denied = || {
            let class = "org.apache.hadoop.security.AccessControlException";
            HdfsError::RPCError(class.to_owned(), String::new())
        };
        let (answer, tries) = tried(patience, 1, denied);
        assert!(matches!(answer, Err(Error::PermissionDenied { .. })));
        assert_eq!(tries, 1);
        let impatient = Patience {
            retry: Duration::ZERO,
            ..patience
        };
        let (answer, tries) = tried(impatient, 1, cut_off);
        assert!(answer.is_err());
        assert_eq!(tries, 1);
    }

    #[test]
    fn what_the_library_takes_for_impossible_is_tried_again() {
        let patience = Patience {
            timeout: Duration::from_secs(60),
            retry: Duration::from_secs(60),
        };
        let (answer, tries) = tried(patience, 1, || panic!("shorter than it was said to be"));
        assert_eq!((answer.unwrap(), tries), (7, 2));
    }

    #[test]
    fn what_carries_much_may_take_longer() {
        let patience = Patience {
            timeout: Duration::from_secs(10),
            retry: Duration::ZERO,
        };
        assert_eq!(patience.allowed(0), Duration::from_secs(10));
        assert_eq!(patience.allowed(128 << 20), Duration::from_secs(138));
    }

    #[test]
    fn an_answer_that_does_not_come_is_given_up() {
        let patience = Patience {
            timeout: Duration::from_millis(1),
            retry: Duration::ZERO,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let never = || std::future::pending::<Result<()>>();
        let connected = Cell::new(0);
        let anew = || connected.set(connected.get() + 1);
        let error = runtime.block_on(patience.ask(0, never, anew)).unwrap_err();
        assert_eq!(connected.get(), 1);
        assert!(
            error.to_string().contains("no answer within 1ms"),
            "{error}"
        );
        assert!(may_pass(&error));
    }
}
