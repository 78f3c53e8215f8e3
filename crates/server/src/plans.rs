//! Services and lists of features, laid out once.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use evenkeel_connect::{ColumnSpec, ConnectError, RowDecoder, StreamLayout};
use evenkeel_engine::dataset::{DatasetManifest, DatasetName, DatasetPlan};
use evenkeel_engine::{Engine, ReadPlan};
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{DataType, Field, Zone};
use serde_json::json;

use crate::error::ApiError;
use crate::wire::hex;

/// Lists of features that are kept laid out; when there are more, all are forgotten.
const LISTS_MAX: usize = 256;

/// What a request is read and answered with.
#[derive(Debug)]
pub(crate) struct ServicePlan {
    pub(crate) read: ReadPlan,
    /// What becomes of the answers, if it is a dataset's vector.
    pub(crate) dataset: Option<DatasetPlan>,
    /// Whether it is a named service, not a list.
    pub(crate) named: bool,
    /// Whether answers can be logged so that they are read again.
    pub(crate) logged: bool,
    /// Decodes entities.
    pub(crate) decoder: RowDecoder,
    /// `{"service":...,"version":...,"definition":...`
    pub(crate) head_json: String,
    /// `"features":[{"name":...,"type":...},...]`
    pub(crate) features_json: String,
    /// Of Arrow streams, without and with defaults; made when one is asked for.
    stream_layouts: [OnceLock<StreamLayout>; 2],
}

impl ServicePlan {
    /// The columns of an answer as an Arrow stream.
    ///
    /// # Errors
    /// If the answer cannot be one.
    pub(crate) fn stream_layout(&self, defaults: bool) -> Result<&StreamLayout, ConnectError> {
        let place = &self.stream_layouts[usize::from(defaults)];
        if let Some(layout) = place.get() {
            return Ok(layout);
        }
        let mut fields = Vec::new();
        for (i, field) in self.outputs().iter().enumerate() {
            let default = self.read.defaults().get(i).and_then(Option::as_ref);
            let beside = |suffix: &str, data_type: DataType| {
                Field::new(format!("{}__{suffix}", field.name), data_type)
            };
            fields.push(field.clone());
            fields.push(beside("status", DataType::String));
            fields.push(beside("event_time", DataType::Timestamp));
            if defaults && default.is_some() {
                fields.push(beside("default", DataType::Boolean));
            }
        }
        let layout = StreamLayout::new(&fields)?;
        Ok(place.get_or_init(|| layout))
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    /// A service by name, or name and version.
    Service(String, Option<u32>),
    /// Features as `view:feature` or `view:*`.
    Features(Vec<String>),
    /// The vector of a dataset, whose version is named.
    Dataset(DatasetName),
}

/// Plans by what was asked for; forgotten when definitions change.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    known: RwLock<BTreeMap<Wanted, Arc<ServicePlan>>>,
}

impl Plans {
    /// The plan that was made before, if there is one.
    pub(crate) fn known(&self, wanted: &Wanted) -> Option<Arc<ServicePlan>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(wanted).cloned()
    }

    /// Forgets all. Of whoever has the engine to write: a plan is made and kept under one hold
    /// of the engine, so none of before is kept after it.
    pub(crate) fn forget(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }

    /// Lays out what a request asks for. A dataset's manifest was read before: no file is, while
    /// the engine is held.
    pub(crate) fn make(
        &self,
        engine: &Engine,
        wanted: Wanted,
        manifest: Option<&DatasetManifest>,
    ) -> Result<Arc<ServicePlan>, ApiError> {
        let dataset = manifest
            .map(|manifest| DatasetPlan::new(manifest, engine.catalog()))
            .transpose()?;
        let named = matches!(wanted, Wanted::Service(..));
        let service = match &wanted {
            Wanted::Service(name, None) => engine.service(name)?,
            Wanted::Service(name, Some(version)) => engine.service(&format!("{name}@{version}"))?,
            Wanted::Features(items) => engine.feature_list(items)?,
            Wanted::Dataset(name) => match &dataset {
                Some(plan) => Arc::clone(&plan.service),
                None => engine.service(&name.name)?,
            },
        };
        let logged = dataset.is_none() || is_list(engine, &service);
        let plan = Arc::new(ServicePlan {
            logged,
            ..ServicePlan::of(service, dataset, named)
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LISTS_MAX {
            known.clear();
        }
        known.insert(wanted, Arc::clone(&plan));
        Ok(plan)
    }
}

impl ServicePlan {
    /// Of a service as it was once defined: others are asked for by its name now.
    pub(crate) fn of_past(service: Arc<ServiceDef>) -> Self {
        ServicePlan {
            logged: false,
            ..ServicePlan::of(service, None, true)
        }
    }

    fn of(service: Arc<ServiceDef>, dataset: Option<DatasetPlan>, named: bool) -> Self {
        let read = ReadPlan::new(service);
        let columns = read.service().inputs.iter();
        let columns = columns.map(|f| ColumnSpec::new(f.name.clone(), f.data_type.clone()));
        let outputs = match &dataset {
            Some(plan) => plan.outputs(),
            None => read.features(),
        };
        let features: Vec<_> = outputs
            .iter()
            .map(|f| json!({"name": f.name, "type": f.data_type.to_string()}))
            .collect();
        let (name, version) = match read.service() {
            service if named || dataset.is_some() => (json!(service.name), json!(service.version)),
            _ => (json!(null), json!(null)),
        };
        let definition = hex(&read.service().digest);
        let of_dataset = dataset.as_ref().map(|plan| {
            format!(
                ",\"dataset\":{},\"digest\":{},\"views\":{}",
                json!(plan.title),
                json!(plan.digest),
                plan.views()
            )
        });
        ServicePlan {
            head_json: format!(
                "{{\"service\":{name},\"version\":{version},\"definition\":\"{definition}\"{}",
                of_dataset.unwrap_or_default()
            ),
            logged: true,
            dataset,
            decoder: RowDecoder::new(columns.collect(), Zone::utc()),
            named,
            stream_layouts: Default::default(),
            features_json: format!("\"features\":{}", json!(features)),
            read,
        }
    }

    /// Names and types of what is answered, in order.
    pub(crate) fn outputs(&self) -> &[Field] {
        match &self.dataset {
            Some(plan) => plan.outputs(),
            None => self.read.features(),
        }
    }
}

/// Whether a service is what a list of its features is: then a read of it can be logged as one
/// of the list.
fn is_list(engine: &Engine, service: &ServiceDef) -> bool {
    let names: Vec<String> = service
        .items
        .iter()
        .flat_map(|item| {
            let view = &item.view;
            let features = item.features.iter();
            features
                .map(|(i, _)| format!("{}@{}:{}", view.name, view.version, view.features[*i].name))
        })
        .collect();
    let list = engine.feature_list(&names);
    list.is_ok_and(|list| list.inputs == service.inputs)
}
