//! Commands that keep a store whole: doctor, backup, restore.

use std::path::PathBuf;

use clap::Args;

/// `evenkeel doctor`
#[derive(Debug, Args)]
#[command(
    about = "Look at every byte of the store for damage",
    long_about = "Look at every byte of the store for damage.\n\n\
        Reads the registry, the whole log, every row of the hot tier, datasets, frozen segments and the small \
        records beside them (what was forgotten, runs, captures, comparisons, pins), checks their checksums \
        and that they fit each other, and names every damage: source, key, file, offset. Registry \
        and log are the truth; if they are damaged, restore a backup. The hot tier is computed \
        from them, and --repair builds it again; of a record the damage says what to do. Beside a server the hot tier is looked at as of its \
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
