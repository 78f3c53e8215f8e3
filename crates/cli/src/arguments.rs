//! What the user may type: commands, options, and the help that explains them.
//!
//! Owns the words of the command line, a stable contract; does nothing itself. Every help
//! text is a golden file of the tests.

mod backfill;
mod dataset;
mod forget;
mod function;
mod log;
mod pairs;
mod pushed;
mod run;
mod segment;
mod sql;
mod tail;
mod trial;
mod trigger;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub(crate) use backfill::BackfillArguments;
pub(crate) use dataset::{
    BuildArguments, DatasetArguments, DatasetCommand, DiffArguments, RebuildArguments,
    ShowArguments,
};
pub(crate) use forget::ForgetArguments;
pub(crate) use function::{
    FunctionArguments, FunctionCallArguments, FunctionCheckArguments, FunctionCommand,
};
pub(crate) use log::{LogArguments, LogCommand, TruncateArguments};
pub(crate) use pairs::Pairs;
pub(crate) use pushed::{DeleteArguments, SetArguments};
pub(crate) use run::RunArguments;
pub(crate) use segment::{
    FreezeArguments, SegmentArguments, SegmentCommand, SegmentQueryArguments, SegmentShowArguments,
};
pub(crate) use sql::SqlArguments;
pub(crate) use tail::TailArguments;
pub(crate) use trial::{BacktestArguments, HistoryArguments, PublishArguments, TryArguments};
pub(crate) use trigger::{ResultArguments, TriggerArguments};

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
        written; 4 the store is in use.",
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

/// `evenkeel demo`
#[derive(Debug, Args)]
#[command(
    about = "Show everything on a year of real flights",
    long_about = "Show everything on a year of real flights.\n\n\
        Unpacks a project (all departures from Seattle and Portland in 2014, hourly weather, \
        aircraft) into a folder, applies its definitions, logs the events, reads features at \
        three telling moments, builds a training set for \"arrives more than 15 minutes late\", \
        proves that the read path and the training path give the same bits, and builds a training \
        dataset twice. The folder is an \
        ordinary project: look into it, change it, ask it with the other commands.",
    after_help = "Examples:\n  \
        evenkeel demo\n  \
        evenkeel demo --dir /tmp/flights --json\n  \
        evenkeel get --dir evenkeel-demo --service delay_model \\\n      \
            --entity origin=SEA,dest=PHX,carrier=AS --as-of 2014-07-04T16:00:00Z"
)]
pub(crate) struct DemoArguments {
    /// Delete what an earlier demo left in the folder and start anew
    #[arg(long)]
    pub(crate) force: bool,
    /// How many values to verify
    #[arg(long, value_name = "N", default_value_t = 120_000)]
    pub(crate) values: u64,
}

/// `evenkeel init`
#[derive(Debug, Args)]
#[command(
    about = "Start a project, from nothing or from a file of events",
    long_about = "Start a project, from nothing or from a file of events.\n\n\
        Without --from: a small project that works at once, to be changed. With --from: looks \
        at the file (Parquet, CSV, JSON lines; also compressed), and writes the stream with its \
        columns, types and the likeliest event time, with comments saying what to check. \
        Existing files are never overwritten.",
    after_help = "Examples:\n  \
        evenkeel init --dir shop\n  \
        evenkeel init --dir shop --from data/orders.csv\n  \
        evenkeel init --dir shop --from 'data/orders-*.parquet' --stream orders --key customer_id"
)]
pub(crate) struct InitArguments {
    /// A file of events (or a pattern) to infer a stream from; relative to the project's folder
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<String>,
    /// The stream's name [default: the file's]
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) stream: Option<String>,
    /// Also write an entity with this key column, and a first feature view
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub(crate) key: Option<String>,
}

/// `evenkeel check`
#[derive(Debug, Args)]
#[command(
    about = "Check the definitions, without a store",
    long_about = "Check the definitions, without a store.\n\n\
        Reads every definition file of the project, and says for each mistake where it is and \
        what to write instead. Needs no store and changes nothing, so it fits Git hooks and CI: \
        exit code 1 if anything is wrong.",
    after_help = "Examples:\n  \
        evenkeel check\n  \
        evenkeel check --dir shop --json"
)]
pub(crate) struct CheckArguments {}

