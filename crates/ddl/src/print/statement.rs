//! Statements.

use std::fmt::{self, Write};

use super::query::column_list;
use super::{
    batch, comma_separated, data_type, dataset, expr, function, interval, model, query, quoted,
};
use crate::ast::{
    Alter, ColumnChange, ColumnDef, ConstraintKind, CreateEntity, CreateFeatureService,
    CreateFeatureView, CreateOnDemandView, CreateSegment, CreateSource, Drop, EntityRef, Expr,
    FeatureDef, FeatureSelection, Metadata, ObjectKind, OnLate, OnLateKind, OptionValue, Planned,
    PlannedKind, RequestColumn, SourceBody, SourceClauses, SourceKind, Statement, StatementKind,
    StringLit, WithOption,
};
use crate::keyword::is_plain_identifier;

pub(super) fn print(f: &mut dyn Write, statement: &Statement) -> fmt::Result {
    match &statement.kind {
        StatementKind::CreateEntity(entity) => create_entity(f, entity),
        StatementKind::CreateSource(source) => create_source(f, source),
        StatementKind::CreateFeatureView(view) => feature_view(f, view),
        StatementKind::CreateOnDemandView(view) => on_demand_view(f, view),
        StatementKind::CreateFeatureService(service) => feature_service(f, service),
        StatementKind::CreateTrainingDataset(create) => {
            dataset::print(f, create)?;
            metadata_after(f, &create.metadata, "\n")
        }
        StatementKind::CreateSegment(create) => segment(f, create),
        StatementKind::CreateModel(create) => model::print(f, create),
        StatementKind::CreateBatchView(view) => {
            batch::head(f, view)?;
            metadata(f, &view.metadata)?;
            batch::query(f, view)
        }
        StatementKind::CreatePushedView(view) => {
            write!(f, "CREATE PUSHED FEATURE VIEW {}", view.name)?;
            batch::features_of(f, &view.features, &view.entity)?;
            metadata(f, &view.metadata)
        }
        StatementKind::CreateFunction(create) => {
            function::head(f, create)?;
            metadata(f, &create.metadata)?;
            function::place(f, create)
        }
        StatementKind::Drop(drop) => drop_object(f, drop),
        StatementKind::Alter(change) => alter(f, change),
        StatementKind::Planned(statement) => planned(f, statement),
    }
}

/// ` COMMENT 'x' OWNER 'x' TAGS (...)`
pub(super) fn metadata(f: &mut dyn Write, metadata: &Metadata) -> fmt::Result {
    metadata_after(f, metadata, " ")
}

/// The same with something else before its first clause.
fn metadata_after(f: &mut dyn Write, metadata: &Metadata, first: &str) -> fmt::Result {
    let mut separator = first;
    if let Some(text) = &metadata.comment {
        write!(f, "{separator}COMMENT {text}")?;
        separator = " ";
    }
    if let Some(owner) = &metadata.owner {
        write!(f, "{separator}OWNER {owner}")?;
        separator = " ";
    }
    if !metadata.tags.is_empty() {
        write!(f, "{separator}TAGS (")?;
        comma_separated(f, &metadata.tags, |f, tag| {
            write!(f, "{} = {}", tag.key, tag.value)
        })?;
        f.write_str(")")?;
    }
    Ok(())
}

fn comment(f: &mut dyn Write, comment: Option<&StringLit>) -> fmt::Result {
    match comment {
        Some(text) => write!(f, " COMMENT {text}"),
        None => Ok(()),
    }
}

fn create_entity(f: &mut dyn Write, entity: &CreateEntity) -> fmt::Result {
    write!(f, "CREATE ENTITY {} ", entity.name)?;
    request_columns(f, &entity.keys)?;
    metadata(f, &entity.metadata)
}

