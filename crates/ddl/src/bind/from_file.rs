//! `FROM FILE`: the statement written out with the columns of a file.
//!
//! Does not read the file: whoever binds a project brings the columns. What was defined
//! before from the same file keeps its columns, whatever the file has become: the first
//! definition froze them. Invariant: what comes out is a statement that could have been
//! written instead, and is bound, printed and recorded as such.

use std::collections::BTreeMap;

use evenkeel_types::definition::{Catalog, OptionValue, SourceColumn, SourceDef, SourceKind};
use evenkeel_types::{DataType, Field, Zone};

use super::frame::zone;
use super::options::bind_options;
use super::report::{Report, did_you_mean};
use super::scope::with_hint;
use crate::ast::{
    self, ColumnDef, CreateSource, EventTimeClause, Ident, Literal, SourceBody, SourceClauses,
    Span, Statement, StatementKind, StringLit, TypeName, WithOption,
};
use crate::error::Diagnostic;

/// A file whose columns are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSource {
    /// The source that is defined from it.
    pub name: String,
    /// The options of its connector, `path` among them.
    pub options: BTreeMap<String, OptionValue>,
    /// The zone of times that name none.
    pub zone: Zone,
}

/// What a file has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileColumns {
    /// Its columns, in order.
    pub columns: Vec<Field>,
    /// Columns of numbers that seem to count time, with the value of `time_unit` that says
    /// what they count.
    pub counted_times: Vec<(String, String)>,
}

/// Reads the columns of a file; an error says in words why they cannot be read.
pub type ReadColumns<'a> = dyn FnMut(&FileSource) -> Result<FileColumns, String> + 'a;

/// How a `FROM FILE` was written out.
#[derive(Clone, Debug, PartialEq)]
pub struct FromFile {
    /// The source.
    pub name: String,
    /// Whether its columns are those of the definition before, not the file's.
    pub is_frozen: bool,
    /// The column that is the event time without being named as such.
    pub event_time: Option<String>,
    /// Where the file is not as the frozen columns are: the statement with the columns that
    /// the file has now.
    pub now: Option<String>,
}

/// Columns of whichever origin: a file's, or a definition's.
struct Base {
    columns: Vec<SourceColumn>,
    /// Of a definition: its event time.
    event_time: Option<String>,
    /// Whether there may be stored columns beside these.
    is_open: bool,
}

/// Writes a statement out, if it is a source from a file. `None` in the answer if it cannot
/// be; then `report` says why.
pub(super) fn write_out(
    statement: &mut Statement,
    existing: &Catalog,
    read: &mut ReadColumns<'_>,
    report: &mut Report,
) -> Option<Option<FromFile>> {
    let StatementKind::CreateSource(create) = &statement.kind else {
        return Some(None);
    };
    let SourceBody::FromFile {
        columns,
        clauses,
        path,
        options,
        filter,
    } = &create.body
    else {
        return Some(None);
    };
    let options = with_place(options, path, report)?;
    let source = file_source(create, clauses, &options, report)?;
    let written = Written {
        create,
        columns,
        clauses,
        path,
        options: &options,
        filter: filter.as_ref(),
    };
    let found = read(&source);
    let frozen = existing
        .sources
        .get(&source.name)
        .filter(|old| is_same_file(old, create.kind, &source));
    let Some(frozen) = frozen else {
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                return report.hinted(
                    format!("the columns of `{}` cannot be inferred: {why}", create.name),
                    path.span,
                    "look at the path and its options, or write the columns out",
                );
            }
        };
        let base = base_of_file(&found, &source);
        let (body, event_time) = written.with(&base, &found.counted_times, report)?;
        let from_file = FromFile {
            name: source.name.clone(),
            is_frozen: false,
            event_time,
            now: None,
        };
        put(statement, body);
        return Some(Some(from_file));
    };
    let base = base_of_definition(frozen);
    let (body, event_time) = written.with(&base, &[], report)?;
    let mut from_file = FromFile {
        name: source.name.clone(),
        is_frozen: true,
        event_time,
        now: None,
    };
    // A file that cannot be read any more changes nothing.
    if let Ok(found) = found {
        let differences = differences(&base.columns, &found.columns, columns);
        if !differences.is_empty() {
            let mut of_file = base_of_file(&found, &source);
            let is_time = |name: &String| {
                let same = of_file.columns.iter().find(|c| c.name == *name);
                same.is_some_and(|c| c.data_type == DataType::Timestamp)
            };
            of_file.event_time = base.event_time.clone().filter(is_time);
            let mut ignored = Report::default();
            let now = written.with(&of_file, &found.counted_times, &mut ignored);
            from_file.now = now.map(|(body, _)| {
                let mut other = statement.clone();
                put(&mut other, body);
                other.to_string()
            });
            let how = match from_file.now {
                Some(_) => "put the statement that `evenkeel plan` prints in place of this one",
                None => "write the statement out, with its `EVENT TIME`",
            };
            let create = written.create;
            report.push::<()>(
                Diagnostic::warning(
                    format!(
                        "the file has other columns now than `{}`, which keeps those that were \
                         frozen when it was applied: {}",
                        create.name,
                        differences.join("; ")
                    ),
                    path.span,
                )
                .with_hint(format!(
                    "to take the file's columns, {how}; where there are events already, under \
                     another name"
                )),
            );
        }
    }
    put(statement, body);
    Some(Some(from_file))
}