/// `evenkeel plan`
#[derive(Debug, Args)]
#[command(
    about = "Show what `apply` would change",
    long_about = "Show what `apply` would change.\n\n\
        Compares the definition files with the registry. For each view: its kind, the edges of \
        its windows in words, and what it costs per event and key.",
    after_help = "Examples:\n  \
        evenkeel plan\n  \
        evenkeel plan --env production --json"
)]
pub(crate) struct PlanArguments {
    /// Also show the objects that stay as they are
    #[arg(long)]
    pub(crate) all: bool,
}

/// `evenkeel apply`
#[derive(Debug, Args)]
#[command(
    about = "Register the definitions in the store",
    long_about = "Register the definitions in the store.\n\n\
        Creates the store if there is none. The registry keeps every version of every \
        definition; nothing is ever removed by leaving it out of the files.",
    after_help = "Examples:\n  \
        evenkeel apply\n  \
        evenkeel apply --env production --json"
)]
pub(crate) struct ApplyArguments {}

/// `evenkeel rollback`
#[derive(Debug, Args)]
#[command(
    about = "Go back to an earlier version of a view",
    long_about = "Go back to an earlier version of a view.\n\n\
        The definition of then becomes the newest version: what names the view without a version \
        follows at once, services too. Nothing is taken out of the registry, and what was served \
        or built stays as it is. If a view that it reads is not what it was then, that has to go \
        back first. Bad data is taken back with `correct` and `exclude`.",
    after_help = "Examples:\n  \
        evenkeel rollback airport_congestion --to 1 --dry-run\n  \
        evenkeel rollback airport_congestion --to 1 --json"
)]
pub(crate) struct RollbackArguments {
    /// The view
    #[arg(value_name = "VIEW")]
    pub(crate) view: String,
    /// The version to go back to
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: u32,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `evenkeel ingest`
#[derive(Debug, Args)]
#[command(
    about = "Log the events of file sources",
    long_about = "Log the events of file sources.\n\n\
        Reads the files of a source (of all file sources, if none is named), checks every row, \
        and logs what is new: a row that is in the log already is counted, not logged again. A \
        row that cannot be an event goes to the source's dead letters with its reason; the rest \
        goes on. What is reported as recorded is on disk.\n\n\
        Of a table of MySQL or MariaDB that is named the first time a snapshot is logged, then the \
        changes that the server has logged since; with --follow all that come.",
    after_help = "Examples:\n  \
        evenkeel ingest\n  \
        evenkeel ingest departures\n  \
        evenkeel ingest departures --file data/2015-01.parquet"
)]
pub(crate) struct IngestArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Read this file (or pattern) instead of the source's own; relative to the current folder
    #[arg(long, value_name = "FILE", requires = "source")]
    pub(crate) file: Option<PathBuf>,
    /// Go on with rows and files that come, until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// End when nothing has come for this long
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    pub(crate) idle_exit: Option<u64>,
    /// End when all is read; the files are complete, their last lines too
    #[arg(long, requires = "follow", conflicts_with = "idle_exit")]
    pub(crate) until_idle: bool,
    /// How often to look for more
    #[arg(
        long,
        value_name = "MILLISECONDS",
        default_value_t = 200,
        requires = "follow"
    )]
    pub(crate) poll: u64,
    /// Of a table of MySQL: take a new snapshot, and log what differs
    #[arg(long, requires = "source", conflicts_with = "file")]
    pub(crate) snapshot: bool,
}

/// What is known when something is read.
#[derive(Debug, Args)]
pub(crate) struct Moment {
    /// The time to read at [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// Know only the events in this cut, as an earlier answer printed it [default: everything]
    #[arg(long, value_name = "CUT")]
    pub(crate) cut: Option<String>,
    /// Know only what was visible at this time
    #[arg(long, value_name = "TIME")]
    pub(crate) known_at: Option<String>,
}