fn request_columns(f: &mut dyn Write, columns: &[RequestColumn]) -> fmt::Result {
    f.write_str("(")?;
    comma_separated(f, columns, |f, column| {
        write!(f, "{} ", column.name)?;
        data_type(f, &column.data_type.data_type)?;
        comment(f, column.comment.as_ref())
    })?;
    f.write_str(")")
}

fn create_source(f: &mut dyn Write, source: &CreateSource) -> fmt::Result {
    let kind = match source.kind {
        SourceKind::Stream => "STREAM",
        SourceKind::Table => "TABLE",
    };
    write!(f, "CREATE {kind} {}", source.name)?;
    match &source.body {
        SourceBody::Declared {
            columns,
            clauses,
            options,
            filter,
        } => {
            source_items(f, columns, clauses)?;
            with_options(f, options)?;
            source_filter(f, filter.as_ref())?;
            metadata_after(f, &source.metadata, "\n")
        }
        SourceBody::FromFile {
            columns,
            clauses,
            path,
            options,
            filter,
        } => {
            if !columns.is_empty() || **clauses != SourceClauses::default() {
                source_items(f, columns, clauses)?;
            }
            write!(f, " FROM FILE {path}")?;
            with_options(f, options)?;
            source_filter(f, filter.as_ref())?;
            metadata_after(f, &source.metadata, "\n")
        }
        SourceBody::Query {
            query: inner,
            on_late: late,
        } => {
            metadata(f, &source.metadata)?;
            f.write_str(" AS\n")?;
            query::print(f, inner, "\n")?;
            on_late(f, late.as_ref(), "\n")
        }
    }
}

/// ` (columns and clauses)`
fn source_items(f: &mut dyn Write, columns: &[ColumnDef], clauses: &SourceClauses) -> fmt::Result {
    f.write_str(" (")?;
    let mut separator = "\n  ";
    for item in columns {
        f.write_str(separator)?;
        column(f, item)?;
        separator = ",\n  ";
    }
    source_clauses(f, clauses, separator)?;
    f.write_str("\n)")
}

fn source_filter(f: &mut dyn Write, filter: Option<&Expr>) -> fmt::Result {
    match filter {
        Some(filter) => {
            f.write_str("\nWHERE ")?;
            expr::print(f, filter)
        }
        None => Ok(()),
    }
}

fn column(f: &mut dyn Write, column: &ColumnDef) -> fmt::Result {
    write!(f, "{} ", column.name)?;
    data_type(f, &column.data_type.data_type)?;
    if column.not_null.is_some() {
        f.write_str(" NOT NULL")?;
    }
    if let Some(computed) = &column.computed {
        f.write_str(" AS (")?;
        expr::print(f, computed)?;
        f.write_str(")")?;
    }
    comment(f, column.comment.as_ref())
}

/// The clauses of a source, each after a separator; `first` is the one of the first.
fn source_clauses(f: &mut dyn Write, clauses: &SourceClauses, first: &str) -> fmt::Result {
    let mut next = first;
    let mut separate = |f: &mut dyn Write| {
        let separator = std::mem::replace(&mut next, ",\n  ");
        f.write_str(separator)
    };
    for (words, list) in [
        ("PRIMARY KEY ", &clauses.primary_key),
        ("EVENT ID ", &clauses.event_id),
    ] {
        if let Some(list) = list {
            separate(f)?;
            f.write_str(words)?;
            column_list(f, list)?;
        }
    }
    if let Some(time) = &clauses.event_time {
        separate(f)?;
        write!(f, "EVENT TIME {}", time.column)?;
        if let Some(zone) = &time.zone {
            write!(f, " IN {zone}")?;
        }
        if let Some(lateness) = &time.lateness {
            f.write_str(" LATENESS ")?;
            interval(f, lateness)?;
        }
    }
    if let Some(known_at) = &clauses.known_at {
        separate(f)?;
        f.write_str("KNOWN AT ")?;
        expr::print(f, known_at)?;
    }
    if let Some(list) = &clauses.sequence_by {
        separate(f)?;
        f.write_str("SEQUENCE BY ")?;
        column_list(f, list)?;
    }
    for (words, length) in [
        ("DEDUPLICATE WITHIN ", &clauses.deduplicate_within),
        ("MAX FUTURE ", &clauses.max_future),
        ("HOT RETENTION ", &clauses.hot_retention),
    ] {
        if let Some(length) = length {
            separate(f)?;
            f.write_str(words)?;
            interval(f, length)?;
        }
    }
    for retain in &clauses.retain {
        separate(f)?;
        f.write_str("RETAIN ")?;
        interval(f, &retain.interval)?;
        if let Some(keys) = &retain.keys {
            f.write_str(" FOR ")?;
            column_list(f, keys)?;
        }
    }
    for constraint in &clauses.constraints {
        separate(f)?;
        f.write_str(match constraint.kind {
            ConstraintKind::Check => "CHECK (",
            ConstraintKind::Expect => "EXPECT (",
        })?;
        expr::print(f, &constraint.expr)?;
        f.write_str(")")?;
    }
    Ok(())
}

