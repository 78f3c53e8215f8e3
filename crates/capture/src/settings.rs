//! What the options of a source say: which server, which table, by whom.
//!
//! Owns how a password comes from the environment; it is never shown, and written nowhere.

use evenkeel_engine::{Project, is_captured};
use evenkeel_types::definition::{OptionValue, SourceDef};
use evenkeel_types::time::parse_timestamp;

use crate::error::CaptureError;

const PORT_DEFAULT: u16 = 3_306;
/// Ids of followers, where none is declared, are above those that people give to servers.
const OWN_SERVER_IDS: u32 = 1 << 31;

pub(crate) fn text_of<'d>(source: &'d SourceDef, option: &str) -> Option<&'d str> {
    match source.options.get(option) {
        Some(OptionValue::Text(text)) => Some(text),
        _ => None,
    }
}

/// Where the key comes from under which a server is told a password.
pub(crate) enum ServerKey {
    /// The server itself is asked.
    Ask,
    /// A file's text.
    File(Vec<u8>),
}

pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) server_key: Option<ServerKey>,
    pub(crate) database: String,
    pub(crate) table: String,
    /// Who this is, to the server.
    pub(crate) server_id: u32,
    /// Zero dates are NULL.
    pub(crate) zero_dates_are_null: bool,
    /// From when on the rows of the first snapshot hold, if it is declared.
    pub(crate) snapshot_time: Option<i64>,
}

impl Settings {
    /// The directory of the project's store tells its followers from those of others.
    pub(crate) fn of(source: &SourceDef, project: &Project) -> Result<Self, CaptureError> {
        if !is_captured(source) {
            return Err(CaptureError::NotCaptured {
                source_name: source.name.clone(),
            });
        }
        let wrong = |option: &'static str, text: &str| CaptureError::Setting {
            source_name: source.name.clone(),
            option,
            text: text.to_owned(),
        };
        let url = text_of(source, "url").unwrap_or_default();
        let (user, host, port) = address(url).ok_or_else(|| wrong("url", url))?;
        let name = text_of(source, "table").unwrap_or_default();
        let (database, table) = name.split_once('.').ok_or_else(|| wrong("table", name))?;
        let server_id = match text_of(source, "server_id") {
            Some(text) => text.parse().map_err(|_| wrong("server_id", text))?,
            None => own_server_id(&format!(
                "{url}\n{name}\n{}\n{}",
                source.name,
                project.store.display()
            )),
        };
        let snapshot_time = text_of(source, "snapshot_time")
            .map(|text| {
                parse_timestamp(text, &source.zone).map_err(|_| wrong("snapshot_time", text))
            })
            .transpose()?;
        Ok(Settings {
            host,
            port,
            user,
            password: password_of(source)?,
            server_key: key_of(source, project)?,
            database: database.to_owned(),
            table: table.to_owned(),
            server_id,
            zero_dates_are_null: text_of(source, "zero_dates") == Some("null"),
            snapshot_time,
        })
    }

    /// The server's address, for people.
    pub(crate) fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The table with its database, for people.
    pub(crate) fn title(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }
}

/// User, host and port.
fn address(url: &str) -> Option<(String, String, u16)> {
    let (user, host) = url.strip_prefix("mysql://")?.rsplit_once('@')?;
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (host, PORT_DEFAULT),
    };
    Some((user.to_owned(), host.to_owned(), port))
}

fn password_of(source: &SourceDef) -> Result<String, CaptureError> {
    let Some(OptionValue::Secret(variable)) = source.options.get("password") else {
        return Ok(String::new());
    };
    std::env::var(variable).map_err(|_| CaptureError::NoPassword {
        source_name: source.name.clone(),
        variable: variable.clone(),
    })
}

/// `ask`, or a file in the project's folder.
fn key_of(source: &SourceDef, project: &Project) -> Result<Option<ServerKey>, CaptureError> {
    Ok(match text_of(source, "server_key") {
        None => None,
        Some("ask") => Some(ServerKey::Ask),
        Some(path) => {
            let read = std::fs::read(project.root.join(path));
            let pem = read.map_err(|source| CaptureError::ServerKey {
                path: path.to_owned(),
                source,
            })?;
            Some(ServerKey::File(pem))
        }
    })
}

/// The same for one source always: a second follower of it is told by the server, which lets go of
/// the first.
fn own_server_id(text: &str) -> u32 {
    let digest = blake3::hash(text.as_bytes());
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&digest.as_bytes()[..4]);
    u32::from_le_bytes(bytes) | OWN_SERVER_IDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let of = |url: &str| address(url).map(|(user, host, port)| format!("{user} {host} {port}"));
        assert_eq!(of("mysql://a@b:7").as_deref(), Some("a b 7"));
        assert_eq!(of("mysql://a@b").as_deref(), Some("a b 3306"));
        assert_eq!(of("mysql://b"), None);
        assert_eq!(of("http://a@b"), None);
    }
}
