//! What becomes of the table while it is followed: statements that change it, and its columns as rows have them.
//!
//! Invariant: rows are read by their own table map, and nothing is read behind a change that the rows do not tell.

use std::sync::Arc;

use super::signature::{difference, signature};
use super::{Group, State};
use crate::bytes::CutOff;
use crate::error::CaptureError;
use crate::event::Header;
use crate::mapping::{Mapping, Target};
use crate::statement::{Bracket, Effect, adds_again, bracket, effect, may_concern};
use crate::table_map::{TableMap, kind};

/// Statements shown in errors are cut.
const STATEMENT_CHARS_MAX: usize = 120;

impl State {
    pub(super) fn query(
        &mut self,
        header: &Header,
        session: &str,
        statement: &str,
        now: i64,
        target: &Target,
    ) -> Result<(), CaptureError> {
        let shown: String = statement.chars().take(STATEMENT_CHARS_MAX).collect();
        let bracket = bracket(statement);
        if bracket == Bracket::Rollback && self.has_rows {
            // Rows that are not so are in the log, and may be logged here.
            return Err(self.untold(shown));
        }
        match bracket {
            Bracket::Begin | Bracket::Prepare => {
                if self.group == Group::None {
                    self.commit_at(header, None, now)?;
                }
                self.group = Group::Inside;
                self.prepared |= bracket == Bracket::Prepare;
                return Ok(());
            }
            Bracket::End => {
                self.end_group();
                return Ok(());
            }
            Bracket::Rollback if statement.trim().len() == "ROLLBACK".len() => {
                self.end_group();
                return Ok(());
            }
            Bracket::Rollback | Bracket::Neither => {}
        }
        let own = || target.own().map(|(_, spec)| spec.name.as_str());
        let effect = effect(statement, session, &self.database, &self.table);
        match effect {
            Effect::None => {}
            // What it did was taken into account when it was read first.
            _ if self.transactions.is_known() => {}
            Effect::Altered if adds_again(statement, own()) => return Err(self.untold(shown)),
            Effect::Altered => {
                self.altered = Some(format!("`{shown}` at {}", self.place()));
                if may_concern(statement, own()) {
                    // What its columns were is not known: whatever they are now, they may be others.
                    self.columns.get_or_insert_default();
                }
            }
            Effect::Untold => return Err(self.untold(shown)),
        }
        if self.group == Group::Announced {
            self.end_group();
        }
        Ok(())
    }

    pub(super) fn table_map(&mut self, body: &[u8], target: &Target) -> Result<(), CaptureError> {
        let damaged = |_: CutOff| self.damaged("its table map ends too early");
        let id = TableMap::id_of(body).map_err(damaged)?;
        let is_of_table = TableMap::is_of(body, &self.database, &self.table).map_err(damaged)?;
        if !is_of_table || self.transactions.is_known() {
            self.maps.insert(id, None);
            return Ok(());
        }
        // The number of a table changes more often than the table.
        if self.last_body.get(6..) == body.get(6..)
            && let Some(mapping) = &self.last_mapping
        {
            self.maps.insert(id, Some(Arc::clone(mapping)));
            return Ok(());
        }
        let map = TableMap::parse(body).map_err(damaged)?;
        // A YEAR has no sign: where it seems to have one, signs are of other columns than they are read for.
        if (map.columns.iter()).any(|c| c.kind == kind::YEAR && !c.unsigned) {
            let reason = "it has a YEAR column, with which the signs of others are not known in this server's log";
            return Err(self.changed(reason.to_owned()));
        }
        let mapping = Mapping::of(target, &map, &self.server.collations);
        let mapping = mapping.map_err(|reason| self.changed(reason))?;
        let columns: Vec<String> = mapping.asked().map(signature).collect();
        if let Some(before) = &self.columns
            && let Some(reason) = difference(before, &columns)
        {
            return Err(self.changed(reason));
        }
        self.columns = Some(columns);
        let mapping = Arc::new(mapping);
        body.clone_into(&mut self.last_body);
        self.last_mapping = Some(Arc::clone(&mapping));
        self.maps.insert(id, Some(mapping));
        Ok(())
    }

    fn untold(&self, statement: String) -> CaptureError {
        CaptureError::Untold {
            source_name: self.source_name.clone(),
            statement,
            place: self.place(),
            table: self.title(),
        }
    }

    fn changed(&self, reason: String) -> CaptureError {
        CaptureError::SchemaChanged {
            source_name: self.source_name.clone(),
            table: self.title(),
            place: self.place(),
            statement: match &self.altered {
                Some(statement) => format!(", by {statement}"),
                None => String::new(),
            },
            reason,
        }
    }
}
