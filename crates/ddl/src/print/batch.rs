//! `CREATE BATCH FEATURE VIEW`.

use std::fmt::{self, Write};

use super::{comma_separated, data_type};
use crate::ast::{CreateBatchView, EntityRef, RequestColumn};

/// Up to its metadata.
pub(super) fn head(f: &mut dyn Write, view: &CreateBatchView) -> fmt::Result {
    write!(f, "CREATE BATCH FEATURE VIEW {}", view.name)?;
    features_of(f, &view.features, &view.entity)?;
    if let Some(schedule) = &view.schedule {
        write!(f, " SCHEDULE {schedule}")?;
    }
    match &view.zone {
        Some(zone) => write!(f, " IN {zone}"),
        None => Ok(()),
    }
}

/// Features with their types, and what they are about.
pub(super) fn features_of(
    f: &mut dyn Write,
    features: &[RequestColumn],
    entity: &EntityRef,
) -> fmt::Result {
    if !features.is_empty() {
        f.write_str(" (")?;
        comma_separated(f, features, |f, column| {
            write!(f, "{} ", column.name)?;
            data_type(f, &column.data_type.data_type)?;
            match &column.comment {
                Some(text) => write!(f, " COMMENT {text}"),
                None => Ok(()),
            }
        })?;
        f.write_str(")")?;
    }
    write!(f, " ENTITY {}", entity.name)?;
    if let Some(columns) = &entity.columns {
        f.write_str(" (")?;
        comma_separated(f, &columns.columns, |f, name| write!(f, "{name}"))?;
        f.write_str(")")?;
    }
    Ok(())
}

/// Behind its metadata: the query as it was written.
pub(super) fn query(f: &mut dyn Write, view: &CreateBatchView) -> fmt::Result {
    write!(f, " AS {}", view.query.value)
}
