//! The fence around decoders that may panic on damaged input.
//!
//! The parquet and arrow decoders are written for files that their encoders wrote. On others
//! they mostly return errors, but slices, casts and `unwrap`s inside still panic now and
//! then, and a source file is not ours to trust. Nothing of a decoder is used after it
//! panicked, so no broken state can be seen: that is what makes the assertion of unwind
//! safety hold. (The panic's message still reaches the process's panic hook.)

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Cause;

/// A decoder met something that it did not expect.
#[derive(Debug, thiserror::Error)]
#[error("the decoder gave up: {message}")]
struct DecoderPanic {
    message: String,
}

/// Runs a decoder; an error or a panic of it is a cause.
pub(crate) fn guarded<T, E: Into<Cause>>(
    decode: impl FnOnce() -> Result<T, E>,
) -> Result<T, Cause> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => Err(Box::new(DecoderPanic {
            message: message(panic.as_ref()),
        })),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_causes() {
        let cause = guarded(|| -> Result<(), Cause> { panic!("at {}", 7) }).unwrap_err();
        assert_eq!(cause.to_string(), "the decoder gave up: at 7");
        let cause = guarded(|| Err::<(), _>("plain")).unwrap_err();
        assert_eq!(cause.to_string(), "plain");
        assert_eq!(guarded(|| Ok::<_, Cause>(1)).ok(), Some(1));
    }
}
