//! HDFS as an object store.
//!
//! The library has the protocol. Here is what else a lake needs of a store: files that are there as a whole, once; requests
//! that end, and are tried again for as long as the project says; listings in the order of names; and what the name node
//! refuses, in the lake's words.
//!
//! Invariant: a request is carried out as often as it is tried, so none of them may do harm twice: a name is only written if it
//! is not there, or replaced as a whole, and what is removed may be gone.

mod options;
mod patience;
mod refusals;
mod server;
mod writing;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use url::{Position, Url};

use crate::parts::Parts;
use options::Options;
use patience::{Broken, Patience};
pub(crate) use refusals::{hint, refusal_of};
use server::{Connected, Library, Server};
pub(crate) use writing::is_aside;

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

/// See the module. Cloning shares it.
#[derive(Clone)]
struct Hdfs {
    server: Arc<Server>,
    patience: Patience,
}

impl Hdfs {
    /// Asks until there is an answer, which has, or says, so many bytes. On threads of its own: whoever waits may have no
    /// timers, or go away.
    async fn ask<T, F, A>(&self, bytes: u64, attempt: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(Library) -> A + Send + Sync + 'static,
        A: Future<Output = Result<T>> + Send,
    {
        let (server, patience) = (Arc::clone(&self.server), self.patience);
        let asking = async move {
            let asked: Mutex<Option<Arc<Connected>>> = Mutex::new(None);
            let attempt = || {
                let connected = server.connected();
                *locked(&asked) = Some(Arc::clone(&connected));
                let attempt = attempt(connected.library());
                // Whatever becomes of other requests, this one keeps its connections.
                async move { (attempt.await, connected).0 }
            };
            let anew = || {
                if let Some(silent) = locked(&asked).take() {
                    server.connect_anew(&silent);
                }
            };
            patience.ask(bytes, attempt, anew).await
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
        let removed = self.ask(0, move |library| {
            let locations = stream::iter([Ok(name.clone())]).boxed();
            async move {
                library
                    .store
                    .delete_stream(locations)
                    .try_for_each(|_| async { Ok(()) })
                    .await
            }
        });
        removed.await.map(|()| location)
    }

    /// Removes what attempts have left that came to nothing. Asked once: what stays is removed as what somebody leaves
    /// who is killed.
    async fn clear(&self, asides: Vec<String>) {
        if asides.is_empty() {
            return;
        }
        let once = Hdfs {
            patience: Patience {
                retry: Duration::ZERO,
                ..self.patience
            },
            server: Arc::clone(&self.server),
        };
        let cleared = once.ask(0, move |library| {
            writing::remove(library.client, asides.clone())
        });
        drop(cleared.await);
    }

    /// What is known of a file.
    async fn about(&self, location: &Path) -> Result<ObjectMeta> {
        let location = location.clone();
        let head = || GetOptions::default().with_head(true);
        let asked = self.ask(0, move |library| {
            let location = location.clone();
            async move {
                library
                    .store
                    .get_opts(&location, head())
                    .await
                    .map(|got| got.meta)
            }
        });
        asked.await
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
        let asides = Arc::new(Mutex::new(Vec::new()));
        let (location, names) = (location.clone(), Arc::clone(&asides));
        let bytes = payload.content_length() as u64;
        let written = self.ask(bytes, move |library| {
            let aside = writing::aside_of(&location);
            locked(&names).push(aside.clone());
            let (location, payload, mode) = (location.clone(), payload.clone(), opts.mode.clone());
            writing::write(library.client, location, payload, mode, aside)
        });
        let written = written.await;
        let mut left = std::mem::take(&mut *locked(&asides));
        if written.is_ok() {
            // That of the last attempt has got its name.
            left.pop();
        }
        self.clear(left).await;
        written
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
        let bytes = match &options.range {
            _ if options.head => 0,
            Some(GetRange::Bounded(range)) => range.end.saturating_sub(range.start),
            _ => self.about(location).await?.size,
        };
        let location = location.clone();
        let got = self.ask(bytes, move |library| {
            let (location, options) = (location.clone(), options.clone());
            async move { whole(library.store.get_opts(&location, options).await?).await }
        });
        got.await
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
            let listed = store.ask(0, move |library| {
                let listed = library.store.list(prefix.as_ref());
                async move { listed.try_collect::<Vec<_>>().await }
            });
            let mut found = listed.await?;
            found.sort_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(all).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned();
        let listed = self.ask(0, move |library| {
            let prefix = prefix.clone();
            async move { library.store.list_with_delimiter(prefix.as_ref()).await }
        });
        listed.await
    }

    /// Nobody copies: a copy that is cut off would be half a file under its own name.
    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented {
            operation: "copying a file".to_owned(),
            implementer: STORE.to_owned(),
        })
    }
}

/// What was read, with the bytes in memory.
async fn whole(got: GetResult) -> Result<GetResult> {
    let (meta, range, attributes) = (got.meta.clone(), got.range.clone(), got.attributes.clone());
    let bytes = got.bytes().await?;
    // It was replaced by a shorter one in between.
    if bytes.len() as u64 != range.end - range.start {
        return Err(Error::Generic {
            store: STORE,
            source: Broken.into(),
        });
    }
    let parts = stream::iter([Ok(bytes)]);
    Ok(GetResult {
        payload: GetResultPayload::Stream(parts.boxed()),
        meta,
        range,
        attributes,
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

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
