//! `evenkeel get`.

use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_engine::api::{GetAnswer, GetRequest};
use evenkeel_engine::dataset::{DatasetFolder, DatasetPlan};
use evenkeel_engine::{Engine, service_of};
use evenkeel_types::Value;
use evenkeel_types::definition::{Catalog, ServiceDef};
use serde_json::json;

use super::inputs;
use crate::arguments::GetArguments;
use crate::failure::Failure;
use crate::remote::{Ask, Remote};
use crate::render;
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &GetArguments, session: &Session) -> Result<Answer, Failure> {
    let source = Source::of(session)?;
    let catalog = source.catalog();
    let dataset = match &arguments.dataset {
        None => None,
        Some(name) => {
            let folder = DatasetFolder::of(&session.project()?.store);
            let manifest = folder.manifest(&name.parse()?)?;
            Some(DatasetPlan::new(&manifest, catalog)?)
        }
    };
    let service = match (&arguments.service, &dataset) {
        (_, Some(plan)) => Arc::clone(&plan.service),
        (Some(name), None) => service_of(catalog, name)?,
        (None, None) => inputs::feature_list(catalog, &arguments.features)?,
    };
    let mut rows = Vec::with_capacity(arguments.entity.len());
    match &arguments.entities {
        Some(path) => {
            rows = inputs::rows(&service.inputs, &Table::read(path)?)?;
            if let Some(request) = &arguments.request {
                let given = inputs::row(&service.inputs, request, None)?;
                for (i, field) in service.inputs.iter().enumerate() {
                    if request.names().any(|name| name == field.name) {
                        rows.iter_mut().for_each(|row| row[i] = given[i].clone());
                    }
                }
            }
        }
        None => {
            for entity in &arguments.entity {
                rows.push(inputs::row(
                    &service.inputs,
                    entity,
                    arguments.request.as_ref(),
                )?);
            }
        }
    }
    let not_given = inputs::not_given(&service.inputs, &rows);
    if !not_given.is_empty() && !session.output.is_json() {
        session.output.note(&format!(
            "note: not given, so NULL: {}",
            not_given.join(", ")
        ));
    }
    let (answer, cut) = source.read(arguments, &service, dataset.as_ref(), &rows)?;
    let is_named = arguments.service.is_some() || dataset.is_some();
    let mut json = json!({
        "service": is_named.then_some(&service.name),
        "version": is_named.then_some(service.version),
        "definition": render::hex(&answer.definition),
        "as_of": answer.as_of.to_string(),
        "cut": cut,
        "known_at": answer.known_at.map(|t| t.to_string()),
        "features": render::json_fields(&answer.features),
        "rows": render::json_rows(&service.inputs, &rows, &answer),
    });
    if let Some(plan) = &dataset {
        json["dataset"] = json!(plan.title);
        json["digest"] = json!(plan.digest);
        json["views"] = plan.views();
    }
    let known_at = answer
        .known_at
        .map(|t| format!(", known at {t}"))
        .unwrap_or_default();
    let text = format!(
        "{}as of {}{known_at}, cut {cut}\n",
        render::answers(&service.inputs, &rows, &answer),
        answer.as_of,
    );
    Ok(Answer::done(json, text))
}

/// Where features are read.
pub(super) enum Source {
    /// In the store.
    Store(Box<Engine>),
    /// From the server that holds it.
    Server(Remote, Box<Catalog>),
}

impl Source {
    pub(super) fn of(session: &Session) -> Result<Source, Failure> {
        Ok(match session.server()? {
            Some(remote) => {
                let catalog = remote.catalog(&session.project()?)?;
                Source::Server(remote, Box::new(catalog))
            }
            None => Source::Store(Box::new(session.reader()?)),
        })
    }

    pub(super) fn catalog(&self) -> &Catalog {
        match self {
            Source::Store(engine) => engine.catalog(),
            Source::Server(_, catalog) => catalog,
        }
    }

    /// The answer, and its cut in words.
    fn read(
        &self,
        arguments: &GetArguments,
        service: &Arc<ServiceDef>,
        dataset: Option<&DatasetPlan>,
        rows: &[Vec<Value>],
    ) -> Result<(GetAnswer, String), Failure> {
        let moment = &arguments.moment;
        let known = inputs::known(moment)?;
        match self {
            Source::Store(engine) => {
                let answer = engine.get(&GetRequest {
                    service: Arc::clone(service),
                    rows: rows.to_vec(),
                    as_of: known.as_of,
                    cut: inputs::cut(moment, engine)?,
                    known_at: known.known_at,
                })?;
                let cut = engine.format_cut(&answer.cut);
                let answer = match dataset {
                    Some(plan) => plan.answer(answer),
                    None => answer,
                };
                Ok((answer, cut))
            }
            Source::Server(remote, _) => remote.read(&Ask {
                service,
                dataset,
                features: &arguments.features,
                rows,
                as_of: known.as_of,
                known_at: known.known_at,
                cut: moment.cut.as_deref(),
            }),
        }
    }
}
