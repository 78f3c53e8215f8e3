//! Queries, windows and spines.

use std::fmt::{self, Write};

use super::expr::{self, order_by};
use super::{comma_separated, interval};
use crate::ast::{
    After, Bound, BoundKind, BoundOffset, ColumnList, ExcludeKind, FrameSpec, FrameUnit,
    FrameWindow, Join, JoinConstraint, JoinKind, Label, Query, Relation, RelationSource,
    SelectItem, SpineItem, SpineQuery, WindowSpec,
};

/// `line` is what goes between clauses: a line break, or inside of parentheses a space.
pub(super) fn print(f: &mut dyn Write, query: &Query, line: &str) -> fmt::Result {
    let indent = if line == "\n" { "\n  " } else { " " };
    f.write_str("SELECT")?;
    for (index, item) in query.select.iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        f.write_str(indent)?;
        select_item(f, item)?;
    }
    if let Some(from) = &query.from {
        write!(f, "{line}FROM ")?;
        relation(f, from)?;
    }
    for item in &query.joins {
        if item.kind == JoinKind::Comma {
            f.write_str(", ")?;
        } else {
            f.write_str(indent)?;
        }
        join(f, item)?;
    }
    if let Some(filter) = &query.filter {
        write!(f, "{line}WHERE ")?;
        expr::print(f, filter)?;
    }
    if let Some(group_by) = &query.group_by {
        write!(f, "{line}GROUP BY ")?;
        comma_separated(f, &group_by.exprs, expr::print)?;
    }
    for (index, window) in query.windows.iter().enumerate() {
        if index == 0 {
            write!(f, "{line}WINDOW{indent}")?;
        } else {
            write!(f, ",{indent}")?;
        }
        write!(f, "{} AS ", window.name)?;
        window_spec(f, &window.spec)?;
    }
    if let Some(condition) = &query.emit_when {
        write!(f, "{line}EMIT WHEN ")?;
        expr::print(f, condition)?;
    }
    if let Some(clause) = &query.after {
        f.write_str(line)?;
        after(f, clause, indent)?;
    }
    Ok(())
}

fn after(f: &mut dyn Write, clause: &After, indent: &str) -> fmt::Result {
    f.write_str("AFTER ")?;
    interval(f, &clause.length)?;
    for join in &clause.without {
        write!(f, "{indent}WITHOUT ")?;
        joined(f, join)?;
    }
    Ok(())
}

fn select_item(f: &mut dyn Write, item: &SelectItem) -> fmt::Result {
    match item {
        SelectItem::Wildcard(_) => f.write_str("*"),
        SelectItem::QualifiedWildcard { qualifier, .. } => write!(f, "{qualifier}.*"),
        SelectItem::Expr { expr: value, alias } => {
            expr::print(f, value)?;
            match alias {
                Some(alias) => write!(f, " AS {alias}"),
                None => Ok(()),
            }
        }
    }
}

fn relation(f: &mut dyn Write, relation: &Relation) -> fmt::Result {
    match &relation.source {
        RelationSource::Named { name, version } => {
            write!(f, "{name}")?;
            if let Some(version) = version {
                write!(f, "@{}", version.value)?;
            }
        }
        RelationSource::Subquery(query) => {
            f.write_str("(")?;
            print(f, query, " ")?;
            f.write_str(")")?;
        }
    }
    if let Some(alias) = &relation.alias {
        write!(f, " AS {alias}")?;
    }
    if let Some(filter) = &relation.filter {
        f.write_str(" WHERE (")?;
        expr::print(f, filter)?;
        f.write_str(")")?;
    }
    Ok(())
}

fn join(f: &mut dyn Write, join: &Join) -> fmt::Result {
    f.write_str(match join.kind {
        JoinKind::AsOf => "ASOF JOIN ",
        JoinKind::AsOfFull => "ASOF FULL JOIN ",
        JoinKind::Inner => "JOIN ",
        JoinKind::Left => "LEFT JOIN ",
        JoinKind::Right => "RIGHT JOIN ",
        JoinKind::Full => "FULL JOIN ",
        JoinKind::Cross => "CROSS JOIN ",
        JoinKind::Comma => "",
    })?;
    joined(f, join)
}

/// A join without its keywords.
fn joined(f: &mut dyn Write, join: &Join) -> fmt::Result {
    relation(f, &join.relation)?;
    if let Some(condition) = &join.match_condition {
        f.write_str(" MATCH_CONDITION (")?;
        expr::print(f, condition)?;
        f.write_str(")")?;
    }
    match &join.constraint {
        Some(JoinConstraint::On(condition)) => {
            f.write_str(" ON ")?;
            expr::print(f, condition)?;
        }
        Some(JoinConstraint::Using(columns)) => {
            f.write_str(" USING ")?;
            column_list(f, columns)?;
        }
        None => {}
    }
    let Some(wait) = &join.wait else {
        return Ok(());
    };
    f.write_str(" WAIT FOR WATERMARK")?;
    match &wait.timeout {
        Some(timeout) => {
            f.write_str(" TIMEOUT ")?;
            interval(f, timeout)
        }
        None => Ok(()),
    }
}

