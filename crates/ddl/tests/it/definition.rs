//! Definitions as compact text, for the expected files.

use std::fmt::Write;

use evenkeel_types::definition::{
    DatasetDef, Definition, LookupTarget, OptionValue, SegmentDef, ServiceDef, SourceDef,
    SourceWindows, SpineQuery, Trigger, TriggerSide, ViewBody, ViewDef, WindowRows,
};
use evenkeel_types::{Expr, ExprKind, Field};

pub(crate) fn definition(definition: &Definition) -> String {
    match definition {
        Definition::Entity(entity) => {
            format!("entity {} {}\n", entity.name, fields(&entity.keys))
        }
        Definition::Source(def) => source(def),
        Definition::View(def) => view(def),
        Definition::Service(def) => service(def),
        Definition::Dataset(def) => dataset(def),
        Definition::Segment(def) => segment(def),
        Definition::Model(def) => format!("model {}@{}\n  = {}\n", def.name, def.version, def.sql),
        Definition::Function(def) => {
            let (name, version) = (&def.spec.name, def.version);
            let (parameters, result) = (fields(&def.spec.parameters), &def.spec.result);
            format!("function {name}@{version} {parameters} -> {result}\n")
        }
    }
}

fn segment(def: &SegmentDef) -> String {
    let mut out = format!("segment {}@{} of {}", def.name, def.version, def.entity);
    writeln!(out, " {}", fields(&def.key)).unwrap();
    for view in &def.inputs {
        writeln!(out, "  reads {}@{}", view.name, view.version).unwrap();
    }
    for (field, column) in def.fields.iter().zip(&def.columns) {
        let (name, data_type) = (&field.name, &field.data_type);
        writeln!(out, "  {name} {data_type} := {}", expr(column)).unwrap();
    }
    if let Some(filter) = &def.filter {
        writeln!(out, "  where {}", expr(filter)).unwrap();
    }
    out
}

fn fields(fields: &[Field]) -> String {
    let parts: Vec<String> = fields
        .iter()
        .map(|f| format!("{} {}", f.name, f.data_type))
        .collect();
    format!("({})", parts.join(", "))
}

fn source(def: &SourceDef) -> String {
    let mut out = format!("{:?} {} #{}\n", def.kind, def.name, def.id.0);
    for (i, column) in def.columns.iter().enumerate() {
        write!(out, "  ${i} {} {}", column.name, column.data_type).unwrap();
        if column.required {
            out.push_str(" NOT NULL");
        }
        if let Some(computed) = &column.computed {
            write!(out, " := {}", expr(computed)).unwrap();
        }
        out.push('\n');
    }
    write!(out, "  event time ${} in {}", def.event_time, def.zone).unwrap();
    writeln!(
        out,
        ", lateness {}, max future {}",
        def.lateness,
        evenkeel_types::Interval::from_micros(def.max_future)
    )
    .unwrap();
    if let Some(micros) = def.hot_retention {
        let length = evenkeel_types::Interval::from_micros(micros);
        writeln!(out, "  hot retention {length}").unwrap();
    }
    for (what, slots) in [
        ("event id", &def.event_id),
        ("primary key", &def.primary_key),
        ("sequence by", &def.sequence_by),
    ] {
        if !slots.is_empty() {
            writeln!(out, "  {what} {slots:?}").unwrap();
        }
    }
    if let Some(known_at) = &def.known_at {
        writeln!(out, "  known at {}", expr(known_at)).unwrap();
    }
    if let Some(within) = def.deduplicate_within {
        writeln!(out, "  deduplicate within {within} us").unwrap();
    }
    for retain in &def.retain {
        writeln!(out, "  retain {:?} {} us", retain.key_columns, retain.gap).unwrap();
    }
    if let Some(filter) = &def.filter {
        writeln!(out, "  where {}", expr(filter)).unwrap();
    }
    for check in &def.checks {
        writeln!(out, "  check {} `{}`", expr(&check.expr), check.sql).unwrap();
    }
    for (key, value) in &def.options {
        match value {
            OptionValue::Text(text) => writeln!(out, "  {key} = {text:?}").unwrap(),
            OptionValue::Secret(name) => writeln!(out, "  {key} = secret {name:?}").unwrap(),
        }
    }
    out
}

