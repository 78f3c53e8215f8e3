//! Planted bugs: what the tests are worth. Each file of `planted/` changes one place of the
//! code, in a copy of the tree, and names the test that must fail there.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a test may take to build, or to run: with the bug it may never end.
const TEST_TIME_MAX: Duration = Duration::from_secs(900);

/// A bug and the test that must notice it.
#[derive(Debug)]
struct Bug {
    name: String,
    what: String,
    /// Arguments of `cargo test`.
    test: Vec<String>,
    file: String,
    old: String,
    new: String,
}

/// Lists the bugs, or plants those that are named, or `all`.
pub(crate) fn run(root: &Path, names: &[String]) -> Result<(), String> {
    let bugs = read(root)?;
    if names.is_empty() {
        for bug in &bugs {
            println!("{:36} {}", bug.name, bug.what);
        }
        return Ok(());
    }
    let mut missed = Vec::new();
    for name in names.iter().filter(|name| *name != "all") {
        if !bugs.iter().any(|bug| bug.name == *name) {
            return Err(format!("there is no planted bug `{name}`"));
        }
    }
    let tree = root.join("target").join("planted");
    for bug in &bugs {
        if names.contains(&bug.name) || names.iter().any(|name| name == "all") {
            copy(root, &tree)?;
            let noticed = plant(bug, root, &tree)?;
            println!(
                "{}: {}",
                bug.name,
                if noticed { "noticed" } else { "MISSED" }
            );
            if !noticed {
                missed.push(bug.name.as_str());
            }
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("no test noticed {}", missed.join(", "))),
    }
}

fn read(root: &Path) -> Result<Vec<Bug>, String> {
    let folder = root.join("planted");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut bugs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let bug = parse(&name, &text);
            bugs.push(bug.ok_or_else(|| format!("{} is no planted bug", path.display()))?);
        }
    }
    bugs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(bugs)
}

fn parse(name: &str, text: &str) -> Option<Bug> {
    let field = |word: &str| text.lines().find_map(|line| line.strip_prefix(word));
    let (_, change) = text.split_once("<<<<<<<\n")?;
    let (old, rest) = change.split_once("\n=======\n")?;
    let (new, _) = rest.split_once("\n>>>>>>>")?;
    Some(Bug {
        name: name.to_owned(),
        what: text.lines().next()?.to_owned(),
        test: field("test: ")?.split(' ').map(str::to_owned).collect(),
        file: field("file: ")?.to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
    })
}

impl Bug {
    /// The file with the bug in it.
    fn planted(&self, root: &Path) -> Result<String, String> {
        let path = root.join(&self.file);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        match text.matches(&self.old).count() {
            1 => Ok(text.replace(&self.old, &self.new)),
            count => Err(format!(
                "planted bug `{}`: its text stands {count} times in {}",
                self.name, self.file
            )),
        }
    }
}

/// Copies the tree as it is, but for what git ignores. Files that are the same stay, so that
/// little is built again.
fn copy(root: &Path, tree: &Path) -> Result<(), String> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cannot run git: {e}"))?;
    let names = String::from_utf8_lossy(&listed.stdout);
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let (from, to): (PathBuf, PathBuf) = (root.join(name), tree.join(name));
        let Ok(wanted) = fs::read(&from) else {
            continue;
        };
        if fs::read(&to).is_ok_and(|there| there == wanted) {
            continue;
        }
        let written = to.parent().map_or(Ok(()), fs::create_dir_all);
        written
            .and_then(|()| fs::write(&to, wanted))
            .map_err(|e| format!("{}: {e}", to.display()))?;
    }
    Ok(())
}

/// Whether the test notices the bug.
fn plant(bug: &Bug, root: &Path, tree: &Path) -> Result<bool, String> {
    let text = bug.planted(root)?;
    fs::write(tree.join(&bug.file), text).map_err(|e| e.to_string())?;
    let test = |more: &[&str]| -> Result<bool, String> {
        let mut command = crate::cargo(["test", "--quiet"]);
        command
            .args(more)
            .args(&bug.test)
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", root.join("target"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        passes(&mut command)
    };
    if !test(&["--no-run"])? {
        return Err(format!(
            "planted bug `{}`: its tests do not build",
            bug.name
        ));
    }
    Ok(!test(&[])?)
}

/// Whether a command ends well. One that does not end has not passed.
#[expect(
    clippy::disallowed_methods,
    reason = "a test is waited for, not simulated"
)]
fn passes(command: &mut Command) -> Result<bool, String> {
    let failed = |e: std::io::Error| format!("cannot run cargo: {e}");
    // Of its own group, so that the test ends with it.
    let mut child = command.process_group(0).spawn().map_err(failed)?;
    let end = Instant::now() + TEST_TIME_MAX;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let group = format!("-{}", child.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    killed.map_err(failed)?;
    child.wait().map_err(failed)?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_fits_the_code() {
        let root = crate::root();
        let bugs = read(&root).unwrap();
        assert!(bugs.len() >= 25, "{}", bugs.len());
        for bug in bugs {
            let planted = bug.planted(&root).unwrap();
            assert!(planted.contains(&bug.new) && bug.old != bug.new);
            assert!(bug.test.len() > 1 && bug.what.ends_with('.'), "{bug:?}");
        }
    }
}
