//! `CREATE PUSHED FEATURE VIEW`: written out as a table of what was set and a view over it.
//!
//! As with batch views, what comes out are statements that could have been written instead.

use evenkeel_types::definition::Catalog;
use evenkeel_types::{DataType, Field};

use super::batch::{Recorded, keys_of, quoted};
use super::dataset::refuse_name;
use super::report::Report;
use crate::ast::{CreatePushedView, Statement};

/// The column of when a row holds from.
pub const PUSHED_AT: &str = "row_at";
/// The column of what a row does.
pub const PUSHED_OPERATION: &str = "row_operation";

/// The name of the table that has what was set of a pushed view.
pub fn pushed_table(view: &str) -> String {
    format!("{view}_rows")
}

/// The two statements that a pushed view is. `None`: `report` says why not.
pub(super) fn write_out(
    create: &CreatePushedView,
    statements: &[&Statement],
    existing: &Catalog,
    report: &mut Report,
) -> Option<Vec<Statement>> {
    refuse_name(&create.name, "a pushed view", report);
    let keys = keys_of(&create.entity, statements, existing, report)?;
    let features: Vec<Field> = create
        .features
        .iter()
        .map(|f| Field::new(f.name.value.clone(), f.data_type.data_type.clone()))
        .collect();
    let recorded = Recorded {
        view: &create.name,
        entity: &create.entity,
        metadata: &create.metadata,
        table: pushed_table(&create.name.value),
        keys: &keys,
        own: &[
            Field::new(PUSHED_OPERATION, DataType::String),
            Field::new(PUSHED_AT, DataType::Timestamp),
        ],
        features: &features,
        rules: format!(
            "EVENT TIME {PUSHED_AT}) WITH (operation = '{PUSHED_OPERATION}') COMMENT {}",
            quoted(&format!(
                "what was set of the pushed view {}",
                create.name.value
            )),
        ),
    };
    recorded.statements(create.name.span, report)
}
