//! What to do next about a failure.

use std::path::Path;

use evenkeel_lake::LakeError;
use evenkeel_types::time::format_timestamp;

use super::EngineError;

impl EngineError {
    /// What to do next, where there is more to say than the message does.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            EngineError::Unknown {
                nearest: Some(name),
                ..
            } => format!("did you mean `{name}`?"),
            EngineError::ViewForService { view } => format!(
                "ask for its features as `{view}:*`, or define a service: CREATE FEATURE SERVICE m AS {view} (*)"
            ),
            EngineError::NoFolder { path } if !path.exists() => {
                format!("make it first: `mkdir -p {}`", path.display())
            }
            EngineError::NoDefinitions { .. } => {
                "write one, or let `evenkeel init --from FILE` write it".to_owned()
            }
            EngineError::NotDue { .. } => {
                "name a time: `--at TIME`, or `at` of a request".to_owned()
            }
            EngineError::RunKeyTwice { .. } => {
                "GROUP BY the key, so that it has one row".to_owned()
            }
            EngineError::NotCompared { .. } => "name --with, --from and --to, or declare compare_schedule and \
                 compare_with in the source's options"
                .to_owned(),
            EngineError::Record { .. } => "remove it: what it says is found out again, by a new snapshot of the table or \
                 the next comparison"
                .to_owned(),
            EngineError::Pin { path, .. } => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                format!(
                    "which versions it keeps is not known: `evenkeel lake --unpin {name}` lets go of them, and \
                     `evenkeel lake --pin {name}` keeps those of now"
                )
            }
            EngineError::Run { path, .. } => match run_of(path) {
                Some((view, at)) => format!(
                    "make that run once more: `evenkeel run {view} --at {at} --again`; its rows take the place \
                     of what it wrote"
                ),
                None => return None,
            },
            EngineError::OnlyRuns { .. } => {
                "`evenkeel run VIEW --at TIME --again` makes a run once more".to_owned()
            }
            EngineError::Function(failure) => format!(
                "nothing else is touched: `evenkeel function call {}` shows what it does",
                failure.function
            ),
            EngineError::NoStore { .. } => {
                "`evenkeel apply` makes it and registers the definitions".to_owned()
            }
            EngineError::NotEmitted { result, .. } => format!(
                "`evenkeel status` says why; then ask for it again: `evenkeel result '{result}'`"
            ),
            EngineError::StillEmitting { .. } => {
                "apply again when `evenkeel status` says that it has emitted for them".to_owned()
            }
            EngineError::NotMaterialised { .. } => {
                "only views that are `MATERIALIZED`, and derived streams, are backfilled".to_owned()
            }
            EngineError::StreamEnded { .. } => {
                "a stream that goes on is needed: define one under another name".to_owned()
            }
            EngineError::NotBackfilled { .. } => {
                "it is logged: once what is wrong is put right, it goes on by itself".to_owned()
            }
            EngineError::RegistryRace { .. }
            | EngineError::EventsCame { .. }
            | EngineError::SourceChanged { .. }
            | EngineError::Cold(_)
            | EngineError::Calls(_)
            | EngineError::HotTierInUse
            | EngineError::HotTierRests { .. }
            | EngineError::TruthChanged { .. }
            | EngineError::HotTierChanged => {
                "run the command again".to_owned()
            }
            EngineError::DerivedSource { trigger, .. } => {
                format!("push to `{trigger}`, or correct it: what follows is emitted")
            }
            EngineError::CutBeyond { .. } => {
                "leave the cut out to read everything that is applied".to_owned()
            }
            EngineError::Cut { .. } => {
                "write SOURCE/PARTITION@END, separated by commas: departures/0@1234".to_owned()
            }
            EngineError::Lake(error) => error.hint()?.to_owned(),
            EngineError::Forget(error) => error.hint().to_owned(),
            EngineError::Waits(error) => error.hint(),
            EngineError::LakeDiffers { .. } => {
                "somebody else wrote the table, or it is damaged: bring it back from a copy; if no segment was truncated yet, remove it and flush"
                    .to_owned()
            }
            EngineError::OtherLake { .. } => {
                "name the lake, or a copy of it, with `url` of `[lake]`".to_owned()
            }
            EngineError::Store(_) | EngineError::Unreadable(_)
                if self.lake_cause().and_then(LakeError::hint).is_some() =>
            {
                self.lake_cause()?.hint()?.to_owned()
            }
            EngineError::Store(_) | EngineError::Unreadable(_) => {
                "nothing is lost: everything in it is in the log; `evenkeel doctor --repair` builds it again"
                    .to_owned()
            }
            EngineError::HotTierClosed { .. } => {
                "reads go on and nothing is lost; when its cause is gone, write again".to_owned()
            }
            EngineError::NotApplied { .. } => {
                "nothing is lost, and reads go on: the next write, or opening the store again, applies it; \
                 sent again it is a duplicate if its events have an identity"
                    .to_owned()
            }
            EngineError::Exists { .. } => {
                "choose another place, or move it away first: nothing is ever overwritten".to_owned()
            }
            EngineError::CannotGrow { .. } => {
                "ingest it without `--follow`, or follow a pattern such as `data/*.parquet`: \
                 files that come are read when they are complete"
                    .to_owned()
            }
            EngineError::Truth { .. } => {
                "nothing was logged; correct the rows, or leave their events out of the period"
                    .to_owned()
            }
            EngineError::TooManyCompared { .. } => {
                "nothing was logged; take shorter periods, or fewer positions, one after the other, or raise \
                 `compared_events` of `[limits]`, at about half a kilobyte of memory for each"
                    .to_owned()
            }
            EngineError::PositionWords { .. } => {
                "write PARTITION@FROM..TO, separated by commas, as in 0@100..200: TO is not among them"
                    .to_owned()
            }
            EngineError::DatasetName { .. } => {
                "write NAME or NAME:VERSION, such as `delay:1`".to_owned()
            }
            EngineError::DatasetBuilt { name, version } => format!(
                "define the next one: `CREATE TRAINING DATASET {name} VERSION {} ...`",
                version.saturating_add(1)
            ),
            EngineError::RollbackMeansAnother { changed, .. } => match changed.first() {
                Some(first) => match first.split_once('@') {
                    Some((name, version)) => {
                        format!("roll that back first: `evenkeel rollback {name} --to {version}`")
                    }
                    None => return None,
                },
                None => "write the definition that you want, and apply it".to_owned(),
            },
            EngineError::CallInput { input, .. } => {
                format!("give `{input}` with the inputs")
            }
            EngineError::CallRecorded { stream, .. } => format!(
                "send the row as a trigger, which waits until it is recorded, or ask for features that do not \
                 read `{stream}`"
            ),
            EngineError::TriggerInput { input, .. } => format!(
                "a trigger's inputs are columns of its source, so that its result can be asked for again: give \
                 it a column `{input}`, ask a service without it, or make a call"
            ),
            EngineError::ResultId { .. } => {
                "an id is what a trigger answered as `result`, such as \
                 `payments~0~17~view~spent~1`"
                    .to_owned()
            }
            EngineError::ResultGone { .. } => {
                "ask sooner, set `results_kept_hours` of `[limits]`, or read the features at the time and cut"
                    .to_owned()
            }
            EngineError::FrozenName { .. } => {
                "write NAME:NUMBER, such as `frequently_late:1`".to_owned()
            }
            EngineError::Frozen { .. } => {
                "bring it back from a backup, or freeze the segment again at its time and cut"
                    .to_owned()
            }
            EngineError::DatasetBusy { .. }
            | EngineError::SegmentBusy { .. }
            | EngineError::PartsBusy { .. } => "wait until that has ended".to_owned(),
            EngineError::ColumnTwice { .. } => {
                "give one of them another name in the service: `view (feature AS name)`".to_owned()
            }
            EngineError::NotParts { .. } => {
                "parts of a result are kept there: move it away, or name another --out".to_owned()
            }
            EngineError::SplitEntity { keys, .. } => format!(
                "define the next version with `SPLIT BY ENTITY HASH OF ({}) (...)`, or with another column that \
                 no two parts may share",
                keys.first().map_or("", String::as_str)
            ),
            EngineError::Dataset { .. } => {
                "bring it back from a backup; what it was built from is not touched by this"
                    .to_owned()
            }
            EngineError::NothingToVerify => "run `evenkeel ingest` first".to_owned(),
            EngineError::Triggers { fitting, .. } => match fitting.first() {
                Some(first) => format!("name one: --source {first}"),
                None => "name a source that has them with --source, or give them as rows of a file with \
                         --spine"
                    .to_owned(),
            },
            EngineError::NothingToTry { .. } => {
                "ingest events first, or take a longer period or a larger sample".to_owned()
            }
            _ => return None,
        })
    }
}

/// View and time of a run, from the place of its record.
fn run_of(path: &Path) -> Option<(String, String)> {
    let view = path.parent()?.file_name()?.to_str()?;
    let (at, _) = path.file_name()?.to_str()?.split_once('.')?;
    Some((view.to_owned(), format_timestamp(at.parse().ok()?)))
}
