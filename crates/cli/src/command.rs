//! The commands: each takes its arguments and a session, and gives an answer.

mod apply;
mod backfill;
mod backtest;
mod backup;
mod call;
mod check;
mod correct;
mod dataset;
mod dead_letters;
mod doctor;
mod explain;
mod flush;
mod forget;
mod function;
mod functions;
mod get;
mod ingest;
mod init;
mod inputs;
mod lake;
mod log;
mod plan;
mod publish;
mod pushed;
mod rollback;
mod run;
mod segment;
mod serve;
mod sql;
mod status;
mod tail;
mod train;
mod trial;
mod trigger;
mod verify;

use crate::arguments::Command;
use crate::failure::Failure;
use crate::flights;
use crate::session::{Answer, Session};

pub(crate) use apply::changes;
pub(crate) use dataset::build_dataset;
pub(crate) use ingest::{ingest_source, report_line};
pub(crate) use segment::Wanted as WantedSegment;
pub(crate) use sql::Answered;
pub(crate) use train::{QUERY_PLACE, build, json_report as json_training_report, query_text};
pub(crate) use trigger::Read as ReadOfTrigger;
pub(crate) use verify::summary as verify_summary;

/// Runs a command.
pub(crate) fn run(command: &Command, session: &Session) -> Result<Answer, Failure> {
    match command {
        Command::Demo(arguments) => flights::run(arguments, session),
        Command::Init(arguments) => init::run(arguments, session),
        Command::Check(_) => check::run(session),
        Command::Plan(arguments) => plan::run(arguments, session),
        Command::Apply(_) => apply::run(session),
        Command::Try(arguments) => trial::run(arguments, session),
        Command::Publish(arguments) => publish::run(arguments, session),
        Command::Rollback(arguments) => rollback::run(arguments, session),
        Command::Ingest(arguments) => ingest::run(arguments, session),
        Command::Get(arguments) => get::run(arguments, session),
        Command::Call(arguments) => call::run(arguments, session),
        Command::Trigger(arguments) => trigger::run(arguments, session),
        Command::Result(arguments) => trigger::result(arguments, session),
        Command::Set(arguments) => pushed::set(arguments, session),
        Command::Delete(arguments) => pushed::delete(arguments, session),
        Command::Explain(arguments) => explain::run(arguments, session),
        Command::Train(arguments) => train::run(arguments, session),
        Command::Backtest(arguments) => backtest::run(arguments, session),
        Command::Sql(arguments) => sql::run(arguments, session),
        Command::Run(arguments) => run::run(arguments, session),
        Command::Backfill(arguments) => backfill::run(arguments, session),
        Command::Tail(arguments) => tail::run(arguments, session),
        Command::Dataset(arguments) => dataset::run(&arguments.command, session),
        Command::Segment(arguments) => segment::run(&arguments.command, session),
        Command::Verify(arguments) => verify::run(arguments, session),
        Command::Serve(arguments) => serve::run(arguments, session),
        Command::Status(_) => status::run(session),
        Command::DeadLetters(arguments) => dead_letters::run(arguments, session),
        Command::Correct(arguments) => correct::correct(arguments, session),
        Command::Exclude(arguments) => correct::exclude(arguments, session),
        Command::Forget(arguments) => forget::run(arguments, session),
        Command::Doctor(arguments) => doctor::run(arguments, session),
        Command::Flush(arguments) => flush::run(arguments, session),
        Command::Lake(arguments) => lake::run(arguments, session),
        Command::Log(arguments) => log::run(&arguments.command, session),
        Command::Backup(arguments) => backup::backup(arguments, session),
        Command::Restore(arguments) => backup::restore(arguments, session),
        Command::Functions(arguments) => functions::run(arguments),
        Command::Function(arguments) => function::run(&arguments.command, session),
    }
}
