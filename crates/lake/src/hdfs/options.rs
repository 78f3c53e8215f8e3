//! `[lake.options]` of an address in HDFS: Hadoop's own names, of which those are known that something asks for.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long a request may take; also of the other stores.
const TIMEOUT: &str = "timeout";
/// Less than what a request is tried again for by default.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Which name nodes a service has.
const NAME_NODES: &str = "dfs.ha.namenodes";
/// Where one of them is.
const ADDRESS: &str = "dfs.namenode.rpc-address";

const SWITCH: &[&str] = &["true", "false"];
const ANY: &[&str] = &[];
/// The options that have one name, with their values.
const OF_ALL: [(&str, &[&str]); 5] = [
    (
        "dfs.client.block.write.replace-datanode-on-failure.best-effort",
        SWITCH,
    ),
    (
        "dfs.client.block.write.replace-datanode-on-failure.enable",
        SWITCH,
    ),
    (
        "dfs.client.block.write.replace-datanode-on-failure.policy",
        &["NEVER", "DEFAULT", "ALWAYS"],
    ),
    (
        "dfs.data.transfer.protection",
        &["authentication", "integrity", "privacy"],
    ),
    ("hadoop.security.authentication", &["simple", "kerberos"]),
];
/// The options whose name ends with that of the service.
const OF_SERVICE: [(&str, &[&str]); 5] = [
    (NAME_NODES, ANY),
    ("dfs.client.failover.proxy.provider", ANY),
    ("dfs.client.failover.random.order", SWITCH),
    ("dfs.client.failover.resolve-needed", SWITCH),
    ("dfs.client.failover.resolver.useFQDN", SWITCH),
];

/// What the project says.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) timeout: Duration,
    /// Over those of Hadoop's files.
    pub(super) for_library: BTreeMap<String, String>,
}

impl Options {
    /// Reads the options of an address whose host is `service`.
    ///
    /// # Errors
    /// Names an option that is not known, with those that are; or a value.
    pub(super) fn read(service: &str, own: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut timeout = TIMEOUT_DEFAULT;
        let mut for_library = own.clone();
        if let Some(text) = for_library.remove(TIMEOUT) {
            timeout = humantime::parse_duration(&text)
                .map_err(|e| format!("`{TIMEOUT}` is `{text}`, which is no duration: {e}"))?;
        }
        let known = known(service, own.get(&format!("{NAME_NODES}.{service}")));
        for (name, value) in &for_library {
            let Some(values) = known.get(name) else {
                let names: Vec<String> = known.keys().map(|name| format!("`{name}`")).collect();
                return Err(format!(
                    "it has no option `{name}`, but `{TIMEOUT}` and {}; others are taken from the files in $HADOOP_CONF_DIR",
                    names.join(", ")
                ));
            };
            if !values.is_empty() && !values.contains(&value.as_str()) {
                return Err(format!(
                    "`{name}` is `{value}`, not one of `{}`",
                    values.join("`, `")
                ));
            }
        }
        Ok(Options {
            timeout,
            for_library,
        })
    }
}

/// The names of options, with the values that they may have. A service whose name nodes are named has an address of each.
fn known(service: &str, name_nodes: Option<&String>) -> BTreeMap<String, &'static [&'static str]> {
    let mut known: BTreeMap<String, _> = OF_ALL
        .iter()
        .map(|(name, values)| ((*name).to_owned(), *values))
        .collect();
    let of_service = OF_SERVICE.iter();
    known.extend(of_service.map(|(name, values)| (format!("{name}.{service}"), *values)));
    let name_nodes = name_nodes.map(String::as_str).unwrap_or_default();
    for name_node in name_nodes.split(',').filter(|name| !name.is_empty()) {
        known.insert(format!("{ADDRESS}.{service}.{name_node}"), ANY);
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Options, String> {
        let own = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Options::read("features", &own.collect())
    }

    #[test]
    fn a_service_is_known_with_its_name_nodes() {
        let own = [
            ("dfs.ha.namenodes.features", "one,two"),
            ("dfs.namenode.rpc-address.features.one", "a:8020"),
            ("dfs.namenode.rpc-address.features.two", "b:8020"),
            ("dfs.client.failover.random.order.features", "true"),
            ("hadoop.security.authentication", "kerberos"),
        ];
        let options = read(&own).unwrap();
        assert_eq!(options.timeout, TIMEOUT_DEFAULT);
        assert_eq!(options.for_library.len(), own.len());
        let options = read(&[("timeout", "2 minutes")]).unwrap();
        assert_eq!(options.timeout, Duration::from_secs(120));
        assert!(options.for_library.is_empty());
    }

    #[test]
    fn what_nothing_asks_for_is_refused() {
        let misspelt = [
            "dfs.ha.namenode.features",
            "dfs.ha.namenodes.feature",
            "dfs.namenode.rpc-address.features.one",
            "DFS.DATA.TRANSFER.PROTECTION",
            "dfs.replication",
            "time_out",
        ];
        for name in misspelt {
            let error = read(&[(name, "one")]).unwrap_err();
            assert!(error.contains(&format!("no option `{name}`")), "{error}");
            assert!(error.contains("`dfs.ha.namenodes.features`"), "{error}");
        }
        let nodes = ("dfs.ha.namenodes.features", "one");
        let unknown = ("dfs.namenode.rpc-address.features.two", "b:8020");
        let error = read(&[nodes, unknown]).unwrap_err();
        assert!(error.contains("rpc-address.features.one`"), "{error}");
        let wrong = [
            ("hadoop.security.authentication", "kerberos5", "`kerberos`"),
            ("dfs.client.failover.random.order.features", "yes", "`true`"),
            ("timeout", "soon", "no duration"),
        ];
        for (name, value, says) in wrong {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(says) && error.contains(value), "{error}");
        }
    }
}
