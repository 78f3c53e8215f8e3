//! Streams and tables: columns in their order, the clauses that name them, and checks.
//!
//! A source with an error in an option, a check or a filter is still answered: its columns,
//! times and keys are understood, so the views over it can be checked in the same run.

mod changes;

use std::collections::BTreeMap;

use evenkeel_types::definition::{Check, Retain, SourceColumn, SourceDef, SourceKind};
use evenkeel_types::time::HOUR;
use evenkeel_types::{DataType, Expr, Field, Interval, Schema, SourceId, Value, Zone};

use super::entity::{key_hint, metadata};
use super::expression::{self, Plain};
use super::frame::{exact, exact_positive, zone};
use super::options::{Options, bind_options};
use super::report::{Report, did_you_mean};
use super::scope::{Role, Scope, ScopeRelation, with_hint};
use crate::ast::{self, ColumnDef, ColumnList, CreateSource, Ident, SourceBody, SourceClauses};
use crate::error::Diagnostic;

/// How far beyond the timeline an event may be dated, unless the source says otherwise.
pub const MAX_FUTURE_DEFAULT: i64 = HOUR;

/// `CREATE STREAM`, `CREATE TABLE`; `id` is its number, `sql` its canonical text. `None` if
/// its columns, times or keys are not understood. The digest is still to be set.
pub(super) fn bind_source(
    create: &CreateSource,
    id: SourceId,
    sql: String,
    report: &mut Report,
) -> Option<SourceDef> {
    match &create.body {
        SourceBody::Declared {
            columns,
            clauses,
            options,
            filter,
        } => {
            let options = bind_options(options, create.name.span, report);
            let errors_before = report.error_count();
            let mut builder = SourceBuilder::new(create, columns, report);
            builder.clauses(clauses, &options, report);
            let is_understood = report.error_count() == errors_before;
            let source = builder.finish(id, sql, clauses, filter.as_ref(), options, report);
            is_understood.then_some(source)
        }
        SourceBody::FromFile { path, .. } => report.hinted(
            "the columns are those of a file, and files are not read here",
            path.span,
            "write the statement out: `evenkeel plan` prints it",
        ),
        // `Binder::derived_stream` binds it.
        SourceBody::Query { .. } => None,
    }
}

struct SourceBuilder<'a> {
    create: &'a CreateSource,
    /// In the order of the definition: stored, then computed.
    written: Vec<&'a ColumnDef>,
    columns: Vec<SourceColumn>,
    stored: usize,
    event_time: usize,
    lateness: Interval,
    zone: Zone,
    event_id: Vec<usize>,
    primary_key: Vec<usize>,
    sequence_by: Vec<usize>,
    deduplicate_within: Option<i64>,
    max_future: i64,
    hot_retention: Option<i64>,
    retain: Vec<Retain>,
}

impl<'a> SourceBuilder<'a> {
    fn new(create: &'a CreateSource, columns: &'a [ColumnDef], report: &mut Report) -> Self {
        let (stored, computed): (Vec<&ColumnDef>, Vec<&ColumnDef>) =
            columns.iter().partition(|c| c.computed.is_none());
        let mut builder = SourceBuilder {
            create,
            stored: 0,
            written: Vec::new(),
            columns: Vec::new(),
            event_time: 0,
            lateness: Interval::default(),
            zone: Zone::utc(),
            event_id: Vec::new(),
            primary_key: Vec::new(),
            sequence_by: Vec::new(),
            deduplicate_within: None,
            max_future: MAX_FUTURE_DEFAULT,
            hot_retention: None,
            retain: Vec::new(),
        };
        if stored.is_empty() {
            report.hinted::<()>(
                "a source needs at least one stored column",
                create.name.span,
                "write columns with names and types: `(customer BIGINT, at TIMESTAMP, EVENT TIME at)`",
            );
        }
        for column in stored {
            builder.add(column, None, report);
        }
        builder.stored = builder.columns.len();
        for column in &computed {
            let expr = builder.computed(column, &computed, report);
            builder.add(column, Some(expr), report);
        }
        builder
    }

