//! Which crate may depend on which: the table of ARCHITECTURE.md, checked against the
//! manifests.
//!
//! Invariant: an arrow that is not in the table is an error, one in the table that nobody uses
//! is one too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every crate depends on it, and it on none: it has no code (docs/decisions/0002).
const FEATURES_ONLY: &str = "workspace-hack";

/// Folder of a crate and the folders of those it depends on, lowest first.
const EDGES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("expr", &["types"]),
    ("model", &["types"]),
    ("aggregate", &["types", "expr"]),
    ("ddl", &["types", "expr", "aggregate"]),
    ("view", &["types", "expr", "aggregate"]),
    ("log", &["types"]),
    ("store", &["types", "aggregate"]),
    ("connect", &["types"]),
    ("lake", &["types", "log", "connect"]),
    (
        "train",
        &["types", "expr", "aggregate", "view", "log", "connect"],
    ),
    (
        "engine",
        &[
            "types",
            "expr",
            "aggregate",
            "ddl",
            "view",
            "log",
            "store",
            "connect",
            "lake",
            "train",
            "model",
        ],
    ),
    ("sql", &["types", "connect", "engine"]),
    ("capture", &["types", "connect", "engine"]),
    ("server", &["types", "log", "connect", "engine", "sql"]),
    ("sim", &["types"]),
    ("python", &["types", "ddl", "connect", "engine"]),
    (
        "cli",
        &[
            "types",
            "expr",
            "aggregate",
            "ddl",
            "connect",
            "engine",
            "sql",
            "capture",
            "server",
        ],
    ),
];

/// Compares the table with the manifests.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let mut wrong = Vec::new();
    let crates = root.join("crates");
    let folders = fs::read_dir(&crates).map_err(|e| format!("cannot list `crates`: {e}"))?;
    let mut found = BTreeSet::new();
    for folder in folders.flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        let manifest = folder.path().join("Cargo.toml");
        let text = fs::read_to_string(&manifest)
            .map_err(|e| format!("cannot read `{}`: {e}", manifest.display()))?;
        if name == FEATURES_ONLY {
            continue;
        }
        match EDGES.iter().find(|(known, _)| *known == name) {
            None => wrong.push(format!("`{name}` is not in the table")),
            Some((_, allowed)) => wrong.extend(compare(&name, allowed, &text)),
        }
        found.insert(name);
    }
    for (name, _) in EDGES {
        if !found.contains(*name) {
            wrong.push(format!("`{name}` is in the table and does not exist"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the edges between crates are not those of ARCHITECTURE.md and xtask/src/edges.rs:\n  {}",
        wrong.join("\n  ")
    ))
}

fn compare(name: &str, allowed: &[&str], manifest: &str) -> Vec<String> {
    let mut used = dependencies(manifest);
    used.remove(FEATURES_ONLY);
    let mut wrong = Vec::new();
    for used in used.iter().filter(|used| !allowed.contains(&used.as_str())) {
        wrong.push(format!("`{name}` must not depend on `{used}`"));
    }
    for allowed in allowed.iter().filter(|allowed| !used.contains(**allowed)) {
        wrong.push(format!("`{name}` does not depend on `{allowed}`"));
    }
    wrong
}

/// The crates of the workspace under `[dependencies]`; those of tests are free.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]"
            && let Some(rest) = line.strip_prefix("evenkeel-")
        {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            found.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_are_those_of_the_table() {
        assert_eq!(check(&crate::root()), Ok(()));
    }

    #[test]
    fn the_table_is_that_of_the_documentation() {
        let page = fs::read_to_string(crate::root().join("ARCHITECTURE.md")).unwrap();
        for (name, edges) in EDGES {
            let edges: Vec<String> = edges.iter().map(|e| format!("`{e}`")).collect();
            let cell = if edges.is_empty() {
                "nothing".to_owned()
            } else {
                edges.join(", ")
            };
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("no row for `{name}`"));
            assert_eq!(
                row.trim_end_matches(" |").rsplit(" | ").next(),
                Some(cell.as_str())
            );
        }
    }

    #[test]
    fn a_wrong_edge_is_named() {
        let manifest = "[dependencies]\nevenkeel-types.workspace = true\nevenkeel-cli = \"1\"\n\
                        [dev-dependencies]\nevenkeel-log.workspace = true\n";
        assert_eq!(
            compare("x", &["types", "expr"], manifest),
            [
                "`x` must not depend on `cli`",
                "`x` does not depend on `expr`"
            ]
        );
    }
}