/// `evenkeel get`
#[derive(Debug, Args)]
#[command(
    about = "Read features of entities at a time",
    long_about = "Read features of entities at a time.\n\n\
        Answers come in the order of the request, each with its status (PRESENT, NULL_VALUE, \
        NOT_FOUND, OUTSIDE_MAX_AGE, ERROR) and event time, and with the cut they were read at: \
        the same question with that --cut gives the same bits for ever.\n\n\
        An entity is given as NAME=VALUE pairs, with request columns of on-demand views beside \
        its keys. A value with a comma is written in double quotes; NULL is written without.",
    after_help = "Examples:\n  \
        evenkeel get --service delay_model --entity origin=SEA,dest=PDX\n  \
        evenkeel get --features airport_congestion:departures_3h,weather_now:* \\\n      \
            --entity origin=SEA --entity origin=PDX --as-of 2014-07-04T16:00:00Z\n  \
        evenkeel get --service delay_model --entities entities.csv --json\n  \
        evenkeel get --dataset delay:1 --entity origin=SEA,dest=PDX"
)]
pub(crate) struct GetArguments {
    /// The feature service, as NAME or NAME@VERSION
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present_any = ["features", "dataset"],
        conflicts_with = "features"
    )]
    pub(crate) service: Option<String>,
    /// A list of features, as VIEW:FEATURE or VIEW:*
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// The vector of a training dataset, as NAME or NAME:VERSION: its versions of the views, its
    /// order, its transforms
    #[arg(long, value_name = "NAME", conflicts_with_all = ["service", "features"])]
    pub(crate) dataset: Option<String>,
    /// An entity, as NAME=VALUE,...; may be given several times
    #[arg(
        long = "entity",
        value_name = "PAIRS",
        required_unless_present = "entities"
    )]
    pub(crate) entity: Vec<Pairs>,
    /// A file of entities (Parquet, CSV, Arrow), one per row
    #[arg(long, value_name = "FILE", conflicts_with = "entity")]
    pub(crate) entities: Option<PathBuf>,
    /// Values that hold for every entity, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) request: Option<Pairs>,
    /// When, and what is known.
    #[command(flatten)]
    pub(crate) moment: Moment,
}

/// `evenkeel call`
#[derive(Debug, Args)]
#[command(
    about = "Read features with one row more than is logged",
    long_about = "Read features with one row more than is logged.\n\n\
        The row is judged as if it were pushed now, and known to this one read, at its own event \
        time: windows, look-ups and views over views have it in them. Nothing is left of it. What \
        comes out is what a read would answer once the row is logged behind everything else; a \
        row that was logged before counts once. The inputs of the service are columns of the row \
        of that name, or given.",
    after_help = "Examples:\n  \
        evenkeel call payments --row id=77,card=4,amount=250.5,at=2026-03-01T10:00:00Z \\\n      \
            --service fraud_model\n  \
        evenkeel call payments --row id=77,card=4,amount=99,at=2026-03-01T10:00:00Z \\\n      \
            --features spent:total,spent:n --json"
)]
pub(crate) struct CallArguments {
    /// The source whose row it is
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The row, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) row: Pairs,
    /// The feature service, as NAME or NAME@VERSION
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "features",
        conflicts_with = "features"
    )]
    pub(crate) service: Option<String>,
    /// A list of features, as VIEW:FEATURE or VIEW:*
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// Inputs of the service that the row has no column for, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) inputs: Option<Pairs>,
}

/// `evenkeel explain`
#[derive(Debug, Args)]
#[command(
    about = "Show how one value came about",
    long_about = "Show how one value came about.\n\n\
        Prints what the feature reads: each aggregate with its window's edges, how many events are \
        inside the window and the newest of them, the rows and look-ups that were used, and the \
        cut. Events that a FILTER leaves out are counted, not listed.",
    after_help = "Examples:\n  \
        evenkeel explain airport_congestion:departures_3h --entity origin=SEA \\\n      \
            --as-of 2014-07-04T16:00:00Z"
)]
pub(crate) struct ExplainArguments {
    /// The feature, as VIEW:FEATURE
    #[arg(value_name = "FEATURE")]
    pub(crate) feature: String,
    /// The entity, as NAME=VALUE,..., with request columns beside its keys
    #[arg(long, value_name = "PAIRS")]
    pub(crate) entity: Pairs,
    /// When, and what is known.
    #[command(flatten)]
    pub(crate) moment: Moment,
}

/// `--knowledge`
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Knowledge {
    /// Everything in the cut, also what became known later
    Latest,
    /// At each row what was visible at its `known_at`
    AsServed,
}