    fn add(&mut self, column: &'a ColumnDef, computed: Option<Expr>, report: &mut Report) {
        let data_type = &column.data_type.data_type;
        if !data_type.is_storable() {
            report.hinted::<()>(
                format!("a column cannot be of type {data_type}"),
                column.data_type.span,
                match data_type {
                    DataType::Interval => "store a number, or two times",
                    DataType::Array(_) => {
                        "an array holds scalars, or structs of scalars: `ARRAY<STRING>`"
                    }
                    _ => "use a scalar, an array or a vector",
                },
            );
        }
        self.written.push(column);
        self.columns.push(SourceColumn {
            name: column.name.value.clone(),
            data_type: data_type.clone(),
            required: column.not_null.is_some(),
            computed,
            comment: column.comment.as_ref().map(|c| c.value.clone()),
        });
    }

    /// The expression of a computed column, over the columns before it.
    fn computed(
        &self,
        column: &ColumnDef,
        all_computed: &[&ColumnDef],
        report: &mut Report,
    ) -> Expr {
        let data_type = &column.data_type.data_type;
        let nothing = || Expr::literal(Value::Null, data_type.clone());
        let Some(written) = &column.computed else {
            return nothing();
        };
        let mut relation = self.relation();
        for later in all_computed {
            let name = &later.name.value;
            if relation.column(name).is_none() {
                let message = if *name == column.name.value {
                    format!("`{name}` is computed from itself")
                } else {
                    format!("`{name}` is computed later than `{}`", column.name)
                };
                relation.refuse(
                    name.clone(),
                    Role::Plain,
                    message,
                    "a computed column may use stored columns and computed ones before it: change their order",
                );
            }
        }
        for pseudo in ["event_time", "visible_at"] {
            if relation.column(pseudo).is_none() {
                relation.refuse(
                    pseudo,
                    Role::Pseudo,
                    format!("`{pseudo}` is not known yet when columns are computed"),
                    "name the column that the time comes from",
                );
            }
        }
        let scope = Scope::single(relation);
        let mut context = Plain::new(&scope, "a computed column");
        expression::bind_as(written, data_type, &mut context, report).unwrap_or_else(nothing)
    }

    /// The columns so far.
    fn relation(&self) -> ScopeRelation {
        let mut relation = ScopeRelation::new(self.create.name.value.clone());
        for (slot, column) in self.columns.iter().enumerate() {
            relation.add(
                column.name.clone(),
                Expr::column(slot, column.data_type.clone()),
                Role::Plain,
            );
        }
        relation
    }

    /// The columns and `event_time`; `visible_at` is refused.
    fn row_relation(&self) -> ScopeRelation {
        let mut relation = self.relation();
        if relation.column("event_time").is_none() {
            relation.add(
                "event_time",
                Expr::column(self.columns.len(), DataType::Timestamp),
                Role::Pseudo,
            );
        }
        relation.refuse(
            "visible_at",
            Role::Pseudo,
            "`visible_at` is not known yet when a row is checked",
            "use the source's own columns and `event_time`",
        );
        relation
    }

    fn clauses(&mut self, clauses: &SourceClauses, options: &Options, report: &mut Report) {
        self.event_time(clauses, options, report);
        self.refuse_pseudo_names(clauses, report);
        self.keys(clauses, options, report);
        self.operation(options, report);
        self.changes(clauses, options, report);
        if let Some(length) = &clauses.deduplicate_within {
            self.deduplicate_within = exact_positive(length, "`DEDUPLICATE WITHIN`", report);
            if clauses.event_id.is_none() {
                report.hinted::<()>(
                    "`DEDUPLICATE WITHIN` needs an event id: what is the same event?",
                    length.span,
                    "declare it: `EVENT ID (column)`",
                );
            }
        }
        if let Some(length) = &clauses.max_future
            && let Some(micros) = exact(length, "`MAX FUTURE`", report)
        {
            self.max_future = micros;
        }
        if let Some(length) = &clauses.hot_retention {
            self.hot_retention = exact_positive(length, "`HOT RETENTION`", report);
        }
        for retain in &clauses.retain {
            self.retain(retain, report);
        }
    }

