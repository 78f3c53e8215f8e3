//! What kind of failure it is: one exhaustive table, and the words and numbers that follow from it.

use std::io;

use evenkeel_lake::LakeError;
use evenkeel_log::LogError;

use super::EngineError;

/// What kind of failure it is: what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The definitions or the request are wrong: change them.
    Invalid,
    /// Something named does not exist.
    NotFound,
    /// The store is in use, or was changed at the same time: try again.
    Busy,
    /// The store or a file cannot be read or written, or is damaged.
    Storage,
}

impl EngineError {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            EngineError::Forget(error) => error.kind(),
            EngineError::Waits(error) => error.kind(),
            EngineError::NoFolder { .. }
            | EngineError::NoStore { .. }
            | EngineError::UnknownEnvironment { .. }
            | EngineError::Unknown { .. }
            | EngineError::NoDeadLetter { .. }
            | EngineError::NoTrigger { .. }
            | EngineError::ResultGone { .. }
            | EngineError::NothingToVerify
            | EngineError::NothingToTry { .. }
            | EngineError::ViewForService { .. }
            | EngineError::NoDefinitions { .. } => ErrorKind::NotFound,
            EngineError::RunKeyTwice { .. }
            | EngineError::NotDue { .. }
            | EngineError::OnlyRuns { .. }
            | EngineError::ProjectFile { .. }
            | EngineError::Pattern { .. }
            | EngineError::DefinitionFileTooLarge { .. }
            | EngineError::Definitions(_)
            | EngineError::Incompatible { .. }
            | EngineError::Partitions { .. }
            | EngineError::NotAFileSource { .. }
            | EngineError::CannotGrow { .. }
            | EngineError::PinName { .. }
            | EngineError::DatasetName { .. }
            | EngineError::DatasetBuilt { .. }
            | EngineError::SplitEntity { .. }
            | EngineError::DatasetGone { .. }
            | EngineError::Cut { .. }
            | EngineError::CutBeyond { .. }
            | EngineError::TooManyEntities { .. }
            | EngineError::SegmentKey { .. }
            | EngineError::CutLacks(_)
            | EngineError::FrozenName { .. }
            | EngineError::CallInput { .. }
            | EngineError::CallRecorded { .. }
            | EngineError::TriggerInput { .. }
            | EngineError::ResultId { .. }
            | EngineError::NotCompared { .. }
            | EngineError::NothingToRollBack { .. }
            | EngineError::RollbackMeansAnother { .. }
            | EngineError::Inputs { .. }
            | EngineError::Connect(_)
            | EngineError::Signature(_)
            | EngineError::ReadOnly { .. }
            | EngineError::OtherLake { .. }
            | EngineError::Train(_) => ErrorKind::Invalid,
            EngineError::Function(_)
            | EngineError::Exists { .. }
            | EngineError::TooManyCompared { .. }
            | EngineError::Truth { .. }
            | EngineError::EmptyPeriod { .. }
            | EngineError::ColumnTwice { .. }
            | EngineError::NotParts { .. }
            | EngineError::NotTried { .. }
            | EngineError::Triggers { .. }
            | EngineError::PeriodTime { .. }
            | EngineError::PositionWords { .. }
            | EngineError::DerivedSource { .. }
            | EngineError::NotMaterialised { .. }
            | EngineError::StreamEnded { .. }
            | EngineError::Positions { .. } => ErrorKind::Invalid,
            EngineError::Lake(error) if matches!(**error, LakeError::Address { .. }) => {
                ErrorKind::Invalid
            }
            EngineError::Lake(_)
            | EngineError::Store(_)
            | EngineError::Unreadable(_)
            | EngineError::Log(_)
                if self.lake_cause().is_some_and(LakeError::may_pass) =>
            {
                ErrorKind::Busy
            }
            EngineError::RegistryRace { .. }
            | EngineError::EventsCame { .. }
            | EngineError::StillEmitting { .. }
            | EngineError::NotBackfilled { .. }
            | EngineError::NotEmitted { .. }
            | EngineError::SourceChanged { .. }
            | EngineError::HotTierChanged
            | EngineError::HotTierInUse
            | EngineError::HotTierRests { .. }
            | EngineError::Cold(_)
            | EngineError::Calls(_)
            | EngineError::TruthChanged { .. }
            | EngineError::DatasetBusy { .. }
            | EngineError::SegmentBusy { .. }
            | EngineError::RowInUse { .. }
            | EngineError::PartsBusy { .. }
            | EngineError::Stopped => ErrorKind::Busy,
            EngineError::Log(error) if matches!(**error, LogError::Locked { .. }) => {
                ErrorKind::Busy
            }
            EngineError::Read { .. }
            | EngineError::Lake(_)
            | EngineError::LakeDiffers { .. }
            | EngineError::Write { .. }
            | EngineError::Registry { .. }
            | EngineError::Pin { .. }
            | EngineError::StoreFormat { .. }
            | EngineError::EventDoesNotFit { .. }
            | EngineError::Backup { .. }
            | EngineError::Dataset { .. }
            | EngineError::Run { .. }
            | EngineError::Record { .. }
            | EngineError::Frozen { .. }
            | EngineError::Schema { .. }
            | EngineError::Store(_)
            | EngineError::HotTierClosed { .. }
            | EngineError::NotApplied { .. }
            | EngineError::Unreadable(_)
            | EngineError::Log(_) => ErrorKind::Storage,
        }
    }

    /// Whether the log cannot be locked, or the hot tier cannot be brought up, as nothing can be written
    /// there: who only reads can go on with the log alone.
    pub(crate) fn is_of_writing(&self) -> bool {
        let error = match self {
            EngineError::Log(error) => error,
            EngineError::Store(error) => return error.is_of_a_write(),
            _ => return false,
        };
        match error.as_ref() {
            // Of the mark, or of dead letters that are told again.
            LogError::StorageFull { .. } | LogError::NotDurable { .. } => true,
            LogError::Io {
                operation: "lock",
                source,
                ..
            } => matches!(
                source.kind(),
                io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self.kind() {
            _ if matches!(self, EngineError::Function(_)) => "FUNCTION",
            ErrorKind::Invalid => "INVALID",
            ErrorKind::NotFound => "NOT_FOUND",
            ErrorKind::Busy => "BUSY",
            ErrorKind::Storage => "STORAGE",
        }
    }

    /// The exit code of a command that fails with it.
    pub fn exit_code(&self) -> u8 {
        match self.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound => 1,
            ErrorKind::Busy => 4,
            ErrorKind::Storage => 3,
        }
    }
}
