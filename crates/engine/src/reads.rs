//! Reading features: services, lists of features, cuts in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::definition::{Catalog, ServiceDef, SourceDef, ViewBody};
use evenkeel_types::{Cut, EventTime, Knowledge, Status, Value, VisibleAt};
use evenkeel_view::{CompiledView, Reader, Store, ViewRow};

use crate::api::{Answer, Explanation, GetAnswer, GetRequest};
use crate::definitions::unknown;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;

impl Engine {
    /// A service by name, or by name and version (`delay_model@1`).
    pub fn service(&self, name: &str) -> Result<Arc<ServiceDef>, EngineError> {
        service_of(self.catalog(), name)
    }

    /// Reads features. The answer has the request's rows in their order, whatever is missing.
    pub fn get(&self, request: &GetRequest) -> Result<GetAnswer, EngineError> {
        let service = &request.service;
        let rows_max = self.project().limits.entities_per_request;
        if request.rows.len() > rows_max {
            return Err(EngineError::TooManyEntities {
                rows: request.rows.len(),
                rows_max,
            });
        }
        let cut = match &request.cut {
            None => self.cut(),
            Some(cut) => {
                self.refuse_beyond(cut)?;
                cut.clone()
            }
        };
        let knowledge = Knowledge {
            cut,
            known_at: request.known_at,
        };
        let hot = HotRead::of(self.hot());
        let reader = Reader::new(&hot, &knowledge);
        let mut rows = Vec::with_capacity(request.rows.len());
        for (number, inputs) in request.rows.iter().enumerate() {
            if inputs.len() != service.inputs.len() {
                return Err(EngineError::Inputs {
                    service: service.name.clone(),
                    row: number,
                    got: inputs.len(),
                    wanted: service.inputs.len(),
                });
            }
            rows.push(self.row(service, inputs, request.as_of, &hot, &reader)?);
        }
        Ok(GetAnswer {
            features: service.features(),
            rows,
            as_of: request.as_of,
            cut: knowledge.cut,
            known_at: knowledge.known_at,
            definition: service.digest,
        })
    }

    fn row(
        &self,
        service: &ServiceDef,
        inputs: &[Value],
        as_of: EventTime,
        hot: &HotRead<'_>,
        reader: &Reader<'_>,
    ) -> Result<Vec<Answer>, EngineError> {
        let by_name: BTreeMap<&str, &Value> = service
            .inputs
            .iter()
            .map(|f| f.name.as_str())
            .zip(inputs)
            .collect();
        let input = |name: &str| by_name.get(name).map_or(Value::Null, |v| (*v).clone());
        let mut answers = Vec::new();
        for item in &service.items {
            let view = self.compiled(&item.view.digest, &item.view.name)?;
            let key: Vec<Value> = item.key.iter().map(|name| input(name)).collect();
            let request: Vec<Value> = match &item.view.body {
                ViewBody::Composed(body) => body.request.iter().map(|f| input(&f.name)).collect(),
                _ => Vec::new(),
            };
            let row = hot.checked(reader.read(view, &key, as_of.0, &request))?;
            answers.extend(item.features.iter().map(|(index, _)| answer(&row, *index)));
        }
        Ok(answers)
    }

    /// How the value of one feature (`view:feature`) came about. `request` names a composed
    /// view's request columns.
    pub fn explain(
        &self,
        view_feature: &str,
        key: &[Value],
        request: &[(String, Value)],
        as_of: EventTime,
        cut: Option<&Cut>,
        known_at: Option<VisibleAt>,
    ) -> Result<Explanation, EngineError> {
        let service = self.feature_list(&[view_feature.to_owned()])?;
        let Some((item, (feature, _))) = service
            .items
            .iter()
            .find_map(|item| Some((item, item.features.first()?)))
        else {
            return Err(unknown("feature", view_feature, []));
        };
        let cut = match cut {
            None => self.cut(),
            Some(cut) => {
                self.refuse_beyond(cut)?;
                cut.clone()
            }
        };
        let knowledge = Knowledge { cut, known_at };
        let hot = HotRead::of(self.hot());
        let reader = Reader::new(&hot, &knowledge);
        let view = self.compiled(&item.view.digest, &item.view.name)?;
        let request: Vec<Value> = match &item.view.body {
            ViewBody::Composed(body) => body
                .request
                .iter()
                .map(|f| {
                    let given = request.iter().find(|(name, _)| *name == f.name);
                    given.map_or(Value::Null, |(_, value)| value.clone())
                })
                .collect(),
            _ => Vec::new(),
        };
        let row = hot.checked(reader.read(view, key, as_of.0, &request))?;
        let evidence = hot.checked(reader.explain(view, *feature, key, as_of.0))?;
        Ok(Explanation {
            feature: format!("{}:{}", item.view.name, item.view.features[*feature].name),
            answer: answer(&row, *feature),
            as_of,
            cut: knowledge.cut,
            evidence,
        })
    }

    pub(crate) fn compiled(
        &self,
        digest: &[u8; 16],
        name: &str,
    ) -> Result<&Arc<CompiledView>, EngineError> {
        self.hot()
            .plan()
            .view(digest)
            .ok_or_else(|| EngineError::Unknown {
                what: "applied view",
                name: name.to_owned(),
                nearest: None,
            })
    }
}

/// A source by its name.
///
/// # Errors
/// If there is none.
pub fn source_of(catalog: &Catalog, name: &str) -> Result<Arc<SourceDef>, EngineError> {
    let found = catalog.sources.get(name).cloned();
    found.ok_or_else(|| unknown("source", name, catalog.sources.keys()))
}

/// Refuses to take events for a derived stream.
///
/// # Errors
/// [`EngineError::DerivedSource`].
pub(crate) fn refuse_derived(source: &SourceDef) -> Result<(), EngineError> {
    match &source.derived {
        None => Ok(()),
        Some(derived) => Err(EngineError::DerivedSource {
            source_name: source.name.clone(),
            trigger: derived.trigger().source.name.clone(),
        }),
    }
}

/// A service by name, or by name and version (`delay_model@1`).
///
/// # Errors
/// If there is none.
pub fn service_of(catalog: &Catalog, name: &str) -> Result<Arc<ServiceDef>, EngineError> {
    let (plain, version) = split_version(name);
    let services = &catalog.services;
    let versions = services
        .get(plain)
        .ok_or_else(|| match catalog.view(plain) {
            Some(view) => EngineError::ViewForService {
                view: view.name.clone(),
            },
            None => unknown("service", plain, services.keys()),
        })?;
    let found = match version {
        None => versions.values().next_back(),
        Some(text) => text.parse().ok().and_then(|v: u32| versions.get(&v)),
    };
    found.cloned().ok_or_else(|| EngineError::Unknown {
        what: "service",
        name: name.to_owned(),
        nearest: versions.keys().next_back().map(|v| format!("{plain}@{v}")),
    })
}

/// One feature of a row, as it is served.
pub(crate) fn answer(row: &ViewRow, index: usize) -> Answer {
    let status = row.status(index);
    let value = match status {
        Status::Present => row.values[index].clone(),
        _ => Value::Null,
    };
    Answer {
        value,
        status,
        event_time: row.event_time.map(EventTime),
    }
}

/// A name, and a version that is behind an `@`.
pub(crate) fn split_version(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((plain, version)) => (plain, Some(version)),
        None => (name, None),
    }
}
