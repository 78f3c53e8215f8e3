//! A log that is truncated by a lake in an object store: what it answers from there, what it says while the store is
//! away, and what becomes of a backup while the lake goes on.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use evenkeel_engine::api::GetRequest;
use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::push::{PushedRow, Pusher, RowAnswer, Write, Written};
use evenkeel_engine::{
    Engine, EngineError, ErrorKind, TruncateOptions, TruncateReport, backup, restore,
};
use evenkeel_types::{EventTime, Value};

use crate::cases::Case;
use crate::proxy::{Fate, Proxy};
use crate::server::ObjectStore;
use crate::shop::{
    Access, answers, assert_flushed_once, flush, flush_error, folder, in_words, open, plain,
    push_until, ticker,
};
use crate::ticks::{self, Ticker};

pub(crate) const ALL: [Case; 4] = [
    ("log_truncated_by_it", log_truncated_by_it),
    ("away_afterwards", away_afterwards),
    ("backup_while_it_goes_on", backup_while_it_goes_on),
    ("corrected_while_it_goes_away", corrected_while_it_goes_away),
];

fn truncate(engine: &mut Engine) -> Result<TruncateReport, EngineError> {
    engine.checkpoint().unwrap();
    let truncation = engine.log_truncation().unwrap();
    truncation.run(&TruncateOptions::default(), &mut |_, _| {
        ControlFlow::Continue(())
    })
}

/// A store with so many ticks, all of them flushed, whose log has been truncated by all that may be.
fn truncated(directory: &std::path::Path, ticks: u64) -> Ticker {
    let mut ticker = ticker(directory);
    push_until(&mut ticker, ticks);
    flush(&ticker.engine.offline());
    let report = truncate(&mut ticker.engine).unwrap();
    assert!(report.truncated > 3, "{report:?}");
    ticker
}

fn log_truncated_by_it(store: &ObjectStore) {
    let folder = folder();
    Access::new(store).write(folder.path());
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, 300);
    flush(&ticker.engine.offline());
    push_until(&mut ticker, 500);
    // Only what is flushed leaves.
    let report = truncate(&mut ticker.engine).unwrap();
    assert!(report.truncated > 1 && report.whole > 0, "{report:?}");
    assert!(report.stays.unwrap().contains("`evenkeel flush`"));
    let (_plain, without) = plain(ticker.next);
    let told = answers(&without.engine);
    assert_eq!(answers(&ticker.engine), told);
    flush(&ticker.engine.offline());
    ticker.engine.offline().keep_up_lake().unwrap();
    let report = truncate(&mut ticker.engine).unwrap();
    assert_eq!(report.whole, 0, "{report:?}");
    let there = ticker.next;
    drop(ticker);
    // All of it anew, from what the lake has.
    fs::remove_dir_all(folder.path().join(".evenkeel/hot")).unwrap();
    let engine = open(folder.path());
    assert_eq!(answers(&engine), told);
    assert!(ticks::read_old(&engine, there, 7) > 0, "nothing came back");
}

/// What reads a minute of the first ticks, which left the hot tier.
fn read_first(engine: &Engine) -> Result<Value, EngineError> {
    let answer = engine.get(&GetRequest {
        service: engine.service("lanes").unwrap(),
        rows: vec![vec![Value::BigInt(0)]],
        as_of: EventTime(
            evenkeel_types::time::parse_timestamp(
                "2026-01-01T00:00:30Z",
                &evenkeel_types::Zone::utc(),
            )
            .unwrap(),
        ),
        cut: None,
        known_at: None,
    })?;
    Ok(answer.rows[0][0].value.clone())
}

/// Another payload under the identity of a tick that there is.
fn push_rival(ticker: &mut Ticker, n: u64) -> Result<Vec<RowAnswer>, EngineError> {
    push(ticker, vec![ticks::tick(n, true)])
}

fn push(ticker: &mut Ticker, rows: Vec<PushedRow>) -> Result<Vec<RowAnswer>, EngineError> {
    let source = ticker.engine.source("ticks").unwrap();
    let write = Write::Push { source, rows };
    match ticker.engine.write(&mut Pusher::default(), write)? {
        Written::Pushed(answer) => Ok(answer.rows),
        _ => unreachable!("a push is answered as one"),
    }
}

