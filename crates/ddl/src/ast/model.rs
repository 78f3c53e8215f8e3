//! Models.

use super::{Ident, Metadata, StringLit};

/// `CREATE MODEL name FROM 'path' [OUTPUT 'name'] [CLASS 'class'] [DIGEST 'content'] [COMMENT ...]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateModel {
    /// Its name.
    pub name: Ident,
    /// The file.
    pub path: StringLit,
    /// Which of its outputs is the answer.
    pub output: Option<StringLit>,
    /// Which class of that output.
    pub class: Option<StringLit>,
    /// The digest of the file's content.
    pub digest: Option<StringLit>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}
