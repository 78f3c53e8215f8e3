//! What an object store refuses is said, with what to do; nothing is lost, and what needs no lake goes on.

use evenkeel_engine::ErrorKind;

use crate::cases::Case;
use crate::proxy::{Fate, Proxy};
use crate::server::{ObjectStore, Speaks};
use crate::shop::{
    Access, answers, assert_flushed_once, flush, flush_error, folder, in_words, offline, plain,
    push_until, ticker,
};
use crate::ticks;

pub(crate) const ALL: [Case; 1] = [("refusals", refusals)];

/// How a store is reached that refuses, what is said, what is said to do, and of which kind the error is.
type Wrong = (Access, &'static str, &'static str, ErrorKind);

fn refusals(store: &ObjectStore) {
    let folder = folder();
    let good = Access {
        retry_seconds: 1,
        ..Access::new(store)
    };
    good.write(folder.path());
    let mut ticker = ticker(folder.path());
    push_until(&mut ticker, 60);
    let closed = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    let busy = Proxy::before(store, |_| Fate::Busy);
    let overwriting = Proxy::before(store, |_| Fate::Unconditional);
    let silent = Proxy::before(store, |_| Fate::TooSlow);
    let mut wrong = vec![(
        good.through(closed),
        "does not answer",
        "can be reached",
        ErrorKind::Busy,
    )];
    wrong.extend(match store.speaks {
        Speaks::S3 => of_s3(&good, busy.port, overwriting.port),
        Speaks::Hdfs => of_hdfs(&good, busy.port, silent.port),
    });
    let (_plain, without) = plain(ticker.next);
    let told = answers(&without.engine);
    for (access, says, hint, kind) in wrong {
        access.write(folder.path());
        let offline = offline(folder.path());
        let error = flush_error(&offline);
        let words = in_words(&error);
        assert!(words.contains(says) && words.contains(hint), "{words}");
        let named = format!("`{}/ticks`", access.url);
        assert!(words.contains(&named), "{words}");
        assert_eq!(error.kind(), kind, "{words}");
        drop(ticker.engine);
        let engine = crate::shop::open(folder.path());
        assert_eq!(ticks::ticks(&engine), ticker.next);
        // The log is whole, so nobody needs a lake that is away.
        if kind == ErrorKind::Busy {
            assert_eq!(answers(&engine), told);
        }
        ticker.engine = engine;
    }
    good.write(folder.path());
    flush(&offline(folder.path()));
    assert_flushed_once(&offline(folder.path()));
}

fn of_s3(good: &Access, busy: u16, overwriting: u16) -> Vec<Wrong> {
    vec![
        (
            Access {
                url: "s3://nowhere/lake".to_owned(),
                ..good.clone()
            },
            "has no such bucket",
            "make the bucket",
            ErrorKind::Storage,
        ),
        (
            Access {
                secret: "wrong".to_owned(),
                ..good.clone()
            },
            "refuses these credentials",
            "see to the credentials",
            ErrorKind::Storage,
        ),
        (
            Access {
                key: "AKIANOBODY".to_owned(),
                ..good.clone()
            },
            "refuses these credentials",
            "see to the credentials",
            ErrorKind::Storage,
        ),
        (
            good.through(busy),
            "answers with an error",
            "retry_seconds",
            ErrorKind::Busy,
        ),
        (
            good.through(overwriting),
            "writes over what is there",
            "If-None-Match",
            ErrorKind::Storage,
        ),
        (
            Access {
                further: "conditional_put = \"disabled\"\n",
                ..good.clone()
            },
            "writes over what is there",
            "do not set `conditional_put`",
            ErrorKind::Storage,
        ),
    ]
}

fn of_hdfs(good: &Access, busy: u16, silent: u16) -> Vec<Wrong> {
    vec![
        // It is cut off before anything is carried out.
        (
            good.through(busy),
            "RPC listener disconnected",
            "name node",
            ErrorKind::Busy,
        ),
        (
            Access {
                further: "timeout = \"1 second\"\n",
                ..good.through(silent)
            },
            "does not answer: ",
            "name node",
            ErrorKind::Busy,
        ),
    ]
}
