//! Object stores: how one is reached, what it must be able to do, and why it did not do what it was asked.
//!
//! Invariant: an option that the project names is known to its store, or refused; no table is made in a store that writes
//! over what is there although it was asked not to.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutPayload, RetryConfig,
};
use url::{Position, Url};

use crate::error::LakeError;
use crate::hdfs;

/// Options of object stores that are taken from the environment begin with one of these.
const ENVIRONMENT: [&str; 4] = ["AWS_", "AZURE_", "GOOGLE_", "GCP_"];
/// Between two attempts, at most.
const PAUSE_SECONDS_MAX: u64 = 5;
/// What S3 and those like it say of a bucket that is not there.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];
/// Where a machine in a cloud asks who it is, if nobody has told the program.
const METADATA: &str = "169.254.169.254";

/// Why an object store does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody is there, or too slow.
    Unreachable,
    /// Nobody said who asks.
    Anonymous,
    /// Who asks may not do it.
    Denied,
    /// There is no such bucket.
    NoBucket,
    /// It answers with an error of its own.
    Failing,
    /// It writes over what is there.
    Overwrites,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Unreachable => "does not answer",
            Refusal::Anonymous => "was not told who asks, and neither was this machine",
            Refusal::Denied => "refuses these credentials",
            Refusal::NoBucket => "has no such bucket",
            Refusal::Failing => "answers with an error",
            Refusal::Overwrites => "writes over what is there although it was asked not to",
        })
    }
}

impl Refusal {
    /// What to do next, of the store at an address.
    pub(crate) fn hint(self, address: &str) -> &'static str {
        if is_hdfs(address.split("://").next().unwrap_or_default()) {
            return hdfs::hint(self);
        }
        match self {
            Refusal::Unreachable => {
                "nothing is lost: see that the store runs and can be reached (`endpoint` of `[lake.options]`), and run the command again"
            }
            Refusal::Anonymous => {
                "name credentials in `[lake.options]`, or in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of S3)"
            }
            Refusal::Denied => {
                "nothing is lost: see to the credentials in `[lake.options]` or the environment, and that they may read, write, list and delete there"
            }
            Refusal::NoBucket => "make the bucket, or correct `url` of `[lake]`",
            Refusal::Failing => {
                "nothing is lost: run the command again; `retry_seconds` of `[lake]` says for how long a request is tried again"
            }
            Refusal::Overwrites => {
                "two who write at once would lose commits: use a store that knows `If-None-Match: *` of writes, and do not set `conditional_put` of `[lake.options]`"
            }
        }
    }
}

/// The refusal that is the cause of an error; none if it says what is ordinary: that something is there, or
/// is not.
pub(crate) fn refusal_of(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let of_store = causes_of(error).find_map(of_store)?;
    let causes = || causes_of(of_store);
    let words: String = causes().map(|cause| format!("{cause} ")).collect();
    if NO_BUCKET.iter().any(|code| words.contains(code)) {
        return Some(Refusal::NoBucket);
    }
    let is_cut_off = |error: &HttpError| !matches!(error.kind(), HttpErrorKind::Decode);
    match of_store {
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => Some(Refusal::Denied),
        object_store::Error::Generic { .. } if causes().any(|e| hdfs::refusal_of(e).is_some()) => {
            causes().find_map(hdfs::refusal_of)
        }
        object_store::Error::Generic { .. } if words.contains(METADATA) => Some(Refusal::Anonymous),
        object_store::Error::Generic { .. } => {
            let http = causes().find_map(|cause| cause.downcast_ref::<HttpError>());
            match http.is_some_and(is_cut_off) {
                true => Some(Refusal::Unreachable),
                false => Some(Refusal::Failing),
            }
        }
        _ => None,
    }
}

/// An error as an object store's own. One of the kernel's names its cause in words alone.
fn of_store<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e object_store::Error> {
    let of_kernel = error.downcast_ref::<delta_kernel::Error>();
    of_kernel.map_or_else(|| error.downcast_ref(), of_kernel_error)
}

fn of_kernel_error(error: &delta_kernel::Error) -> Option<&object_store::Error> {
    match error {
        delta_kernel::Error::Backtraced { source, .. } => of_kernel_error(source),
        delta_kernel::Error::ObjectStore(error) => Some(error),
        _ => None,
    }
}