/// `evenkeel train`
#[derive(Debug, Args)]
#[command(
    about = "Build a training set",
    long_about = "Build a training set.\n\n\
        Reads every feature of a service at the time of every row of the spine. The result has \
        exactly the spine's rows, in its order, its other columns untouched, and the features \
        behind them. The spine is a file with the service's inputs and a time, or a query over \
        the store, which may ask for labels: a feature read forward.",
    after_help = "Examples:\n  \
        evenkeel train delay_model --spine spine.parquet --out train.parquet\n  \
        evenkeel train delay_model --spine spine.csv --time-column departed_at \\\n      \
            --knowledge as_served --out train.arrow\n  \
        evenkeel train delay_model --out train.parquet --spine \\\n      \
            \"SELECT flight_id, tailnum, origin, dest, distance,\n              \
                    LABEL arrived_late FROM flight_outcome WITHIN INTERVAL '1' DAY\n       \
             FROM departures\""
)]
pub(crate) struct TrainArguments {
    /// The feature service, as NAME or NAME@VERSION
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    /// A file (Parquet, CSV, Arrow), a query, or a `.sql` file with a query
    #[arg(long, value_name = "FILE|QUERY")]
    pub(crate) spine: String,
    /// The file to write: .parquet, .csv or .arrow
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// What each row knows
    #[arg(long, value_enum, default_value = "latest")]
    pub(crate) knowledge: Knowledge,
    /// The spine file's column of times [default: event_time, or its only TIMESTAMP]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time_column: Option<String>,
    /// The spine file's column of known-at times [default: the times]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) known_at_column: Option<String>,
    /// Also write a column with each feature's status
    #[arg(long)]
    pub(crate) statuses: bool,
    /// Know only the events in this cut [default: everything]
    #[arg(long, value_name = "CUT")]
    pub(crate) cut: Option<String>,
}

/// `evenkeel verify`
#[derive(Debug, Args)]
#[command(
    about = "Prove that all paths give the same bits",
    long_about = "Prove that all paths give the same bits.\n\n\
        Draws entities and times under a seed: at events, between them, exactly at window edges \
        and one microsecond beside them, at ties, at several cuts. Each value is read once by \
        the read path and once by the training path, and on a sub-sample computed by a naive \
        oracle. Exit code 1, with the feature, key, time, cut and values, if any bit differs.",
    after_help = "Examples:\n  \
        evenkeel verify\n  \
        evenkeel verify --service delay_model --values 1000000 --seed 7 --json"
)]
pub(crate) struct VerifyArguments {
    /// Only the views of these services [default: every view]
    #[arg(long = "service", value_name = "NAME", action = ArgAction::Append)]
    pub(crate) services: Vec<String>,
    /// How many values to compare
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) values: u64,
    /// Instead: compute again what the server has sent and logged, each answer at its cut
    #[arg(long, conflicts_with_all = ["services", "values", "oracle_values", "cuts"])]
    pub(crate) served: bool,
    /// How many of them to compute with the oracle, too
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) oracle_values: u64,
    /// How many cuts: the newest and earlier ones
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) cuts: u16,
    /// The seed of the sample
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// `evenkeel serve`
#[derive(Debug, Args)]
#[command(
    about = "Answer over HTTP",
    long_about = "Answer over HTTP.\n\n\
        Holds the store, reads features and logs pushed events until the process is told to stop \
        (SIGTERM, Ctrl-C); then it finishes what is in flight. Prints its address, and writes it \
        to `serve.json` in the store's directory: the other commands ask the server as long as it \
        runs, with the same words. Addresses beyond this machine need tokens and TLS files under \
        [server] in `evenkeel.toml`.",
    after_help = "Examples:\n  \
        evenkeel serve\n  \
        evenkeel serve --dir shop --bind 127.0.0.1:0 --json\n  \
        curl -s http://127.0.0.1:6570/v1/services"
)]
pub(crate) struct ServeArguments {
    /// Address and port; port 0 takes a free one [default: [server] bind, or 127.0.0.1:6570]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind: Option<String>,
}

/// `evenkeel status`
#[derive(Debug, Args)]
#[command(
    about = "Show what the store holds",
    long_about = "Show what the store holds.\n\n\
        Per source the events, the latest event time, the watermark and the dead letters; the \
        views and services with their versions; what recovery found when the store was opened.",
    after_help = "Examples:\n  \
        evenkeel status\n  \
        evenkeel status --dir evenkeel-demo --json"
)]
pub(crate) struct StatusArguments {}