    fn event_time(&mut self, clauses: &SourceClauses, options: &Options, report: &mut Report) {
        if let Some((zone, _)) = &options.zone {
            self.zone = zone.clone();
        }
        let Some(clause) = &clauses.event_time else {
            let times: Vec<&str> = self
                .columns
                .iter()
                .filter(|c| c.data_type == DataType::Timestamp)
                .map(|c| c.name.as_str())
                .collect();
            let example = times.first().copied().unwrap_or("happened_at");
            let kind = match self.create.kind {
                ast::SourceKind::Stream => "stream",
                ast::SourceKind::Table => "table",
            };
            report.hinted::<()>(
                format!(
                    "{kind} `{}` does not say when its rows happened",
                    self.create.name
                ),
                self.create.name.span,
                format!("declare it among the columns: `EVENT TIME {example}`"),
            );
            return;
        };
        if let Some(slot) = self.column(&clause.column, report) {
            self.event_time = slot;
            let data_type = &self.columns[slot].data_type;
            if *data_type != DataType::Timestamp {
                let name = &clause.column;
                report.hinted::<()>(
                    format!("the event time must be a TIMESTAMP, and `{name}` is {data_type}"),
                    clause.column.span,
                    match data_type {
                        DataType::Int | DataType::BigInt => format!(
                            "declare `{name} TIMESTAMP` and say what the numbers count: `WITH (time_unit = 'ms')`"
                        ),
                        DataType::String => {
                            format!("declare `{name} TIMESTAMP`: texts are read as times")
                        }
                        _ => format!(
                            "compute it: `{name}_at TIMESTAMP AS (CAST({name} AS TIMESTAMP))`, `EVENT TIME {name}_at`"
                        ),
                    },
                );
            }
        }
        if let Some(length) = &clause.lateness
            && let Some(micros) = exact(length, "`LATENESS`", report)
        {
            self.lateness = Interval::from_micros(micros);
        }
        if let Some(written) = &clause.zone
            && let Some(zone) = zone(written, report)
        {
            if let Some((other, place)) = &options.zone
                && *other != zone
            {
                report.push::<()>(
                    Diagnostic::error(
                        format!(
                            "the zone is given twice: `{zone}` here and `{other}` as an option"
                        ),
                        written.span,
                    )
                    .with_hint("leave one of them out")
                    .with_related(*place, "the option"),
                );
            }
            self.zone = zone;
        }
    }

    fn refuse_pseudo_names(&self, clauses: &SourceClauses, report: &mut Report) {
        for column in &self.written {
            let name = column.name.value.as_str();
            let is_the_time = clauses
                .event_time
                .as_ref()
                .is_some_and(|c| c.column.value == name);
            if name == "visible_at" || (name == "event_time" && !is_the_time) {
                super::entity::refuse_pseudo(&column.name, "a column", report);
            }
        }
    }

    fn keys(&mut self, clauses: &SourceClauses, options: &Options, report: &mut Report) {
        if let Some(list) = &clauses.event_id {
            self.event_id = self.key_columns(list, "an event id", report);
        }
        if let Some(list) = &clauses.primary_key {
            self.primary_key = self.key_columns(list, "a primary key", report);
        }
        if let Some(list) = &clauses.sequence_by {
            self.sequence_by = self.column_list(list, report);
            for (slot, name) in self.sequence_by.clone().into_iter().zip(&list.columns) {
                let data_type = &self.columns[slot].data_type;
                if !data_type.is_scalar() {
                    report.hinted::<()>(
                        format!("rows cannot be ordered by `{name}`, which is {data_type}"),
                        name.span,
                        "order them by a number, a text or a time",
                    );
                }
            }
        }
        match self.create.kind {
            ast::SourceKind::Table => {
                if clauses.primary_key.is_none() {
                    report.hinted::<()>(
                        format!("table `{}` has no primary key: which rows are versions of one another?", self.create.name),
                        self.create.name.span,
                        "declare it: `PRIMARY KEY (column)`; if its rows are events, write `CREATE STREAM`",
                    );
                }
                if let Some(span) = options.several_partitions
                    && clauses.sequence_by.is_none()
                {
                    report.hinted::<()>(
                        "the versions of a row can come in several partitions, and nothing says which is newer at one time",
                        span,
                        "declare it: `SEQUENCE BY (version)`",
                    );
                }
            }
            // A primary key in a stream is a syntax error.
            ast::SourceKind::Stream => {}
        }
    }

    fn retain(&mut self, retain: &ast::Retain, report: &mut Report) {
        let gap = exact_positive(&retain.interval, "`RETAIN`", report);
        let mut key_columns = Vec::new();
        match &retain.keys {
            Some(list) => key_columns = self.key_columns(list, "a key", report),
            None => {
                report.hinted::<()>(
                    "`RETAIN` does not say whose events it keeps",
                    retain.span,
                    "name the columns of the key: `RETAIN INTERVAL '90' DAY FOR (customer)`",
                );
            }
        }
        let same = |other: &Retain| {
            !key_columns.is_empty()
                && other.key_columns.len() == key_columns.len()
                && other.key_columns.iter().all(|k| key_columns.contains(k))
        };
        if self.retain.iter().any(same) {
            report.hinted::<()>(
                "`RETAIN` is given twice for the same key",
                retain.span,
                "leave one of them out",
            );
            return;
        }
        if let Some(gap) = gap
            && !key_columns.is_empty()
        {
            self.retain.push(Retain { key_columns, gap });
        }
    }

