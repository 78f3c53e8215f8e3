//! `fsync` and `fdatasync` of this program, in place of the C library's: they do what they
//! should, unless the process was told to leave them out. So the very same build can be had
//! without syncs, and must then fail.

#![expect(
    unsafe_code,
    reason = "two symbols of the C library are defined anew, each as the system call that it is"
)]

use std::ffi::{c_int, c_long};

/// What a process leaves out: `data` (syncs of a file's data, those of the log), or `all`.
pub(crate) const VARIABLE: &str = "EVENKEEL_LEAVE_OUT_SYNCS";

fn left_out(words: &[&str]) -> bool {
    std::env::var(VARIABLE).is_ok_and(|word| words.contains(&word.as_str()))
}

fn system_call(number: c_long, file: c_int) -> c_int {
    // SAFETY: both system calls take a descriptor, whatever it is, and touch no memory.
    let answer = unsafe { libc::syscall(number, file) };
    c_int::try_from(answer).unwrap_or(-1)
}

#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    if left_out(&["all"]) {
        return 0;
    }
    system_call(libc::SYS_fsync, file)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    if left_out(&["all", "data"]) {
        return 0;
    }
    system_call(libc::SYS_fdatasync, file)
}
