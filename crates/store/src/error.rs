//! What can go wrong with a hot tier.

use std::path::PathBuf;

use evenkeel_types::bytes::MalformedBytes;

use crate::kv::Space;

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPlace {
    /// The space.
    pub space: Space,
    /// The row's key.
    pub key: Vec<u8>,
}

impl std::fmt::Display for RowPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/", self.space)?;
        self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a store cannot answer or take a change. Nothing is lost by it: the log has
/// everything that a hot tier holds.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {operation} `{}`: {reason}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The embedded store refused.
    #[error("the embedded store cannot {operation}: {reason}")]
    Embedded {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        reason: String,
    },
    /// A row's bytes are not those that were written.
    #[error("row {place} is damaged: {reason}")]
    Damaged {
        /// The row.
        place: RowPlace,
        /// What is wrong with it.
        reason: String,
    },
    /// Events that left the hot tier do not come back.
    #[error("cannot read events that left the hot tier: {source}")]
    Cold {
        /// Why not.
        source: std::sync::Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A read needs events that left the hot tier, and does not bring them back itself.
    #[error("it needs events that left the hot tier and are not brought back yet")]
    NotBroughtBack,
    /// A format that this version does not read.
    #[error(
        "the hot tier has format version {found}, this version reads up to {known}: use a newer version, or remove the directory `hot` to have it rebuilt from the log"
    )]
    Version {
        /// The version on disk.
        found: u64,
        /// The newest version that is understood.
        known: u64,
    },
}

impl StoreError {
    pub(crate) fn damaged(space: Space, key: &[u8], reason: impl Into<String>) -> Self {
        StoreError::Damaged {
            place: RowPlace {
                space,
                key: key.to_vec(),
            },
            reason: reason.into(),
        }
    }

    /// Whether what failed is a write: what is there may be whole, and nothing can be added to it.
    pub fn is_of_a_write(&self) -> bool {
        match self {
            StoreError::Io { operation, .. } | StoreError::Embedded { operation, .. } => {
                ["write", "sync", "create", "rename"].contains(operation)
            }
            StoreError::Damaged { .. }
            | StoreError::Cold { .. }
            | StoreError::NotBroughtBack
            | StoreError::Version { .. } => false,
        }
    }

    /// A row whose checksum is right but whose bytes do not read.
    pub fn malformed(space: Space, key: &[u8], error: MalformedBytes) -> Self {
        Self::damaged(space, key, error.to_string())
    }
}