/// An error, what caused it, and so on.
fn causes_of<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

macro_rules! built {
    ($builder:ty, $url:expr, $retry:expr, $own:expr, $wrong:expr) => {{
        let mut builder = <$builder>::new().with_url($url).with_retry($retry);
        for (name, value) in from_environment() {
            // What is not for this store is for another program.
            if let Ok(key) = name.parse() {
                builder = builder.with_config(key, value);
            }
        }
        // The project's own come last and win.
        for (name, value) in $own {
            match name.to_ascii_lowercase().parse() {
                Ok(key) => builder = builder.with_config(key, value),
                Err(_) => return Err($wrong(format!("it has no option `{name}`"))),
            }
        }
        let store = builder.build().map_err(|e| $wrong(e.to_string()))?;
        Ok(Arc::new(store) as Arc<dyn ObjectStore>)
    }};
}

/// The store at a URL. Nothing is asked of it yet.
pub(crate) fn open(
    url: &Url,
    options: &BTreeMap<String, String>,
    retry: Duration,
) -> Result<Arc<dyn ObjectStore>, LakeError> {
    let wrong = |reason: String| LakeError::Address {
        address: in_words(url),
        reason,
    };
    if is_hdfs(url.scheme()) {
        return hdfs::open(url, options, retry).map_err(wrong);
    }
    let (scheme, _) = ObjectStoreScheme::parse(url).map_err(|e| wrong(e.to_string()))?;
    let retry = RetryConfig {
        backoff: BackoffConfig {
            max_backoff: Duration::from_secs(PAUSE_SECONDS_MAX),
            ..BackoffConfig::default()
        },
        // The time alone says when it is enough.
        max_retries: usize::MAX,
        retry_timeout: retry,
    };
    let text = url.to_string();
    match scheme {
        ObjectStoreScheme::AmazonS3 => built!(AmazonS3Builder, text, retry, options, wrong),
        ObjectStoreScheme::GoogleCloudStorage => {
            built!(GoogleCloudStorageBuilder, text, retry, options, wrong)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            built!(MicrosoftAzureBuilder, text, retry, options, wrong)
        }
        ObjectStoreScheme::Http => {
            let server = url[..Position::BeforePath].to_owned();
            built!(HttpBuilder, server, retry, options, wrong)
        }
        _ => Err(wrong("no store has such addresses".to_owned())),
    }
}

/// A URL's path inside its store.
///
/// # Errors
/// Says why no store has such addresses.
pub(crate) fn path_of(url: &Url) -> Result<Path, String> {
    if is_hdfs(url.scheme()) {
        return hdfs::path_of(url);
    }
    let (_, path) = ObjectStoreScheme::parse(url).map_err(|e| e.to_string())?;
    Ok(path)
}

/// Whether a file of a table was being written aside when somebody was killed. Most stores show only what is whole.
pub(crate) fn is_aside(url: &Url, name: &str) -> bool {
    is_hdfs(url.scheme()) && hdfs::is_aside(name)
}

fn is_hdfs(scheme: &str) -> bool {
    scheme == hdfs::SCHEME
}

/// A URL without what may be a secret.
pub(crate) fn in_words(url: &Url) -> String {
    let mut path = format!("{}://", url.scheme());
    path.push_str(url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        path.push_str(&format!(":{port}"));
    }
    path.push_str(url.path().trim_end_matches('/'));
    path
}

fn from_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars()
        .filter(|(name, _)| ENVIRONMENT.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
}

