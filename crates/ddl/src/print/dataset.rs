//! `CREATE TRAINING DATASET`.

use std::fmt::{self, Write};

use super::query::{self, column_list};
use super::{comma_separated, expr};
use crate::ast::{
    CreateTrainingDataset, DatasetFormatKind, DatasetKnowledge, DatasetSpine, Impute, NumberLit,
    Shape, SharePart, Split, Transform,
};

/// All but the metadata.
pub(super) fn print(f: &mut dyn Write, dataset: &CreateTrainingDataset) -> fmt::Result {
    write!(f, "CREATE TRAINING DATASET {}", dataset.name)?;
    if let Some(version) = dataset.version {
        write!(f, " VERSION {}", version.value)?;
    }
    write!(f, "\nFROM SERVICE {}", dataset.service)?;
    if let Some(version) = dataset.service_version {
        write!(f, "@{}", version.value)?;
    }
    spine(f, &dataset.spine)?;
    match dataset.knowledge {
        None => {}
        Some(DatasetKnowledge::Latest) => f.write_str("\nKNOWLEDGE LATEST")?,
        Some(DatasetKnowledge::AsServed) => f.write_str("\nKNOWLEDGE AS SERVED")?,
    }
    for label in &dataset.labels {
        f.write_str("\n")?;
        query::label(f, label)?;
    }
    if !dataset.transforms.is_empty() {
        f.write_str("\nTRANSFORM (")?;
        for (index, item) in dataset.transforms.iter().enumerate() {
            f.write_str(if index > 0 { ",\n  " } else { "\n  " })?;
            transform(f, item)?;
        }
        f.write_str("\n)")?;
    }
    if let Some(parts) = &dataset.split {
        split(f, parts)?;
    }
    if !dataset.formats.is_empty() {
        f.write_str("\nFORMAT ")?;
        comma_separated(f, &dataset.formats, |f, format| {
            f.write_str(match format.kind {
                DatasetFormatKind::Parquet => "PARQUET",
                DatasetFormatKind::Arrow => "ARROW",
                DatasetFormatKind::Csv => "CSV",
                DatasetFormatKind::TfRecord => "TFRECORD",
            })
        })?;
    }
    Ok(())
}

fn spine(f: &mut dyn Write, spine: &DatasetSpine) -> fmt::Result {
    match spine {
        DatasetSpine::File {
            path,
            time,
            known_at,
        } => {
            write!(f, "\nSPINE {path}")?;
            if let Some(column) = time {
                write!(f, " TIME {column}")?;
            }
            if let Some(column) = known_at {
                write!(f, " KNOWN AT {column}")?;
            }
            Ok(())
        }
        DatasetSpine::Query(inner) => {
            f.write_str("\nSPINE (\n")?;
            query::spine(f, inner)?;
            f.write_str("\n)")
        }
    }
}

fn transform(f: &mut dyn Write, transform: &Transform) -> fmt::Result {
    write!(f, "{}", transform.feature)?;
    match &transform.impute {
        None => {}
        Some(Impute::Mean(_)) => f.write_str(" IMPUTE MEAN")?,
        Some(Impute::Constant(value)) => {
            f.write_str(" IMPUTE ")?;
            expr::print(f, value)?;
        }
    }
    match &transform.shape {
        None => Ok(()),
        Some(Shape::Standardize(_)) => f.write_str(" STANDARDIZE"),
        Some(Shape::MinMax(_)) => f.write_str(" MIN MAX"),
        Some(Shape::OneHot { limit, .. }) => {
            f.write_str(" ONE HOT")?;
            match limit {
                Some(limit) => write!(f, " LIMIT {}", limit.value),
                None => Ok(()),
            }
        }
        Some(Shape::Bucketize { bounds, .. }) => {
            f.write_str(" BUCKETIZE (")?;
            comma_separated(f, bounds, |f, bound| expr::print(f, bound))?;
            f.write_str(")")
        }
    }
}

fn split(f: &mut dyn Write, split: &Split) -> fmt::Result {
    match split {
        Split::Time(parts) => {
            f.write_str("\nSPLIT BY TIME (")?;
            comma_separated(f, parts, |f, part| {
                write!(f, "{}", part.name)?;
                match &part.before {
                    Some(time) => write!(f, " BEFORE {time}"),
                    None => Ok(()),
                }
            })?;
            f.write_str(")")
        }
        Split::EntityHash {
            columns,
            parts,
            seed,
            ..
        } => {
            f.write_str("\nSPLIT BY ENTITY HASH ")?;
            if let Some(columns) = columns {
                f.write_str("OF ")?;
                column_list(f, columns)?;
                f.write_str(" ")?;
            }
            shares(f, parts, *seed)
        }
        Split::Random { parts, seed } => {
            f.write_str("\nSPLIT RANDOM ")?;
            shares(f, parts, *seed)
        }
    }
}

fn shares(f: &mut dyn Write, parts: &[SharePart], seed: Option<NumberLit>) -> fmt::Result {
    f.write_str("(")?;
    comma_separated(f, parts, |f, part| {
        write!(f, "{} {}", part.name, part.share.value)
    })?;
    if let Some(seed) = seed {
        write!(f, " SEED {}", seed.value)?;
    }
    f.write_str(")")
}
