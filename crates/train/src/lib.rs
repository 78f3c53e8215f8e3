//! Training sets: spines, as-of sweeps over the log for all rows at once, labels; slices of sources and views.
//!
//! Reads the log, never the blocks that online reads use. Knows no HTTP and no command line.
//! Invariant: a value here equals the read path's at the same key, time and knowledge to the
//! last bit; `evenkeel verify` compares them.

mod backtest;
pub mod dataset;
mod difference;
mod error;
mod evaluate;
mod events;
mod identities;
mod instants;
mod judged;
mod key_numbers;
mod keyed;
mod load;
mod population;
mod profile;
mod reading;
mod report;
mod runs;
mod slices;
mod spine;
mod steps;
mod training;
mod windows;

pub use backtest::{Backtest, BacktestRows};
pub use difference::{DIFFERENCE_EXAMPLES_MAX, Difference, DifferenceExample};
pub use error::TrainError;
pub use evaluate::{Answers, Evaluator, Requests, RowTimes};
pub use instants::{Instants, Sample};
pub use judged::{Condition, Judged, Verdict, calls_functions};
pub use population::Population;
pub use profile::{Bin, Profile};
pub use reading::Reading;
pub use report::{KnowledgeMode, LabelReport, SpineSource, TrainReport, TrainingSet};
pub use slices::{SourceRows, SourceSlice, ViewRows};
pub use spine::{KNOWN_AT_COLUMN, Spine, TIME_COLUMN};
pub use training::{Job, NamedLabel};
