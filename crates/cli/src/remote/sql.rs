//! SQL answered, and batch views run, by a server.

use evenkeel_connect::Table;
use evenkeel_engine::{DefinitionFile, Scope};
use evenkeel_server::Sent;
use serde_json::Value as Json;

use super::{Remote, escaped, not_understood};
use crate::command::Answered;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Bar;

impl Remote {
    /// Runs a batch view: its report.
    pub(crate) fn run_view(
        &self,
        view: &str,
        asked: &Json,
        output: Output,
    ) -> Result<Json, Failure> {
        let path = format!("/v1/views/{}/run", escaped(view));
        self.of_view(&path, asked, output)
    }

    /// Makes the rows of a view again: what that did.
    pub(crate) fn backfill(
        &self,
        view: &str,
        asked: &Json,
        output: Output,
    ) -> Result<Json, Failure> {
        let path = format!("/v1/views/{}/backfill", escaped(view));
        self.of_view(&path, asked, output)
    }

    fn of_view(&self, path: &str, asked: &Json, output: Output) -> Result<Json, Failure> {
        let bar = Bar::counts(output);
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let body = asked.to_string();
        let mut sent = Sent::new("POST", path, Scope::Write, body.as_bytes());
        sent.progress = Some(&mut progress);
        self.understood(self.client.send(&mut sent))
    }

    /// Asks a query, whose mistakes are in these texts.
    pub(crate) fn sql(
        &self,
        asked: &Json,
        texts: &[DefinitionFile],
        place: &str,
        output: Output,
    ) -> Result<Answered, Failure> {
        let bar = Bar::counts(output);
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let body = asked.to_string();
        let mut rows = Vec::new();
        let mut sent = Sent::new("POST", "/v1/sql", Scope::Read, body.as_bytes());
        sent.accept = "application/vnd.apache.arrow.stream";
        sent.progress = Some(&mut progress);
        sent.file = Some(&mut rows);
        let reply = self.client.send(&mut sent);
        drop(sent);
        drop(bar);
        let report = self.understood_in(reply, texts, place)?;
        let word = |name: &str| report[name].as_str().map(str::to_owned);
        Ok(Answered {
            table: Table::from_stream(rows, u64::MAX)?,
            more: report["more"] == true,
            as_of: word("as_of").ok_or_else(not_understood)?,
            cut: word("cut").ok_or_else(not_understood)?,
        })
    }
}
