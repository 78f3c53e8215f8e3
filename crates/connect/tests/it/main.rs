//! Files and tables through the public interface.

mod damage;
mod inference;
mod parquet_types;
mod rejections;
mod samples;
mod sources;
mod tables;
mod values;
