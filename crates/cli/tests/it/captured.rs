//! The page about changes of other systems, with a real MariaDB: alone, beside a server, followed.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value as Json, json};

use crate::docs::page;
use crate::serve::{Server, client};
use crate::support::{Project, binary};

const TABLE: &str = "
CREATE DATABASE shop; USE shop;
CREATE TABLE customers (id BIGINT PRIMARY KEY, name VARCHAR(40), credit DECIMAL(12, 2), other INT);
INSERT INTO customers VALUES (1, 'ada', 10.5, 0), (2, 'bob', 20, 0);
CREATE USER evenkeel@'%' IDENTIFIED BY 'secret';
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO evenkeel@'%';
GRANT SELECT ON shop.customers TO evenkeel@'%';";

struct Database {
    folder: tempfile::TempDir,
    port: String,
}

impl Database {
    /// None where there is no MariaDB.
    fn start() -> Option<Self> {
        Command::new("mariadbd").arg("--version").output().ok()?;
        let folder = tempfile::tempdir().unwrap();
        let port = started(&folder, &[]);
        Some(Database { folder, port })
    }

    /// Another one, at the address of one that is stopped.
    fn at(port: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        started(&folder, &[&format!("--port={port}")]);
        Database {
            folder,
            port: port.to_owned(),
        }
    }

    fn stop(&self) {
        let stopped = services().arg("stop").arg(self.folder.path()).status();
        assert!(stopped.unwrap().success());
    }

    /// Starts it again, where it was.
    fn start_again(&self) {
        started(&self.folder, &[&format!("--port={}", self.port)]);
    }

    fn sql(&self, statements: &str) {
        let socket = format!("--socket={}", self.folder.path().join("socket").display());
        let mut client = Command::new("mariadb");
        let client = client
            .args(["--no-defaults", "--user=root", &socket])
            .stdin(Stdio::piped());
        let mut client = client.spawn().unwrap();
        client
            .stdin
            .take()
            .unwrap()
            .write_all(statements.as_bytes())
            .unwrap();
        assert!(client.wait().unwrap().success(), "{statements}");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that failed says so itself.
        let _ = services().arg("stop").arg(self.folder.path()).status();
    }
}

/// Starts a server on a folder, one at a time: making one beside another was seen to fail; the
/// port that it would have of itself.
fn started(folder: &tempfile::TempDir, options: &[&str]) -> String {
    static STARTING: Mutex<()> = Mutex::new(());
    // Another test that failed says so itself.
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let started = services()
        .args(["start", "mariadb"])
        .arg(folder.path())
        .args(options)
        .output()
        .unwrap();
    assert!(started.status.success(), "{started:?}");
    String::from_utf8(started.stdout).unwrap().trim().to_owned()
}

fn services() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev/services"))
}

