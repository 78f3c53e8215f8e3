//! Segments: which keys of an entity, by the features of its views.
//!
//! A segment is bound like a view over other views, with a condition
//! (`docs/decisions/0029`).

use evenkeel_types::Field;
use evenkeel_types::definition::{SegmentDef, ViewBody};

use super::Binder;
use super::composed::{Written, refuse_clauses, select};
use super::dataset::refuse_name;
use super::entity::metadata;
use super::expression::{self, Plain};
use super::relation::Target;
use super::report::Report;
use crate::ast::{CreateSegment, Ident, Query};

/// What it is, in words.
const SEGMENT: &str = "a segment";

impl Binder<'_> {
    /// `CREATE SEGMENT`. Version and digest are still to be set.
    pub(super) fn segment(
        &self,
        create: &CreateSegment,
        sql: String,
        report: &mut Report,
    ) -> Option<SegmentDef> {
        refuse_name(&create.name, "a segment", report);
        let bound = self.segment_query(&create.query, report)?;
        Some(SegmentDef {
            name: create.name.value.clone(),
            metadata: metadata(&create.metadata, report),
            sql,
            ..bound
        })
    }

    /// The query of a segment, or one that nobody defined. Name, version, text and digest are
    /// still to be set.
    pub(super) fn segment_query(&self, query: &Query, report: &mut Report) -> Option<SegmentDef> {
        let Some(from) = &query.from else {
            return report.hinted(
                "a segment needs `FROM`: its keys are those of a view",
                query.span,
                "write `FROM` and a feature view",
            );
        };
        refuse_clauses(query, SEGMENT, report);
        self.refuse_unanswerable(query, report)?;
        let name = Ident {
            span: from.span,
            ..Ident::named("")
        };
        let written = Written {
            name: &name,
            entity: None,
            request: &[],
            // Views of every kind are read.
            is_on_demand: true,
        };
        let errors_before = report.error_count();
        let together = self.together(&written, query, report)?;
        let key = together.key().to_vec();
        let mut condition = None;
        if let Some(filter) = &query.filter {
            let mut context = Plain::new(&together.scope, "`WHERE` of a segment")
                .with_read_time()
                .with_aggregate_hint("put the aggregate into a feature view and compare that");
            condition = expression::bind_condition(filter, &mut context, report);
        }
        let columns = select(query, &key, &together.scope, SEGMENT, report);
        if report.error_count() > errors_before {
            return None;
        }
        let columns = columns?;
        let field = |c: &super::features::Column| Field::new(&c.name, c.expr.data_type.clone());
        let fields = columns.iter().map(field).collect();
        let exprs = columns.into_iter().map(|c| c.expr);
        let inputs = &together.inputs;
        let bound = inputs.finish(key.len(), exprs.chain(condition).collect());
        let (columns, filter) = match &query.filter {
            None => (bound, None),
            Some(_) => {
                let mut bound = bound;
                let filter = bound.pop();
                (bound, filter)
            }
        };
        Some(SegmentDef {
            name: String::new(),
            version: 1,
            entity: together.entity.as_ref()?.name.clone(),
            key,
            inputs: together.inputs.views,
            fields,
            columns,
            filter,
            metadata: Default::default(),
            sql: String::new(),
            digest: [0; 16],
        })
    }

    /// Views without keys, or that need a request, have nobody to be asked of.
    fn refuse_unanswerable(&self, query: &Query, report: &mut Report) -> Option<()> {
        let joined = query.joins.iter().map(|join| &join.relation);
        for relation in query.from.iter().chain(joined) {
            let read = self.read(relation, report)?;
            match &read.target {
                Target::Source(source) => {
                    return report.hinted(
                        format!("`{}` is a source, and a segment reads views", source.name),
                        read.name_span,
                        "put what you want of it into a feature view, and read that",
                    );
                }
                Target::View(view) => match &view.body {
                    ViewBody::Composed(body) if !body.request.is_empty() => {
                        return report.hinted(
                            format!(
                                "view `{}` needs a request, and a segment has none",
                                view.name
                            ),
                            read.name_span,
                            "read the views that it is made of",
                        );
                    }
                    _ if view.key.is_empty() => {
                        return report.hinted(
                            format!("view `{}` has no key, and a segment is of keys", view.name),
                            read.name_span,
                            "read a view of an entity",
                        );
                    }
                    _ => {}
                },
            }
        }
        Some(())
    }
}
