//! `CREATE BATCH FEATURE VIEW`.

use std::fmt::{self, Write};

use super::{comma_separated, data_type};
use crate::ast::CreateBatchView;

/// Up to its metadata.
pub(super) fn head(f: &mut dyn Write, view: &CreateBatchView) -> fmt::Result {
    write!(f, "CREATE BATCH FEATURE VIEW {}", view.name)?;
    if !view.features.is_empty() {
        f.write_str(" (")?;
        comma_separated(f, &view.features, |f, column| {
            write!(f, "{} ", column.name)?;
            data_type(f, &column.data_type.data_type)?;
            match &column.comment {
                Some(text) => write!(f, " COMMENT {text}"),
                None => Ok(()),
            }
        })?;
        f.write_str(")")?;
    }
    write!(f, " ENTITY {}", view.entity.name)?;
    if let Some(columns) = &view.entity.columns {
        f.write_str(" (")?;
        comma_separated(f, &columns.columns, |f, name| write!(f, "{name}"))?;
        f.write_str(")")?;
    }
    write!(f, " SCHEDULE {}", view.schedule)?;
    match &view.zone {
        Some(zone) => write!(f, " IN {zone}"),
        None => Ok(()),
    }
}

/// Behind its metadata: the query as it was written.
pub(super) fn query(f: &mut dyn Write, view: &CreateBatchView) -> fmt::Result {
    write!(f, " AS {}", view.query.value)
}
