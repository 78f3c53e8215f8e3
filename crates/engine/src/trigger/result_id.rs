//! The name of a result: which event, and which version of what is asked of it.
//!
//! `payments~0~17~service~of_card~2~9a1f00c27be4d713`: source, partition, offset, kind, name,
//! version, and how the digest of the definition begins: a version of a service follows its
//! views; a version of a view stays as it is, and has none. Behind that, of a result that waits for watermarks,
//! `complete`, how the digest of what these follow from begins, and the sources if they were named:
//! `payments~0~17~view~of_card~2~complete~0f3a61c2d4e5b697~limits`. It stands in a path of a URL and in
//! a shell as it is; bytes of names that could not are `.` and two hexadecimal digits.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use evenkeel_types::definition::{Catalog, Digest, ServiceDef};
use evenkeel_types::{Offset, Partition, Position};

use super::{Trigger, Waits};
use crate::definitions::{Host, catalog_of_records, feature_list_of, unknown};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reads::{service_of, split_version};
use crate::registry::{Object, Record};

/// Enough to tell the definitions of one version of one service apart.
const DIGEST_BYTES: usize = 8;

/// What is asked of a trigger: a version of something that has features.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A service.
    Service {
        /// Its name.
        name: String,
        /// Its version.
        version: u32,
        /// How the digest of its definition begins.
        digest: [u8; DIGEST_BYTES],
    },
    /// All features of a view.
    View {
        /// Its name.
        name: String,
        /// Its version.
        version: u32,
    },
}

impl Asked {
    /// A service by name, or by name and version (`delay_model@1`).
    ///
    /// # Errors
    /// If there is none.
    pub fn of_service(catalog: &Catalog, name: &str) -> Result<Self, EngineError> {
        let service = service_of(catalog, name)?;
        Ok(Asked::Service {
            name: service.name.clone(),
            version: service.version,
            digest: beginning(&service.digest),
        })
    }

    /// A view by name, or by name and version.
    ///
    /// # Errors
    /// If there is none.
    pub fn of_view(catalog: &Catalog, name: &str) -> Result<Self, EngineError> {
        let (plain, version) = split_version(name);
        let views = &catalog.views;
        let versions = views
            .get(plain)
            .ok_or_else(|| unknown("view", plain, views.keys()))?;
        let found = match version {
            None => versions.keys().next_back(),
            Some(text) => versions.keys().find(|v| v.to_string() == text),
        };
        let version = found.ok_or_else(|| EngineError::Unknown {
            what: "view",
            name: name.to_owned(),
            nearest: versions.keys().next_back().map(|v| format!("{plain}@{v}")),
        })?;
        Ok(Asked::View {
            name: plain.to_owned(),
            version: *version,
        })
    }

    /// The service, or what is one of all features of the view; none if the version of the
    /// service has another definition now.
    ///
    /// # Errors
    /// If there is none.
    pub fn service(&self, catalog: &Catalog) -> Result<Option<Arc<ServiceDef>>, EngineError> {
        match self {
            Asked::Service { name, version, .. } => {
                let now = service_of(catalog, &format!("{name}@{version}"))?;
                Ok(self.is(&now).then_some(now))
            }
            Asked::View { name, version } => {
                let full = format!("{name}@{version}");
                Asked::of_view(catalog, &full)?;
                feature_list_of(catalog, &[format!("{full}:*")]).map(Some)
            }
        }
    }

    /// Whether the service of this name and version is what is asked.
    pub fn is(&self, service: &ServiceDef) -> bool {
        match self {
            Asked::Service { digest, .. } => beginning(&service.digest) == *digest,
            Asked::View { .. } => true,
        }
    }

    /// The service as it was once defined, by the records of a registry.
    ///
    /// # Errors
    /// If it never was.
    pub fn past_service(
        &self,
        records: &[Record],
        host: &Host,
    ) -> Result<Arc<ServiceDef>, EngineError> {
        let (_, name, version) = self.parts();
        let is_it = |object: &Object| object.name == name && object.version == version;
        for count in (1..=records.len()).rev() {
            if records[count - 1].objects.iter().any(is_it)
                && let Some(found) =
                    self.service(&catalog_of_records(&records[..count], host.clone())?)?
            {
                return Ok(found);
            }
        }
        Err(EngineError::Unknown {
            what: "definition of the service",
            name: self.to_string(),
            nearest: None,
        })
    }

    /// Kind, name and version in words.
    pub fn parts(&self) -> (&'static str, &str, u32) {
        match self {
            Asked::Service { name, version, .. } => ("service", name, *version),
            Asked::View { name, version } => ("view", name, *version),
        }
    }
}

impl Engine {
    /// [`Asked::service`], also if the version of the service has another definition now.
    ///
    /// # Errors
    /// If there is none.
    pub fn asked(&self, asked: &Asked) -> Result<Arc<ServiceDef>, EngineError> {
        match asked.service(self.catalog())? {
            Some(service) => Ok(service),
            None => asked.past_service(self.registry().records(), &self.catalog().host),
        }
    }
}

fn beginning(digest: &Digest) -> [u8; DIGEST_BYTES] {
    std::array::from_fn(|i| digest[i])
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name, version) = self.parts();
        write!(f, "{kind}~{}~{version}", Escaped(name))?;
        match self {
            Asked::Service { digest, .. } => write!(f, "~{:016x}", u64::from_be_bytes(*digest)),
            Asked::View { .. } => Ok(()),
        }
    }
}