fn with_options(f: &mut dyn Write, options: &[WithOption]) -> fmt::Result {
    if options.is_empty() {
        return Ok(());
    }
    f.write_str("\nWITH (")?;
    comma_separated(f, options, |f, option| {
        let key = &option.key.value;
        if key.split('.').all(is_plain_identifier) {
            f.write_str(key)?;
        } else {
            quoted(f, key)?;
        }
        f.write_str(" = ")?;
        match &option.value {
            OptionValue::Secret(name) => write!(f, "SECRET {name}"),
            OptionValue::Literal { value, .. } => expr::literal(f, value),
        }
    })?;
    f.write_str(")")
}

fn on_late(f: &mut dyn Write, clause: Option<&OnLate>, separator: &str) -> fmt::Result {
    match clause.map(|clause| clause.kind) {
        None => Ok(()),
        Some(OnLateKind::Keep) => write!(f, "{separator}ON LATE KEEP"),
        Some(OnLateKind::Revise) => write!(f, "{separator}ON LATE REVISE"),
    }
}

fn feature_list(f: &mut dyn Write, features: &[FeatureDef]) -> fmt::Result {
    if features.is_empty() {
        return Ok(());
    }
    f.write_str(" (")?;
    for (index, feature) in features.iter().enumerate() {
        f.write_str(if index > 0 { ",\n  " } else { "\n  " })?;
        write!(f, "{}", feature.name)?;
        if let Some(default) = &feature.default {
            f.write_str(" DEFAULT ")?;
            expr::print(f, default)?;
        }
        if let Some(expect) = &feature.expect {
            f.write_str(" EXPECT (")?;
            expr::print(f, expect)?;
            f.write_str(")")?;
        }
        metadata(f, &feature.metadata)?;
    }
    f.write_str("\n)")
}

fn entity_ref(f: &mut dyn Write, entity: &EntityRef) -> fmt::Result {
    write!(f, " ENTITY {}", entity.name)?;
    match &entity.columns {
        Some(columns) => {
            f.write_str(" ")?;
            column_list(f, columns)
        }
        None => Ok(()),
    }
}

fn feature_view(f: &mut dyn Write, view: &CreateFeatureView) -> fmt::Result {
    f.write_str("CREATE FEATURE VIEW")?;
    if let Some(name) = &view.name {
        write!(f, " {name}")?;
    }
    feature_list(f, &view.features)?;
    entity_ref(f, &view.entity)?;
    if let Some(ttl) = &view.ttl {
        f.write_str(" TTL ")?;
        interval(f, ttl)?;
    }
    if view.materialized.is_some() {
        f.write_str(" MATERIALIZED")?;
    }
    if let Some(topic) = &view.emit_to {
        write!(f, " EMIT TO {topic}")?;
    }
    on_late(f, view.on_late.as_ref(), " ")?;
    metadata(f, &view.metadata)?;
    f.write_str(" AS\n")?;
    query::print(f, &view.query, "\n")
}