    /// The slot of a column that a clause names.
    fn column(&self, name: &Ident, report: &mut Report) -> Option<usize> {
        if let Some(slot) = self.columns.iter().position(|c| c.name == name.value) {
            return Some(slot);
        }
        let names = self.columns.iter().map(|c| c.name.as_str());
        let other_case = names
            .clone()
            .find(|column| column.eq_ignore_ascii_case(&name.value));
        let hint = match other_case {
            Some(column) => Some(format!(
                "write `\"{column}\"`: a name with capital letters stands in double quotes"
            )),
            None => did_you_mean(&name.value, names),
        };
        report.push(with_hint(
            Diagnostic::error(
                format!("`{}` has no column `{name}`", self.create.name),
                name.span,
            ),
            hint,
        ))
    }

    fn column_list(&self, list: &ColumnList, report: &mut Report) -> Vec<usize> {
        let mut slots: Vec<usize> = Vec::new();
        let mut places: BTreeMap<usize, ast::Span> = BTreeMap::new();
        for name in &list.columns {
            let Some(slot) = self.column(name, report) else {
                continue;
            };
            if let Some(first) = places.get(&slot) {
                report.push::<()>(
                    Diagnostic::error(format!("column `{name}` is listed twice"), name.span)
                        .with_related(*first, "first listed here"),
                );
                continue;
            }
            places.insert(slot, name.span);
            slots.push(slot);
        }
        slots
    }

    fn key_columns(&self, list: &ColumnList, what: &str, report: &mut Report) -> Vec<usize> {
        let slots = self.column_list(list, report);
        for slot in &slots {
            let column = &self.columns[*slot];
            if !column.data_type.is_key()
                && let Some(name) = list.columns.iter().find(|n| n.value == column.name)
            {
                report.hinted::<()>(
                    format!(
                        "`{name}` cannot be (part of) {what}: it is {}",
                        column.data_type
                    ),
                    name.span,
                    key_hint(&column.data_type),
                );
            }
        }
        slots
    }

    fn finish(
        self,
        id: SourceId,
        sql: String,
        clauses: &SourceClauses,
        filter: Option<&ast::Expr>,
        options: Options,
        report: &mut Report,
    ) -> SourceDef {
        let scope = Scope::single(self.row_relation());
        let known_at = clauses.known_at.as_ref().and_then(|written| {
            let mut context = Plain::new(&scope, "`KNOWN AT`");
            expression::bind_as(written, &DataType::Timestamp, &mut context, report)
        });
        let filter = filter.and_then(|written| {
            let mut context = Plain::new(&scope, "`WHERE` of a source");
            expression::bind_condition(written, &mut context, report)
        });
        let mut checks = Vec::new();
        for constraint in &clauses.constraints {
            let mut context = Plain::new(&scope, "a check");
            if let Some(expr) = expression::bind_condition(&constraint.expr, &mut context, report) {
                checks.push(Check {
                    expr,
                    sql: constraint.expr.to_string(),
                });
            }
        }
        let stored = self.columns[..self.stored]
            .iter()
            .map(|c| Field::new(c.name.clone(), c.data_type.clone()))
            .collect();
        SourceDef {
            schema: Schema::first(stored),
            id,
            name: self.create.name.value.clone(),
            kind: match self.create.kind {
                ast::SourceKind::Stream => SourceKind::Stream,
                ast::SourceKind::Table => SourceKind::Table,
            },
            columns: self.columns,
            stored: self.stored,
            event_time: self.event_time,
            zone: self.zone,
            lateness: self.lateness,
            known_at,
            event_id: self.event_id,
            primary_key: self.primary_key,
            sequence_by: self.sequence_by,
            deduplicate_within: self.deduplicate_within,
            max_future: self.max_future,
            retain: self.retain,
            hot_retention: self.hot_retention,
            filter,
            checks,
            options: options.values,
            derived: None,
            metadata: metadata(&self.create.metadata, report),
            sql,
            digest: [0; 16],
        }
    }
}
