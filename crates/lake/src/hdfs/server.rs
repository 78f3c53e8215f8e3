//! Connections to name nodes and data nodes, and where they are waited for.
//!
//! Invariant: one client per address and options for all lakes of a process. The library keeps a client that has
//! written for ever, and connections to data nodes for a while in a place that all clients share: whoever makes a client for each
//! flush runs out of files.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use hdfs_native_object_store::{HdfsObjectStore, HdfsObjectStoreBuilder};
use object_store::{Error, Result};
use tokio::runtime::{Builder, Runtime};

use super::STORE;
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

/// A client, and the runtime of its connections, which end with it.
pub(super) struct Connected {
    client: HdfsObjectStore,
    _connections: Waiting,
}

impl Connected {
    fn to(address: &str, options: &Options) -> Result<Arc<Self>> {
        let connections = runtime("evenkeel-hdfs").map_err(|error| Error::Generic {
            store: STORE,
            source: error.into(),
        })?;
        let client = HdfsObjectStoreBuilder::new()
            .with_url(address)
            .with_config(options)
            .with_io_runtime(connections.handle().clone())
            .build()?;
        Ok(Arc::new(Connected {
            client,
            _connections: Waiting::new(connections),
        }))
    }

    pub(super) fn client(&self) -> HdfsObjectStore {
        self.client.clone()
    }
}

impl Server {
    /// The server of an address, with options.
    pub(super) fn at(address: String, options: Options) -> Result<Arc<Server>> {
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address, options);
        if let Some(server) = servers.get(&key) {
            return Ok(Arc::clone(server));
        }
        let (address, options) = key.clone();
        let connected = Mutex::new(Connected::to(&address, &options)?);
        let server = Arc::new(Server {
            address,
            options,
            connected,
        });
        servers.insert(key, Arc::clone(&server));
        Ok(server)
    }

    pub(super) fn connected(&self) -> Arc<Connected> {
        let connected = self.connected.lock();
        Arc::clone(&connected.unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on over other connections: those that there are wait behind what is not answered, and the library
    /// gives none up.
    pub(super) fn connect_anew(&self) {
        // Hadoop's files, if they have become wrong, leave it as it is.
        if let Ok(connected) = Connected::to(&self.address, &self.options) {
            *self
                .connected
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = connected;
        }
    }
}
