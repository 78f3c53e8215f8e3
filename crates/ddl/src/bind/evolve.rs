//! What may change of a source that has events: columns come behind the stored ones, types
//! are widened; times, identities and keys stay.
//!
//! The events of before are read with the columns of after, so what is refused here could
//! not be read, or would be told apart or found by other bytes than it was recorded with.

use evenkeel_types::definition::{
    Catalog, LookupTarget, SourceDef, SourceKind, Trigger, ViewBody, ViewDef,
};
use evenkeel_types::{Expr, ExprKind};

use super::alter::not_wider;
use crate::ast::{ColumnDef, CreateSource, SourceBody, Span};
use crate::error::Diagnostic;

/// A change of a source with events.
pub(super) struct Evolution<'a> {
    pub(super) create: &'a CreateSource,
    pub(super) old: &'a SourceDef,
    pub(super) new: &'a SourceDef,
    /// What was defined before: versions of views stay readable.
    pub(super) existing: &'a Catalog,
}

/// What is wrong, and with which column, if it is with one.
pub(super) struct Refusal {
    pub(super) column: Option<String>,
    pub(super) diagnostic: Diagnostic,
}

impl Evolution<'_> {
    /// Why it cannot be.
    pub(super) fn refusals(&self) -> Vec<Refusal> {
        if self.old.kind != self.new.kind {
            let (was, is) = match self.old.kind {
                SourceKind::Stream => ("stream", "table"),
                SourceKind::Table => ("table", "stream"),
            };
            let message = format!(
                "`{}` has the events of a {was}, and cannot become a {is}",
                self.new.name
            );
            return vec![self.of_source(message, "give the new one another name")];
        }
        if self.old.derived.is_some() != self.new.derived.is_some() {
            let name = &self.new.name;
            let message = match self.new.derived {
                Some(_) => format!(
                    "`{name}` has events that were brought to it, and cannot become a derived stream"
                ),
                None => {
                    format!("`{name}` has the events of a derived stream, and cannot take others")
                }
            };
            return vec![self.of_source(message, "give the new one another name")];
        }
        if let Some(refusal) = self.of_query().or_else(|| self.order()) {
            return vec![refusal];
        }
        let mut refusals = Vec::new();
        refusals.extend(self.types());
        refusals.extend(self.additions());
        refusals.extend(self.identity());
        refusals.extend(self.sequence());
        refusals.extend(self.lateness());
        // A type that is refused anyway is not a changed key on top of that.
        let is_told = |name: &str| -> bool {
            refusals
                .iter()
                .any(|r: &Refusal| r.column.as_deref() == Some(name))
        };
        let keys: Vec<Refusal> = self
            .keys()
            .into_iter()
            .filter(|r| r.column.as_deref().is_none_or(|name| !is_told(name)))
            .collect();
        refusals.extend(keys);
        refusals
    }

    pub(super) fn of_source(&self, message: String, hint: impl Into<String>) -> Refusal {
        Refusal {
            column: None,
            diagnostic: Diagnostic::error(message, self.create.name.span).with_hint(hint),
        }
    }

    fn of_column(&self, name: &str, message: String, hint: impl Into<String>) -> Refusal {
        Refusal {
            column: Some(name.to_owned()),
            diagnostic: Diagnostic::error(message, self.place(name)).with_hint(hint),
        }
    }

    fn column(&self, name: &str) -> Option<&ColumnDef> {
        match &self.create.body {
            SourceBody::Declared { columns, .. } => columns.iter().find(|c| c.name.value == name),
            _ => None,
        }
    }

    fn place(&self, name: &str) -> Span {
        self.column(name)
            .map_or(self.create.name.span, |c| c.name.span.to(c.data_type.span))
    }

    /// The stored columns must begin with those of the events, in their order.
    fn order(&self) -> Option<Refusal> {
        let (old, new) = (stored(self.old), stored(self.new));
        let at = (0..old.len()).find(|&i| new.get(i) != Some(&old[i]))?;
        let gone = old[at];
        let last = old.last()?;
        Some(match new.get(at) {
            _ if self.new.columns[self.new.stored..].iter().any(|c| c.name == gone) => self.of_column(
                gone,
                format!("`{gone}` is stored in the events, and cannot be computed now"),
                "give the computed column another name, and leave this one as it was",
            ),
            _ if !new.contains(&gone) => self.of_source(
                format!("`{gone}` is stored in the events, and is not among the columns any more"),
                format!("leave `{gone}` where it was: a column that no view reads costs nothing but its place in the log"),
            ),
            Some(other) if !old.contains(other) => self.of_column(
                other,
                format!("`{other}` is new, and stands before columns that the events have already"),
                format!("put it behind `{last}`"),
            ),
            _ => self.of_column(
                gone,
                format!("`{gone}` stands at another place than in the events"),
                format!("leave the stored columns in their order: {}", super::report::in_words(&old)),
            ),
        })
    }

    fn types(&self) -> Vec<Refusal> {
        let pairs = self.old.columns[..self.old.stored]
            .iter()
            .zip(&self.new.columns);
        pairs
            .filter(|(old, new)| {
                old.data_type != new.data_type && !old.data_type.widens_to(&new.data_type)
            })
            .map(|(old, new)| Refusal {
                column: Some(new.name.clone()),
                diagnostic: not_wider(
                    &new.name,
                    &old.data_type,
                    &new.data_type,
                    self.place(&new.name),
                ),
            })
            .collect()
    }

    fn additions(&self) -> Vec<Refusal> {
        self.new.columns[self.old.stored..self.new.stored]
            .iter()
            .filter(|column| column.required)
            .map(|column| {
                self.of_column(
                    &column.name,
                    format!(
                        "`{}` cannot be NOT NULL: the events so far do not have it",
                        column.name
                    ),
                    "leave `NOT NULL` out; `CHECK` can ask for it from a time on",
                )
            })
            .collect()
    }

    /// What tells events apart is made of the same columns.
    fn identity(&self) -> Vec<Refusal> {
        let (old, new) = (self.old, self.new);
        let time = |def: &SourceDef| vec![def.event_time];
        let clauses = [
            ("event time", time(old), time(new)),
            ("event id", old.event_id.clone(), new.event_id.clone()),
            (
                "primary key",
                old.primary_key.clone(),
                new.primary_key.clone(),
            ),
        ];
        clauses
            .into_iter()
            .filter(|(_, was, is)| names(old, was) != names(new, is))
            .map(|(what, was, _)| {
                let was = names(old, &was);
                let was = if was.is_empty() {
                    format!("`{}` has events without an {what}", old.name)
                } else {
                    let was = super::report::in_words(&was);
                    format!("the {what} of the events of `{}` is {was}", old.name)
                };
                self.of_source(
                    format!("{was}, and that cannot change"),
                    "leave it as it was, or give the new source another name",
                )
            })
            .collect()
    }

    /// What derived streams took over as the order of their triggers.
    fn sequence(&self) -> Option<Refusal> {
        let (old, new) = (self.old, self.new);
        if names(old, &old.sequence_by) == names(new, &new.sequence_by) {
            return None;
        }
        let stream = self.existing.derived().find(|stream| {
            let derived = stream.derived.as_ref();
            derived.is_some_and(|derived| derived.trigger().source.id == old.id)
        })?;
        Some(self.of_source(
            format!(
                "`SEQUENCE BY` cannot change: emissions of `{}` have the order of the events of `{}`",
                stream.name, old.name
            ),
            "leave it as it was, or give the new source another name",
        ))
    }

    /// By what rows of a timer are due.
    fn lateness(&self) -> Option<Refusal> {
        let (old, new) = (self.old, self.new);
        if old.lateness == new.lateness || old.derived.is_some() {
            return None;
        }
        let stream = self.existing.derived().find(|stream| {
            let derived = stream.derived.as_ref();
            derived.is_some_and(|derived| self.existing.clocks(derived).contains(&old.id))
        })?;
        Some(self.of_source(
            format!(
                "`LATENESS` cannot change: by it rows of `{}` are due, and some would never have been",
                stream.name
            ),
            "leave it as it was, or give the new source another name",
        ))
    }

    /// What events are told apart, ordered and found by keeps its bytes.
    fn keys(&self) -> Vec<Refusal> {
        let old = self.old;
        let mut uses: Vec<(String, usize)> = Vec::new();
        let mut add = |what: &str, slots: &[usize]| {
            uses.extend(slots.iter().map(|&slot| (what.to_owned(), slot)));
        };
        add("the event time", &[old.event_time]);
        add("the event id", &old.event_id);
        add("the primary key", &old.primary_key);
        if names(old, &old.sequence_by) == names(self.new, &self.new.sequence_by) {
            add("`SEQUENCE BY`", &old.sequence_by);
        }
        for view in self.existing.views.values().flat_map(|v| v.values()) {
            let what = format!("the key of `{}@{}`", view.name, view.version);
            for (source, slots) in key_uses(view) {
                if source.name == old.name {
                    add(&what, slots);
                }
            }
        }
        for stream in self.existing.derived() {
            let Some(derived) = &stream.derived else {
                continue;
            };
            let what = format!(
                "the key by which the derived stream `{}` reads",
                stream.name
            );
            for (source, slots) in key_uses(&derived.view) {
                if source.name == old.name {
                    add(&what, slots);
                }
            }
            if derived.trigger().source.id == old.id && old.event_id.is_empty() {
                let what = format!("the order of the events of `{}`", stream.name);
                add(&what, &(0..old.stored).collect::<Vec<_>>());
            }
            // By these it finds what late inputs change.
            let watched = derived
                .revises
                .then(|| derived.watched().unwrap_or_default());
            for watched in watched.unwrap_or_default() {
                if watched.source == old.id {
                    add(&what, &watched.source_key);
                }
                if derived.trigger().source.id == old.id {
                    add(&what, &watched.trigger_key);
                }
            }
        }
        let mut refused: Vec<usize> = Vec::new();
        let mut refusals = Vec::new();
        for (what, slot) in uses {
            let Some(column) = old.columns.get(slot) else {
                continue;
            };
            if refused.contains(&slot) || self.keeps_bytes(slot) {
                continue;
            }
            refused.push(slot);
            let name = &column.name;
            let hint = "leave it as it was, and give the new one another name";
            refusals.push(match self.new.columns.iter().find(|c| c.name == *name) {
                None => self.of_source(
                    format!("`{name}` is (part of) {what}, and is not among the columns any more"),
                    "leave it as it was",
                ),
                Some(new) if column.computed.is_none() => self.of_column(
                    name,
                    format!(
                        "`{name}` cannot be widened: it is (part of) {what}, and {} has other \
                         bytes than {}",
                        new.data_type, column.data_type
                    ),
                    hint,
                ),
                Some(_) => self.of_column(
                    name,
                    format!(
                        "`{name}` cannot be computed otherwise, or from columns of other types: \
                         it is (part of) {what}"
                    ),
                    hint,
                ),
            });
        }
        refusals
    }

    /// Whether a column of the old definition has the same bytes in the new one.
    fn keeps_bytes(&self, slot: usize) -> bool {
        let Some(column) = self.old.columns.get(slot) else {
            return true;
        };
        let Some(now) = self.new.columns.iter().position(|c| c.name == column.name) else {
            return false;
        };
        let is_stored = slot < self.old.stored;
        let bytes = column
            .data_type
            .has_bytes_of(&self.new.columns[now].data_type);
        if is_stored {
            now < self.new.stored && bytes
        } else {
            now >= self.new.stored && written_out(self.old, slot) == written_out(self.new, now)
        }
    }
}

