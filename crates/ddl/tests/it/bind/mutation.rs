//! Definitions that are mutated: whatever binds means what it says.

use std::collections::BTreeSet;

use evenkeel_ddl::ast::{Statement, StatementKind};

use evenkeel_types::definition::{
    LookupTarget, SourceDef, SourceWindows, Trigger, ViewBody, ViewDef, WindowRows,
};
use evenkeel_types::{DataType, Expr, ExprKind};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Every column that an expression reads is there, with the type that it says.
fn check(expr: &Expr, scope: &[DataType], what: &str) {
    expr.walk(&mut |e| {
        if let ExprKind::Column(slot) = e.kind {
            assert_eq!(scope.get(slot), Some(&e.data_type), "{what}: {expr:?}");
        }
    });
}

fn check_windows(windows: &SourceWindows, key: usize, name: &str) -> Vec<DataType> {
    let row = windows.source.row_types();
    assert_eq!(windows.key_columns.len(), key, "{name}");
    for slot in &windows.key_columns {
        assert!(row[*slot].is_key(), "{name}");
    }
    let changes = windows.source.change_types();
    for aggregate in &windows.aggregates {
        let call = &aggregate.call;
        for input in call.args.iter().chain(&call.filter) {
            match aggregate.rows {
                WindowRows::Changes => check(input, &changes, name),
                WindowRows::Events | WindowRows::Live => check(input, &row, name),
            }
            let mut is_timeless = true;
            input.walk(&mut |e| is_timeless &= e.kind != ExprKind::ReadTime);
            assert!(is_timeless, "{name}");
        }
    }
    if let Some(filter) = &windows.filter {
        check(filter, &row, name);
    }
    windows
        .aggregates
        .iter()
        .map(|a| a.call.data_type.clone())
        .collect()
}

fn types(view: &ViewDef) -> impl Iterator<Item = DataType> + '_ {
    view.features.iter().map(|f| f.data_type.clone())
}

/// A bound view can be evaluated: all slots are there with their types, as the layouts of
/// `definition.rs` say.
fn check_view(view: &ViewDef) {
    let name = view.name.as_str();
    let key: Vec<DataType> = view.key.iter().map(|k| k.data_type.clone()).collect();
    let names: BTreeSet<&str> = view.features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names.len(), view.features.len(), "{name}");
    assert!(!view.features.is_empty() && view.version > 0);
    let check_key = |source: &SourceDef, slots: &[usize]| {
        let found: Vec<DataType> = slots
            .iter()
            .map(|s| source.row_types()[*s].clone())
            .collect();
        assert_eq!(found, key, "{name}");
    };
    let (scope, columns) = match &view.body {
        ViewBody::Window(body) => {
            check_key(&body.windows.source, &body.windows.key_columns);
            let results = check_windows(&body.windows, key.len(), name);
            assert!(!results.is_empty());
            ([key.clone(), results].concat(), &body.columns)
        }
        ViewBody::Row(body) => {
            let mut scope: Vec<DataType> = Vec::new();
            let sides = match &body.trigger {
                Trigger::Source(side) => vec![side],
                Trigger::Full { left, right } => vec![left, right],
            };
            for side in sides {
                let row = side.source.row_types();
                check_key(&side.source, &side.key_columns);
                if let Some(filter) = &side.filter {
                    check(filter, &row, name);
                }
                scope.extend(row);
            }
            assert_eq!(scope.len(), body.trigger_width());
            for group in &body.windows {
                scope.extend(check_windows(group, group.key_columns.len(), name));
            }
            for lookup in &body.lookups {
                for key in &lookup.keys {
                    check(key, &scope, name);
                }
                let wanted: Vec<DataType> = match &lookup.target {
                    LookupTarget::Source {
                        source,
                        key_columns,
                    } => key_columns
                        .iter()
                        .map(|k| source.row_types()[*k].clone())
                        .collect(),
                    LookupTarget::View(view) => {
                        check_view(view);
                        view.key.iter().map(|k| k.data_type.clone()).collect()
                    }
                };
                let found: Vec<DataType> =
                    lookup.keys.iter().map(|k| k.data_type.clone()).collect();
                assert_eq!(found, wanted, "{name}");
                let own: Vec<DataType> = match &lookup.target {
                    LookupTarget::Source { source, .. } => source.row_types(),
                    LookupTarget::View(view) => types(view).collect(),
                };
                assert_eq!(own.len(), lookup.target.width());
                if let Some(filter) = &lookup.filter {
                    check(filter, &own, name);
                }
                scope.extend(own);
            }
            if let Some(filter) = &body.filter {
                check(filter, &scope, name);
            }
            (scope, &body.columns)
        }
        ViewBody::Composed(body) => {
            let mut scope = key.clone();
            scope.extend(body.request.iter().map(|f| f.data_type.clone()));
            for input in &body.inputs {
                check_view(input);
                assert!(!matches!(&input.body, ViewBody::Composed(c) if !c.request.is_empty()));
                assert!(input.entity.is_none() || input.entity == view.entity);
                scope.extend(types(input));
            }
            (scope, &body.columns)
        }
    };
    assert_eq!(columns.len(), view.features.len());
    let own: Vec<DataType> = types(view).collect();
    for (column, feature) in columns.iter().zip(&view.features) {
        assert_eq!(column.data_type, feature.data_type);
        assert!(column.data_type.is_storable(), "{name}");
        check(column, &scope, name);
        if let Some(expect) = &feature.expect {
            check(&expect.expr, &own, name);
        }
    }
}

