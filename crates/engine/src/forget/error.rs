//! Why a key is not forgotten, or a store not read meanwhile.

use std::path::PathBuf;

use crate::error::ErrorKind;

/// See the module.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ForgetError {
    #[error("`{text}` names no columns that could hold the key ({})", parts.join(", "))]
    Columns { text: String, parts: Vec<String> },
    #[error("that is no key of `{entity}`: {reason}")]
    Key { entity: String, reason: String },
    #[error("no pseudonym can take the place of that key: {reason}")]
    Pseudonym { reason: String },
    #[error("what was to be forgotten cannot be read from `{}`: {reason}", path.display())]
    Journal { path: PathBuf, reason: String },
    #[error("the record `{}` of what was forgotten is damaged: {reason}", path.display())]
    Record { path: PathBuf, reason: String },
    #[error("the request `{}` to forget a key is damaged: {reason}", path.display())]
    Asked { path: PathBuf, reason: String },
    #[error("events came after it was looked for the key")]
    EventsCame,
    #[error("a key of the store `{}` is being forgotten", path.display())]
    UnderWay { path: PathBuf },
}

impl ForgetError {
    /// Of which kind it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            ForgetError::Columns { .. }
            | ForgetError::Key { .. }
            | ForgetError::Pseudonym { .. } => ErrorKind::Invalid,
            ForgetError::Journal { .. }
            | ForgetError::Record { .. }
            | ForgetError::Asked { .. } => ErrorKind::Storage,
            ForgetError::UnderWay { .. } | ForgetError::EventsCame => ErrorKind::Busy,
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            ForgetError::Columns { .. } => {
                "write SOURCE.COLUMN, with a column for each part of the key, separated by commas"
            }
            ForgetError::Key { .. } => {
                "give the value, or PART=VALUE for each part, separated by commas"
            }
            ForgetError::Pseudonym { .. } => {
                "forget it without --pseudonym: its events are removed then"
            }
            ForgetError::Journal { .. } => {
                "a part may be forgotten and another not: bring the store back from a backup, and forget again"
            }
            ForgetError::Record { .. } => {
                "without it derived streams would emit what they had left out, and datasets that read what was \
                 forgotten would pass for ones that can be built again: bring the file back from a backup, where it has \
                 the same name; if there is none and that may be, move the folder `forgotten` of the store away"
            }
            ForgetError::Asked { .. } => {
                "remove the file, and ask again for the key to be forgotten"
            }
            ForgetError::EventsCame => "nothing was changed: run the command again",
            ForgetError::UnderWay { .. } => {
                "wait until that has ended; if it was interrupted, any command that opens the store to write \
                 goes on with it: `evenkeel forget --resume`"
            }
        }
    }
}
