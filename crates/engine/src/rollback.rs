//! Going back to an earlier version of a view: its definition of then becomes the newest one.
//!
//! The registry stays append-only: nothing is taken out of it, and older cuts and versions are
//! read as before. A view's indexes belong to its meaning, not to its number, so what the
//! earlier version needs is mostly there, and readers go over at once.

use evenkeel_ddl::ast::Ident;
use evenkeel_ddl::{Bound, bind, parse_statements};
use evenkeel_types::definition::{Catalog, Definition, LookupTarget, ViewBody, ViewDef};

use crate::definitions::unknown;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::project::DefinitionFile;

/// What going back means.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The view.
    pub view: String,
    /// The version that it goes back to.
    pub to: u32,
    /// The newest version, which it leaves.
    pub from: u32,
    /// The definition of then: applied together with what is registered, it is the newest.
    pub text: DefinitionFile,
}

impl Rollback {
    /// Looks whether a view can go back to a version.
    ///
    /// # Errors
    /// If there is no such version, the newest one means the same already, or what the version
    /// reads is not what it was.
    pub fn of(catalog: &Catalog, view: &str, version: u32) -> Result<Self, EngineError> {
        let versions = catalog.views.get(view);
        let versions = versions.ok_or_else(|| unknown("view", view, catalog.views.keys()))?;
        let (Some(old), Some(newest)) = (versions.get(&version), versions.values().next_back())
        else {
            return Err(EngineError::Unknown {
                what: "version of the view",
                name: format!("{view}@{version}"),
                nearest: versions.keys().next_back().map(|v| format!("{view}@{v}")),
            });
        };
        if old.digest == newest.digest {
            return Err(EngineError::NothingToRollBack {
                view: view.to_owned(),
                version,
                newest: newest.version,
            });
        }
        let text = DefinitionFile {
            name: format!("{view}@{version}"),
            text: format!("{};\n", old.sql.trim_end().trim_end_matches(';')),
        };
        let rollback = Rollback {
            view: view.to_owned(),
            to: version,
            from: newest.version,
            text,
        };
        rollback.refuse_another_meaning(catalog, old)?;
        Ok(rollback)
    }

    /// The same text may mean something else now.
    fn refuse_another_meaning(&self, catalog: &Catalog, old: &ViewDef) -> Result<(), EngineError> {
        let (statements, _) = parse_statements(&self.text.text);
        let bound = statements
            .first()
            .and_then(|statement| bind(statement, catalog, catalog).ok());
        if let Some(Bound {
            definition: Definition::View(view),
            ..
        }) = bound
            && view.digest == old.digest
        {
            return Ok(());
        }
        let changed = inputs(old).into_iter().filter(|input| {
            let newest = catalog.view(&input.name);
            let is_other = newest.is_none_or(|newest| newest.digest != input.digest);
            is_other && !names_version(&old.sql, &input.name, input.version)
        });
        Err(EngineError::RollbackMeansAnother {
            view: self.view.clone(),
            version: self.to,
            changed: changed
                .map(|input| format!("{}@{}", input.name, input.version))
                .collect(),
        })
    }
}

/// Whether a text names a version of a view.
fn names_version(sql: &str, view: &str, version: u32) -> bool {
    let named = format!("{}@{version}", Ident::named(view));
    let mut found = sql.match_indices(&named);
    found.any(|(at, named)| {
        let behind = sql[at + named.len()..].chars().next();
        behind.is_none_or(|c| !c.is_ascii_digit())
    })
}

/// The views that a view reads itself.
fn inputs(view: &ViewDef) -> Vec<&ViewDef> {
    match &view.body {
        ViewBody::Window(_) => Vec::new(),
        ViewBody::Composed(body) => body.inputs.iter().map(AsRef::as_ref).collect(),
        ViewBody::Row(body) => {
            let targets = body.lookups.iter().map(|lookup| &lookup.target);
            targets
                .filter_map(|target| match target {
                    LookupTarget::View(view) => Some(view.as_ref()),
                    LookupTarget::Source { .. } => None,
                })
                .collect()
        }
    }
}

impl Engine {
    /// [`Rollback::of`] what is registered.
    ///
    /// # Errors
    /// See there.
    pub fn rollback(&self, view: &str, version: u32) -> Result<Rollback, EngineError> {
        Rollback::of(self.catalog(), view, version)
    }
}