pub(super) fn column_list(f: &mut dyn Write, list: &ColumnList) -> fmt::Result {
    f.write_str("(")?;
    comma_separated(f, &list.columns, |f, column| write!(f, "{column}"))?;
    f.write_str(")")
}

pub(super) fn window_spec(f: &mut dyn Write, spec: &WindowSpec) -> fmt::Result {
    f.write_str("(")?;
    let mut separator = "";
    if let Some(base) = &spec.base {
        write!(f, "{base}")?;
        separator = " ";
    }
    if !spec.partition_by.is_empty() {
        write!(f, "{separator}PARTITION BY ")?;
        comma_separated(f, &spec.partition_by, expr::print)?;
        separator = " ";
    }
    if !spec.order_by.is_empty() {
        f.write_str(separator)?;
        order_by(f, &spec.order_by)?;
        separator = " ";
    }
    if let Some(frame) = &spec.frame {
        f.write_str(separator)?;
        frame_spec(f, frame)?;
    }
    f.write_str(")")
}

fn frame_spec(f: &mut dyn Write, frame: &FrameSpec) -> fmt::Result {
    let mut separator = "";
    match &frame.window {
        None => {}
        Some(FrameWindow::Session { gap }) => {
            f.write_str("SESSION GAP ")?;
            interval(f, gap)?;
            separator = " ";
        }
        Some(FrameWindow::Between { unit, start, end }) => {
            f.write_str(match unit {
                FrameUnit::Range => "RANGE",
                FrameUnit::Rows => "ROWS",
                FrameUnit::Groups => "GROUPS",
            })?;
            f.write_str(" BETWEEN ")?;
            bound(f, start)?;
            f.write_str(" AND ")?;
            bound(f, end)?;
            separator = " ";
        }
    }
    if let Some(exclude) = frame.exclude {
        f.write_str(separator)?;
        f.write_str(match exclude.kind {
            ExcludeKind::Group => "EXCLUDE GROUP",
            ExcludeKind::CurrentRow => "EXCLUDE CURRENT ROW",
            ExcludeKind::Ties => "EXCLUDE TIES",
            ExcludeKind::NoOthers => "EXCLUDE NO OTHERS",
        })?;
        separator = " ";
    }
    if let Some(hop) = &frame.hop {
        write!(f, "{separator}HOP ")?;
        interval(f, hop)?;
    }
    Ok(())
}

fn bound(f: &mut dyn Write, bound: &Bound) -> fmt::Result {
    match &bound.kind {
        BoundKind::UnboundedPreceding => f.write_str("UNBOUNDED PRECEDING"),
        BoundKind::UnboundedFollowing => f.write_str("UNBOUNDED FOLLOWING"),
        BoundKind::CurrentRow => f.write_str("CURRENT ROW"),
        BoundKind::Preceding(offset) => {
            bound_offset(f, offset)?;
            f.write_str(" PRECEDING")
        }
        BoundKind::Following(offset) => {
            bound_offset(f, offset)?;
            f.write_str(" FOLLOWING")
        }
        BoundKind::StartOf { unit, zone } => {
            write!(f, "START OF {unit}")?;
            match zone {
                Some(zone) => write!(f, " IN {zone}"),
                None => Ok(()),
            }
        }
    }
}

fn bound_offset(f: &mut dyn Write, offset: &BoundOffset) -> fmt::Result {
    match offset {
        BoundOffset::Interval(length) => interval(f, length),
        BoundOffset::Number(number) => write!(f, "{}", number.value),
    }
}

pub(super) fn spine(f: &mut dyn Write, query: &SpineQuery) -> fmt::Result {
    f.write_str("SELECT")?;
    for (index, item) in query.items.iter().enumerate() {
        f.write_str(if index > 0 { ",\n  " } else { "\n  " })?;
        match item {
            SpineItem::Column(item) => select_item(f, item)?,
            SpineItem::Label(item) => label(f, item)?,
        }
    }
    f.write_str("\nFROM ")?;
    relation(f, &query.from)?;
    if let Some(filter) = &query.filter {
        f.write_str("\nWHERE ")?;
        expr::print(f, filter)?;
    }
    Ok(())
}

pub(super) fn label(f: &mut dyn Write, label: &Label) -> fmt::Result {
    write!(f, "LABEL {} FROM {}", label.feature, label.view)?;
    if let Some(version) = label.version {
        write!(f, "@{}", version.value)?;
    }
    if let Some(keys) = &label.keys {
        f.write_str(" FOR ")?;
        column_list(f, keys)?;
    }
    f.write_str(" WITHIN ")?;
    interval(f, &label.within)?;
    match &label.alias {
        Some(alias) => write!(f, " AS {alias}"),
        None => Ok(()),
    }
}
