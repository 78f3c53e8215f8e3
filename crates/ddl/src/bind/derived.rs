//! `CREATE STREAM ... AS SELECT`: a stream whose events are the rows of a query.
//!
//! The query is a row view's without an entity: each event of the stream in `FROM` brings its
//! row. Invariant: what is bound can be emitted, event by event, from what was logged before.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::definition::{
    DerivedDef, Digest, EntityDef, Feature, Metadata, RecordedCall, SourceColumn, SourceDef,
    SourceKind, ViewBody, ViewDef,
};
use evenkeel_types::{DataType, Expr, ExprKind, Field, Schema, SourceId, Zone};

use super::entity::metadata;
use super::features::bind_features;
use super::relation::{Read, Target};
use super::report::Report;
use super::source::MAX_FUTURE_DEFAULT;
use super::{Binder, requery};
use crate::ast::{
    CreateFeatureView, CreateSource, EntityRef, Ident, JoinKind, OnLate, OnLateKind, Query,
};

/// A derived stream as it is written.
pub(super) struct Written<'a> {
    pub(super) create: &'a CreateSource,
    pub(super) query: &'a Query,
    pub(super) on_late: Option<OnLate>,
    /// Its canonical text.
    pub(super) sql: String,
    pub(super) digest: Digest,
}

impl Binder<'_> {
    /// The stream, with the row view whose rows it has.
    pub(super) fn derived_stream(
        &self,
        written: Written<'_>,
        id: SourceId,
        report: &mut Report,
    ) -> Option<SourceDef> {
        let Written { create, query, .. } = written;
        let errors_before = report.error_count();
        let Some(from) = &query.from else {
            return report.hinted(
                "a derived stream needs `FROM`: what brings its events?",
                query.span,
                "write `FROM` and a stream",
            );
        };
        let first = self.read(from, report)?;
        let trigger = trigger_of(query, &first, report)?;
        super::timer::check(query, report)?;
        let view = as_view(create, query);
        let entity = Arc::new(EntityDef {
            name: create.name.value.clone(),
            keys: Vec::new(),
            metadata: Metadata::default(),
            sql: String::new(),
        });
        report.record_columns();
        let mut events = self.event_view(&view, &entity, &first, report)?;
        super::cost::check(&create.name, &events.body, report)?;
        let features = bind_features(&create.name, &events.columns, &[], report)?;
        refuse_names(&features, query, report);
        if report.error_count() > errors_before {
            return None;
        }
        let recorded = recorded_calls(&mut events.body, report);
        let has_order = has_order(&trigger);
        let columns = columns_of(&features, has_order, !recorded.is_empty());
        let stored: Vec<Field> = columns
            .iter()
            .map(|column| Field::new(column.name.clone(), column.data_type.clone()))
            .collect();
        let view = Arc::new(ViewDef {
            name: create.name.value.clone(),
            version: 1,
            entity: None,
            key: Vec::new(),
            features,
            body: events.body,
            metadata: Metadata::default(),
            sql: written.sql.clone(),
            digest: written.digest,
        });
        let revise = written.on_late.filter(|on| on.kind == OnLateKind::Revise);
        let derived = DerivedDef {
            timer: super::timer::timer(query, &view.body),
            view,
            recorded,
            revises: revise.is_some(),
            is_ended: false,
            query: requery::query_of_stream(create, &[self.catalog, self.existing]),
        };
        if let Some(on_late) = revise
            && let Err(lookup) = derived.watched()
        {
            return report.hinted(
                format!(
                    "which emissions a late event changes cannot be found through `{}`",
                    lookup.alias
                ),
                on_late.span,
                "look up a source, or a window view, by columns of the stream itself; or leave `ON LATE REVISE` out",
            );
        }
        Some(SourceDef {
            id,
            name: create.name.value.clone(),
            kind: SourceKind::Stream,
            stored: columns.len(),
            columns,
            schema: Schema::first(stored),
            event_time: 1,
            zone: Zone::utc(),
            lateness: trigger.lateness,
            known_at: None,
            event_id: vec![0],
            primary_key: Vec::new(),
            sequence_by: if has_order { vec![2] } else { Vec::new() },
            deduplicate_within: None,
            max_future: MAX_FUTURE_DEFAULT,
            retain: Vec::new(),
            hot_retention: trigger.hot_retention,
            filter: None,
            checks: Vec::new(),
            options: BTreeMap::new(),
            derived: Some(Arc::new(derived)),
            metadata: metadata(&create.metadata, report),
            sql: written.sql,
            digest: written.digest,
        })
    }
}

