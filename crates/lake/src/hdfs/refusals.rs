//! What a name node or a data node says when it does not do what it is asked, in the lake's words.

use hdfs_native::HdfsError;
use object_store::Error;

use super::STORE;
use super::patience::{Broken, NoAnswer};
use crate::objects::Refusal;

/// Who may not.
const DENIED: [&str; 3] = [
    "AccessControlException",
    "AuthorizationException",
    "InvalidToken",
];
/// What stays so until somebody puts it right.
const STAYS: [&str; 7] = [
    "DSQuotaExceededException",
    "InvalidPathException",
    "MaxDirectoryItemsExceededException",
    "NSQuotaExceededException",
    "ParentNotDirectoryException",
    "PathComponentTooLongException",
    "UnresolvedPathException",
];

/// What the cause of an error says, if it is one of this store's.
pub(crate) fn refusal_of(cause: &(dyn std::error::Error + 'static)) -> Option<Refusal> {
    if cause.is::<NoAnswer>() {
        return Some(Refusal::Unreachable);
    }
    Some(match cause.downcast_ref::<HdfsError>()? {
        HdfsError::IOError(_) => Refusal::Unreachable,
        error if is_about_who_asks(error) => Refusal::Anonymous,
        error if is_denied(error) => Refusal::Denied,
        _ => Refusal::Failing,
    })
}

/// What to do next.
pub(crate) fn hint(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unreachable => {
            "nothing is lost: see that the name node and the data nodes run and can be reached (`url` of `[lake]`, the options or HADOOP_CONF_DIR), and run the command again"
        }
        Refusal::Anonymous => {
            "the name node wants Kerberos: `kinit`, with libgssapi_krb5 installed, or name a file of tokens in HADOOP_TOKEN_FILE_LOCATION"
        }
        Refusal::Denied => {
            "nothing is lost: see who asks (HADOOP_USER_NAME, or the ticket of Kerberos), and that they may read, write, list and delete there"
        }
        Refusal::NoBucket => "make the folder, or correct `url` of `[lake]`",
        Refusal::Failing => {
            "nothing is lost: run the command again; `retry_seconds` of `[lake]` says for how long a request is tried again"
        }
        Refusal::Overwrites => {
            "two who write at once would lose commits: use another store for the lake"
        }
    }
}

/// Why no client can be made: something in the options, or in Hadoop's files.
pub(super) fn of_configuration(service: &str, error: &HdfsError) -> String {
    match error {
        HdfsError::InvalidArgument(words) if words.contains("No NameNode") => format!(
            "no name nodes of `{service}` are known: name a port (`{service}:8020`), or give `dfs.ha.namenodes.{service}` and their addresses in `[lake.options]` or the files in $HADOOP_CONF_DIR"
        ),
        error => error.to_string(),
    }
}

/// An error of the library as one of its object store.
pub(super) fn of_library(error: HdfsError) -> Error {
    match &error {
        HdfsError::FileNotFound(path) => Error::NotFound {
            path: path.clone(),
            source: error.into(),
        },
        HdfsError::AlreadyExists(path) => Error::AlreadyExists {
            path: path.clone(),
            source: error.into(),
        },
        _ => Error::Generic {
            store: STORE,
            source: error.into(),
        },
    }
}

/// Whether the same may succeed a little later.
pub(super) fn may_pass(error: &Error) -> bool {
    let Error::Generic { source, .. } = error else {
        return false;
    };
    if source.is::<NoAnswer>() || source.is::<Broken>() {
        return true;
    }
    match source.downcast_ref::<HdfsError>() {
        Some(HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _)) => {
            !ends_with_one_of(class, &DENIED) && !ends_with_one_of(class, &STAYS)
        }
        // What was cut off, or had bytes that are wrong, or nowhere to go.
        Some(
            HdfsError::IOError(_)
            | HdfsError::DataTransferError(_)
            | HdfsError::ChecksumError
            | HdfsError::BlocksNotFound(_)
            | HdfsError::InvalidRPCResponse(_),
        ) => true,
        _ => false,
    }
}

/// An error by the name that object stores have for it, without where in Java it came from.
pub(super) fn translated(error: Error) -> Error {
    let Error::Generic { store, source } = error else {
        return error;
    };
    let source = match source.downcast::<HdfsError>() {
        Ok(error) => error,
        Err(source) => return Error::Generic { store, source },
    };
    let first_line = |words: String| words.lines().next().unwrap_or_default().to_owned();
    let error = match *source {
        HdfsError::RPCError(class, words) => HdfsError::RPCError(class, first_line(words)),
        HdfsError::FatalRPCError(class, words) => {
            HdfsError::FatalRPCError(class, first_line(words))
        }
        other => other,
    };
    let (is_denied, source) = (is_denied(&error), error.into());
    match is_denied {
        true => Error::PermissionDenied {
            path: String::new(),
            source,
        },
        false => Error::Generic { store, source },
    }
}

fn is_denied(error: &HdfsError) -> bool {
    match error {
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _) => {
            ends_with_one_of(class, &DENIED)
        }
        HdfsError::SASLError(_) => true,
        _ => false,
    }
}

/// Nobody has a ticket, or there is nothing to show it with.
fn is_about_who_asks(error: &HdfsError) -> bool {
    match error {
        HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => true,
        HdfsError::OperationFailed(words) => words.contains("libgssapi"),
        _ => false,
    }
}

fn ends_with_one_of(class: &str, names: &[&str]) -> bool {
    let name = class.rsplit(['.', '$']).next().unwrap_or(class);
    names.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc(class: &str) -> HdfsError {
        let words = "in words\n\tat org.apache.hadoop";
        HdfsError::RPCError(class.to_owned(), words.to_owned())
    }

    #[test]
    fn what_hdfs_says_is_a_refusal() {
        let cases = [
            (
                std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into(),
                Refusal::Unreachable,
                true,
            ),
            (
                rpc("org.apache.hadoop.security.AccessControlException"),
                Refusal::Denied,
                false,
            ),
            (
                rpc("org.apache.hadoop.security.token.SecretManager$InvalidToken"),
                Refusal::Denied,
                false,
            ),
            (HdfsError::NoSASLMechanism, Refusal::Anonymous, false),
            (
                rpc("org.apache.hadoop.hdfs.server.namenode.SafeModeException"),
                Refusal::Failing,
                true,
            ),
            (
                rpc("org.apache.hadoop.hdfs.protocol.NSQuotaExceededException"),
                Refusal::Failing,
                false,
            ),
            (HdfsError::ChecksumError, Refusal::Failing, true),
        ];
        for (error, refusal, passes) in cases {
            assert_eq!(refusal_of(&error), Some(refusal), "{error}");
            let store = STORE;
            let source = error.into();
            let error = Error::Generic { store, source };
            assert_eq!(may_pass(&error), passes, "{error}");
            let error = translated(error);
            assert!(!error.to_string().contains("\tat"), "{error}");
            assert_eq!(
                matches!(error, Error::PermissionDenied { .. }),
                refusal == Refusal::Denied
            );
        }
        assert_eq!(refusal_of(&std::fmt::Error), None);
    }
}
