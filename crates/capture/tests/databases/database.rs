//! A MariaDB or a MySQL in a temporary folder, spoken to by its own client.

use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    MariaDb,
    MySql,
}

impl Product {
    /// As people write it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Product::MariaDb => "MariaDB",
            Product::MySql => "MySQL",
        }
    }

    /// As `dev/services` and names of cases have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Product::MariaDb => "mariadb",
            Product::MySql => "mysql",
        }
    }

    /// Why it is not there.
    fn missing(self) -> Option<String> {
        match self {
            Product::MariaDb => {
                let is_there = Command::new("mariadbd").arg("--version").output().is_ok();
                let missing = "it is not installed (apt-get install mariadb-server)";
                (!is_there).then(|| missing.to_owned())
            }
            Product::MySql => {
                let folder = std::env::var_os("EVENKEEL_MYSQL");
                let is_there = folder.is_some_and(|f| Path::new(&f).join("installed").exists());
                let missing =
                    "EVENKEEL_MYSQL names no folder with it (dev/services install mysql FOLDER)";
                (!is_there).then(|| missing.to_owned())
            }
        }
    }
}

pub(crate) struct Database {
    pub(crate) product: Product,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    runs: Cell<bool>,
}

impl Database {
    /// Starts one with an account for the reader; an error says in words why it is not there.
    pub(crate) fn start(product: Product) -> Result<Self, String> {
        if let Some(missing) = product.missing() {
            return Err(missing);
        }
        Ok(Database::with_reader(product, &[]))
    }

    /// One with an account for the reader.
    pub(crate) fn with_reader(product: Product, options: &[&str]) -> Self {
        let database = Database::start_with(product, options);
        let more = match product {
            Product::MariaDb => "BINLOG MONITOR",
            Product::MySql => "REPLICATION CLIENT, RELOAD",
        };
        database.sql(&format!(
            "CREATE USER reader@'%' IDENTIFIED BY 'secret';
             GRANT REPLICATION SLAVE, {more} ON *.* TO reader@'%';
             GRANT SELECT ON *.* TO reader@'%';"
        ));
        database
    }

    /// One with nothing in it.
    pub(crate) fn start_with(product: Product, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = started(product, folder.path(), options);
        Database {
            product,
            folder,
            port,
            runs: Cell::new(true),
        }
    }

    /// Starts it again, at another port.
    pub(crate) fn start_again(&mut self, options: &[&str]) {
        self.port = started(self.product, self.folder.path(), options);
        self.runs.set(true);
    }

    /// Starts it again at a port.
    pub(crate) fn start_at(&mut self, port: u16, options: &[&str]) {
        let at = format!("--port={port}");
        let options: Vec<&str> = options.iter().copied().chain([at.as_str()]).collect();
        started(self.product, self.folder.path(), &options);
        self.port = port;
        self.runs.set(true);
    }

    /// Ends it in order.
    pub(crate) fn stop(&self) {
        let stopped = services().arg("stop").arg(self.folder.path()).status();
        assert!(stopped.unwrap().success());
        self.runs.set(false);
    }

    /// Ends it at once, whatever it does.
    pub(crate) fn kill(&self) {
        let process = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        let killed = Command::new("kill").args(["-9", process.trim()]).status();
        assert!(killed.unwrap().success());
        self.runs.set(false);
        // Its files may be opened again when none of its threads is there; what nobody waits for keeps one.
        let threads = format!("/proc/{}/task", process.trim());
        while std::fs::read_dir(&threads).is_ok_and(|threads| threads.count() > 1)
            || !is_ended(process.trim())
        {
            std::thread::yield_now();
        }
    }

    /// Begins the log anew.
    pub(crate) fn reset_log(&self) {
        let is_new =
            self.product == Product::MySql && !self.sql("SELECT VERSION()").starts_with("8.0");
        self.sql(if is_new {
            "RESET BINARY LOGS AND GTIDS"
        } else {
            "RESET MASTER"
        });
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
        let mut command = match self.product {
            Product::MariaDb => Command::new("mariadb"),
            Product::MySql => {
                let folder = PathBuf::from(std::env::var_os("EVENKEEL_MYSQL").unwrap());
                Command::new(folder.join("bin/mysql"))
            }
        };
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
        if !self.runs.get() {
            return;
        }
        let stopped = services().arg("stop").arg(self.folder.path()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!(
                "the server in {} was not stopped",
                self.folder.path().display()
            );
        }
    }
}

/// Whether a process is gone, or has ended and nobody has asked how.
fn is_ended(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    status.map_or(true, |status| status.contains("\nState:\tZ"))
}

fn started(product: Product, folder: &Path, options: &[&str]) -> u16 {
    let started = services()
        .args(["start", product.name()])
        .arg(folder)
        .args(options)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let port = String::from_utf8(started.stdout).unwrap();
    match port.trim().parse() {
        Ok(port) => port,
        Err(_) => panic!("{} does not start", product.title()),
    }
}

fn services() -> Command {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(root.join("dev/services"))
}