/// The store is gone once the log was truncated by it: what is hot is read and written, what it alone has is an error
/// that names it, and nothing is taken for gone.
fn away_afterwards(store: &ObjectStore) {
    let folder = folder();
    let access = Access {
        retry_seconds: 1,
        ..Access::new(store)
    };
    access.write(folder.path());
    let ticker = truncated(folder.path(), 400);
    let there = ticker.next;
    drop(ticker);
    let gone = Proxy::before(store, |_| Fate::AnswerLost);
    access.through(gone.port).write(folder.path());
    let mut ticker = Ticker::over(open(folder.path()));
    assert_eq!(ticker.next, there);
    let named = format!("`{}/ticks`", access.url);
    let is_said = |error: EngineError| {
        let words = in_words(&error);
        assert!(
            words.contains(&named) && words.contains("does not answer"),
            "{words}"
        );
        assert!(words.contains("nothing is lost"), "{words}");
        assert_eq!(error.kind(), ErrorKind::Busy, "{words}");
    };
    let words = in_words(&read_first(&ticker.engine).unwrap_err());
    assert!(
        words.contains(&named) && words.contains("does not answer"),
        "{words}"
    );
    is_said(flush_error(&ticker.engine.offline()));
    // Written and read without it.
    let new: Vec<PushedRow> = (there..there + 5).map(|n| ticks::tick(n, false)).collect();
    let answered = push(&mut ticker, new).unwrap();
    assert!(
        answered
            .iter()
            .all(|row| matches!(row, RowAnswer::Logged(_)))
    );
    assert_eq!(ticks::ticks(&ticker.engine), there + 5);
    is_said(truncate(&mut ticker.engine).unwrap_err());
    let again = push(&mut ticker, vec![ticks::tick(1, false)]).unwrap();
    assert_eq!(again, [RowAnswer::Duplicate]);
    // What competes with an event that is there alone is not judged without it.
    let logged = ticker.engine.reader().next_sequence();
    is_said(push_rival(&mut ticker, 2).unwrap_err());
    assert_eq!(ticker.engine.reader().next_sequence(), logged);
    drop(ticker);
    drop(gone);
    access.write(folder.path());
    let mut ticker = Ticker::over(open(folder.path()));
    assert_eq!(ticker.next, there + 5);
    assert_ne!(read_first(&ticker.engine).unwrap(), Value::BigInt(0));
    push_rival(&mut ticker, 2).unwrap();
    assert_eq!(ticks::ticks(&ticker.engine), there + 5);
    flush(&ticker.engine.offline());
    assert_flushed_once(&ticker.engine.offline());
}

/// How many events a store has.
fn offset(ticker: &Ticker) -> u64 {
    let cut = ticker.engine.cut();
    cut.iter().map(|(.., end)| end.0).sum()
}

fn backup_while_it_goes_on(store: &ObjectStore) {
    let folder = folder();
    let access = Access::new(store);
    access.write(folder.path());
    let mut ticker = truncated(folder.path(), 300);
    push_until(&mut ticker, 350);
    let ticks_at_backup = ticker.next;
    let target = folder.path().join("backup");
    let manifest = backup(ticker.engine.project(), &target, &mut |_, _| ()).unwrap();
    assert_eq!(manifest.lake.as_deref(), Some(access.url.as_str()));
    assert!(manifest.files.keys().all(|path| !path.starts_with("lake/")));
    // The lake goes on, and the store that it belonged to is lost.
    push_until(&mut ticker, 500);
    flush(&ticker.engine.offline());
    ticker.engine.offline().keep_up_lake().unwrap();
    let lost = offset(&ticker);
    drop(ticker);
    let other = crate::shop::folder();
    let restored = || evenkeel_engine::Project::open(other.path(), None).unwrap();
    let error = restore(&restored(), &target).unwrap_err();
    let words = in_words(&error);
    assert!(
        words.contains(&access.url) && words.contains("`url` of `[lake]`"),
        "{words}"
    );
    access.write(other.path());
    restore(&restored(), &target).unwrap();
    let mut ticker = Ticker::over(open(other.path()));
    assert_eq!(ticker.next, ticks_at_backup);
    let (_plain, without) = plain(ticks_at_backup);
    let told = answers(&without.engine);
    assert_eq!(answers(&ticker.engine), told);
    let words = in_words(&flush_error(&ticker.engine.offline()));
    assert!(words.contains("--set-back"), "{words}");
    // It goes on, and says something else where the table has other events.
    push_until(&mut ticker, 650);
    assert!(offset(&ticker) > lost);
    let (_plain, without) = plain(650);
    let told = answers(&without.engine);
    assert_eq!(answers(&ticker.engine), told);
    assert!(ticker.engine.offline().lake_status().unwrap().tables[0].is_of_another_log);
    let words = in_words(&flush_error(&ticker.engine.offline()));
    assert!(words.contains("--set-back"), "{words}");
    let set_back = ticker.engine.offline().set_back_lake("before").unwrap();
    let done = set_back[0].done;
    assert!(done.events > 0 && set_back[0].version > set_back[0].before);
    assert_eq!(answers(&ticker.engine), told);
    flush(&ticker.engine.offline());
    assert_flushed_once(&ticker.engine.offline());
    assert_eq!(answers(&ticker.engine), told);
    let nothing = ticker.engine.offline().set_back_lake("again").unwrap();
    assert!(nothing.is_empty(), "{nothing:?}");
    truncate(&mut ticker.engine).unwrap();
    assert_eq!(answers(&ticker.engine), told);
    let pins = ticker.engine.offline().lake_status().unwrap().pins;
    assert_eq!(pins["before"]["ticks"], set_back[0].before);
    // A third, set back before it goes on: what was flushed behind the backup is counted.
    drop(ticker);
    let third = crate::shop::folder();
    access.write(third.path());
    restore(
        &evenkeel_engine::Project::open(third.path(), None).unwrap(),
        &target,
    )
    .unwrap();
    let ticker = Ticker::over(open(third.path()));
    let set_back = ticker.engine.offline().set_back_lake("third").unwrap();
    assert!(set_back[0].done.unlogged > 0, "{set_back:?}");
    let again = ticker.engine.offline().set_back_lake("third").unwrap();
    assert!(again.is_empty(), "{again:?}");
}

