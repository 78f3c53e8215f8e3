//! The engine as a Python extension module, `_evenkeel`; the package `evenkeel` is its front.
//!
//! Owns conversions between Python's objects and the engine's, and which exception an error
//! is. Computes no value and decides nothing: the engine does. The interpreter's lock is
//! released whenever the engine works.

mod capsule;
mod error;
mod file_rows;
mod native;
mod reports;
mod rows;
mod served;
mod store;
mod table;
mod values;

/// See the crate.
#[pyo3::pymodule]
mod _evenkeel {
    #[pymodule_export]
    use crate::file_rows::send_file_rows;
    #[pymodule_export]
    use crate::served::content_type;
    #[pymodule_export]
    use crate::served::mistakes;
    #[pymodule_export]
    use crate::served::warnings;
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::table::Table;

    /// The version of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
