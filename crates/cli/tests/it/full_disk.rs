//! A real disk of a few megabytes that fills up under a server: pushes are refused and told so,
//! reads go on, and when there is room again pushes go on by themselves. Nothing that was
//! acknowledged is lost, nothing is doubled.
//!
//! Needs to mount a file system: in memory, and ext4 in a file. Where that is not allowed it
//! says so and tries nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evenkeel_server::Client;
use serde_json::{Value as Json, json};

use crate::serve::{Server, client};
use crate::support::Project;

const DEFINITIONS: &str = "
CREATE ENTITY world (world BIGINT);
CREATE STREAM ticks (n BIGINT, world BIGINT, note STRING, at TIMESTAMP, EVENT ID (n), EVENT TIME at);
CREATE FEATURE VIEW of_world ENTITY world AS
SELECT world, count(*) OVER a AS ticks, sum(n) OVER a AS total, max(note) OVER a AS note
FROM ticks WINDOW a AS (ALL HISTORY);
";
/// A quarter of it makes a checkpoint due.
const PROJECT: &str = "[limits]\nmemory_bytes = 2000000\n";
const BATCH: u64 = 200;

/// Mounts something at a place, or says why it cannot.
type Mounter<'a> = dyn Fn(&Path) -> Result<Mount, String> + 'a;
/// What is given back when the disk is full.
const BALLAST_BYTES: usize = 4 << 20;
/// More pushes than fill the disk.
const PUSHES_MAX: u64 = 5_000;

/// A mounted file system, until it is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn of(arguments: &[&str], place: &Path) -> Result<Self, String> {
        let folder = place.to_string_lossy();
        run("mount", &[arguments, &[folder.as_ref()]].concat())?;
        Ok(Mount(place.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let place = self.0.to_string_lossy();
        if run("umount", &[&place]).is_err() {
            // It goes when nobody uses it any more.
            let _ = run("umount", &["-l", &place]);
        }
    }
}

pub(crate) fn run(command: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(command)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn push(client: &Client, first: u64) -> (u16, Json) {
    let row = |n: u64| {
        // What it says does not pack well.
        let note = blake3::hash(&n.to_le_bytes()).to_hex().to_string();
        json!({"n": n, "world": 0, "note": note, "at": "2026-01-01T00:00:00Z"})
    };
    let rows: Vec<Json> = (first..first + BATCH).map(row).collect();
    let body = json!(rows).to_string();
    let reply = client.post("/v1/sources/ticks/events", body.as_bytes());
    let reply = reply.unwrap();
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

/// How many ticks a read finds; they are the first ones, each once.
fn ticks(client: &Client) -> u64 {
    let body = json!({"features": ["of_world:*"], "entities": [{"world": 0}]}).to_string();
    let reply = client.post("/v1/features", body.as_bytes()).unwrap();
    let answer: Json = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(reply.status, 200, "{answer}");
    let values = &answer["rows"][0]["values"];
    let count = values[0].as_u64().unwrap();
    let sum = values[1].as_u64().unwrap_or(0);
    assert_eq!(sum, count * count.saturating_sub(1) / 2, "{answer}");
    count
}

/// Fills the disk that the project is on, makes room, goes on; what was seen, in words.
fn fill(project: &Project) -> String {
    project.write("definitions.sql", DEFINITIONS);
    project.write("evenkeel.toml", PROJECT);
    project.run(&["apply"]).ok();
    let ballast = project.path().join("ballast");
    fs::write(&ballast, vec![0x5a; BALLAST_BYTES]).unwrap();
    let server = Server::start(project, &[]);
    let client = client(project);
    let (mut next, mut refused) = (0, 0);
    let mut codes = BTreeSet::new();
    // Refused three times in a row: it is full.
    while refused < 3 {
        assert!(next / BATCH < PUSHES_MAX, "it does not fill up");
        let (status, said) = push(&client, next);
        if status == 200 {
            (next, refused) = (next + BATCH, 0);
        } else {
            refused += 1;
            codes.insert(said["error"]["code"].as_str().unwrap().to_owned());
            assert!(status >= 500, "{status}: {said}");
            // Of a push that was refused all may be there, or nothing.
            let there = ticks(&client);
            assert!(there == next || there == next + BATCH, "{there} of {next}");
            next = there;
        }
    }
    let full_at = next;
    for _ in 0..20 {
        assert_eq!(ticks(&client), full_at);
    }
    fs::remove_file(&ballast).unwrap();
    // There is room again, and nobody starts anything; the first few may be told to wait.
    let mut waited = 0;
    while next < full_at + 10 * BATCH {
        let (status, said) = push(&client, next);
        if status == 200 {
            next += BATCH;
            continue;
        }
        waited += 1;
        assert!(waited < 300, "{said}");
        let there = ticks(&client);
        assert!(there == next || there == next + BATCH, "{there} of {next}");
        next = there;
    }
    assert_eq!(ticks(&client), next);
    // Known again, each of them.
    let (status, again) = push(&client, 0);
    assert_eq!(status, 200, "{again}");
    assert!(
        again["rows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["status"] == "duplicate")
    );
    server.kill();
    let server = Server::start(project, &[]);
    assert_eq!(ticks(&self::client(project)), next);
    server.stop();
    let verified = project.run(&["verify", "--values", "200", "--json"]).ok();
    assert_eq!(verified.json()["mismatches"], 0);
    format!("full at {full_at} events, {codes:?}, {waited} pushes waited, {next} there")
}

#[test]
fn a_small_disk_fills_up_and_pushes_go_on_when_there_is_room() {
    let in_memory = |place: &Path| Mount::of(&["-t", "tmpfs", "-o", "size=14m", "tmpfs"], place);
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("disk");
    let in_a_file = |place: &Path| {
        let file = fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(24 << 20).map_err(|e| e.to_string())?;
        let path = image.to_string_lossy();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-J", "size=4", &path])?;
        Mount::of(&["-t", "ext4", "-o", "loop", &path], place)
    };
    let kinds: [(&str, &Mounter<'_>); 2] = [("tmpfs", &in_memory), ("ext4", &in_a_file)];
    for (name, mount) in kinds {
        let project = Project::empty();
        match mount(project.path()) {
            Err(reason) => println!("{name}: not tried, nothing can be mounted here: {reason}"),
            Ok(_mounted) => println!("{name}: {}", fill(&project)),
        }
    }
}
