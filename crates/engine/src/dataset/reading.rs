//! Reading a vector as a dataset has it: its versions of views, its order, its transforms.

use std::sync::Arc;

use evenkeel_train::dataset::{Fitted, FittedTransform};
use evenkeel_types::definition::{Catalog, Metadata, ServiceDef, ServiceItem, ViewDef};
use evenkeel_types::{Field, Status, Value};
use serde_json::{Value as Json, json};

use super::build::is_digest;
use super::manifest::{DatasetManifest, ViewPin};
use crate::answers::Answers;
use crate::api::{Answer, GetAnswer};
use crate::error::EngineError;

/// What a vector of a dataset is read with.
#[derive(Clone, Debug)]
pub struct DatasetPlan {
    /// `name:version`
    pub title: String,
    /// The canonical digest of the dataset.
    pub digest: String,
    /// The features as they are read, at the dataset's versions.
    pub service: Arc<ServiceDef>,
    fitted: Arc<Fitted>,
    outputs: Vec<Field>,
}

/// The transforms of a dataset with what they learnt, as its manifest has them.
pub(super) fn fitted_of(
    manifest: &DatasetManifest,
    service: &ServiceDef,
) -> Result<Fitted, EngineError> {
    let fitted = service
        .features()
        .iter()
        .zip(&manifest.features)
        .map(|(field, entry)| {
            if entry.transform.is_null() {
                return Some(FittedTransform::keep(field.clone()));
            }
            FittedTransform::from_json(field.clone(), &entry.transform)
        })
        .collect::<Option<Vec<_>>>()
        .filter(|fitted| fitted.len() == manifest.features.len());
    let features = fitted.ok_or_else(|| unreadable(manifest, "a transform does not read"))?;
    Ok(Fitted { features })
}

impl DatasetPlan {
    /// From a manifest, over the definitions that there are now.
    ///
    /// # Errors
    /// If a view is not there, or not as it was when the dataset was built.
    pub fn new(manifest: &DatasetManifest, catalog: &Catalog) -> Result<Self, EngineError> {
        let service = pinned_service(manifest, catalog)?;
        let fitted = fitted_of(manifest, &service)?;
        Ok(DatasetPlan {
            title: manifest.title(),
            digest: manifest.digest.clone(),
            service: Arc::new(service),
            outputs: fitted.outputs(),
            fitted: Arc::new(fitted),
        })
    }

    /// The versions of the views that are read, by name.
    pub fn views(&self) -> Json {
        let views = self.service.items.iter();
        let views = views.map(|item| (item.view.name.clone(), json!(item.view.version)));
        Json::Object(views.collect())
    }

    /// Names and types of the vector, in the dataset's order.
    pub fn outputs(&self) -> &[Field] {
        &self.outputs
    }

    /// One row of answers of the service as the dataset's vector. A value that is there is
    /// PRESENT, also where it stands in for a missing one; the time stays the feature's.
    pub fn vector(&self, answers: &[Answer]) -> Vec<Answer> {
        let mut vector = Vec::with_capacity(self.outputs.len());
        let mut values = Vec::new();
        for (fitted, answer) in self.fitted.features.iter().zip(answers) {
            if fitted.is_nothing() {
                vector.push(answer.clone());
                continue;
            }
            values.clear();
            fitted.apply(&answer.value, &mut values);
            vector.extend(values.drain(..).map(|value| Answer {
                status: match (&value, answer.status) {
                    (Value::Null, Status::Present) => Status::NullValue,
                    (Value::Null, status) => status,
                    _ => Status::Present,
                },
                value,
                event_time: answer.event_time,
            }));
        }
        vector
    }

    /// Answers of the service as the dataset's vectors.
    pub fn vectors(&self, answers: &Answers) -> Answers {
        let rows = answers.to_rows();
        let vectors: Vec<Vec<Answer>> = rows.iter().map(|row| self.vector(row)).collect();
        Answers::of_rows(&self.outputs, &vectors)
    }

    /// An answer of the service as one of the dataset.
    pub fn answer(&self, answer: GetAnswer) -> GetAnswer {
        GetAnswer {
            features: self.outputs.clone(),
            rows: answer.rows.iter().map(|row| self.vector(row)).collect(),
            ..answer
        }
    }
}

fn unreadable(manifest: &DatasetManifest, reason: &str) -> EngineError {
    EngineError::DatasetGone {
        dataset: manifest.title(),
        reason: reason.to_owned(),
    }
}

/// The service of a manifest: its views at their versions, as they are registered now.
pub(super) fn pinned_service(
    manifest: &DatasetManifest,
    catalog: &Catalog,
) -> Result<ServiceDef, EngineError> {
    let pin = &manifest.service;
    let items = pin
        .views
        .iter()
        .map(|pinned| {
            let view = pinned_view(manifest, pinned, catalog)?;
            let features = pinned.features.iter();
            let features = features
                .map(|(feature, name)| Some((feature_of(&view, feature)?, name.clone())))
                .collect::<Option<Vec<_>>>();
            Ok(ServiceItem {
                features: features
                    .ok_or_else(|| unreadable(manifest, "a view lacks one of its features"))?,
                key: pinned.key.clone(),
                view,
            })
        })
        .collect::<Result<Vec<_>, EngineError>>()?;
    let inputs = pin.inputs.iter().map(|input| input.field());
    let inputs = inputs.collect::<Option<Vec<Field>>>();
    let mut digest = [0; 16];
    let hexadecimal = pin.digest.as_bytes().chunks(2);
    for (byte, text) in digest.iter_mut().zip(hexadecimal) {
        let text = std::str::from_utf8(text).unwrap_or_default();
        *byte = u8::from_str_radix(text, 16)
            .map_err(|_| unreadable(manifest, "its service's digest does not read"))?;
    }
    Ok(ServiceDef {
        name: pin.name.clone(),
        version: pin.version,
        items,
        inputs: inputs.ok_or_else(|| unreadable(manifest, "a type does not read"))?,
        metadata: Metadata::default(),
        sql: String::new(),
        digest,
    })
}

/// A view at the version and with the meaning that a manifest pins.
pub(super) fn pinned_view(
    manifest: &DatasetManifest,
    pinned: &ViewPin,
    catalog: &Catalog,
) -> Result<Arc<ViewDef>, EngineError> {
    let title = || format!("`{}@{}`", pinned.view, pinned.version);
    let view = catalog
        .view_version(&pinned.view, pinned.version)
        .ok_or_else(|| unreadable(manifest, &format!("view {} is gone", title())))?;
    if !is_digest(&view.digest, &pinned.digest) {
        let reason = format!("view {} means something else than it did", title());
        return Err(unreadable(manifest, &reason));
    }
    Ok(Arc::clone(view))
}

pub(super) fn feature_of(view: &ViewDef, name: &str) -> Option<usize> {
    view.features.iter().position(|f| f.name == name)
}
