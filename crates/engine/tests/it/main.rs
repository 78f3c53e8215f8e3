//! Tests of the engine as its users see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod applying;
mod backfill;
mod calls;
mod changes;
mod correction;
mod cut_purity;
mod datasets;
mod debezium;
mod default_retention;
mod emission_parts;
mod emissions;
mod ended_streams;
mod evolution;
mod follow;
mod forget;
mod functions;
mod healing;
mod incidents;
mod keeping;
mod lake;
mod long_history;
mod models;
mod partitions;
mod promises;
mod push;
mod push_failures;
mod pushed;
mod random_evolution;
mod random_history;
mod retention;
mod rollback;
mod segments;
mod store;
mod support;
mod timers;
mod trial_purity;
mod trials;
mod triggers;
mod truncation;
mod unsure;
mod widening;
