//! Tests of the expression language through its public interface.

mod arithmetic;
mod building;
mod counter_examples;
mod examples;
mod external;
mod generate;
mod golden;
mod invariance;
mod truth;