fn check_source(source: &SourceDef) {
    let row = source.row_types();
    for (i, column) in source.columns.iter().enumerate() {
        assert_eq!(i < source.stored, column.computed.is_none());
        if let Some(computed) = &column.computed {
            check(computed, &row[..i], &source.name);
            assert_eq!(computed.data_type, column.data_type);
        }
    }
    assert_eq!(row[source.event_time], DataType::Timestamp);
    for expr in source
        .known_at
        .iter()
        .chain(&source.filter)
        .chain(source.checks.iter().map(|c| &c.expr))
    {
        check(expr, &row[..=source.event_time_slot()], &source.name);
    }
}

fn check_project(project: &Project) {
    for object in &project.objects {
        match &object.definition {
            Definition::Entity(entity) => assert!(!entity.keys.is_empty()),
            Definition::Source(source) => check_source(source),
            Definition::View(view) => check_view(view),
            Definition::Service(service) => {
                for item in &service.items {
                    assert_eq!(item.key.len(), item.view.key.len());
                    assert!(
                        item.features
                            .iter()
                            .all(|(i, _)| *i < item.view.features.len())
                    );
                }
            }
            Definition::Segment(segment) => {
                assert_eq!(segment.fields.len(), segment.columns.len());
                let features = segment.inputs.iter().map(|view| view.features.len());
                let width = segment.key.len() + features.sum::<usize>();
                for expr in segment.columns.iter().chain(&segment.filter) {
                    assert!(expr.columns().iter().all(|slot| *slot < width));
                }
            }
            Definition::Model(model) => {
                assert_eq!(model.digest, model.function.signature().digest)
            }
            Definition::Function(def) => assert!(!def.spec.parameters.is_empty()),
            Definition::Dataset(dataset) => {
                assert!(!dataset.formats.is_empty());
                assert!(!dataset.split.parts().is_empty());
            }
        }
    }
}

#[test]
fn bound_definitions_have_their_layout() {
    let mut count = 0;
    for path in case_files() {
        let (shared, cases) = read(&path);
        for case in &cases {
            if case.title.starts_with("spine") || case.title.starts_with("list") {
                continue;
            }
            let bound = project(&shared, &case.text);
            check_project(&bound);
            count += bound.objects.len();
        }
    }
    assert!(count > 500, "{count}");
}

/// The words and signs of a text.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_word = false;
    for c in text.chars() {
        let continues = c.is_alphanumeric() || c == '_' || c == '\'';
        match tokens.last_mut() {
            Some(last) if is_word && continues => last.push(c),
            _ => tokens.push(c.to_string()),
        }
        is_word = continues;
    }
    tokens
}

fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for path in case_files() {
        let (shared, cases) = read(&path);
        for case in cases {
            if !case.title.starts_with("spine") && !case.title.starts_with("list") {
                texts.push((shared.clone(), case.text));
            }
        }
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_mutation_makes_the_binder_panic(
        which in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), 0..4), 1..4),
    ) {
        let texts = texts();
        let (shared, text) = which.get(&texts);
        let mut tokens = tokens(text);
        for (at, other, kind) in changes {
            let (at, other) = (at.index(tokens.len()), other.index(tokens.len()));
            match kind {
                0 if tokens.len() > 1 => {
                    tokens.remove(at);
                }
                1 => tokens.swap(at, other),
                2 => tokens[at] = tokens[other].clone(),
                _ => tokens.insert(at, tokens[other].clone()),
            }
        }
        let text = tokens.concat();
        let bound = project(shared, &text);
        check_project(&bound);
        // Whatever is not bound has an error; an `ALTER` is bound with its `CREATE`.
        let statements = [parse_statements(shared).0, parse_statements(&text).0].concat();
        let is_alter = |s: &&Statement| matches!(s.kind, StatementKind::Alter(_));
        let count = statements.len() - statements.iter().filter(is_alter).count();
        // A view that is emitted is several objects.
        let of = bound.objects.iter().map(|object| (object.file, object.statement));
        let of: BTreeSet<(usize, usize)> = of.collect();
        prop_assert!(
            !bound.errors.is_empty() || of.len() == count,
            "{}", text
        );
        for found in bound.errors.iter().chain(&bound.warnings) {
            let text = if found.file == 0 { shared } else { &text };
            let span = found.diagnostic.span;
            prop_assert!(text.get(span.start..span.end).is_some());
        }
        // The same text in place of what was defined, and has events.
        let before = project(shared, "");
        let files = [("case.sql", text.as_str())];
        check_project(&bind_project(&files, &with_models(&before.catalog), &|_| true, &mut columns_of));
    }
}