/// The last object that `evenkeel ingest customers` says, with the password in the environment.
fn ingest(project: &Project, arguments: &[&str]) -> Json {
    let mut command = binary();
    let command = command
        .current_dir(project.path())
        .env("SHOP_PASSWORD", "secret");
    let output = command
        .args(["ingest", "customers", "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

fn credit(project: &Project, id: u32) -> Json {
    let entity = format!("id={id}");
    let arguments = [
        "get",
        "--features",
        "customer_state:credit",
        "--entity",
        &entity,
        "--json",
    ];
    let json = project.run(&arguments).ok().json();
    json["rows"][0]["features"]["credit"]["value"].clone()
}

/// Reads a customer at `strong_now`.
fn strong_now(project: &Project, id: u32, timeout_ms: u64) -> (u16, Json) {
    let asked = json!({"features": ["customer_state:credit"], "entities": [{"id": id}],
        "consistency": "strong_now", "timeout_ms": timeout_ms});
    let reply = client(project).post("/v1/features", asked.to_string().as_bytes());
    let reply = reply.unwrap();
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

/// A process that ends with the test.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        // A test that failed says so itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Follower {
    /// Follows the table, beside a server that knows of it when this ends.
    fn start(project: &Project) -> Self {
        let mut follower = binary();
        let follower = follower
            .current_dir(project.path())
            .env("SHOP_PASSWORD", "secret")
            .args(["ingest", "customers", "--follow", "--json"])
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        let follower = Follower(follower.spawn().unwrap());
        while capture(project)["running"] != true {
            std::thread::yield_now();
        }
        follower
    }
}

/// What the server knows of the capture.
fn capture(project: &Project) -> Json {
    let status = project.run(&["status", "--json"]).ok().json();
    status["sources"][0]["capture"].clone()
}

/// Whoever has written to the database reads what was written, while a capture follows it.
fn database_writes_are_seen(project: &Project, database: &Database) {
    let (status, none) = strong_now(project, 11, 50);
    assert_eq!(
        (status, &none["error"]["place"]["what"]),
        (504, &json!("captured")),
        "{none}"
    );
    let follower = Follower::start(project);
    std::thread::scope(|scope| {
        for id in 11..15 {
            scope.spawn(move || {
                for credit in 1..8 {
                    database.sql(&format!(
                        "REPLACE INTO shop.customers VALUES ({id}, 'one', {credit}, 0)"
                    ));
                    let (status, read) = strong_now(project, id, 60_000);
                    let found = &read["rows"][0]["values"][0];
                    assert_eq!(
                        (status, found),
                        (200, &json!(format!("{credit}.00"))),
                        "{read}"
                    );
                }
            });
        }
    });
    let status = project.run(&["status", "--json"]).ok().json();
    let captured = &status["sources"][0]["capture"];
    assert_eq!(
        (&captured["running"], &captured["failed"]),
        (&json!(true), &Json::Null),
        "{status}"
    );
    let words = project.run(&["status"]).ok().stdout;
    assert!(words.contains("`customers` is captured up to"), "{words}");
    drop(follower);
    database.sql("REPLACE INTO shop.customers VALUES (11, 'one', 99, 0)");
    let (status, late) = strong_now(project, 11, 50);
    assert_eq!(
        (status, &late["error"]["code"]),
        (504, &json!("DEADLINE")),
        "{late}"
    );
}

/// The project of the page, over a database.
fn of_page(database: &Database) -> Project {
    let text = std::fs::read_to_string(page("docs/cdc.md")).unwrap();
    let (_, text) = text.split_once("```sql\n").unwrap();
    let (definitions, _) = text.split_once("```").unwrap();
    let project = Project::empty();
    let address = format!("127.0.0.1:{}", database.port);
    project.write(
        "page.sql",
        &definitions.replace("db.internal:3306", &address),
    );
    project.run(&["apply"]).ok();
    project
}

/// No read says that it knows what a database has that does not answer, or that is another one; when it is
/// there again it does.
#[test]
fn a_database_is_started_again_and_another_one_takes_its_place() {
    let Some(database) = Database::start() else {
        println!("MariaDB: not run, it is not installed (apt-get install mariadb-server)");
        return;
    };
    database.sql(TABLE);
    let project = of_page(&database);
    ingest(&project, &[]);
    let server = Server::start(&project, &[]);
    let follower = Follower::start(&project);
    let is_seen = |database: &Database, credit: u32| {
        database.sql(&format!(
            "REPLACE INTO shop.customers VALUES (1, 'ada', {credit}, 0)"
        ));
        let (status, read) = strong_now(&project, 1, 60_000);
        let found = &read["rows"][0]["values"][0];
        assert_eq!(
            (status, found),
            (200, &json!(format!("{credit}.00"))),
            "{read}"
        );
    };
    let is_not_known = || {
        let (status, read) = strong_now(&project, 1, 2_000);
        let error = &read["error"];
        assert_eq!(
            (status, &error["place"]["what"]),
            (504, &json!("captured")),
            "{read}"
        );
    };
    is_seen(&database, 11);
    for number in 12..14 {
        database.stop();
        is_not_known();
        // Who reads while it starts is answered when it has.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| strong_now(&project, 1, 60_000));
            database.start_again();
            let (status, read) = waiting.join().unwrap();
            assert_eq!(status, 200, "{read}");
        });
        is_seen(&database, number);
    }
    database.stop();
    let other = Database::at(&database.port);
    other.sql(TABLE);
    other.sql("UPDATE shop.customers SET credit = 99");
    is_not_known();
    assert_eq!(credit(&project, 1), "13.00");
    drop(follower);
    is_not_known();
    server.stop();
}

#[test]
fn a_table_of_mariadb_is_followed_as_the_page_says() {
    let Some(database) = Database::start() else {
        println!("MariaDB: not run, it is not installed (apt-get install mariadb-server)");
        return;
    };
    database.sql(TABLE);
    let project = of_page(&database);

    let first = ingest(&project, &[]);
    assert_eq!(
        (&first["recorded"], &first["snapshot_rows"]),
        (&json!(2), &json!(2)),
        "{first}"
    );
    database.sql("UPDATE shop.customers SET credit = credit + 1 WHERE id = 1");
    assert_eq!(ingest(&project, &[])["recorded"], 1);
    assert_eq!(credit(&project, 1), "11.50");

    // Beside a server the same command gives it the rows.
    let server = Server::start(&project, &[]);
    database.sql("DELETE FROM shop.customers WHERE id = 1; INSERT INTO shop.customers VALUES (3, 'eve', 7, 0)");
    let beside = ingest(&project, &["--follow", "--until-idle"]);
    assert_eq!(
        (&beside["recorded"], &beside["snapshot_rows"]),
        (&json!(2), &Json::Null),
        "{beside}"
    );
    assert_eq!(
        (credit(&project, 1), credit(&project, 3)),
        (Json::Null, json!("7.00"))
    );
    database.sql("SET SESSION sql_log_bin = 0; UPDATE shop.customers SET credit = 0");
    assert_eq!(ingest(&project, &[])["recorded"], 0);
    assert_eq!(ingest(&project, &["--snapshot"])["recorded"], 2);
    assert_eq!(
        (credit(&project, 2), credit(&project, 3)),
        (json!("0.00"), json!("0.00"))
    );
    database_writes_are_seen(&project, &database);
    // What ends as it is not in the snapshot is logged, and is no row of it.
    database.sql("SET SESSION sql_log_bin = 0; DELETE FROM shop.customers");
    let emptied = ingest(&project, &["--snapshot"]);
    assert!(emptied["recorded"].as_u64().unwrap() >= 2, "{emptied}");
    assert_eq!(emptied["snapshot_rows"], 0, "{emptied}");
    server.stop();

    let mut refused = binary();
    let refused = refused
        .current_dir(project.path())
        .args(["ingest", "customers"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("SHOP_PASSWORD"), "{stderr}");
    let wrong = project.run(&["ingest", "customers", "--file", "x.csv"]);
    assert!(
        wrong.code == 1 && wrong.stderr.contains("reads no file"),
        "{}",
        wrong.stderr
    );
}
