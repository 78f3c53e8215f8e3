//! What the names behind `FROM` mean: each is found in the store before anything is planned.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, Statement, TableAlias, TableFactor, Visit, VisitMut,
    Visitor, VisitorMut,
};
use evenkeel_connect::{Table, nearest};
use evenkeel_engine::Span;
use evenkeel_engine::dataset::DatasetName;
use evenkeel_types::EventTime;
use evenkeel_types::definition::{Catalog, SourceDef, ViewBody, ViewDef};

use crate::error::SqlError;
use crate::relation::{Reader, Relation};
use crate::text::{bytes_of, mistake, split_time};

/// Names that a message lists, at most.
const LISTED_MAX: usize = 20;

/// A name of a query, and what it means.
pub(crate) type Named = (TableReference, Relation);

/// What names are looked for in.
#[derive(Clone, Copy)]
pub(crate) enum Over<'a> {
    /// What a store has.
    Store(&'a Reader),
    /// What is defined: nothing is read.
    Definitions(&'a Catalog),
}

impl<'a> Over<'a> {
    fn catalog(self) -> &'a Catalog {
        match self {
            Over::Store(reader) => reader.store.catalog(),
            Over::Definitions(catalog) => catalog,
        }
    }
}

/// Finds what a statement's names mean, and writes those that are read at a time of their own as
/// names of their own.
///
/// # Errors
/// With its place, if a name means nothing.
pub(crate) fn resolve(
    statement: &mut Statement,
    text: &str,
    over: Over<'_>,
    at: EventTime,
    files: bool,
) -> Result<Vec<Named>, SqlError> {
    let mut subqueries = Subqueries::default();
    let _: ControlFlow<()> = Visit::visit(statement, &mut subqueries);
    let mut names = Names {
        text,
        over,
        at,
        files,
        subqueries: subqueries.names,
        found: Vec::new(),
    };
    match VisitMut::visit(statement, &mut names) {
        ControlFlow::Continue(()) => Ok(names.found),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The names that `WITH` gives.
#[derive(Default)]
struct Subqueries {
    names: BTreeSet<String>,
}

impl Visitor for Subqueries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.names.extend(with.map(|cte| normal(&cte.alias.name)));
        ControlFlow::Continue(())
    }
}

/// A name as it is compared: in lower case, unless it is quoted.
fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

struct Names<'a> {
    text: &'a str,
    over: Over<'a>,
    at: EventTime,
    files: bool,
    subqueries: BTreeSet<String>,
    found: Vec<Named>,
}

impl VisitorMut for Names<'_> {
    type Break = SqlError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = factor
            && let Err(error) = self.name(name, alias)
        {
            return ControlFlow::Break(error);
        }
        ControlFlow::Continue(())
    }
}

