//! What is so in HDFS alone: who asks is an account, and what is half written is there to be seen.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use evenkeel_engine::ForgetRequest;

use crate::cases::{Case, kill};
use crate::proxy::{Fate, Proxy, Request};
use crate::server::ObjectStore;
use crate::shop::{Access, assert_flushed_once, flush, folder, offline, push_until, ticker};
use crate::{FLUSH, REFUSED};

pub(crate) const ALL: [Case; 2] = [
    ("somebody_else", somebody_else),
    ("half_written_is_forgotten", half_written_is_forgotten),
];

/// Who may not write there is told so.
fn somebody_else(store: &ObjectStore) {
    let folder = folder();
    let access = Access::new(store);
    access.write(folder.path());
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, 60);
    let refused = Command::new(std::env::current_exe().unwrap())
        .arg(REFUSED)
        .arg(folder.path())
        .env("HADOOP_USER_NAME", "stranger")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stdout);
    let says = [
        "refuses these credentials",
        "user=stranger, access=WRITE",
        "see who asks (HADOOP_USER_NAME",
        "Storage",
    ];
    assert!(says.iter().all(|words| said.contains(words)), "{said}");
    flush(&offline(folder.path()));
    assert_flushed_once(&offline(folder.path()));
}

/// What a process that was killed has left half written has values in it, as the whole would: nothing of it is there once a
/// key is forgotten. What an attempt leaves that somebody goes on from is not there at all.
fn half_written_is_forgotten(store: &ObjectStore) {
    let folder = folder();
    let access = Access::new(store);
    access.write(folder.path());
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, 60);
    let asides = || asides(store, &access.url);
    flush_killed(store, &access, folder.path(), |request| {
        request.method == "rename2" && request.path.contains(".parquet")
    });
    flush_killed(store, &access, folder.path(), |request| {
        request.is_commit() && !request.path.contains("00000000000000000000.json")
    });
    let left = asides();
    assert!(
        left.iter().any(|name| name.contains(".parquet.tmp.")),
        "{left:?}"
    );
    assert!(
        left.iter().any(|name| name.contains(".json.tmp.")),
        "{left:?}"
    );
    let mut answered = 0;
    let proxy = Proxy::before(store, move |request| {
        // The library asks for itself a second time.
        answered += usize::from(request.method == "complete");
        match request.method == "complete" && answered < 3 {
            true => Fate::Busy,
            false => Fate::Answered,
        }
    });
    access.through(proxy.port).write(folder.path());
    flush(&offline(folder.path()));
    drop(proxy);
    access.write(folder.path());
    assert_eq!(asides(), left);
    assert_flushed_once(&offline(folder.path()));
    let request = ForgetRequest {
        entity: "lane".to_owned(),
        key: "1".to_owned(),
        ..ForgetRequest::default()
    };
    let engine = ticker.engine;
    let mut go_on = |_, _| ControlFlow::Continue(());
    let plan = engine.plan_forget(&request, &mut go_on).unwrap();
    engine.forget(plan).unwrap();
    assert_eq!(asides(), BTreeSet::new());
    assert_flushed_once(&offline(folder.path()));
}

/// A process that flushes is killed at the first request of which that is said.
fn flush_killed(
    store: &ObjectStore,
    access: &Access,
    directory: &Path,
    is_last: fn(&Request) -> bool,
) {
    let victim: Arc<Mutex<u32>> = Arc::default();
    let held = Arc::clone(&victim);
    let proxy = Proxy::before(store, move |request| {
        if !is_last(request) {
            return Fate::Answered;
        }
        kill(*held.lock().unwrap());
        Fate::Busy
    });
    access.through(proxy.port).write(directory);
    let ended = {
        // Nobody is answered before it is known who asks.
        let mut pid = victim.lock().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let mut child = child.arg(FLUSH).arg(directory).spawn().unwrap();
        *pid = child.id();
        drop(pid);
        child.wait().unwrap()
    };
    assert!(!ended.success());
    access.write(directory);
}

/// The files of a lake that were written aside and are there still, as the name node has noted it.
fn asides(store: &ObjectStore, url: &str) -> BTreeSet<String> {
    let lake = "/".to_owned() + url.rsplit('/').next().unwrap() + "/";
    let log = std::fs::read_to_string(store.folder().join("namenode.log")).unwrap();
    let mut there = BTreeSet::new();
    for line in log.lines().filter(|line| line.contains("allowed=true")) {
        let field = |name: &str| line.split('\t').find_map(|field| field.strip_prefix(name));
        let (Some(command), Some(path)) = (field("cmd="), field("src=")) else {
            continue;
        };
        if !path.starts_with(&lake) || !path.contains(".tmp.") {
            continue;
        }
        match command.split(' ').next().unwrap() {
            "create" => drop(there.insert(path.to_owned())),
            "rename" | "delete" => drop(there.remove(path)),
            _ => {}
        }
    }
    there
}
