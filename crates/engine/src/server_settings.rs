//! The `[server]` part of the project file: data that the server reads.
//!
//! ```toml
//! [server]
//! bind = "127.0.0.1:6570"
//! tls_certificate = "server.pem"      # both are needed beyond the loopback address
//! tls_key = "server.key"
//!
//! [server.served]
//! every = 100                         # one answer in so many is logged; 0: none
//!
//! [[server.tokens]]
//! name = "scoring"
//! scopes = ["read"]                   # read, write, admin
//! env = "EVENKEEL_SCORING_TOKEN"      # or: file = "scoring.token"
//! ```

use std::path::PathBuf;

use serde::Deserialize;

/// Where the server listens if nobody says otherwise.
pub const BIND_DEFAULT: &str = "127.0.0.1:6570";

/// See the module. Relative paths are relative to the project's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port; port 0 takes a free one.
    pub bind: String,
    /// A PEM file with the certificate chain.
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the private key.
    pub tls_key: Option<PathBuf>,
    /// Who may ask; none: anyone on this machine.
    pub tokens: Vec<TokenSettings>,
    /// Limits.
    pub limits: ServerLimits,
    /// What of the answers is logged.
    pub served: ServedSettings,
}

/// The log of served answers, which `evenkeel verify --served` replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServedSettings {
    /// One answer in so many; 0: none.
    pub every: u64,
    /// About the bytes that it may take.
    pub bytes_max: u64,
}

impl Default for ServedSettings {
    fn default() -> Self {
        ServedSettings {
            every: 100,
            bytes_max: 64 << 20,
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            bind: BIND_DEFAULT.to_owned(),
            tls_certificate: None,
            tls_key: None,
            tokens: Vec::new(),
            limits: ServerLimits::default(),
            served: ServedSettings::default(),
        }
    }
}

/// A token: never itself in the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// What errors call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The environment variable that holds it.
    pub env: Option<String>,
    /// The file that holds it; white space around it does not count.
    pub file: Option<PathBuf>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Features, definitions, states, dead letters.
    Read,
    /// Events.
    Write,
    /// Everything, and to drive dead letters again.
    Admin,
}

/// What a stranger may send, and how much of it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerLimits {
    /// Bytes of a request's body, as sent.
    pub body_bytes: usize,
    /// Bytes that a compressed body may unpack to.
    pub unpacked_bytes: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// How long a request's line and headers may take, and what TLS has to say before.
    pub head_timeout_ms: u64,
    /// How long a connection stays on which no request is answered and nothing of an answer is
    /// sent; 0: for ever.
    pub idle_timeout_ms: u64,
    /// How long a body may take to arrive, besides what it is given for its bytes.
    pub body_timeout_ms: u64,
    /// Rows of one push.
    pub rows_per_push: usize,
    /// Features of one read.
    pub features_per_request: usize,
    /// Entities times features of one read.
    pub values_per_request: usize,
    /// How long a request may take if it does not say.
    pub timeout_ms: u64,
    /// How long it may ask for.
    pub timeout_ms_max: u64,
    /// Connections at a time.
    pub connections: usize,
    /// Requests at a time.
    pub requests: usize,
    /// Pushes that wait for the writer.
    pub queued_pushes: usize,
    /// Scans that run at a time, and as many again that wait for each.
    pub scans: usize,
    /// Training sets and verifications that are made at a time, and as many again that wait.
    pub long_work: usize,
    /// How long they may take, and take at most if they do not say.
    pub long_timeout_ms: u64,
    /// Bytes of a spine that is sent.
    pub spine_bytes: u64,
    /// Rows times features of a training set, and values of a verification.
    pub training_values: u64,
    /// Bytes of an answer of SQL, and again of what joins, sorts and groups keep for it.
    pub sql_bytes: u64,
    /// How long requests in flight may take when the server stops.
    pub drain_ms: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            body_bytes: 16 << 20,
            unpacked_bytes: 64 << 20,
            header_bytes: 16 << 10,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            body_timeout_ms: 10_000,
            rows_per_push: 100_000,
            features_per_request: 2_000,
            values_per_request: 2_000_000,
            timeout_ms: 5_000,
            timeout_ms_max: 60_000,
            connections: 1_024,
            requests: 512,
            queued_pushes: 256,
            scans: 2,
            long_work: 2,
            long_timeout_ms: 3_600_000,
            spine_bytes: 1 << 30,
            training_values: 100_000_000,
            sql_bytes: 256 << 20,
            drain_ms: 10_000,
        }
    }
}
