//! The calls with which this program writes and syncs, in place of the C library's: they do
//! what they should, but for those that a test makes fail. So every write and every sync can
//! fail, also those of the embedded store, which knows no seam.

#![expect(
    unsafe_code,
    reason = "symbols of the C library are defined anew, each as the system call that it is"
)]

use std::ffi::{c_int, c_long, c_void};
use std::sync::Mutex;

/// Which calls fail, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Calls on files below it count.
    pub(crate) directory: String,
    /// The number of the first call that fails.
    pub(crate) at: u64,
    /// Whether all later ones fail, too.
    pub(crate) lasts: bool,
    /// Whether syncs count and writes do not, or the other way round.
    pub(crate) syncs: bool,
    /// The error.
    pub(crate) error: c_int,
}

#[derive(Debug)]
struct State {
    plan: Option<Plan>,
    calls: u64,
    failed: u64,
}

static STATE: Mutex<State> = Mutex::new(State {
    plan: None,
    calls: 0,
    failed: 0,
});

/// From now on calls fail as planned, or none does. Answers how many failed before.
pub(crate) fn set(plan: Option<Plan>) -> u64 {
    let mut state = STATE.lock().unwrap();
    let failed = state.failed;
    *state = State {
        plan,
        calls: 0,
        failed: 0,
    };
    failed
}

/// How many calls counted since the plan was set.
pub(crate) fn counted() -> u64 {
    STATE.lock().unwrap().calls
}

/// The error of this call, if it is to fail.
fn fault(file: c_int, is_sync: bool) -> Option<c_int> {
    let mut state = STATE.lock().unwrap();
    let plan = state.plan.clone()?;
    if plan.syncs != is_sync {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{file}")).ok()?;
    if !path.starts_with(&plan.directory) {
        return None;
    }
    let call = state.calls;
    state.calls += 1;
    let fails = call == plan.at || plan.lasts && call > plan.at;
    state.failed += u64::from(fails);
    fails.then_some(plan.error)
}

fn fail(error: c_int) -> isize {
    // SAFETY: the place of this thread's error number, always there.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn sync(number: c_long, file: c_int) -> c_int {
    let answer = match fault(file, true) {
        Some(error) => fail(error),
        // SAFETY: it takes a descriptor, whatever it is, and touches no memory.
        None => unsafe { libc::syscall(number, file) as isize },
    };
    c_int::try_from(answer).unwrap_or(-1)
}

#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    sync(libc::SYS_fsync, file)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(libc::SYS_fdatasync, file)
}

#[unsafe(no_mangle)]
extern "C" fn write(file: c_int, bytes: *const c_void, length: usize) -> isize {
    match fault(file, false) {
        Some(error) => fail(error),
        // SAFETY: what the caller promised to `write` is passed on as it is.
        None => unsafe { libc::syscall(libc::SYS_write, file, bytes, length) as isize },
    }
}

#[unsafe(no_mangle)]
extern "C" fn pwrite64(file: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize {
    match fault(file, false) {
        Some(error) => fail(error),
        // SAFETY: what the caller promised to `pwrite64` is passed on as it is.
        None => unsafe { libc::syscall(libc::SYS_pwrite64, file, bytes, length, offset) as isize },
    }
}
