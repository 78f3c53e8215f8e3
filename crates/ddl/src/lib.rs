//! The definition language: SQL text to a syntax tree with exact places, and back.
//!
//! Knows no stores, no clock and no files. Errors say what was found, what was expected and
//! what to write instead, with the place underlined; a file's errors are found all at once.

pub mod ast;
mod bind;
mod error;
mod keyword;
mod lexer;
mod parser;
mod print;
mod suggest;

pub use bind::{
    BATCH_CONNECTOR, Bound, COLUMN_PARTS_MAX, Change, DATASET_NAME_MAX, FEATURES_MAX,
    FRAME_ROWS_MAX, FileColumns, FileSource, FromFile, InFile, LOOKUPS_MAX, MAX_FUTURE_DEFAULT,
    PARTITIONS_MAX, PUSHED_AT, PUSHED_OPERATION, Project, ProjectObject, ReadColumns,
    VIEW_DEPTH_MAX, VIEW_READS_MAX, ViewDescription, WINDOWS_MAX, batch_table, bind,
    bind_feature_list, bind_project, bind_segment_query, bind_spine_query, dataset_name_problem,
    declared_function, describe, goes_on_as_it_was, pushed_table, without_texts,
};
pub use error::{DIAGNOSTICS_MAX, Diagnostic, Related, Severity, line_and_column};
pub use parser::{
    DEPTH_MAX, QUERY_DEPTH_MAX, TEXT_BYTES_MAX, parse_expression, parse_interval, parse_query,
    parse_spine_query, parse_statements, parse_type,
};