/// `evenkeel dead-letters`
#[derive(Debug, Args)]
#[command(
    about = "Show rejected rows, and log them again",
    long_about = "Show rejected rows, and log them again.\n\n\
        Each row with its number, the reason, where it came from and the original record. \
        --redrive checks rows anew, with the definitions as they are now.",
    after_help = "Examples:\n  \
        evenkeel dead-letters departures\n  \
        evenkeel dead-letters departures --redrive 3 --redrive 7\n  \
        evenkeel dead-letters departures --redrive all"
)]
pub(crate) struct DeadLettersArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Log this row again, by its number, or `all`; may be given several times
    #[arg(long, value_name = "ID|all", value_delimiter = ',')]
    pub(crate) redrive: Vec<Redrive>,
    /// Show at most this many rows
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
}

/// One `--redrive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redrive {
    /// Every row.
    All,
    /// The row of this number.
    One(u64),
}

impl std::str::FromStr for Redrive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Redrive::All);
        }
        text.parse()
            .map(Redrive::One)
            .map_err(|_| "write the number of a row, or `all`".to_owned())
    }
}

/// `evenkeel correct`
#[derive(Debug, Args)]
#[command(
    about = "Put the events of a period right, by difference with the truth",
    long_about = "Put the events of a period right, by difference with the truth.\n\n\
        Compares the events of a source in a period with the rows of files that say what they \
        are, and logs the difference: rows that are otherwise are replaced, events that are not \
        in the truth are removed, missing ones are added. Events outside the period are never \
        touched, the same truth again changes nothing, and what was answered before stays \
        readable at its cut. A row of the truth that can be no event of the source refuses the \
        whole correction. If it is interrupted, run it again: the rest follows.\n\n\
        Without --with the comparison is made that the source declares (compare_schedule, \
        compare_with), for the moment that was due last; a server makes it by itself.",
    after_help = "Examples:\n  \
        evenkeel correct payments --with truth.parquet --from 2026-03-01 --to 2026-03-02 --dry-run\n  \
        evenkeel correct payments --with 'truth/2026-03-*.csv' --from 2026-03-01 --to 2026-04-01"
)]
pub(crate) struct CorrectArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The file (or pattern) with the truth, read as the source's own files are; relative to the
    /// current folder
    #[arg(long, value_name = "FILE", requires_all = ["from", "to"])]
    pub(crate) with: Option<PathBuf>,
    /// The first time of the period; without a zone, in the source's
    #[arg(long, value_name = "TIME", requires = "with")]
    pub(crate) from: Option<String>,
    /// The first time behind the period
    #[arg(long, value_name = "TIME", requires = "with")]
    pub(crate) to: Option<String>,
    /// Only say what would be logged, and how many values would be others
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `evenkeel exclude`
#[derive(Debug, Args)]
#[command(
    about = "Leave out what was logged between positions",
    long_about = "Leave out what was logged between positions.\n\n\
        Logs what makes events hold as if the records at these positions were not there: an \
        event that came with them is removed, one that they corrected is again what it was. \
        Nothing leaves the log, and what was answered before stays readable at its cut. An \
        event that is removed stays so if it is ingested again: `correct` brings it back.",
    after_help = "Examples:\n  \
        evenkeel exclude payments --positions 0@120000..0@125000 --dry-run\n  \
        evenkeel exclude payments --positions 0@120000..125000,1@88000..91000"
)]
pub(crate) struct ExcludeArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// PARTITION@FROM..TO, separated by commas; TO is the first position that stays
    #[arg(long, value_name = "POSITIONS")]
    pub(crate) positions: String,
    /// Only say what would be logged, and how many values would be others
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `evenkeel doctor`
#[derive(Debug, Args)]
#[command(
    about = "Look at every byte of the store for damage",
    long_about = "Look at every byte of the store for damage.\n\n\
        Reads the registry, the whole log and every row of the hot tier, checks their checksums \
        and that they fit each other, and names every damage: source, key, file, offset. Registry \
        and log are the truth; if they are damaged, restore a backup. The hot tier is computed \
        from them, and --repair builds it again. Beside a server the hot tier is looked at as of its \
        last checkpoint, and rows that the server has cached are not read from the disk again; \
        --repair is refused. Without a server nobody else may use the store meanwhile.\n\n\
        Exits with 3 if there is damage that is left.",
    after_help = "Examples:\n  \
        evenkeel doctor\n  \
        evenkeel doctor --repair --json"
)]
pub(crate) struct DoctorArguments {
    /// Build the hot tier again if anything in it is damaged
    #[arg(long)]
    pub(crate) repair: bool,
}