fn on_demand_view(f: &mut dyn Write, view: &CreateOnDemandView) -> fmt::Result {
    write!(f, "CREATE ON DEMAND FEATURE VIEW {}", view.name)?;
    feature_list(f, &view.features)?;
    if let Some(entity) = &view.entity {
        entity_ref(f, entity)?;
    }
    if !view.request.is_empty() {
        f.write_str(" REQUEST ")?;
        request_columns(f, &view.request)?;
    }
    metadata(f, &view.metadata)?;
    f.write_str(" AS\n")?;
    query::print(f, &view.query, "\n")
}

fn segment(f: &mut dyn Write, segment: &CreateSegment) -> fmt::Result {
    write!(f, "CREATE SEGMENT {}", segment.name)?;
    metadata(f, &segment.metadata)?;
    f.write_str(" AS\n")?;
    query::print(f, &segment.query, "\n")
}

fn feature_service(f: &mut dyn Write, service: &CreateFeatureService) -> fmt::Result {
    write!(f, "CREATE FEATURE SERVICE {}", service.name)?;
    if let Some(version) = service.version {
        write!(f, " VERSION {}", version.value)?;
    }
    metadata(f, &service.metadata)?;
    f.write_str(" AS")?;
    for (index, item) in service.items.iter().enumerate() {
        f.write_str(if index > 0 { ",\n  " } else { "\n  " })?;
        write!(f, "{}", item.view)?;
        if let Some(version) = item.version {
            write!(f, "@{}", version.value)?;
        }
        f.write_str(" (")?;
        match &item.features {
            FeatureSelection::All(_) => f.write_str("*")?,
            FeatureSelection::List(features) => comma_separated(f, features, |f, feature| {
                write!(f, "{}", feature.name)?;
                match &feature.alias {
                    Some(alias) => write!(f, " AS {alias}"),
                    None => Ok(()),
                }
            })?,
        }
        f.write_str(")")?;
        if let Some(keys) = &item.keys {
            f.write_str(" FOR ")?;
            column_list(f, keys)?;
        }
        if let Some(prefix) = &item.prefix {
            write!(f, " AS {prefix}")?;
        }
    }
    Ok(())
}

impl fmt::Display for ObjectKind {
    /// As it is written in `DROP`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ObjectKind::Entity => "ENTITY",
            ObjectKind::Stream => "STREAM",
            ObjectKind::Table => "TABLE",
            ObjectKind::FeatureView => "FEATURE VIEW",
            ObjectKind::FeatureService => "FEATURE SERVICE",
        })
    }
}

impl fmt::Display for PlannedKind {
    /// As it is written after `CREATE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlannedKind::Secret => "SECRET",
        })
    }
}

fn drop_object(f: &mut dyn Write, drop: &Drop) -> fmt::Result {
    let if_exists = if drop.if_exists { "IF EXISTS " } else { "" };
    write!(f, "DROP {} {if_exists}{}", drop.kind, drop.name)
}

fn alter(f: &mut dyn Write, change: &Alter) -> fmt::Result {
    write!(f, "ALTER {} {} ", change.kind, change.name)?;
    comma_separated(f, &change.changes, |f, change| match change {
        ColumnChange::Add(added) => {
            f.write_str("ADD COLUMN ")?;
            column(f, added)
        }
        ColumnChange::Type {
            column, data_type, ..
        } => write!(f, "ALTER COLUMN {column} TYPE {data_type}"),
    })
}

fn planned(f: &mut dyn Write, statement: &Planned) -> fmt::Result {
    write!(f, "CREATE {}", statement.kind)?;
    if let Some(name) = &statement.name {
        write!(f, " {name}")?;
    }
    if !statement.rest.is_empty() {
        write!(f, " {}", statement.rest)?;
    }
    Ok(())
}