fn view(def: &ViewDef) -> String {
    let entity = def.entity.as_deref().unwrap_or("nothing");
    let mut out = format!(
        "view {}@{} of {entity} {}\n",
        def.name,
        def.version,
        fields(&def.key)
    );
    let columns = match &def.body {
        ViewBody::Window(body) => {
            out.push_str(&windows("windows", &body.windows));
            &body.columns
        }
        ViewBody::Row(body) => {
            match &body.trigger {
                Trigger::Source(trigger) => out.push_str(&side("rows of", trigger)),
                Trigger::Full { left, right } => {
                    out.push_str(&side("left", left));
                    out.push_str(&side("right", right));
                }
            }
            for group in &body.windows {
                out.push_str(&windows("windows", group));
            }
            for lookup in &body.lookups {
                let (name, width) = match &lookup.target {
                    LookupTarget::Source {
                        source,
                        key_columns,
                    } => (
                        format!("{} {key_columns:?}", source.name),
                        source.row_width(),
                    ),
                    LookupTarget::View(view) => (
                        format!("{}@{}", view.name, view.version),
                        view.features.len(),
                    ),
                };
                let keys: Vec<String> = lookup.keys.iter().map(expr).collect();
                write!(
                    out,
                    "  look up {} in {name} ({width} slots) by ({})",
                    lookup.alias,
                    keys.join(", ")
                )
                .unwrap();
                out.push_str(if lookup.strict { ", before" } else { ", up to" });
                if let Some(age) = &lookup.max_age {
                    let bracket = if age.inclusive { "<=" } else { "<" };
                    write!(out, ", age {bracket} {}", age.age).unwrap();
                }
                if let Some(filter) = &lookup.filter {
                    write!(out, ", where {}", expr(filter)).unwrap();
                }
                out.push('\n');
            }
            if let Some(filter) = &body.filter {
                writeln!(out, "  where {}", expr(filter)).unwrap();
            }
            if let Some(ttl) = &body.ttl {
                writeln!(out, "  ttl {ttl}").unwrap();
            }
            &body.columns
        }
        ViewBody::Composed(body) => {
            writeln!(out, "  request {}", fields(&body.request)).unwrap();
            for input in &body.inputs {
                writeln!(
                    out,
                    "  reads {}@{} ({} slots)",
                    input.name,
                    input.version,
                    input.features.len()
                )
                .unwrap();
            }
            &body.columns
        }
    };
    assert_eq!(columns.len(), def.features.len());
    for (feature, column) in def.features.iter().zip(columns) {
        assert_eq!(feature.data_type, column.data_type);
        write!(
            out,
            "  {} {} := {}",
            feature.name,
            feature.data_type,
            expr(column)
        )
        .unwrap();
        if let Some(default) = &feature.default {
            write!(out, ", default {default:?}").unwrap();
        }
        if let Some(expect) = &feature.expect {
            write!(out, ", expect {} `{}`", expr(&expect.expr), expect.sql).unwrap();
        }
        if feature.metadata != evenkeel_types::definition::Metadata::default() {
            write!(out, ", {:?}", feature.metadata).unwrap();
        }
        out.push('\n');
    }
    out
}

fn side(what: &str, side: &TriggerSide) -> String {
    let mut out = format!(
        "  {what} {} ({} slots) by {:?}",
        side.source.name,
        side.source.row_width(),
        side.key_columns
    );
    if let Some(filter) = &side.filter {
        write!(out, ", where {}", expr(filter)).unwrap();
    }
    out.push('\n');
    out
}

