//! What the rows of a source do to one another: which end a row of a table, and what changes
//! that another system tells need.

use evenkeel_types::DataType;
use evenkeel_types::definition::SourceColumn;

use super::SourceBuilder;
use crate::ast::{self, Ident, SourceClauses};
use crate::bind::options::{Changes, Options};
use crate::bind::report::{Report, did_you_mean};
use crate::bind::scope::with_hint;
use crate::error::Diagnostic;

impl SourceBuilder<'_> {
    /// The column that says which rows are deletes.
    pub(super) fn operation(&self, options: &Options, report: &mut Report) {
        let Some(name) = &options.operation else {
            return;
        };
        if self.create.kind == ast::SourceKind::Stream {
            report.hinted::<()>(
                "the rows of a stream are events: none of them deletes another",
                name.span,
                "leave the option `operation` out, and count in windows what happened; or write \
                 `CREATE TABLE` with a `PRIMARY KEY` if a row replaces the one before it",
            );
            return;
        }
        let Some(column) = self.named_by_option(name, report) else {
            return;
        };
        let data_type = &column.data_type;
        if *data_type != DataType::String {
            report.hinted::<()>(
                format!("the operation must be a STRING, and `{name}` is {data_type}"),
                name.span,
                "name a column that says `upsert` or `delete`; it may be computed: \
                 `op STRING AS (CASE WHEN gone THEN 'delete' ELSE 'upsert' END)`",
            );
        }
    }

    /// The column that an option names.
    fn named_by_option(&self, name: &Ident, report: &mut Report) -> Option<&SourceColumn> {
        let column = self.columns.iter().find(|c| c.name == name.value);
        if column.is_none() {
            let names = self.columns.iter().map(|c| c.name.as_str());
            report.push::<()>(with_hint(
                Diagnostic::error(
                    format!("`{}` has no column `{name}`", self.create.name),
                    name.span,
                ),
                did_you_mean(&name.value, names),
            ));
        }
        column
    }

    /// What changes that another system tells need, so that each is an event of its own and
    /// their order is known.
    pub(super) fn changes(&self, clauses: &SourceClauses, options: &Options, report: &mut Report) {
        for (option, name, wanted) in [
            ("operation", &options.operation, DataType::String),
            ("change_time", &options.change_time, DataType::Timestamp),
            (
                "change_position",
                &options.change_position,
                DataType::BigInt,
            ),
        ] {
            let Some(name) = name else {
                continue;
            };
            if options.changes.is_none() {
                if option == "operation" {
                    continue;
                }
                report.hinted::<()>(
                    format!("`{option}` is said of changes that another system tells"),
                    name.span,
                    "write `connector = 'mysql'` or `format = 'debezium'` too, or leave it out",
                );
            } else if let Some(slot) = self.columns.iter().position(|c| c.name == name.value) {
                let found = &self.columns[slot].data_type;
                if *found != wanted || slot >= self.stored {
                    report.hinted::<()>(
                        format!("`{option}` names a stored {wanted}: it is filled from the change"),
                        name.span,
                        format!("declare `{name} {wanted}`"),
                    );
                }
            } else if option != "operation" {
                self.named_by_option(name, report);
            }
        }
        let Some(changes) = options.changes else {
            return;
        };
        if self.create.kind == ast::SourceKind::Stream {
            self.captured_stream(clauses, options, report);
            return;
        }
        let (Changes::Debezium(span) | Changes::Mysql(span)) = changes;
        if options.operation.is_none() {
            report.hinted::<()>(
                "changes of a table end rows, and no column says which",
                span,
                "declare a column `op STRING`, and write `operation = 'op'`",
            );
        }
        if let Some(list) = &clauses.event_id {
            report.hinted::<()>(
                "changes of a table are told apart by their place in its log: two of one second may \
                 have the same event id",
                list.span,
                "leave `EVENT ID` out",
            );
        }
        let time = &self.columns[self.event_time].name;
        let is_dated = (options.change_time.as_ref()).is_some_and(|name| name.value == *time);
        if let (Changes::Mysql(_), Some(time), false) = (changes, &clauses.event_time, is_dated) {
            report.hinted::<()>(
                "a row that ends has no time of its own: the log has the time of each change",
                time.span,
                "declare a column `changed_at TIMESTAMP`, and write `change_time = 'changed_at'` and \
                 `EVENT TIME changed_at`",
            );
        }
        let is_first = options.change_position.as_ref().is_some_and(|position| {
            let first = clauses
                .sequence_by
                .as_ref()
                .and_then(|list| list.columns.first());
            first.is_some_and(|first| first.value == position.value)
        });
        if matches!(changes, Changes::Mysql(_)) && !is_first {
            report.hinted::<()>(
                "the log has whole seconds: which of two changes of a row is newer is said by their \
                 place in it",
                span,
                "declare a column `log_position BIGINT` and `SEQUENCE BY (log_position)`, and write \
                 `change_position = 'log_position'`",
            );
        }
    }

    /// A snapshot that is taken again must bring the same events.
    fn captured_stream(&self, clauses: &SourceClauses, options: &Options, report: &mut Report) {
        let Some(Changes::Mysql(span)) = options.changes else {
            return;
        };
        if clauses.event_id.is_none() {
            report.hinted::<()>(
                "rows of a snapshot and of the log are the same events, and nothing says which",
                span,
                "declare it: `EVENT ID (column)`; or `CREATE TABLE`, if rows change",
            );
        }
        let time = &self.columns[self.event_time].name;
        if let Some(name) = options
            .change_time
            .as_ref()
            .filter(|name| name.value == *time)
        {
            report.hinted::<()>(
                "an event that is in two snapshots would have two times",
                name.span,
                "let `EVENT TIME` be a column of the table",
            );
        }
    }
}
