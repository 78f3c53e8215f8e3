//! Feature views: which kind of query they have, and what all kinds have in common.

use std::sync::Arc;

use evenkeel_types::definition::{EntityDef, ViewBody, ViewDef};

use super::Binder;
use super::composed::Written;
use super::entity::metadata;
use super::features::bind_features;
use super::relation::Target;
use super::report::{Report, did_you_mean};
use crate::ast::{CreateFeatureView, CreateOnDemandView, Ident};
use crate::error::Diagnostic;

impl Binder<'_> {
    /// `CREATE FEATURE VIEW`. Version and digest are still to be set. There is an answer even
    /// if its column list has errors: those who read the view can be checked.
    pub(super) fn feature_view(
        &self,
        view: &CreateFeatureView,
        sql: String,
        report: &mut Report,
    ) -> Option<ViewDef> {
        refuse_emissions(view, report);
        let errors_before = report.error_count();
        let entity = self.entity(&view.entity.name, report);
        let name = match &view.name {
            Some(name) => name.clone(),
            None => {
                report.hinted::<()>(
                    "a feature view needs a name",
                    view.keywords,
                    format!(
                        "write `CREATE FEATURE VIEW {}_features ENTITY ...`",
                        view.entity.name.value
                    ),
                );
                Ident {
                    span: view.keywords,
                    ..Ident::named("")
                }
            }
        };
        let Some(from) = &view.query.from else {
            return report.hinted(
                "a feature view needs `FROM`: features are about events",
                view.query.span,
                "write `FROM` and a source; constants alone are no features",
            );
        };
        let first = self.read(from, report)?;
        self.refuse_request(&first, report)?;
        let entity = entity?;
        let is_composed = matches!(
            &first.target,
            Target::View(view) if !matches!(view.body, ViewBody::Row(_))
        );
        let (columns, body) = if is_composed {
            if let Some(ttl) = &view.ttl {
                report.hinted::<()>(
                    "a view over other views has no `TTL`: it has an answer at any time",
                    ttl.span,
                    "leave it out, or write it at the row view that it reads",
                );
            }
            let written = Written {
                name: &name,
                entity: Some(&view.entity),
                request: &[],
                is_on_demand: false,
            };
            let composed = self.composed_view(&written, &view.query, report)?;
            (composed.columns, composed.body)
        } else {
            let events = self.event_view(view, &entity, &first, report)?;
            (events.columns, events.body)
        };
        super::cost::check(&name, &body, report)?;
        if report.error_count() > errors_before {
            return None;
        }
        let features = bind_features(&name, &columns, &view.features, report)?;
        Some(ViewDef {
            name: name.value,
            version: 0,
            entity: Some(entity.name.clone()),
            key: entity.keys.clone(),
            features,
            body,
            metadata: metadata(&view.metadata, report),
            sql,
            digest: [0; 16],
        })
    }

    /// `CREATE ON DEMAND FEATURE VIEW`. Version and digest are still to be set.
    pub(super) fn on_demand_view(
        &self,
        view: &CreateOnDemandView,
        sql: String,
        report: &mut Report,
    ) -> Option<ViewDef> {
        let written = Written {
            name: &view.name,
            entity: view.entity.as_ref(),
            request: &view.request,
            is_on_demand: true,
        };
        let errors_before = report.error_count();
        let composed = self.composed_view(&written, &view.query, report)?;
        let key = composed
            .entity
            .as_ref()
            .map(|e| e.keys.clone())
            .unwrap_or_default();
        super::cost::check(&view.name, &composed.body, report)?;
        if report.error_count() > errors_before {
            return None;
        }
        let features = bind_features(&view.name, &composed.columns, &view.features, report)?;
        Some(ViewDef {
            name: view.name.value.clone(),
            version: 0,
            entity: composed.entity.map(|e| e.name.clone()),
            key,
            features,
            body: composed.body,
            metadata: metadata(&view.metadata, report),
            sql,
            digest: [0; 16],
        })
    }

    /// The entity of a name.
    pub(super) fn entity(&self, name: &Ident, report: &mut Report) -> Option<Arc<EntityDef>> {
        if let Some(entity) = self.catalog.entities.get(&name.value) {
            return Some(entity.clone());
        }
        if self.is_broken_entity(&name.value) {
            return None;
        }
        let hint = did_you_mean(
            &name.value,
            self.catalog.entities.keys().map(String::as_str),
        )
        .unwrap_or_else(|| format!("define it: `CREATE ENTITY {name} (key STRING)`"));
        report.push(
            Diagnostic::error(format!("there is no entity `{name}`"), name.span).with_hint(hint),
        )
    }
}

/// What a project writes out in place of a view; alone it is nothing.
fn refuse_emissions(view: &CreateFeatureView, report: &mut Report) {
    if super::emitted::is_emitted(view) {
        report.hinted::<()>(
            "a view that is emitted is written out by a project, and here is none",
            view.query.span,
            "write the derived stream, `CREATE STREAM ... AS SELECT`, and a view over it",
        );
    } else if let Some(on_late) = &view.on_late {
        report.hinted::<()>(
            "`ON LATE` is about what is emitted, and this view is read",
            on_late.span,
            "leave it out: what is read includes late inputs; or write `MATERIALIZED` or `EMIT TO 'topic'`",
        );
    }
}
