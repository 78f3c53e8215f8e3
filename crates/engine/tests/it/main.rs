//! Tests of the engine as its users see it.

mod cut_purity;
mod random_history;
mod store;
