//! HDFS as an object store.
//!
//! The library has the protocol: a file is written aside and renamed, which the name node refuses if the name is taken, so
//! a commit is there once. Here is what else a lake needs of a store: requests that end, and are tried again for as long
//! as the project says; listings in the order of names; and what the name node refuses, in the lake's words.
//!
//! Invariant: a request is carried out as often as it is tried, so none of them may do harm twice: a name is only written if it
//! is not there, or replaced as a whole, and what is removed may be gone.

mod options;
mod patience;
mod refusals;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use hdfs_native_object_store::HdfsObjectStore;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::{Position, Url};

use crate::parts::Parts;
use options::Options;
use patience::Patience;
pub(crate) use refusals::{hint, refusal_of};
use server::Server;

/// The scheme of addresses.
pub(crate) const SCHEME: &str = "hdfs";
/// In errors.
const STORE: &str = "HDFS";

/// The path of an address inside its store.
///
/// # Errors
/// Says what an address lacks, or has too much.
pub(crate) fn path_of(url: &Url) -> std::result::Result<Path, String> {
    if url.host_str().is_none_or(str::is_empty) {
        return Err(
            "it names no name node: `hdfs://HOST:PORT/PATH`, or `hdfs://SERVICE/PATH`".to_owned(),
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("who asks is named by HADOOP_USER_NAME of the environment".to_owned());
    }
    Path::from_url_path(url.path()).map_err(|e| e.to_string())
}

/// The store at an address. Nothing is asked of it yet.
///
/// # Errors
/// Says which option it does not know, or which it lacks.
pub(crate) fn open(
    url: &Url,
    own: &BTreeMap<String, String>,
    retry: Duration,
) -> std::result::Result<Arc<dyn ObjectStore>, String> {
    path_of(url)?;
    let service = url.host_str().unwrap_or_default();
    let options = Options::read(service, own)?;
    let patience = Patience {
        timeout: options.timeout,
        retry,
    };
    let address = url[..Position::BeforePath].to_owned();
    let server = Server::at(address, options.for_library);
    let server = server.map_err(|error| refusals::of_configuration(service, &error))?;
    Ok(Arc::new(Hdfs { server, patience }))
}

/// Whether a name is that of a file which was being written aside, as the library names them. Who was killed leaves it.
pub(crate) fn is_aside(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let number = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once(".tmp."));
    number.is_some_and(|(name, number)| {
        !name.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// See the module. Cloning shares it.
#[derive(Clone)]
struct Hdfs {
    server: Arc<Server>,
    patience: Patience,
}

impl Hdfs {
    /// Asks until there is an answer. On threads of its own: whoever waits may have no timers, or go away.
    async fn ask<T, F, A>(&self, attempt: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(HdfsObjectStore) -> A + Send + Sync + 'static,
        A: Future<Output = Result<T>> + Send,
    {
        let (server, patience) = (Arc::clone(&self.server), self.patience);
        let asking = async move {
            let attempt = || {
                let connected = server.connected();
                let attempt = attempt(connected.client());
                // Whatever becomes of other requests, this one keeps its connections.
                async move { (attempt.await, connected).0 }
            };
            patience.ask(attempt, || server.connect_anew()).await
        };
        let asked = server::asking()?.spawn(asking).await;
        asked.unwrap_or_else(|stopped| {
            Err(Error::Generic {
                store: STORE,
                source: stopped.into(),
            })
        })
    }

    async fn remove(&self, location: Path) -> Result<Path> {
        let name = location.clone();
        let removed = self.ask(move |store| {
            let locations = stream::iter([Ok(name.clone())]).boxed();
            async move {
                store
                    .delete_stream(locations)
                    .try_for_each(|_| async { Ok(()) })
                    .await
            }
        });
        removed.await.map(|()| location)
    }
}

impl fmt::Debug for Hdfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

impl fmt::Display for Hdfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

#[async_trait]
impl ObjectStore for Hdfs {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let location = location.clone();
        self.ask(move |store| {
            let (location, payload, opts) = (location.clone(), payload.clone(), opts.clone());
            async move { store.put_opts(&location, payload, opts).await }
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Parts::new(
            Arc::new(self.clone()),
            location.clone(),
        )))
    }

    /// With all of its bytes: what is cut off in the middle is read again.
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let location = location.clone();
        self.ask(move |store| {
            let (location, options) = (location.clone(), options.clone());
            async move {
                let is_head = options.head;
                let got = store.get_opts(&location, options).await?;
                let (meta, range, attributes) =
                    (got.meta.clone(), got.range.clone(), got.attributes.clone());
                let parts = match is_head {
                    true => Vec::new(),
                    false => vec![Ok(got.bytes().await?)],
                };
                Ok(GetResult {
                    payload: GetResultPayload::Stream(stream::iter(parts).boxed()),
                    meta,
                    range,
                    attributes,
                })
            }
        })
        .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let remove = move |location: Result<Path>| {
            let store = store.clone();
            async move { store.remove(location?).await }
        };
        locations.then(remove).boxed()
    }

    /// In the order of names, as Delta's log is read: it takes listings of all stores but the local disk for ordered.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let all = async move {
            let listed = store.ask(move |store| {
                let prefix = prefix.clone();
                async move { store.list(prefix.as_ref()).try_collect::<Vec<_>>().await }
            });
            let mut found = listed.await?;
            found.sort_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(all).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned();
        self.ask(move |store| {
            let prefix = prefix.clone();
            async move { store.list_with_delimiter(prefix.as_ref()).await }
        })
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.ask(move |store| {
            let (from, to, options) = (from.clone(), to.clone(), options.clone());
            async move { store.copy_opts(&from, &to, options).await }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_aside_is_known_by_its_name() {
        for name in [".a.parquet.tmp.1", "ticks/_delta_log/.0.json.tmp.12"] {
            assert!(is_aside(name), "{name}");
        }
        for name in [
            "a.parquet",
            ".a.parquet",
            "a.tmp.1",
            ".tmp.1",
            ".a.tmp.",
            ".a.tmp.x",
            ".a.tmp.1/b",
        ] {
            assert!(!is_aside(name), "{name}");
        }
    }

    #[test]
    fn addresses_name_a_server_and_no_user() {
        let path_of = |text: &str| path_of(&Url::parse(text).unwrap());
        let path = path_of("hdfs://name:8020/lakes/a%20b/").unwrap();
        assert_eq!(path, Path::from("lakes/a b"));
        assert_eq!(path_of("hdfs://service").unwrap(), Path::from(""));
        let error = path_of("hdfs:///lakes").unwrap_err();
        assert!(error.contains("names no name node"), "{error}");
        let error = path_of("hdfs://me@name:8020/lakes").unwrap_err();
        assert!(error.contains("HADOOP_USER_NAME"), "{error}");
    }
}
