//! From a training set to the rows of a dataset.

use std::sync::Arc;

use evenkeel_connect::{Table, json_to_value, value_to_json};
use evenkeel_types::definition::{DatasetDef, Impute, ServiceDef, Shape};
use evenkeel_types::{Column, DataType, Field, Value, Zone};

use super::{Fitted, FittedTransform, Parts, Statistics};
use crate::error::TrainError;
use crate::report::TrainingSet;

/// A training set with what a dataset needs to know of its spine.
#[derive(Clone, Debug)]
pub struct TrainingRows {
    /// The training set.
    pub set: TrainingSet,
    /// How many of the first columns are the spine's.
    pub spine_columns: usize,
    /// The time of each row.
    pub times: Arc<Vec<i64>>,
}

impl TrainingRows {
    /// The spine's rows, untouched.
    ///
    /// # Errors
    /// None that reading the spine did not have.
    pub fn spine(&self) -> Result<Table, TrainError> {
        let names = crate::spine::names(&self.set.table);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let spine = &names[..self.spine_columns.min(names.len())];
        self.set.table.select(spine).map_err(TrainError::table)
    }

    /// The canonical digest of the spine's rows.
    ///
    /// # Errors
    /// If a column has no digest.
    pub fn spine_digest(&self) -> Result<[u8; 32], TrainError> {
        self.spine()?.digest().map_err(TrainError::table)
    }
}

/// The rows of a dataset: transformed, in parts.
#[derive(Clone, Debug)]
pub struct DatasetRows {
    /// The spine's columns, the features, then the labels; all rows in the spine's order.
    pub table: Table,
    /// The rows of each part.
    pub parts: Parts,
    /// What becomes of each feature.
    pub fitted: Fitted,
    /// Of each feature before it is transformed, over all rows in parts.
    pub statistics: Vec<(Field, Statistics)>,
    /// The labels and what says whether they are known: names and types.
    pub labels: Vec<Field>,
}

impl DatasetRows {
    /// Parts and transforms a training set, by what transforms learn of it or have learnt before.
    ///
    /// # Errors
    /// If a column to part by is not there, a transform does not fit the feature that the
    /// service has now, or two columns come to have one name.
    pub fn of(
        def: &DatasetDef,
        service: &ServiceDef,
        rows: &TrainingRows,
        fitted: Option<Fitted>,
    ) -> Result<Self, TrainError> {
        let features = service.features();
        check_transforms(def, &features)?;
        let whole = &rows.set.table;
        let names = crate::spine::names(whole);
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let first_label = (rows.spine_columns + features.len()).min(borrowed.len());
        let labels = &borrowed[first_label..];
        let spine = rows.spine()?;
        let keys = keys_of(service);
        let parts = Parts::of(&def.split, &spine, &rows.times, &keys)?;
        let columns = features
            .iter()
            .map(|f| whole.column_as(&f.name, &f.data_type))
            .collect::<Result<Vec<Column>, _>>()
            .map_err(TrainError::table)?;
        let fit = || Fitted::fit(&def.transforms, &features, &columns, parts.trained());
        let fitted = fitted.unwrap_or_else(fit);
        let mut in_parts: Vec<u32> = parts.parts.iter().flat_map(|(_, r)| r.clone()).collect();
        in_parts.sort_unstable();
        let statistics = features.iter().zip(&columns);
        let statistics = statistics
            .map(|(field, column)| {
                let of = Statistics::of(&field.data_type, column, &in_parts);
                (field.clone(), of)
            })
            .collect();
        let mut table = spine;
        for (fitted, column) in fitted.features.iter().zip(&columns) {
            table = transformed(table, whole, fitted, column)?;
        }
        table = table
            .beside(&whole.select(labels).map_err(TrainError::table)?)
            .map_err(TrainError::table)?;
        let labels = label_fields(&rows.set);
        Ok(DatasetRows {
            table,
            parts,
            fitted,
            statistics,
            labels,
        })
    }

    /// The table of one part.
    ///
    /// # Errors
    /// If a field of CSV is not of the type that was given for it.
    pub fn part(&self, rows: &[u32]) -> Result<Table, TrainError> {
        self.table.take(rows).map_err(TrainError::table)
    }
}

/// The columns that come out of a feature, behind the table's. One that stays as it is keeps
/// its arrays.
fn transformed(
    mut table: Table,
    whole: &Table,
    fitted: &FittedTransform,
    column: &Column,
) -> Result<Table, TrainError> {
    if fitted.is_nothing() {
        let same = whole.select(&[&fitted.feature.name]);
        let same = same.map_err(TrainError::table)?;
        return table.beside(&same).map_err(TrainError::table);
    }
    let outputs = fitted.outputs();
    let mut columns: Vec<Column> = outputs.iter().map(|f| Column::new(&f.data_type)).collect();
    let mut values: Vec<Value> = Vec::with_capacity(outputs.len());
    for row in 0..column.len() {
        values.clear();
        fitted.apply(&column.get(row), &mut values);
        for (column, value) in columns.iter_mut().zip(&values) {
            column.push(value);
        }
    }
    for (field, column) in outputs.iter().zip(&columns) {
        if table.has_column(&field.name) {
            return Err(TrainError::NameCollision {
                name: field.name.clone(),
            });
        }
        table
            .append(field.clone(), column)
            .map_err(TrainError::table)?;
    }
    Ok(table)
}

/// The service's inputs that are keys of entities.
fn keys_of(service: &ServiceDef) -> Vec<String> {
    let is_key = |name: &String| service.items.iter().any(|item| item.key.contains(name));
    let inputs = service.inputs.iter().map(|f| f.name.clone());
    inputs.filter(is_key).collect()
}

fn label_fields(set: &TrainingSet) -> Vec<Field> {
    let labels = set.labels.iter().flat_map(|label| {
        [
            Field::new(label.name.clone(), label.data_type.clone()),
            Field::new(format!("{}__mature", label.name), DataType::Boolean),
        ]
    });
    labels.collect()
}

/// A service may have changed since the dataset was defined.
fn check_transforms(def: &DatasetDef, features: &[Field]) -> Result<(), TrainError> {
    for transform in &def.transforms {
        let name = &transform.feature;
        let wrong = |reason: String| TrainError::Transform {
            feature: name.clone(),
            reason,
        };
        let Some(field) = features.iter().find(|f| f.name == *name) else {
            return Err(wrong("the service has no such feature any more".to_owned()));
        };
        let wants_number = matches!(transform.impute, Some(Impute::Mean))
            || matches!(
                transform.shape,
                Some(Shape::Standardize | Shape::MinMax | Shape::Bucketize { .. })
            );
        if wants_number && !field.data_type.is_numeric() {
            return Err(wrong(format!("it is {} now, no number", field.data_type)));
        }
        if let Some(Impute::Constant(value)) = &transform.impute
            && !fits(&field.data_type, value)
        {
            return Err(wrong(format!(
                "it is {} now, and what stands in for it is not",
                field.data_type
            )));
        }
    }
    Ok(())
}

fn fits(data_type: &DataType, value: &Value) -> bool {
    let json = value_to_json(data_type, value);
    let again = json_to_value(data_type, &json, &Zone::utc());
    again.is_ok_and(|again| {
        std::mem::discriminant(&again) == std::mem::discriminant(value) && again == *value
    })
}