fn stored(def: &SourceDef) -> Vec<&str> {
    names(def, &(0..def.stored).collect::<Vec<_>>())
}

fn names<'d>(def: &'d SourceDef, slots: &[usize]) -> Vec<&'d str> {
    slots
        .iter()
        .filter_map(|&slot| Some(def.columns.get(slot)?.name.as_str()))
        .collect()
}

/// A column over the stored columns alone.
fn written_out(def: &SourceDef, slot: usize) -> Expr {
    let column = &def.columns[slot];
    match &column.computed {
        None => Expr::column(slot, column.data_type.clone()),
        Some(expr) => expr.clone().map(&mut |e| match e.kind {
            // Computed from columns before it, so this ends.
            ExprKind::Column(before) => written_out(def, before),
            _ => e,
        }),
    }
}

/// The columns that a view finds events of sources by.
pub(super) fn key_uses(view: &ViewDef) -> Vec<(&SourceDef, &[usize])> {
    match &view.body {
        ViewBody::Window(body) => {
            vec![(&*body.windows.source, &body.windows.key_columns[..])]
        }
        ViewBody::Row(body) => {
            let sides = match &body.trigger {
                Trigger::Source(side) => vec![side],
                Trigger::Full { left, right } => vec![left, right],
            };
            let sides = sides
                .into_iter()
                .map(|side| (&*side.source, &side.key_columns[..]));
            let windows = body
                .windows
                .iter()
                .map(|w| (&*w.source, &w.key_columns[..]));
            let lookups = body.lookups.iter().filter_map(|l| match &l.target {
                LookupTarget::Source {
                    source,
                    key_columns,
                } => Some((&**source, &key_columns[..])),
                LookupTarget::View(_) => None,
            });
            sides.chain(windows).chain(lookups).collect()
        }
        // Its inputs are views of the catalog themselves.
        ViewBody::Composed(_) => Vec::new(),
    }
}
