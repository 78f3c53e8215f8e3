//! What the user may type: commands, options, and the help that explains them.
//!
//! Owns the words of the command line, a stable contract; does nothing itself. Every help
//! text is a golden file of the tests.

mod backfill;
mod care;
mod correction;
mod dataset;
mod definitions;
mod demo;
mod forget;
mod function;
mod ingest;
mod lake;
mod log;
mod pairs;
mod pushed;
mod read;
mod run;
mod segment;
mod serve;
mod sql;
mod tail;
mod train;
mod trial;
mod trigger;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use backfill::BackfillArguments;
pub(crate) use care::{BackupArguments, DoctorArguments, RestoreArguments};
pub(crate) use correction::{CorrectArguments, ExcludeArguments};
pub(crate) use dataset::{
    BuildArguments, DatasetArguments, DatasetCommand, DiffArguments, RebuildArguments,
    ShowArguments,
};
pub(crate) use definitions::{
    ApplyArguments, CheckArguments, FunctionsArguments, InitArguments, PlanArguments,
    RollbackArguments,
};
pub(crate) use demo::DemoArguments;
pub(crate) use forget::ForgetArguments;
pub(crate) use function::{
    FunctionArguments, FunctionCallArguments, FunctionCheckArguments, FunctionCommand,
};
pub(crate) use ingest::{DeadLettersArguments, IngestArguments, Redrive};
pub(crate) use lake::{FlushArguments, LakeArguments};
pub(crate) use log::{LogArguments, LogCommand, TruncateArguments};
pub(crate) use pairs::Pairs;
pub(crate) use pushed::{DeleteArguments, SetArguments};
pub(crate) use read::{CallArguments, ExplainArguments, GetArguments, Moment};
pub(crate) use run::RunArguments;
pub(crate) use segment::{
    FreezeArguments, SegmentArguments, SegmentCommand, SegmentQueryArguments, SegmentShowArguments,
};
pub(crate) use serve::{ServeArguments, StatusArguments};
pub(crate) use sql::SqlArguments;
pub(crate) use tail::TailArguments;
pub(crate) use train::{Knowledge, TrainArguments, VerifyArguments};
pub(crate) use trial::{BacktestArguments, HistoryArguments, PublishArguments, TryArguments};
pub(crate) use trigger::{ResultArguments, TriggerArguments, WaitingArguments};

/// The widest help, so that it reads the same everywhere.
const HELP_WIDTH: usize = 100;

/// A feature store whose online and offline values are the same number.
#[derive(Debug, Parser)]
#[command(
    name = "evenkeel",
    version,
    max_term_width = HELP_WIDTH,
    long_about = "A feature store whose online and offline values are the same number.\n\n\
        A project is a folder with `evenkeel.toml` and `*.sql` files. Its store keeps the log \
        of all events and the registry of all definitions; everything else is computed from \
        them. Tables and JSON go to stdout, everything else to stderr.",
    after_help = "New here? `evenkeel demo` shows everything on a year of real flights.\n\n\
        Exit codes: 0 done; 1 the definitions or the request are wrong, or a verification failed; \
        2 the command line was not understood; 3 a file or the store could not be read or \
        written; 4 the store is in use, or an answer is not there yet.",
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The project's folder [default: the current one]
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        help_heading = "Everywhere"
    )]
    pub(crate) dir: Option<PathBuf>,
    /// The environment of `evenkeel.toml` to use
    #[arg(long, global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub(crate) env: Option<String>,
    /// Print one JSON object on stdout instead of tables
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
}

/// The commands. What they say of themselves stands with their arguments: a text here would
/// take the place of all of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArguments),
    Init(InitArguments),
    Check(CheckArguments),
    Plan(PlanArguments),
    Try(TryArguments),
    Apply(ApplyArguments),
    Publish(PublishArguments),
    Rollback(RollbackArguments),
    Ingest(IngestArguments),
    Get(GetArguments),
    Call(CallArguments),
    Trigger(TriggerArguments),
    Result(ResultArguments),
    Set(SetArguments),
    Delete(DeleteArguments),
    Explain(ExplainArguments),
    Train(TrainArguments),
    Backtest(BacktestArguments),
    Sql(SqlArguments),
    Run(RunArguments),
    Backfill(BackfillArguments),
    Tail(TailArguments),
    Dataset(DatasetArguments),
    Segment(SegmentArguments),
    Verify(VerifyArguments),
    Serve(ServeArguments),
    Status(StatusArguments),
    DeadLetters(DeadLettersArguments),
    Correct(CorrectArguments),
    Exclude(ExcludeArguments),
    Forget(ForgetArguments),
    Doctor(DoctorArguments),
    Flush(FlushArguments),
    Lake(LakeArguments),
    Log(LogArguments),
    Backup(BackupArguments),
    Restore(RestoreArguments),
    Functions(FunctionsArguments),
    Function(FunctionArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn common_options_stand_before_or_behind_the_command() {
        for line in [
            ["evenkeel", "--json", "--dir", "x", "check"],
            ["evenkeel", "check", "--dir", "x", "--json"],
        ] {
            let parsed = Arguments::try_parse_from(line).unwrap();
            assert!(parsed.common.json);
            assert_eq!(parsed.common.dir, Some(PathBuf::from("x")));
        }
    }
}