const LOANS: &str = "
CREATE ENTITY shop (shop BIGINT);
CREATE TABLE loans (loan BIGINT, shop BIGINT, amount BIGINT, at TIMESTAMP, PRIMARY KEY (loan), EVENT TIME at)
WITH (connector = 'file', path = 'loans.csv');
CREATE FEATURE VIEW lent ENTITY shop AS SELECT shop, count(*) AS loans, sum(amount) AS amount FROM loans GROUP BY shop;
";

/// Once a correction is logged it is a success, also where nobody can say any more what follows of it.
fn corrected_while_it_goes_away(store: &ObjectStore) {
    let folder = folder();
    fs::write(folder.path().join("ticks.sql"), LOANS).unwrap();
    let row = |n: i64, amount: i64| {
        let (loan, shop, minute, second) = (n % 20, n % 3, n / 60, n % 60);
        format!("{loan},{shop},{amount},2026-01-01T00:{minute:02}:{second:02}Z\n")
    };
    let header = "loan,shop,amount,at\n".to_owned();
    let rows: String = (0..600).map(|n| row(n, n)).collect();
    fs::write(folder.path().join("loans.csv"), header.clone() + &rows).unwrap();
    let is_away = Arc::new(AtomicBool::new(false));
    let away = Arc::clone(&is_away);
    let proxy = Proxy::before(store, move |_| match away.load(Ordering::SeqCst) {
        true => Fate::Busy,
        false => Fate::Answered,
    });
    let access = Access {
        retry_seconds: 1,
        ..Access::new(store).through(proxy.port)
    };
    access.write(folder.path());
    let mut engine = open(folder.path());
    ticks::apply(&mut engine);
    engine.ingest("loans", None, &mut |_| ()).unwrap();
    flush(&engine.offline());
    assert!(truncate(&mut engine).unwrap().truncated > 0);
    let truth: String = (540..600).map(|n| row(n, n + 1)).collect();
    let path = folder.path().join("truth.csv");
    fs::write(&path, header + &truth).unwrap();
    let offline = engine.offline();
    let source = offline.source("loans").unwrap();
    let truth = Truth::open(&source, folder.path(), &path.to_string_lossy()).unwrap();
    let (from, to) = ("2026-01-01T00:09:00Z", "2026-01-01T00:10:00Z");
    let period = Period::parse(from, to, &source.zone).unwrap();
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let difference = offline.difference(&source, truth, &period, engine.means(), &mut go_on);
    let difference = difference.unwrap();
    let mut go_away = |stage: &str, done, total| {
        if stage == "logging the difference" && done == total {
            is_away.store(true, Ordering::SeqCst);
        }
        ControlFlow::Continue(())
    };
    let report = engine.correct(&difference, &mut go_away).unwrap();
    assert!(is_away.load(Ordering::SeqCst));
    assert_eq!((report.counts.replaced, report.counts.changes()), (60, 60));
    let lent = &report.effects.views[0];
    assert_eq!((lent.keys, lent.compared), (3, 0), "{lent:?}");
    is_away.store(false, Ordering::SeqCst);
    let logged = engine.cut();
    let truth = Truth::open(&source, folder.path(), &path.to_string_lossy()).unwrap();
    let again = engine.offline();
    let again = again.difference(&source, truth, &period, engine.means(), &mut go_on);
    assert_eq!(again.unwrap().counts().changes(), 0);
    assert_eq!(engine.cut(), logged);
}