/// The stream that brings the events, if it is one.
fn trigger_of(query: &Query, first: &Read<'_>, report: &mut Report) -> Option<Arc<SourceDef>> {
    if let Some(join) = query.joins.iter().find(|j| j.kind == JoinKind::AsOfFull) {
        return report.hinted(
            "a derived stream has an event per event of one stream, and a full join has two",
            join.kind_span,
            "write a derived stream for each side, which looks the other one up with `ASOF JOIN`",
        );
    }
    if let Some(group_by) = &query.group_by {
        return report.hinted(
            "a derived stream has an event per event, and `GROUP BY` has none",
            group_by.span,
            "leave it out, or write a `CREATE FEATURE VIEW` for the rows that live",
        );
    }
    let source =
        match &first.target {
            Target::Source(source) => source,
            Target::View(view) => match &view.body {
                ViewBody::Row(body) => match &body.trigger {
                    evenkeel_types::definition::Trigger::Source(side) => &side.source,
                    evenkeel_types::definition::Trigger::Full { .. } => {
                        return report.hinted(
                            format!("`{}` has rows at the events of two sources", view.name),
                            first.name_span,
                            "read one stream, and look the other one up with `ASOF JOIN`",
                        );
                    }
                },
                _ => {
                    return report.hinted(
                    format!("`{}` has no rows of its own: it is read at any time", view.name),
                    first.name_span,
                    "read the stream whose events are meant, and look the view up with `ASOF JOIN`",
                );
                }
            },
        };
    if source.kind == SourceKind::Table {
        return report.hinted(
            format!(
                "`{}` is a table: its rows are versions, not events",
                source.name
            ),
            first.name_span,
            "read a stream, and look the table up with `ASOF JOIN`",
        );
    }
    if source.deduplicate_within.is_some() {
        return report.hinted(
            format!(
                "an event of `{}` may drop one that came before it, by `DEDUPLICATE WITHIN`",
                source.name
            ),
            first.name_span,
            "read a stream without it: its `EVENT ID` tells what comes twice",
        );
    }
    Some(Arc::clone(source))
}

/// The query as that of a view without an entity.
fn as_view(create: &CreateSource, query: &Query) -> CreateFeatureView {
    CreateFeatureView {
        name: Some(create.name.clone()),
        keywords: create.name.span,
        features: Vec::new(),
        entity: EntityRef {
            name: Ident {
                span: create.name.span,
                ..Ident::named(&create.name.value)
            },
            columns: None,
            span: create.name.span,
        },
        ttl: None,
        materialized: None,
        emit_to: None,
        on_late: None,
        metadata: crate::ast::Metadata::default(),
        query: query.clone(),
    }
}

fn refuse_names(features: &[Feature], query: &Query, report: &mut Report) {
    let own = [
        DerivedDef::TRIGGER_ID,
        DerivedDef::TRIGGERED_AT,
        DerivedDef::TRIGGER_ORDER,
        DerivedDef::RECORDED_INPUTS,
    ];
    for name in own {
        if features.iter().any(|feature| feature.name == name) {
            report.hinted::<()>(
                format!("`{name}` is a column of derived streams"),
                query.span,
                format!("give the selected column another name: `... AS own_{name}`"),
            );
        }
    }
}

/// Whether events of one time have another order than that of their identities.
fn has_order(trigger: &SourceDef) -> bool {
    !trigger.sequence_by.is_empty() || trigger.event_id.is_empty()
}

/// The columns whose values are recorded; the query has what is asked in place of them.
fn recorded_calls(body: &mut ViewBody, report: &Report) -> Vec<RecordedCall> {
    let ViewBody::Row(body) = body else {
        return Vec::new();
    };
    let mut recorded = Vec::new();
    for (column, expr) in body.columns.iter_mut().enumerate() {
        let ExprKind::External { function, args } = &expr.kind else {
            continue;
        };
        if !report.callables().is_recorded_only(function) {
            continue;
        }
        let call = RecordedCall {
            column,
            function: function.clone(),
        };
        *expr = Expr {
            kind: ExprKind::External {
                function: call.asked(),
                args: args.clone(),
            },
            data_type: DataType::Bytes,
        };
        recorded.push(call);
    }
    recorded
}

fn columns_of(features: &[Feature], has_order: bool, has_recorded: bool) -> Vec<SourceColumn> {
    let column =
        |name: &str, data_type: DataType, required: bool, comment: Option<&str>| SourceColumn {
            name: name.to_owned(),
            data_type,
            required,
            computed: None,
            comment: comment.map(str::to_owned),
        };
    let id = "the identity of the event that brought this one";
    let time = "the time of the event that brought this one";
    let own = [
        column(DerivedDef::TRIGGER_ID, DataType::Bytes, true, Some(id)),
        column(
            DerivedDef::TRIGGERED_AT,
            DataType::Timestamp,
            true,
            Some(time),
        ),
    ];
    let order = "by this, events of one time have the order of those that brought them";
    let order = column(
        DerivedDef::TRIGGER_ORDER,
        DataType::Bytes,
        true,
        Some(order),
    );
    let inputs = "digests of what functions were asked whose values are recorded";
    let inputs = column(
        DerivedDef::RECORDED_INPUTS,
        DataType::Bytes,
        true,
        Some(inputs),
    );
    let selected = features
        .iter()
        .map(|feature| column(&feature.name, feature.data_type.clone(), false, None));
    let own = own.into_iter().chain(Some(order).filter(|_| has_order));
    let inputs = Some(inputs).filter(|_| has_recorded);
    own.chain(inputs).chain(selected).collect()
}