impl Names<'_> {
    fn name(
        &mut self,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
    ) -> Result<(), SqlError> {
        let idents: Vec<Ident> = name
            .0
            .iter()
            .filter_map(ObjectNamePart::as_ident)
            .cloned()
            .collect();
        let Some((last, heads)) = idents.split_last() else {
            return Ok(());
        };
        let span = self.place_of(last);
        let (plain, own_time) = split_time(&last.value);
        let plain = Ident {
            value: plain.to_owned(),
            ..last.clone()
        };
        let head: Vec<String> = heads.iter().map(normal).collect();
        let is_subquery = heads.is_empty() && self.subqueries.contains(&normal(&plain));
        let relation = match (head.as_slice(), plain.quote_style) {
            ([], Some('\'')) => self.file(&plain.value, span),
            ([], _) => self.as_of(&normal(&plain), own_time.unwrap_or(self.at), span),
            ([head], _) => self.within(head, &normal(&plain), span),
            _ => Err(self.unknown(&format!("{}.{}", head.join("."), plain.value), span)),
        };
        let relation = match relation {
            Ok(relation) => relation,
            Err(_) if is_subquery && own_time.is_none() => return Ok(()),
            Err(error) => return Err(error),
        };
        let reference = match (own_time, head.as_slice()) {
            (None, []) => TableReference::bare(normal(&plain)),
            (None, [head, ..]) => TableReference::partial(head.as_str(), normal(&plain)),
            (Some(_), [_, ..]) => {
                return Err(mistake(
                    format!(
                        "`{}.{}` is not read as of a time",
                        head.join("."),
                        plain.value
                    ),
                    span,
                )
                .hinted(format!(
                    "`{}` alone is; here filter by `_event_time`",
                    plain.value
                )));
            }
            (Some(time), []) => {
                let own = format!("{} AS OF {time}", normal(&plain));
                let mut ident = Ident::with_quote('"', own.as_str());
                ident.span = last.span;
                *name = ObjectName(vec![ObjectNamePart::Identifier(ident)]);
                alias.get_or_insert_with(|| TableAlias {
                    explicit: true,
                    name: plain.clone(),
                    columns: Vec::new(),
                    at: None,
                });
                TableReference::bare(own)
            }
        };
        if !self.found.iter().any(|(known, _)| *known == reference) {
            self.found.push((reference, relation));
        }
        Ok(())
    }

    /// Where a name is: one in single quotes is read without its place.
    fn place_of(&self, name: &Ident) -> Span {
        let quoted = match name.quote_style {
            Some('\'') => format!("'{}'", split_time(&name.value).0),
            _ => return bytes_of(self.text, name.span),
        };
        match self.text.find(&quoted) {
            Some(start) => Span {
                start,
                end: start + quoted.len(),
            },
            None => bytes_of(self.text, name.span),
        }
    }

    /// A source or view as of a time.
    fn as_of(&self, name: &str, at: EventTime, span: Span) -> Result<Relation, SqlError> {
        let catalog = self.over.catalog();
        if let Some(source) = catalog.sources.get(name) {
            let source = Arc::clone(source);
            return Ok(Relation::Slice { source, at });
        }
        let (plain, version) = match name.split_once('@') {
            Some((plain, version)) => (plain, Some(version)),
            None => (name, None),
        };
        let versions = catalog.views.get(plain);
        let view = versions.and_then(|versions| match version {
            None => versions.values().next_back(),
            Some(text) => versions.get(&text.parse().ok()?),
        });
        let view = view.ok_or_else(|| self.unknown(name, span))?;
        let needed = request_columns(view);
        if !needed.is_empty() {
            return Err(mistake(
                format!(
                    "`{name}` needs what a request brings: {}",
                    needed.join(", ")
                ),
                span,
            )
            .hinted("`evenkeel train` reads it with a spine that has these columns"));
        }
        if view.entity.is_none() {
            return Err(mistake(format!("`{name}` has no entity, so no rows"), span));
        }
        let view = Arc::clone(view);
        Ok(Relation::View { view, at })
    }

    /// `events.x`, `dead_letters.x`, `datasets.x`.
    fn within(&self, schema: &str, name: &str, span: Span) -> Result<Relation, SqlError> {
        let source = || -> Result<Arc<SourceDef>, SqlError> {
            let sources = &self.over.catalog().sources;
            let found = sources.get(name).cloned();
            found.ok_or_else(|| {
                let names = sources.keys().map(String::as_str);
                no_name(&format!("`{schema}` has no `{name}`"), name, names, span)
            })
        };
        match schema {
            "events" => Ok(Relation::Events(source()?)),
            "dead_letters" if matches!(self.over, Over::Definitions(_)) => {
                let what = format!("a definition cannot read the dead letters of `{name}`");
                Err(mistake(what, span).hinted(
                    "which there are changes when they are driven again, so a run of a batch view could not \
                     be made again with the same rows",
                ))
            }
            "dead_letters" => Ok(Relation::DeadLetters(source()?)),
            "datasets" => self.dataset(name, span),
            _ => Err(self.unknown(&format!("{schema}.{name}"), span)),
        }
    }

    fn dataset(&self, name: &str, span: Span) -> Result<Relation, SqlError> {
        let Over::Store(reader) = self.over else {
            return Err(mistake(
                format!("`{name}` is a dataset, which a definition cannot read"),
                span,
            ));
        };
        let built = reader.store.built_datasets().map_err(SqlError::store)?;
        let wanted: DatasetName = name
            .parse()
            .map_err(|error| mistake(format!("{error}"), span))?;
        let of_name = built.iter().filter(|(built, _)| *built == wanted.name);
        let versions: Vec<u32> = of_name.map(|(_, version)| *version).collect();
        let is_built = match wanted.version {
            Some(version) => versions.contains(&version),
            None => !versions.is_empty(),
        };
        if !is_built {
            let names: Vec<String> = built.iter().map(|(n, v)| format!("{n}:{v}")).collect();
            let names = names.iter().map(String::as_str);
            let what = format!("no dataset `{name}` was built");
            return Err(no_name(&what, name, names, span));
        }
        let (rows, columns) = reader
            .store
            .dataset_size(&wanted)
            .map_err(SqlError::store)?;
        reader.count(&format!("datasets.{name}"), rows, columns)?;
        let rows = reader.store.dataset_rows(&wanted, &mut reader.reading());
        let rows = rows.map_err(SqlError::store)?;
        Ok(Relation::Dataset(rows))
    }

    fn file(&self, path: &str, span: Span) -> Result<Relation, SqlError> {
        if !self.files {
            return Err(mistake(
                format!("`{path}` would be a file, and no files are read here"),
                span,
            )
            .hinted("`evenkeel sql` without a server reads them"));
        }
        let table = Table::read(Path::new(path)).map_err(SqlError::rows)?;
        Ok(Relation::File(table))
    }

    fn unknown(&self, name: &str, span: Span) -> SqlError {
        let catalog = self.over.catalog();
        let sources = catalog.sources.keys();
        let names: Vec<&str> = sources
            .chain(catalog.views.keys())
            .map(String::as_str)
            .collect();
        let what = format!("there is no table, stream or view `{name}`");
        no_name(&what, name, names, span)
    }
}

fn request_columns(view: &ViewDef) -> Vec<&str> {
    match &view.body {
        ViewBody::Composed(body) => body.request.iter().map(|f| f.name.as_str()).collect(),
        ViewBody::Window(_) | ViewBody::Row(_) => Vec::new(),
    }
}

/// What is wrong, and which names there are.
fn no_name<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    span: Span,
) -> SqlError {
    let known: Vec<&str> = known.into_iter().collect();
    let error = mistake(what.to_owned(), span);
    if let Some(name) = nearest(name, known.iter().copied()).0 {
        return error.hinted(format!("did you mean `{name}`?"));
    }
    if known.is_empty() {
        return error;
    }
    let listed = known[..known.len().min(LISTED_MAX)].join(", ");
    let more = known.len().saturating_sub(LISTED_MAX);
    error.hinted(match more {
        0 => format!("there are {listed}"),
        more => format!("there are {listed} and {more} more"),
    })
}