fn put(statement: &mut Statement, body: SourceBody) {
    if let StatementKind::CreateSource(create) = &mut statement.kind {
        create.body = body;
    }
}

/// The options with connector and path.
fn with_place(
    written: &[WithOption],
    path: &StringLit,
    report: &mut Report,
) -> Option<Vec<WithOption>> {
    let own = |key: &str, value: &str| WithOption {
        key: StringLit {
            value: key.to_owned(),
            span: path.span,
        },
        value: ast::OptionValue::Literal {
            value: Literal::String(value.to_owned()),
            span: path.span,
        },
        span: path.span,
    };
    let mut options = vec![own("connector", "file"), own("path", &path.value)];
    for option in written {
        if options[..2].iter().any(|o| o.key.value == option.key.value) {
            return report.hinted(
                format!("`FROM FILE` says the {} already", option.key.value),
                option.span,
                "leave it out",
            );
        }
        options.push(option.clone());
    }
    Some(options)
}

fn file_source(
    create: &CreateSource,
    clauses: &SourceClauses,
    options: &[WithOption],
    report: &mut Report,
) -> Option<FileSource> {
    let errors_before = report.error_count();
    let bound = bind_options(options, create.name.span, report);
    let of_times = clauses.event_time.as_ref().and_then(|c| c.zone.as_ref());
    let zone = match (of_times, bound.zone) {
        (Some(name), _) => zone(name, report).unwrap_or_else(Zone::utc),
        (None, Some((zone, _))) => zone,
        (None, None) => Zone::utc(),
    };
    (report.error_count() == errors_before).then_some(FileSource {
        name: create.name.value.clone(),
        options: bound.values,
        zone,
    })
}

/// Whether a definition was made from this file, read like this.
fn is_same_file(old: &SourceDef, kind: ast::SourceKind, source: &FileSource) -> bool {
    let kind = match kind {
        ast::SourceKind::Stream => SourceKind::Stream,
        ast::SourceKind::Table => SourceKind::Table,
    };
    let reading = |options: &BTreeMap<String, OptionValue>| {
        let mut options = options.clone();
        for other in ["missing_columns", "operation", "partitions"] {
            options.remove(other);
        }
        options
    };
    old.kind == kind && reading(&old.options) == reading(&source.options)
}

fn base_of_file(found: &FileColumns, source: &FileSource) -> Base {
    let column = |field: &Field| SourceColumn {
        name: field.name.clone(),
        data_type: field.data_type.clone(),
        required: false,
        computed: None,
        comment: None,
    };
    Base {
        columns: found.columns.iter().map(column).collect(),
        event_time: None,
        is_open: source.options.get("missing_columns")
            == Some(&OptionValue::Text("null".to_owned())),
    }
}

fn base_of_definition(source: &SourceDef) -> Base {
    let event_time = source.columns.get(source.event_time);
    Base {
        columns: source.columns[..source.stored].to_vec(),
        event_time: event_time.map(|c| c.name.clone()),
        is_open: true,
    }
}

/// A `FROM FILE`, taken apart.
struct Written<'a> {
    create: &'a CreateSource,
    columns: &'a [ColumnDef],
    clauses: &'a SourceClauses,
    path: &'a StringLit,
    options: &'a [WithOption],
    filter: Option<&'a ast::Expr>,
}

