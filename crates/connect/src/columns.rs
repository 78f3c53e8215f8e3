//! Declared columns found among a file's columns by name.

use std::path::Path;

use crate::error::ConnectError;
use crate::options::{ColumnSpec, MissingColumns};
use crate::suggest::nearest;

/// Columns that a file may have.
pub const COLUMNS_MAX: usize = 20_000;
/// Column names that an error lists.
const NAMES_SHOWN: usize = 30;

/// Where each declared column is in the file; `None` for one that is not there and is NULL.
pub(crate) fn resolve_all(
    path: &Path,
    names: &[&str],
    specs: &[ColumnSpec],
    missing: MissingColumns,
) -> Result<Vec<Option<usize>>, ConnectError> {
    if names.len() > COLUMNS_MAX {
        return Err(ConnectError::TooManyColumns {
            path: path.to_owned(),
            columns: names.len(),
            limit: COLUMNS_MAX,
        });
    }
    specs
        .iter()
        .map(|spec| match resolve(path, names, &spec.name)? {
            Some(index) => Ok(Some(index)),
            None if spec.optional || (missing == MissingColumns::Null && !spec.required) => {
                Ok(None)
            }
            None => Err(missing_column(path, names, &spec.name)),
        })
        .collect()
}

/// The file's column of this name: the same name, else the only one that differs in case or
/// in white space around it.
pub(crate) fn resolve(
    path: &Path,
    names: &[&str],
    name: &str,
) -> Result<Option<usize>, ConnectError> {
    let positions = |same: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..names.len()).filter(|&i| same(names[i])).collect()
    };
    let exact = positions(&|n| n == name);
    match exact.as_slice() {
        [only] => return Ok(Some(*only)),
        [] => {}
        _ => {
            return Err(ConnectError::DuplicateColumn {
                path: path.to_owned(),
                column: name.to_owned(),
            });
        }
    }
    let lower = name.to_lowercase();
    let similar = positions(&|n| n.trim().to_lowercase() == lower);
    match similar.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        several => Err(ConnectError::AmbiguousColumn {
            path: path.to_owned(),
            column: name.to_owned(),
            matches: listed(&several.iter().map(|&i| names[i]).collect::<Vec<_>>()),
        }),
    }
}

pub(crate) fn missing_column(path: &Path, names: &[&str], name: &str) -> ConnectError {
    ConnectError::MissingColumn {
        path: path.to_owned(),
        column: name.to_owned(),
        columns: listed(names),
        hint: nearest(name, names.iter().map(|n| n.trim())),
    }
}

fn listed(names: &[&str]) -> String {
    let mut text = names
        .iter()
        .take(NAMES_SHOWN)
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > NAMES_SHOWN {
        text.push_str(&format!(" and {} more", names.len() - NAMES_SHOWN));
    }
    if names.is_empty() {
        text.push_str("none");
    }
    text
}
