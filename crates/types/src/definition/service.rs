//! Feature services: what a model asks for, in order.

use std::sync::Arc;

use super::{Digest, Metadata, ViewDef};
use crate::data_type::Field;

/// A version of a feature service: what a model asks for, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceDef {
    /// Name.
    pub name: String,
    /// `VERSION`, 1 if absent.
    pub version: u32,
    /// The views it reads.
    pub items: Vec<ServiceItem>,
    /// What a request or a spine must bring: entity keys and request columns, each once.
    pub inputs: Vec<Field>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`.
    pub digest: Digest,
}

impl ServiceDef {
    /// The features in order: name in the answer and type.
    pub fn features(&self) -> Vec<Field> {
        self.items
            .iter()
            .flat_map(|item| {
                item.features.iter().map(|(index, name)| {
                    Field::new(name.clone(), item.view.features[*index].data_type.clone())
                })
            })
            .collect()
    }
}

/// One view in a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceItem {
    /// The view.
    pub view: Arc<ViewDef>,
    /// Names of the inputs that are the view's key, in key order (`FOR`).
    pub key: Vec<String>,
    /// The features: index in the view, and name in the answer.
    pub features: Vec<(usize, String)>,
}
