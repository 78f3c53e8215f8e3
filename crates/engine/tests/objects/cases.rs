//! A lake in an object store has what was logged, once, whatever becomes of requests and processes.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use evenkeel_engine::ErrorKind;

use crate::FLUSH;
use crate::proxy::{Fate, Proxy};
use crate::server::ObjectStore;
use crate::shop::{
    Access, FILE_EVENTS, answers, assert_flushed_once, flush, folder, in_words, offline,
    open_later, plain, push_until, ticker, try_flush,
};

/// A case of the tests.
pub(crate) type Case = (&'static str, fn(&ObjectStore));

pub(crate) const ALL: [Case; 6] = [
    ("across_the_seam", across_the_seam),
    ("kept_in_shape", kept_in_shape),
    ("two_at_once", two_at_once),
    ("failing_requests", failing_requests),
    ("slow_answers", slow_answers),
    ("killed_at_its_requests", killed_at_its_requests),
];

fn across_the_seam(store: &ObjectStore) {
    let folder = folder();
    Access::new(store).write(folder.path());
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, 300);
    flush(&ticker.engine.offline());
    assert_flushed_once(&ticker.engine.offline());
    push_until(&mut ticker, 400);
    let status = ticker.engine.offline().lake_status().unwrap();
    assert!(status.tables[0].behind > 0 && status.tables[0].files > 3);
    let (_plain, without) = plain(ticker.next);
    assert_eq!(answers(&ticker.engine), answers(&without.engine));
    flush(&ticker.engine.offline());
    assert_eq!(answers(&ticker.engine), answers(&without.engine));
    assert_flushed_once(&ticker.engine.offline());
    // Flushed once more, nothing is to be done.
    let report = flush(&ticker.engine.offline());
    assert!(report.sources.iter().all(|source| source.events == 0));
}

fn kept_in_shape(store: &ObjectStore) {
    let folder = folder();
    Access::new(store).write(folder.path());
    let mut ticker = ticker(folder.path());
    ticker.batch_max = 4;
    for round in 1..=6 {
        push_until(&mut ticker, round * 5);
        flush(&ticker.engine.offline());
    }
    let told = answers(&ticker.engine);
    let before = ticker.engine.offline().lake_status().unwrap();
    ticker.engine.offline().pin_lake("kept").unwrap();
    let done = ticker.engine.offline().keep_up_lake().unwrap();
    assert!(done[0].compacted > 3 && done[0].into > 0, "{done:?}");
    // Somebody else might be about to commit what is young.
    assert_eq!(done[0].removed, 0);
    assert_eq!(answers(&ticker.engine), told);
    drop(ticker);
    let engine = open_later(folder.path(), 8);
    let pinned = engine.offline().keep_up_lake().unwrap();
    assert_eq!(pinned[0].removed, 0);
    engine.offline().unpin_lake("kept").unwrap();
    let done = engine.offline().keep_up_lake().unwrap();
    assert!(done[0].removed > 3 && done[0].removed_bytes > 0, "{done:?}");
    assert_eq!(answers(&engine), told);
    let after = engine.offline().lake_status().unwrap();
    assert!(after.tables[0].files < before.tables[0].files);
    assert_flushed_once(&engine.offline());
}

/// Between what one has seen of a table and its commit, another flushes all of it.
fn two_at_once(store: &ObjectStore) {
    let folder = folder();
    let direct = Access::new(store);
    direct.write(folder.path());
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, 100);
    flush(&ticker.engine.offline());
    push_until(&mut ticker, 3 * FILE_EVENTS + 100);
    let other = ticker.engine.offline();
    let commits = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&commits);
    let proxy = Proxy::before(store, move |request| {
        if request.is_commit() && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            flush(&other);
        }
        Fate::Answered
    });
    direct.through(proxy.port).write(folder.path());
    let report = flush(&offline(folder.path()));
    assert_eq!(
        commits.load(Ordering::SeqCst),
        1,
        "the second had nothing left to do"
    );
    assert!(
        report.sources.iter().all(|source| source.events == 0),
        "{report:?}"
    );
    assert_flushed_once(&ticker.engine.offline());
    let (_plain, without) = plain(ticker.next);
    assert_eq!(answers(&ticker.engine), answers(&without.engine));
}