fn windows(what: &str, windows: &SourceWindows) -> String {
    let mut out = format!(
        "  {what} over {} by {:?}",
        windows.source.name, windows.key_columns
    );
    if let Some(filter) = &windows.filter {
        write!(out, ", where {}", expr(filter)).unwrap();
    }
    out.push('\n');
    for aggregate in &windows.aggregates {
        let call = &aggregate.call;
        let args: Vec<String> = call.args.iter().map(expr).collect();
        write!(out, "    {:?}({})", call.function, args.join(", ")).unwrap();
        if call.ignore_nulls {
            out.push_str(" ignore nulls");
        }
        if let Some(filter) = &call.filter {
            write!(out, " filter {}", expr(filter)).unwrap();
        }
        let rows = match aggregate.rows {
            WindowRows::Events => aggregate.frame.to_string(),
            WindowRows::Live => "of live rows".to_owned(),
            WindowRows::Changes => format!("of changes {}", aggregate.frame),
        };
        writeln!(out, " {rows} -> {}", call.data_type).unwrap();
    }
    out
}

pub(crate) fn service(def: &ServiceDef) -> String {
    let mut out = format!(
        "service {}@{} needs {}\n",
        def.name,
        def.version,
        fields(&def.inputs)
    );
    for item in &def.items {
        let features: Vec<String> = item
            .features
            .iter()
            .map(|(i, name)| format!("{} as {name}", item.view.features[*i].name))
            .collect();
        writeln!(
            out,
            "  {}@{} by ({}): {}",
            item.view.name,
            item.view.version,
            item.key.join(", "),
            features.join(", ")
        )
        .unwrap();
    }
    out
}

fn dataset(def: &DatasetDef) -> String {
    let mut out = format!(
        "dataset {}@{} of {}@{:?}{}\n  {:?}\n",
        def.name,
        def.version,
        def.service,
        def.service_version,
        if def.as_served { ", as served" } else { "" },
        def.spine
    );
    for label in &def.labels {
        writeln!(out, "  {label:?}").unwrap();
    }
    for transform in &def.transforms {
        writeln!(out, "  {transform:?}").unwrap();
    }
    writeln!(out, "  {:?} as {:?}", def.split, def.formats).unwrap();
    out
}

pub(crate) fn spine(spine: &SpineQuery) -> String {
    let mut out = format!("spine of {}\n", spine.source.name);
    if let Some(filter) = &spine.filter {
        writeln!(out, "  where {}", expr(filter)).unwrap();
    }
    for (field, column) in &spine.columns {
        writeln!(
            out,
            "  {} {} := {}",
            field.name,
            field.data_type,
            expr(column)
        )
        .unwrap();
    }
    for label in &spine.labels {
        let key: Vec<String> = label.key.iter().map(expr).collect();
        writeln!(
            out,
            "  label {} := {}@{}.{} by ({}) within {}",
            label.name,
            label.view.name,
            label.view.version,
            label.view.features[label.feature].name,
            key.join(", "),
            label.within
        )
        .unwrap();
    }
    out
}

fn expr(of: &Expr) -> String {
    let all = |args: &[Expr]| args.iter().map(expr).collect::<Vec<_>>().join(", ");
    match &of.kind {
        ExprKind::Column(slot) => format!("${slot}"),
        ExprKind::Literal(value) => format!("{value:?}"),
        ExprKind::ReadTime => "read_time()".to_owned(),
        ExprKind::Call { function, args } => format!("{function}({})", all(args)),
        ExprKind::External { function, args } => {
            format!("{}!({})", function.signature().name, all(args))
        }
        ExprKind::Cast(inner) => format!("cast({} as {})", expr(inner), of.data_type),
        ExprKind::And(args) => format!("and({})", all(args)),
        ExprKind::Or(args) => format!("or({})", all(args)),
        ExprKind::Coalesce(args) => format!("coalesce({})", all(args)),
        ExprKind::Case {
            branches,
            otherwise,
        } => {
            let mut out = String::from("case(");
            for (condition, result) in branches {
                write!(out, "{} -> {}, ", expr(condition), expr(result)).unwrap();
            }
            match otherwise {
                Some(otherwise) => write!(out, "else {})", expr(otherwise)).unwrap(),
                None => out.push_str("else null)"),
            }
            out
        }
    }
}
