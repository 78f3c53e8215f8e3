//! What a worker process is started with: functions with the same modules, packages and limits
//! share processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_types::definition::FunctionSpec;
use serde_json::{Map, Value as Json, json};

/// What a process is started with.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) interpreter: PathBuf,
    /// The first message.
    pub(super) start: Arc<Json>,
    /// Of the environment, besides what all have.
    pub(super) variables: Vec<(&'static str, &'static str)>,
    /// Equal for what may share processes.
    pub(super) key: [u8; 32],
}

impl Program {
    pub(super) fn new(
        interpreter: &Path,
        spec: &FunctionSpec,
        variables: &[(&'static str, &'static str)],
    ) -> Self {
        let texts = |pairs: &[(String, String)]| -> Map<String, Json> {
            let pairs = pairs.iter();
            pairs.map(|(k, v)| (k.clone(), json!(v))).collect()
        };
        let start = json!({
            "kind": "start",
            "files": texts(&spec.frozen.source),
            "lock": texts(&spec.frozen.lock),
            "memory_bytes": spec.memory_bytes,
            "network": spec.allows_network,
            "file_access": spec.allows_files,
        });
        let text = format!("{start}\n{variables:?}\n{}", interpreter.display());
        Program {
            interpreter: interpreter.to_owned(),
            start: Arc::new(start),
            variables: variables.to_vec(),
            key: blake3::hash(text.as_bytes()).into(),
        }
    }
}