/// `evenkeel flush`
#[derive(Debug, Args)]
#[command(
    about = "Bring the lake up to the log",
    long_about = "Bring the lake up to the log.\n\n\
        Writes the events that are only in the log to one Delta table per source: by default in \
        `lake` of the store's directory, else where `[lake]` of `evenkeel.toml` says, also on an \
        object store. Other tools read the tables with their own Delta readers, and `train` and \
        `verify` read them up to where they end, and the log from there. The position up to which a \
        table has everything is part of the same commit as the events, so each event is there \
        once, however often this is run or killed. Works beside a server, which can also do \
        it itself: `[lake.flush] every_seconds`. A source that cannot be flushed keeps no other from \
        it: each is named with the reason, and the first one says the exit code.",
    after_help = "Examples:\n  \
        evenkeel flush\n  \
        evenkeel flush departures weather --json"
)]
pub(crate) struct FlushArguments {
    /// The sources [default: all]
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,
}

/// `evenkeel lake`
#[derive(Debug, Args)]
#[command(
    about = "Show what is in the lake, and keep it in shape",
    long_about = "Show what is in the lake, and keep it in shape.\n\n\
        Lists the tables with their versions, files, and how far they cover the log. --maintain \
        puts small files together, and removes files that no version needs but older ones \
        that nobody pinned: whoever still reads an older version finds them gone. --pin gives the \
        versions of now a name and keeps their files until --unpin. --set-back is for a log that was \
        restored from a backup while its tables, in an object store, went on: tables that are ahead of the log, or \
        have other events, are set back to what was truncated of it, and the next flush brings the rest \
        from the log. Their versions of before are pinned under NAME: what was flushed behind the backup is there \
        alone, and is counted. Nobody else may use the lake any \
        more: another store whose log was truncated by it would lose what it has there alone.",
    after_help = "Examples:\n  \
        evenkeel lake\n  \
        evenkeel lake --pin model-7\n  \
        evenkeel lake --maintain --json\n  \
        evenkeel lake --set-back before-restore"
)]
pub(crate) struct LakeArguments {
    /// Put small files together and remove those that nobody needs
    #[arg(long)]
    pub(crate) maintain: bool,
    /// Keep the tables' versions of now, under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) pin: Option<String>,
    /// Let go of what has this name
    #[arg(long, value_name = "NAME", conflicts_with = "pin")]
    pub(crate) unpin: Option<String>,
    /// Set tables back that went on without this log, and keep their versions of now under this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pin", "unpin", "maintain"])]
    pub(crate) set_back: Option<String>,
}

/// `evenkeel backup`
#[derive(Debug, Args)]
#[command(
    about = "Copy the store, also while it is in use",
    long_about = "Copy the store, also while it is in use.\n\n\
        Copies the log up to this moment and the registry into a new folder, with a digest of \
        every file; everything else is computed from them. Where the log is truncated, the lake's \
        tables are copied, too, and nothing is flushed meanwhile; those in an object store are named, and \
        must stay. The copy is durable when the command returns.",
    after_help = "Examples:\n  \
        evenkeel backup --to /backups/shop-2026-03-01"
)]
pub(crate) struct BackupArguments {
    /// A folder that does not exist yet
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: PathBuf,
}

/// `evenkeel restore`
#[derive(Debug, Args)]
#[command(
    about = "Bring a backup back",
    long_about = "Bring a backup back as the project's store.\n\n\
        Every file is checked against its digest before anything has the store's name. A store \
        that exists is never overwritten.",
    after_help = "Examples:\n  \
        evenkeel restore --dir shop --from /backups/shop-2026-03-01"
)]
pub(crate) struct RestoreArguments {
    /// What `evenkeel backup` made
    #[arg(long, value_name = "FOLDER")]
    pub(crate) from: PathBuf,
}

/// `evenkeel functions`
#[derive(Debug, Args)]
#[command(
    about = "List the functions of the definition language",
    long_about = "List the functions of the definition language.\n\n\
        Expressions and aggregates with their signatures and rules. Only these exist in feature \
        views: each gives the same bits on every machine.",
    after_help = "Examples:\n  \
        evenkeel functions\n  \
        evenkeel functions round\n  \
        evenkeel functions --json"
)]
pub(crate) struct FunctionsArguments {
    /// Only functions with this in their name
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
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
    fn redrive_takes_numbers_and_all() {
        assert_eq!("7".parse(), Ok(Redrive::One(7)));
        assert_eq!("ALL".parse(), Ok(Redrive::All));
        assert!("x".parse::<Redrive>().is_err());
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
