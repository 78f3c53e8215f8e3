//! Models: files whose content a definition pins, called as functions.

use std::fmt::Debug;
use std::sync::Arc;

use super::{Digest, Metadata};
use crate::external::External;

/// A version of a model: a file's content, and which of its outputs is the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDef {
    /// Name.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// Which content it is, and which of its answers.
    pub source: ModelSource,
    /// What is called.
    pub function: External,
    /// What the model is, in words, for people.
    pub notes: Vec<String>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL, with the digest of the content.
    pub sql: String,
    /// Its `D`.
    pub digest: Digest,
}

/// What a statement says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSource {
    /// The file's path, relative to the project's folder.
    pub path: String,
    /// The BLAKE3 digest of its content in hexadecimal; none: whatever the file has now.
    pub content: Option<String>,
    /// The output that is the answer.
    pub output: Option<String>,
    /// The class, or the number of the element, of that output.
    pub class: Option<String>,
}

/// A model that was read.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    /// What is called.
    pub function: External,
    /// The digest of the content.
    pub content: String,
    /// What the model is, in words.
    pub notes: Vec<String>,
}

/// Why a model cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelProblem {
    /// In words, behind the model's name.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Reads and understands the files of models: whoever binds definitions brings it along.
pub trait ModelFiles: Debug + Send + Sync {
    /// The model of a name.
    ///
    /// # Errors
    /// If its content is not there, or cannot be evaluated.
    fn load(&self, name: &str, source: &ModelSource) -> Result<LoadedModel, ModelProblem>;

    /// The content of a digest, if it is known.
    fn content(&self, digest: &str) -> Option<Arc<[u8]>>;
}
