//! The engine: definitions applied, files recorded, features read, training sets built,
//! answers proved.
//!
//! Owns the recorder, the registry, what is in the hot tier and when, and verification. Knows neither the
//! command line nor HTTP. Invariant: what is in memory is what the log and the registry say,
//! whatever the batches and restarts were.

mod answers;
pub mod api;
mod applying;
mod backfill;
pub mod backtest;
mod backup;
pub mod batch;
mod call;
mod capture_record;
mod captured;
mod cold_tier;
mod comparison;
pub mod correction;
pub mod dataset;
mod definitions;
pub mod doctor;
mod emission;
mod engine;
mod error;
mod evolution;
mod follow;
mod forget;
mod from_file;
mod function;
mod group;
mod hot_store;
mod ingest;
mod kept;
mod ledger;
mod machine;
mod models;
mod offline;
mod project;
pub mod push;
mod pushed;
mod reads;
mod record_file;
mod recorder;
mod registered;
mod registry;
mod rollback;
mod sample;
mod segment;
mod served;
mod server_settings;
mod serving;
mod session_token;
mod slices;
mod source_state;
mod status;
mod training;
pub mod trial;
mod trigger;
mod truncation;
mod verify;
mod watermarks;

pub use answers::{Answers, FeatureAnswers};
pub use applying::{Applying, Switched};
pub use backfill::{BackfillPlace, BackfillReport, BackfillRequest, backfill_report, log_backfill};
pub use backup::{Manifest, backup, restore};
pub use call::{Call, Called};
pub use capture_record::{CaptureGtids, CapturePlace};
pub use captured::{captured_among, is_captured};
pub use cold_tier::{
    FailedFlush, FlushReport, FlushSettings, FlushedSource, LakeSettings, LakeStatus, LakeTable,
    Pins, TableSetBack, Upkeep,
};
pub use comparison::{Comparison, ComparisonRecord, comparison_schedule};
pub use definitions::{ChangePlan, Host, check, feature_list_of, registered};
pub use emission::{
    Backfilling, Emission, Emitter, Next, emissions, emissions_end, emits, made_by, topic_of,
};
pub use engine::Engine;
pub use error::{EngineError, ErrorKind};
pub use evenkeel_ddl::Diagnostic;
pub use evenkeel_ddl::ast::Span;
pub use evenkeel_store::{Brought, ColdNeeds, KeptCounts, Reheats, Scans};
pub use evenkeel_view::ViewColumns;
pub use follow::{FollowReport, Follower, Origins, SetAside, origins};
pub use forget::{
    ForgetError, ForgetPlan, ForgetReport, ForgetRequest, ForgottenDataset, ForgottenSegment,
    ForgottenSource, ForgottenTable, Remaining,
};
pub use function::{
    FunctionCalls, FunctionCheck, FunctionCounts, FunctionFailure, FunctionFailureKind,
    FunctionTally, Given, PYTHON_DEFAULT, PythonHost,
};
pub use hot_store::{
    Checkpoint, CheckpointWritten, HotStore, LoggedEvents, NotRead, SpentCheckpoint,
};
pub use ingest::{
    Intake, Prepare, RowSink, file_options_of, ingest_files, origins_of, stored_columns,
};
pub use kept::{KeptAnswers, KeptViewRow, RowOfView};
pub use machine::{KvStores, Machine};
pub use offline::{Offline, Online};
pub use project::{
    DEFINITION_FILE_BYTES_MAX, DefinitionFile, Limits, PROJECT_FILE, Project, STORE_DEFAULT,
};
pub use pushed::{PushedView, RowChange};
pub use reads::{service_of, source_of};
pub use recorder::{Recordable, Recorder, Verdict};
pub use registered::{PlannedApart, carried_along, views_of};
pub use registry::{Object, REGISTRY_FORMAT, Record, Registry};
pub use rollback::Rollback;
pub use segment::{
    AtOnce, FrozenName, FrozenSegment, FrozenSegments, SEGMENT_QUERY_PLACE, SegmentAnswer,
    SegmentPlan, SegmentRequest, ask_segment, segment_of, segment_query, segment_table,
};
pub use served::{ServedAnswer, ServedLog, ServedReport};
pub use server_settings::{
    BIND_DEFAULT, Scope, ServedSettings, ServerLimits, ServerSettings, TokenSettings,
};
pub use serving::{Lack, ReadPlan, Unmet, record_behind};
pub use session_token::SessionToken;
pub use slices::{Reading, SourceRows, SourceSlice, ViewRows};
pub use source_state::{Applied, SourceState, Standing};
pub use status::{dead_letters, kind_of};
pub use training::TrainingPlan;
pub use trigger::{
    Asked, Awaited, DueSearch, PastDefinitions, ResultId, Trigger, TriggerAnswer, TriggerPromise,
    TriggerResult, Waits, WaitsError, refuse_trigger,
};
pub use truncation::{LogTruncation, TruncateOptions, TruncateReport};
pub use verify::MISMATCH_EXAMPLES_MAX;
pub use watermarks::Mark;