impl Written<'_> {
    /// The body with these columns, and the event time if nobody named it.
    fn with(
        &self,
        base: &Base,
        counted_times: &[(String, String)],
        report: &mut Report,
    ) -> Option<(SourceBody, Option<String>)> {
        let columns = self.columns(base, report)?;
        let mut clauses = self.clauses.clone();
        let mut taken = None;
        if clauses.event_time.is_none() {
            let name = self.event_time(base, &columns, counted_times, report)?;
            clauses.event_time = Some(EventTimeClause {
                column: self.ident(&name),
                zone: None,
                lateness: None,
                span: self.path.span,
            });
            taken = Some(name);
        }
        let body = SourceBody::Declared {
            columns,
            clauses: Box::new(clauses),
            options: self.options.to_vec(),
            filter: self.filter.cloned(),
        };
        Some((body, taken))
    }

    fn ident(&self, name: &str) -> Ident {
        Ident {
            span: self.path.span,
            ..Ident::named(name)
        }
    }

    /// The columns in the file's order, each as it is written where it is, then those that
    /// are only written.
    fn columns(&self, base: &Base, report: &mut Report) -> Option<Vec<ColumnDef>> {
        let span: Span = self.path.span;
        let mut columns: Vec<ColumnDef> = base
            .columns
            .iter()
            .map(|column| ColumnDef {
                name: self.ident(&column.name),
                data_type: TypeName {
                    data_type: column.data_type.clone(),
                    span,
                },
                not_null: column.required.then_some(span),
                computed: None,
                comment: column.comment.as_ref().map(|comment| StringLit {
                    value: comment.clone(),
                    span,
                }),
                span,
            })
            .collect();
        let mut computed = Vec::new();
        let errors_before = report.error_count();
        for written in self.columns {
            let same = columns
                .iter()
                .position(|c| c.name.value == written.name.value);
            match same {
                Some(at) if written.computed.is_none() => columns[at] = written.clone(),
                Some(_) => {
                    report.hinted::<()>(
                        format!("the file has a column `{}` too", written.name),
                        written.name.span,
                        "give the computed one another name",
                    );
                }
                None if written.computed.is_some() => computed.push(written.clone()),
                None if base.is_open => columns.push(written.clone()),
                None => {
                    let names = base.columns.iter().map(|c| c.name.as_str());
                    report.push::<()>(with_hint(
                        Diagnostic::error(
                            format!("the file has no column `{}`", written.name),
                            written.name.span,
                        ),
                        did_you_mean(&written.name.value, names),
                    ));
                }
            }
        }
        columns.extend(computed);
        (report.error_count() == errors_before).then_some(columns)
    }

    /// The event time that nobody named: the definition's, or the only TIMESTAMP column.
    fn event_time(
        &self,
        base: &Base,
        columns: &[ColumnDef],
        counted_times: &[(String, String)],
        report: &mut Report,
    ) -> Option<String> {
        if let Some(name) = &base.event_time {
            return Some(name.clone());
        }
        let times: Vec<&Ident> = columns
            .iter()
            .filter(|c| c.data_type.data_type == DataType::Timestamp)
            .map(|c| &c.name)
            .collect();
        let create = self.create;
        let kind = match create.kind {
            ast::SourceKind::Stream => "STREAM",
            ast::SourceKind::Table => "TABLE",
        };
        let key = match &self.clauses.primary_key {
            Some(key) => {
                let names: Vec<String> = key.columns.iter().map(Ident::to_string).collect();
                format!("PRIMARY KEY ({}), ", names.join(", "))
            }
            None => String::new(),
        };
        let statement = |items: String, options: String| {
            format!(
                "`CREATE {kind} {} ({key}{items}) FROM FILE {}{options}`",
                create.name, self.path
            )
        };
        match times.as_slice() {
            [only] => Some(only.value.clone()),
            [first, ..] => {
                let names: Vec<String> = times.iter().map(|name| format!("`{name}`")).collect();
                report.hinted(
                    format!(
                        "several columns could be the event time of `{}`: {}",
                        create.name,
                        names.join(", ")
                    ),
                    self.path.span,
                    format!(
                        "name the one that says when it happened: {}",
                        statement(format!("EVENT TIME {first}"), String::new())
                    ),
                )
            }
            [] => {
                let message = format!(
                    "no column is a TIMESTAMP that could be the event time of `{}`",
                    create.name
                );
                let hint = match counted_times.first() {
                    Some((name, unit)) => {
                        let name = Ident::named(name.as_str());
                        format!(
                            "if `{name}` counts time, say what it counts: {}",
                            statement(
                                format!("{name} TIMESTAMP, EVENT TIME {name}"),
                                format!(" WITH (time_unit = '{unit}')")
                            )
                        )
                    }
                    None => {
                        let names: Vec<String> =
                            columns.iter().map(|c| format!("`{}`", c.name)).collect();
                        format!(
                            "compute it from the columns {}: {}",
                            names.join(", "),
                            statement(
                                "at TIMESTAMP AS (...), EVENT TIME at".to_owned(),
                                String::new()
                            )
                        )
                    }
                };
                report.hinted(message, self.path.span, hint)
            }
        }
    }
}

/// How a file's columns are not the frozen ones, but for those that are written.
fn differences(frozen: &[SourceColumn], found: &[Field], written: &[ColumnDef]) -> Vec<String> {
    let is_written = |name: &str| written.iter().any(|w| w.name.value == name);
    let mut differences = Vec::new();
    for column in frozen.iter().filter(|c| !is_written(&c.name)) {
        match found.iter().find(|f| f.name == column.name) {
            None => differences.push(format!("`{}` is not in it", column.name)),
            Some(f) if f.data_type != column.data_type => differences.push(format!(
                "`{}` is {}, frozen as {}",
                f.name, f.data_type, column.data_type
            )),
            Some(_) => {}
        }
    }
    for field in found.iter().filter(|f| !is_written(&f.name)) {
        if !frozen.iter().any(|c| c.name == field.name) {
            differences.push(format!("`{}` {} is new", field.name, field.data_type));
        }
    }
    differences
}