/// Sees whether a store refuses to write over what is there: commits are made by that alone. `name` is nobody
/// else's.
pub(crate) async fn refuses_to_overwrite(
    store: &dyn ObjectStore,
    name: &Path,
) -> Result<bool, object_store::Error> {
    let put = || store.put_opts(name, PutPayload::from_static(b"-"), PutMode::Create.into());
    match put().await {
        // What was answered to an attempt that was lost.
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
        Err(
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. },
        ) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let refuses = match put().await {
        Ok(_) => false,
        Err(object_store::Error::AlreadyExists { .. }) => true,
        Err(error) => return Err(error),
    };
    store.delete(name).await?;
    Ok(refuses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(options: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, LakeError> {
        let own = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let url = Url::parse("s3://bucket/features").unwrap();
        open(&url, &own.collect(), Duration::from_secs(1))
    }

    #[test]
    fn options_are_those_of_the_store() {
        assert!(
            s3(&[
                ("region", "eu-central-1"),
                ("endpoint", "http://127.0.0.1:1")
            ])
            .is_ok()
        );
        let error = s3(&[("regin", "eu-central-1")]).unwrap_err().to_string();
        assert!(error.contains("no option `regin`"), "{error}");
        for url in ["gs://bucket/a", "az://container/a", "https://host/a"] {
            let url = Url::parse(url).unwrap();
            let wrong = BTreeMap::from([("nothing".to_owned(), String::new())]);
            let error = open(&url, &wrong, Duration::ZERO).unwrap_err().to_string();
            assert!(error.contains("no option `nothing`"), "{url}: {error}");
        }
    }

    fn hdfs(url: &str, options: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, LakeError> {
        let own = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        open(&Url::parse(url).unwrap(), &own.collect(), Duration::ZERO)
    }

    #[test]
    fn addresses_in_hdfs_are_checked() {
        assert!(hdfs("hdfs://name:8020/lakes", &[]).is_ok());
        let of_service = [
            ("dfs.ha.namenodes.features", "one"),
            ("dfs.namenode.rpc-address.features.one", "name:8020"),
        ];
        assert!(hdfs("hdfs://features/lakes", &of_service).is_ok());
        let says = |error: LakeError| error.to_string();
        let error = says(hdfs("hdfs://features/lakes", &of_service[..1]).unwrap_err());
        assert!(error.contains("no name nodes of `features`"), "{error}");
        assert!(error.contains("`features:8020`"), "{error}");
        let misspelt = [("dfs.ha.namenodes.feature", "one")];
        let error = says(hdfs("hdfs://features/lakes", &misspelt).unwrap_err());
        assert!(
            error.contains("no option `dfs.ha.namenodes.feature`"),
            "{error}"
        );
    }

    #[test]
    fn a_name_node_that_is_not_there_does_not_answer() {
        let port = {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let address = format!("hdfs://127.0.0.1:{port}/lakes");
        let store = hdfs(&address, &[]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let error = runtime.block_on(store.get(&Path::from("a"))).unwrap_err();
        assert_eq!(refusal_of(&error), Some(Refusal::Unreachable), "{error}");
        let hint = Refusal::Unreachable.hint(&address);
        assert!(hint.contains("the name node"), "{hint}");
        assert!(
            Refusal::Unreachable
                .hint("s3://bucket")
                .contains("`endpoint`")
        );
    }

    #[test]
    fn an_address_names_no_secret() {
        let in_words = |text: &str| in_words(&Url::parse(text).unwrap());
        assert_eq!(in_words("s3://b/f/"), "s3://b/f");
        let secret = "https://me:secret@host:81/a/b?sig=secret#secret";
        assert_eq!(in_words(secret), "https://host:81/a/b");
    }

    #[test]
    fn what_is_ordinary_is_no_refusal() {
        let path = "a".to_owned();
        let not_found = |words: &'static str| object_store::Error::NotFound {
            path: path.clone(),
            source: words.into(),
        };
        assert_eq!(refusal_of(&not_found("NoSuchKey")), None);
        assert_eq!(
            refusal_of(&not_found("<Code>NoSuchBucket</Code>")),
            Some(Refusal::NoBucket)
        );
        let denied = object_store::Error::PermissionDenied {
            path: path.clone(),
            source: "AccessDenied".into(),
        };
        assert_eq!(refusal_of(&denied), Some(Refusal::Denied));
        let generic = object_store::Error::Generic {
            store: "S3",
            source: "503".into(),
        };
        assert_eq!(refusal_of(&generic), Some(Refusal::Failing));
        let of_kernel = delta_kernel::Error::ObjectStore(generic);
        assert_eq!(refusal_of(&of_kernel), Some(Refusal::Failing));
        assert_eq!(refusal_of(&std::fmt::Error), None);
    }
}
