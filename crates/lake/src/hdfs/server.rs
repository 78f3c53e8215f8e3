//! Connections to name nodes and data nodes, and where they are waited for.
//!
//! Invariant: one client per address and options for all lakes of a process. The library keeps a client that has
//! written for ever, and connections to data nodes for a while in a place that all clients share: whoever makes a client for each
//! flush runs out of files.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use hdfs_native::{Client, ClientBuilder, HdfsError};
use hdfs_native_object_store::HdfsObjectStore;
use object_store::{Error, Result};
use tokio::runtime::{Builder, Runtime};

use super::{STORE, locked};
use crate::waiting::Waiting;

type Options = BTreeMap<String, String>;

static SERVERS: Mutex<BTreeMap<(String, Options), Arc<Server>>> = Mutex::new(BTreeMap::new());
/// Where attempts are counted and times run out. Never given back.
static ASKING: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| runtime("evenkeel-ask"));

/// Where requests are made, whoever waits for them.
pub(super) fn asking() -> Result<&'static Runtime> {
    ASKING.as_ref().map_err(|error| Error::Generic {
        store: STORE,
        source: error.to_string().into(),
    })
}

fn runtime(name: &str) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
}

/// Who is reached at an address.
pub(super) struct Server {
    address: String,
    options: Options,
    connected: Mutex<Arc<Connected>>,
}

/// The library's own client, and that as an object store.
#[derive(Clone)]
pub(super) struct Library {
    pub(super) client: Client,
    pub(super) store: HdfsObjectStore,
}

/// A client, and the runtime of its connections, which end with it.
pub(super) struct Connected {
    library: Library,
    _connections: Waiting,
}

impl Connected {
    fn to(address: &str, options: &Options) -> Result<Arc<Self>, HdfsError> {
        let connections = runtime("evenkeel-hdfs")?;
        let client = ClientBuilder::new()
            .with_url(address)
            .with_config(options)
            .with_io_runtime(connections.handle().clone())
            .build()?;
        Ok(Arc::new(Connected {
            library: Library {
                store: HdfsObjectStore::new(client.clone()),
                client,
            },
            _connections: Waiting::new(connections),
        }))
    }

    pub(super) fn library(&self) -> Library {
        self.library.clone()
    }
}

impl Server {
    /// The server of an address, with options.
    pub(super) fn at(address: String, options: Options) -> Result<Arc<Server>, HdfsError> {
        let key = (address, options);
        if let Some(server) = locked(&SERVERS).get(&key) {
            return Ok(Arc::clone(server));
        }
        let (address, options) = key.clone();
        let connected = Mutex::new(Connected::to(&address, &options)?);
        let server = Arc::new(Server {
            address,
            options,
            connected,
        });
        Ok(Arc::clone(locked(&SERVERS).entry(key).or_insert(server)))
    }

    pub(super) fn connected(&self) -> Arc<Connected> {
        Arc::clone(&locked(&self.connected))
    }

    /// From now on over other connections than those that were silent: whoever used them would wait behind what is not
    /// answered, and the library gives none up.
    pub(super) fn connect_anew(&self, silent: &Arc<Connected>) {
        let is_in_use = || Arc::ptr_eq(&self.connected(), silent);
        // Hadoop's files, if they have become wrong, leave it as it is.
        if is_in_use()
            && let Ok(connected) = Connected::to(&self.address, &self.options)
            && is_in_use()
        {
            *locked(&self.connected) = connected;
        }
    }
}
