//! Threads for work that everybody else comes before.
//!
//! For what reads the log and the registry alone, as training does: it holds nothing that a read or a push
//! waits for, so it may stand still while others use the processors. Where it wants one that
//! somebody else wants too, the system gives it to the other, at once and not at the end of a turn
//! (`docs/decisions/0050-who-waits-for-the-processors.md`). What such a thread starts is behind
//! everybody else, too, and there is no way back without a privilege: it must start nothing that others use.
//!
//! The one module of this crate with unsafe code: a call of the system without a safe form in the
//! crates at hand. It passes numbers, and a struct that lives as long as the call.
#![allow(
    unsafe_code,
    reason = "the standard library does not say who comes first"
)]

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::ApiError;

/// Runs work on a thread of its own, behind everybody else where the system knows that.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let (sender, done) = oneshot::channel();
    let runtime = Handle::current();
    let working = move || {
        let _entered = runtime.enter();
        stand_behind();
        // Who asked may be gone.
        let _ = sender.send(work());
    };
    let thread = std::thread::Builder::new().name("behind".to_owned());
    thread.spawn(working).map_err(|error| {
        ApiError::new(
            "OVERLOADED",
            format!("the system has no thread for it: {error}"),
        )
    })?;
    done.await
        .map_err(|_| ApiError::new("INTERNAL", "a scan gave up"))
}

/// Lets everybody else come before this thread. If the system refuses, it goes on like any other.
#[cfg(target_os = "linux")]
fn stand_behind() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a struct that outlives the call, which keeps none of it; 0 is the
    // calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

#[cfg(not(target_os = "linux"))]
fn stand_behind() {}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// The scheduling policy of the calling thread, as the system tells it.
    fn policy() -> u32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The fields after the name in brackets begin with the third of `proc_pid_stat(5)`.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let policy = rest.split_whitespace().nth(41 - 3).unwrap();
        policy.parse().unwrap()
    }

    #[tokio::test]
    async fn everybody_else_comes_before_it_and_what_it_starts() {
        let idle = u32::try_from(libc::SCHED_IDLE).unwrap();
        let usual = policy();
        assert_ne!(usual, idle);
        let seen = run(|| {
            let started = std::thread::scope(|scope| scope.spawn(policy).join().unwrap());
            (policy(), started)
        });
        assert_eq!(seen.await.unwrap(), (idle, idle));
        assert_eq!(policy(), usual);
    }

    #[tokio::test]
    async fn a_defect_is_an_error_and_the_runtime_is_at_hand() {
        let gave_up = run(|| panic!("as a defect would"));
        let gave_up: Result<(), _> = gave_up.await;
        assert_eq!(gave_up.unwrap_err().code, "INTERNAL");
        let found = run(|| Handle::try_current().is_ok());
        assert!(found.await.unwrap());
    }
}