fn failing_requests(store: &ObjectStore) {
    let folder = folder();
    let direct = Access::new(store);
    let commits = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&commits);
    // Every third request finds the store busy, and of every other commit the answer is lost.
    let proxy = Proxy::before(store, move |request| {
        if request.number % 3 == 1 {
            return Fate::Busy;
        }
        match request.is_commit() && seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            true => Fate::AnswerLost,
            false => Fate::Answered,
        }
    });
    direct.through(proxy.port).write(folder.path());
    let mut ticker = ticker(folder.path());
    for round in 1..=4 {
        push_until(&mut ticker, round * 2 * FILE_EVENTS);
        flush(&ticker.engine.offline());
        assert_flushed_once(&ticker.engine.offline());
    }
    assert!(commits.load(Ordering::SeqCst) > 8);
    let (_plain, without) = plain(ticker.next);
    assert_eq!(answers(&ticker.engine), answers(&without.engine));
}

fn slow_answers(store: &ObjectStore) {
    let folder = folder();
    let direct = Access {
        further: "timeout = \"1 second\"\n",
        ..Access::new(store)
    };
    direct.write(folder.path());
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, 50);
    flush(&ticker.engine.offline());
    push_until(&mut ticker, 150);
    let slow = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&slow);
    // The first request of each kind is too slow: reads are tried again, and S3 is not asked again for a commit of
    // which nobody knows.
    let mut kinds = Vec::new();
    let proxy = Proxy::before(store, move |request| {
        match request.kind() {
            Some(kind) if !kinds.contains(&kind) => kinds.push(kind),
            _ => return Fate::Answered,
        }
        seen.fetch_add(1, Ordering::SeqCst);
        Fate::TooSlow
    });
    direct.through(proxy.port).write(folder.path());
    let report = try_flush(&offline(folder.path()));
    assert!(slow.load(Ordering::SeqCst) >= 3);
    for failed in &report.failed {
        assert_eq!(
            failed.error.kind(),
            ErrorKind::Busy,
            "{}",
            in_words(&failed.error)
        );
    }
    flush(&offline(folder.path()));
    drop(proxy);
    assert_flushed_once(&ticker.engine.offline());
    let (_plain, without) = plain(ticker.next);
    assert_eq!(answers(&ticker.engine), answers(&without.engine));
}

/// A process that flushes is killed at one of its first requests, then at a later one, and so on, ever further apart, as
/// what is left to flush grows: in turns before the request is carried out, and behind that.
fn killed_at_its_requests(store: &ObjectStore) {
    let folder = folder();
    let direct = Access::new(store);
    direct.write(folder.path());
    let mut ticker = ticker(folder.path());
    let (mut killed, mut last) = (0, 0);
    loop {
        ticker.push();
        let carried_out = killed % 2 == 1;
        let victim: Arc<Mutex<u32>> = Arc::default();
        let held = Arc::clone(&victim);
        let proxy = Proxy::before(store, move |request| {
            if request.number < last {
                return Fate::Answered;
            }
            if carried_out && request.number == last {
                return Fate::AnswerLost;
            }
            kill(*held.lock().unwrap());
            // It asks nothing more: whatever becomes of this request is nobody's.
            Fate::Busy
        });
        direct.through(proxy.port).write(folder.path());
        let ended = {
            // Nobody is answered before it is known who asks.
            let mut pid = victim.lock().unwrap();
            let program = std::env::current_exe().unwrap();
            let mut child = Command::new(program);
            let mut child = child.arg(FLUSH).arg(folder.path()).spawn().unwrap();
            *pid = child.id();
            drop(pid);
            child.wait().unwrap()
        };
        direct.write(folder.path());
        if ended.success() {
            assert!(proxy.requests() <= last);
            break;
        }
        killed += 1;
        last += 1 + last / 3;
        if killed % 5 == 0 {
            let status = offline(folder.path()).lake_status().unwrap();
            for table in status.tables {
                let covered: u64 = table.covered.iter().map(|(.., end)| end.0).sum();
                assert_eq!(table.events, covered);
            }
        }
    }
    assert!(killed > 8, "{killed} kills");
    flush(&ticker.engine.offline());
    assert_flushed_once(&ticker.engine.offline());
    let (_plain, without) = plain(ticker.next);
    assert_eq!(answers(&ticker.engine), answers(&without.engine));
}

pub(crate) fn kill(pid: u32) {
    let killed = Command::new("kill").arg("-9").arg(pid.to_string()).status();
    assert!(killed.unwrap().success());
}
