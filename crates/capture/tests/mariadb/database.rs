//! A MariaDB in a temporary folder, spoken to by its own client.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct Database {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Database {
    /// Starts one; an error says in words why not.
    pub(crate) fn start() -> Result<Self, String> {
        Database::start_with(&[])
    }

    pub(crate) fn start_with(options: &[&str]) -> Result<Self, String> {
        let is_there = Command::new("mariadbd").arg("--version").output().is_ok();
        if !is_there {
            return Err("it is not installed (apt-get install mariadb-server)".to_owned());
        }
        let folder = tempfile::tempdir().unwrap();
        let started = services()
            .args(["start", "mariadb"])
            .arg(folder.path())
            .args(options)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let port = String::from_utf8(started.stdout).unwrap();
        let database = Database {
            port: port
                .trim()
                .parse()
                .map_err(|_| "it does not start".to_owned())?,
            folder,
        };
        database.sql(
            "CREATE USER reader@'%' IDENTIFIED BY 'secret';
             GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO reader@'%';
             GRANT SELECT ON *.* TO reader@'%';",
        );
        Ok(database)
    }

    /// Runs statements; what they answer, columns behind tabs.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let mut client = self.client();
        let mut client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        client
            .stdin
            .take()
            .unwrap()
            .write_all(statements.as_bytes())
            .unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{statements}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The client, without statements.
    pub(crate) fn client(&self) -> Command {
        let mut command = Command::new("mariadb");
        let socket = self.folder.path().join("socket");
        command.args([
            "--no-defaults",
            "--user=root",
            "--batch",
            "--skip-column-names",
            "--unbuffered",
        ]);
        command.args(["--default-character-set=utf8mb4"]);
        command.arg(format!("--socket={}", socket.display()));
        command
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let stopped = services().arg("stop").arg(self.folder.path()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!(
                "the server in {} was not stopped",
                self.folder.path().display()
            );
        }
    }
}

fn services() -> Command {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(root.join("dev/services"))
}