/// Stands before what a result waits for.
const COMPLETE: &str = "complete";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultId {
    /// The source.
    pub source: String,
    /// The event.
    pub position: Position,
    /// What is asked.
    pub asked: Asked,
    /// The watermarks that it waits for; none if it is answered at the event's own place.
    pub waits: Option<Waits>,
}

impl ResultId {
    /// What is asked of a trigger, at its own place.
    pub fn of(trigger: &Trigger, asked: &Asked) -> Self {
        ResultId {
            source: trigger.source().name.clone(),
            position: trigger.position(),
            asked: asked.clone(),
            waits: None,
        }
    }
}

impl fmt::Display for ResultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { partition, offset } = self.position;
        let source = Escaped(&self.source);
        write!(f, "{source}~{}~{}~{}", partition.0, offset.0, self.asked)?;
        let Some(waits) = &self.waits else {
            return Ok(());
        };
        let digest = u64::from_be_bytes(waits.digest);
        write!(f, "~{COMPLETE}~{digest:016x}")?;
        let mut sources = waits.sources.iter();
        sources.try_for_each(|source| write!(f, "~{}", Escaped(source)))
    }
}

impl FromStr for ResultId {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let understood = || {
            let mut parts = text.split('~');
            let source = unescaped(parts.next()?)?;
            let partition = Partition(parts.next()?.parse().ok()?);
            let offset = Offset(parts.next()?.parse().ok()?);
            let kind = parts.next()?;
            let name = unescaped(parts.next()?)?;
            let version = parts.next()?.parse().ok()?;
            let asked = match kind {
                "service" => Asked::Service {
                    name,
                    version,
                    digest: u64::from_str_radix(parts.next()?, 16).ok()?.to_be_bytes(),
                },
                "view" => Asked::View { name, version },
                _ => return None,
            };
            let waits = match parts.next() {
                None => None,
                Some(COMPLETE) => Some(Waits {
                    digest: u64::from_str_radix(parts.next()?, 16).ok()?.to_be_bytes(),
                    sources: parts.map(unescaped).collect::<Option<_>>()?,
                }),
                Some(_) => return None,
            };
            let sources = waits.as_ref().map(|waits| waits.sources.as_slice());
            let is_ordered = sources.is_none_or(|names| names.is_sorted_by(|a, b| a < b));
            let id = ResultId {
                source,
                position: Position { partition, offset },
                asked,
                waits,
            };
            // One result has one name.
            (is_ordered && id.to_string() == text).then_some(id)
        };
        understood().ok_or_else(|| EngineError::ResultId {
            text: text.to_owned(),
        })
    }
}

/// A name whose bytes stand anywhere as they are.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => write!(f, "{}", char::from(byte)),
                _ => write!(f, ".{byte:02x}"),
            }?;
        }
        Ok(())
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'.' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_as_it_is_written(
            source in ".*", name in ".*", partition in any::<u32>(), offset in any::<u64>(),
            version in any::<u32>(), is_view in any::<bool>(), digest in any::<[u8; DIGEST_BYTES]>(),
            waits in proptest::option::of(proptest::collection::btree_set(".*", 0..3)),
        ) {
            let waits = waits.map(|sources| Waits { digest, sources: sources.into_iter().collect() });
            let asked = match is_view {
                true => Asked::View { name, version },
                false => Asked::Service { name, version, digest },
            };
            let position = Position { partition: Partition(partition), offset: Offset(offset) };
            let id = ResultId { source, position, asked, waits };
            let text = id.to_string();
            let plain = |c: char| c.is_ascii_alphanumeric() || "._~".contains(c);
            prop_assert!(text.chars().all(plain), "{}", text);
            prop_assert_eq!(text.parse::<ResultId>().unwrap(), id);
        }

        #[test]
        fn any_text_is_refused_or_is_the_name(text in "[a-z0-9._~+]{0,40}") {
            match text.parse::<ResultId>() {
                Ok(id) => prop_assert_eq!(id.to_string(), text),
                Err(error) => {
                    let is_told = matches!(error, EngineError::ResultId { .. });
                    prop_assert!(is_told);
                }
            }
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "payments~0~17~view~of_card",
            "payments~0~17~view~of_card~2~",
            "payments~0~+17~view~of_card~2",
            "payments~0~017~view~of_card~2",
            "payments~0~17~dataset~of_card~2",
            "payments~0~17~service~of_card~2",
            "payments~0~17~service~of_card~2~1",
            "payments~0~17~service~of_card~2~0123456789abcdef0",
            "payments~0~18446744073709551616~view~of_card~2",
            "pay.zzments~0~17~view~of_card~2",
            "pay.5Fments~0~17~view~of_card~2",
            "pay.~0~17~view~of_card~2",
            "payments~0~17~view~of_card~2~complete",
            "payments~0~17~view~of_card~2~complete~1",
            "payments~0~17~view~of_card~2~complete~0123456789abcdef~taps~limits",
            "payments~0~17~view~of_card~2~complete~0123456789abcdef~taps~taps",
        ] {
            assert!(text.parse::<ResultId>().is_err(), "{text}");
        }
        for text in [
            "payments~0~17~view~of_card~2",
            "payments~0~17~service~of_card~2~0123456789abcdef",
            "payments~0~17~view~of_card~2~complete~0123456789abcdef",
            "payments~0~17~service~of_card~2~0123456789abcdef~complete~fedcba9876543210~limits~taps",
        ] {
            assert!(text.parse::<ResultId>().is_ok(), "{text}");
        }
    }
}
