//! The `[lake]` part of the project file.
//!
//! ```toml
//! [lake]
//! url = "s3://bucket/features"        # default: `lake` in the store's directory
//! file_events = 524288                # events of a data file
//! retry_seconds = 30                  # for so long a request to an object store is tried again
//! log_days = 30                       # beside a server: after a flush, what is older leaves the log
//!
//! [lake.options]                      # of the object store; also AWS_..., AZURE_..., GOOGLE_..., HADOOP_...
//! region = "eu-central-1"
//!
//! [lake.flush]                        # beside a server; without it, by `evenkeel flush`
//! every_seconds = 300
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LakeSettings {
    /// A URL, or a directory relative to the project's folder.
    pub url: Option<String>,
    /// Options of the object store, by its names.
    pub options: BTreeMap<String, String>,
    /// Events of a data file, at most.
    pub file_events: usize,
    /// For so long a request to an object store is tried again.
    pub retry_seconds: u64,
    /// Days after which a server lets leave the log what the lake has; `None`: it keeps all of it.
    pub log_days: Option<u32>,
    /// When a server flushes; `None`: never.
    pub flush: Option<FlushSettings>,
}

/// When a server flushes the log to the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlushSettings {
    /// So long after the last time.
    pub every_seconds: u64,
}

impl Default for LakeSettings {
    fn default() -> Self {
        LakeSettings {
            url: None,
            options: BTreeMap::new(),
            file_events: 1 << 19,
            retry_seconds: 30,
            log_days: None,
            flush: None,
        }
    }
}
