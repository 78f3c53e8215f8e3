//! Training datasets: the rows of a training set in parts, transformed, with what is known
//! of them.
//!
//! Owns how rows are parted, statistics, and the transforms that training and serving share.
//! Knows no files and no manifest. Invariant: a row's values depend on the row, the definition
//! and the fitted parameters alone, so a vector that is served goes through the same function
//! as a row that was trained on.

mod numbers;
mod parts;
mod rows;
mod statistics;
mod transform;

pub(crate) use numbers::double_of;
pub use parts::Parts;
pub use rows::{DatasetRows, TrainingRows};
pub use statistics::{DISTINCT_MAX, Statistics};
pub use transform::{Fitted, FittedTransform};
