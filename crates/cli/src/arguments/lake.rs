//! `evenkeel flush` and `evenkeel lake`.

use clap::Args;

/// `evenkeel flush`
#[derive(Debug, Args)]
#[command(
    about = "Bring the lake up to the log",
    long_about = "Bring the lake up to the log.\n\n\
        Writes the events that are only in the log to one Delta table per source: by default in \
        `lake` of the store's directory, else where `[lake]` of `evenkeel.toml` says, also on an \
        object store or in HDFS. Other tools read the tables with their own Delta readers, and `train` and \
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
