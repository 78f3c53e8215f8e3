//! Files and tables through the public interface.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod damage;
mod digests;
mod inference;
mod parquet_types;
mod rejections;
mod samples;
mod sources;
mod tables;
mod values;
