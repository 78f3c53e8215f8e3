//! Which columns of which source hold the key of an entity.
//!
//! A source does not say what its columns are about; its views do, the names of an entity's key, and
//! what is looked up by what. Invariant: a column by which any view that was ever registered finds the
//! entity is among them; what is left to guess is said to who asks ([`namesakes`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_types::definition::{
    Catalog, EntityDef, LookupTarget, RowBody, SourceDef, Trigger, ViewBody, ViewDef,
};
use evenkeel_types::{Expr, ExprKind, SourceId};

use super::error::ForgetError;

/// Per source the columns that hold a key, in the order of its parts: one list per role.
pub(super) type Roles = BTreeMap<SourceId, BTreeSet<Vec<usize>>>;

/// The roles of an entity; `also` are columns that its owner knows of, as `source.column,column`.
pub(super) fn roles_of(
    catalog: &Catalog,
    entity: &EntityDef,
    also: &[String],
) -> Result<Roles, ForgetError> {
    let mut roles = Roles::new();
    for source in catalog.sources.values() {
        let slots = entity.keys.iter().map(|key| {
            let slot = source.slot(&key.name)?;
            let column = source.columns.get(slot)?;
            (column.data_type == key.data_type).then_some(slot)
        });
        if let Some(slots) = slots.collect() {
            roles.entry(source.id).or_default().insert(slots);
        }
    }
    for text in also {
        let (source, slots) = named(catalog, entity, text)?;
        roles.entry(source.id).or_default().insert(slots);
    }
    let views = catalog.evaluated();
    for view in &views {
        if view.entity.as_deref() == Some(&entity.name) {
            for (source, slots) in own_keys(view) {
                roles.entry(source).or_default().insert(slots);
            }
        }
    }
    // What is looked up by a key has that key, and the other way round; and what selects it.
    while views.iter().any(|view| follow(view, &mut roles))
        || catalog.derived().any(|source| select(source, &mut roles))
    {}
    Ok(roles)
}

/// Columns that are called like a part of the key, and are not looked at.
pub(super) fn namesakes(catalog: &Catalog, entity: &EntityDef, roles: &Roles) -> Vec<String> {
    let mut found = Vec::new();
    for source in catalog.sources.values() {
        for key in &entity.keys {
            let Some(slot) = source.slot(&key.name) else {
                continue;
            };
            let known = roles.get(&source.id);
            if !known.is_some_and(|known| known.iter().any(|slots| slots.contains(&slot))) {
                found.push(format!("{}.{}", source.name, key.name));
            }
        }
    }
    found
}

/// Columns as `source.column,column`.
pub(super) fn in_words(source: &SourceDef, slots: &[usize]) -> String {
    let names = slots.iter().map(|&slot| match source.columns.get(slot) {
        Some(column) => column.name.as_str(),
        None => "event_time",
    });
    format!("{}.{}", source.name, names.collect::<Vec<_>>().join(","))
}

fn named<'a>(
    catalog: &'a Catalog,
    entity: &EntityDef,
    text: &str,
) -> Result<(&'a Arc<SourceDef>, Vec<usize>), ForgetError> {
    let wrong = || ForgetError::Columns {
        text: text.to_owned(),
        parts: entity.keys.iter().map(|key| key.name.clone()).collect(),
    };
    let (name, columns) = text.split_once('.').ok_or_else(wrong)?;
    let source = catalog.sources.get(name).ok_or_else(wrong)?;
    let slots: Option<Vec<usize>> = columns
        .split(',')
        .map(|column| {
            let slot = source.slot(column.trim())?;
            (slot < source.columns.len()).then_some(slot)
        })
        .collect();
    let slots = slots.filter(|slots| slots.len() == entity.keys.len());
    Ok((source, slots.ok_or_else(wrong)?))
}

/// The columns that are a view's own key.
fn own_keys(view: &ViewDef) -> Vec<(SourceId, Vec<usize>)> {
    match &view.body {
        ViewBody::Window(body) => {
            vec![(body.windows.source.id, body.windows.key_columns.clone())]
        }
        ViewBody::Row(body) => {
            let sides = match &body.trigger {
                Trigger::Source(side) => vec![side],
                Trigger::Full { left, right } => vec![left, right],
            };
            let sides = sides
                .into_iter()
                .filter(|side| !side.key_columns.is_empty());
            sides
                .map(|side| (side.source.id, side.key_columns.clone()))
                .collect()
        }
        ViewBody::Composed(body) => body.inputs.iter().flat_map(|v| own_keys(v)).collect(),
    }
}

/// Takes over what a view's look-ups say; whether that is anything new.
fn follow(view: &ViewDef, roles: &mut Roles) -> bool {
    let ViewBody::Row(body) = &view.body else {
        return false;
    };
    let mut is_new = false;
    for (trigger, pairs, target) in looked_up(body) {
        for (from, to, pairs) in [
            (trigger, target, pairs.clone()),
            (
                target,
                trigger,
                pairs.iter().map(|(a, b)| (*b, *a)).collect(),
            ),
        ] {
            let known: Vec<Vec<usize>> = roles.get(&from).into_iter().flatten().cloned().collect();
            for slots in known {
                let across = |slot: &usize| pairs.iter().find(|(a, _)| a == slot).map(|p| p.1);
                if let Some(slots) = slots.iter().map(across).collect::<Option<Vec<usize>>>() {
                    is_new |= roles.entry(to).or_default().insert(slots);
                }
            }
        }
    }
    is_new
}

/// Takes over what a derived stream selects of its trigger; whether that is anything new.
fn select(source: &SourceDef, roles: &mut Roles) -> bool {
    let Some(derived) = &source.derived else {
        return false;
    };
    let trigger = derived.trigger().source.id;
    let columns = &derived.body().columns;
    let own = source.stored.saturating_sub(columns.len());
    let place_of = |slot: &usize| {
        let is_it = |column: &Expr| matches!(column.kind, ExprKind::Column(from) if from == *slot);
        columns.iter().position(is_it).map(|at| own + at)
    };
    let known: Vec<Vec<usize>> = roles.get(&trigger).into_iter().flatten().cloned().collect();
    let mut is_new = false;
    for slots in known {
        if let Some(slots) = slots.iter().map(place_of).collect::<Option<Vec<usize>>>() {
            is_new |= roles.entry(source.id).or_default().insert(slots);
        }
    }
    is_new
}

/// Columns of two sources that hold the same: one of the first, and one of the second.
type Pairs = Vec<(usize, usize)>;

/// What is looked up by columns of the trigger alone: trigger, columns of both, target.
fn looked_up(body: &RowBody) -> Vec<(SourceId, Pairs, SourceId)> {
    let Trigger::Source(side) = &body.trigger else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for lookup in &body.lookups {
        let targets = match &lookup.target {
            LookupTarget::Source {
                source,
                key_columns,
            } => vec![(source.id, key_columns.clone())],
            LookupTarget::View(view) => own_keys(view),
        };
        let slots = lookup.keys.iter().map(|key| match key.kind {
            ExprKind::Column(slot) if slot < side.source.columns.len() => Some(slot),
            _ => None,
        });
        let Some(slots) = slots.collect::<Option<Vec<usize>>>() else {
            continue;
        };
        for (target, columns) in targets {
            let pairs = slots.iter().copied().zip(columns).collect();
            found.push((side.source.id, pairs, target));
        }
    }
    found
}
