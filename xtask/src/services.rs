//! Servers that tests need, installed where that is possible. Where it is not, the tests that need them
//! say that they did not run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{python, run};

/// The tests find the jars of Hadoop in the folder that this environment variable names.
pub(crate) const HADOOP: &str = "EVENKEEL_HADOOP";

/// The folder with the jars of Hadoop, where there is Java: downloaded once, unless somebody has others.
pub(crate) fn hadoop(root: &Path, interpreter: &Path) -> Option<PathBuf> {
    if let Some(folder) = env::var_os(HADOOP) {
        return Some(folder.into());
    }
    let mut java = Command::new("java");
    let java = java.arg("-version").stderr(Stdio::null()).status();
    if !java.is_ok_and(|status| status.success()) {
        return None;
    }
    let folder = root.join("target").join("hadoop");
    let installed = run(Command::new(root.join("dev").join("services"))
        .args(["install", "hdfs"])
        .arg(&folder)
        .env(python::VARIABLE, interpreter));
    match installed {
        Ok(()) => Some(folder),
        Err(error) => {
            eprintln!("{error}: tests against HDFS will not run");
            None
        }
    }
}

/// The tests find MySQL in the folder that this environment variable names.
pub(crate) const MYSQL: &str = "EVENKEEL_MYSQL";

/// The folder with MySQL's server and client: downloaded once, unless somebody has others.
pub(crate) fn mysql(root: &Path) -> Option<PathBuf> {
    if let Some(folder) = env::var_os(MYSQL) {
        return Some(folder.into());
    }
    let folder = root.join("target").join("mysql");
    let installed = run(Command::new(root.join("dev").join("services"))
        .args(["install", "mysql"])
        .arg(&folder));
    match installed {
        Ok(()) => Some(folder),
        Err(error) => {
            eprintln!("{error}: tests against MySQL will not run");
            None
        }
    }
}

/// Installs MariaDB if it is not there, apt is, and we may.
pub(crate) fn install() {
    let answers = |program: &str, argument: &str| {
        let output = Command::new(program)
            .arg(argument)
            .stderr(Stdio::null())
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let is_root = answers("id", "-u").is_some_and(|id| id.trim() == "0");
    if answers("mariadbd", "--version").is_some()
        || answers("apt-get", "--version").is_none()
        || !is_root
    {
        return;
    }
    let apt = |words: &[&str]| {
        run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(words))
    };
    let install = [
        "install",
        "--yes",
        "--quiet",
        "--no-install-recommends",
        "mariadb-server",
    ];
    let installed =
        apt(&install).or_else(|_| apt(&["update", "--quiet"]).and_then(|()| apt(&install)));
    if let Err(error) = installed {
        eprintln!("{error}: tests against MariaDB will not run");
    }
}
