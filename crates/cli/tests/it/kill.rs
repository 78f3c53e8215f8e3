//! The server as a process that is killed, again and again, while clients push and read over
//! sockets; in the end it is stopped under load. The checker of `evenkeel-sim` compares all
//! that the clients saw with the log: nothing acknowledged is lost, what was sent again is
//! there once, sessions from before a kill go on.
//!
//! `EVENKEEL_KILLS` is the number of kills (20), `EVENKEEL_SEED` where they fall (1).

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use evenkeel_engine::Engine;
use evenkeel_engine::api::VerifyOptions;
use evenkeel_log::ReadOptions;
use evenkeel_sim::{Client, DEFINITIONS, History, Log, Random, Run, check};
use serde_json::Value as Json;

use crate::serve::{Server, client};
use crate::support::Project;

const CLIENTS: usize = 4;
/// A quarter of it makes a checkpoint due.
const PROJECT: &str = "[limits]\nmemory_bytes = 60000\n[server.served]\nevery = 1\n";
/// Answers before a kill, at most.
const ANSWERS: u64 = 60;
/// More than are counted.
const QUEUE: usize = 1_024;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Asks until the connection breaks, or the client has nothing open after so many answers.
fn ask(
    project: &Project,
    run: &Arc<Run>,
    mut asking: Client,
    answers: u64,
    answered: &SyncSender<()>,
) -> JoinHandle<Client> {
    let http = client(project);
    let run = Arc::clone(run);
    let answered = answered.clone();
    let work = move || {
        let mut count = 0;
        while count < answers || !asking.is_settled() {
            let request = asking.next(&run);
            let Ok(reply) = http.post(&request.path, request.body.to_string().as_bytes()) else {
                asking.lost(&run);
                return asking;
            };
            let json: Json = serde_json::from_slice(&reply.body).unwrap();
            let told = asking.answered(&run, reply.status, &json);
            told.unwrap_or_else(|error| panic!("{}: {error}", request.body));
            count += 1;
            // Nobody counts any more once the server is being killed.
            let _ = answered.try_send(());
        }
        asking
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "clients are threads of this test"
    )]
    std::thread::spawn(work)
}

fn log_of(engine: &Engine) -> Log {
    let mut log = Log::default();
    for (name, def) in &engine.catalog().sources {
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            ..ReadOptions::default()
        };
        for logged in engine.reader().read(options) {
            log.take_event(name, &logged.unwrap()).unwrap();
        }
        for letter in engine.reader().dead_letters(def.id).unwrap() {
            let letter = letter.unwrap().letter;
            log.take_letter(name, letter.position).unwrap();
        }
    }
    log
}

fn check_history(project: &Project, mut history: History, seed: u64) {
    let engine = || {
        let project = evenkeel_engine::Project::open(project.path(), None).unwrap();
        Engine::open(&project).unwrap()
    };
    let options = VerifyOptions {
        values: 2_000,
        oracle_values: 100,
        ..VerifyOptions::default()
    };
    let opened = engine();
    history.log = log_of(&opened);
    let report = check(&history);
    assert_eq!(report.violations, [], "EVENKEEL_SEED={seed}");
    assert!(report.answers > 100 && report.events > 300, "{report:?}");
    let kept = opened.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(kept.mismatches, 0, "EVENKEEL_SEED={seed}: {kept:?}");
    drop(opened);
    // The same from the log alone.
    std::fs::remove_dir_all(project.path().join(".evenkeel/hot")).unwrap();
    let rebuilt = engine().verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(kept.answers_digest, rebuilt.answers_digest);
}

#[test]
fn a_server_that_is_killed_keeps_what_it_promised() {
    let kills = number("EVENKEEL_KILLS", 20);
    let seed = number("EVENKEEL_SEED", 1);
    let mut random = Random(seed);
    let project = Project::empty();
    project.write("evenkeel.toml", PROJECT);
    project.write("definitions.sql", DEFINITIONS);
    project.run(&["apply"]).ok();
    let run = Arc::new(Run::new(seed, (kills + 2) * ANSWERS));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|n| Client::new(n, seed)).collect();
    for _ in 0..kills {
        let server = Server::start(&project, &[]);
        let (sender, answered) = sync_channel(QUEUE);
        let asking: Vec<_> = clients
            .drain(..)
            .map(|c| ask(&project, &run, c, u64::MAX, &sender))
            .collect();
        for () in answered.iter().take(random.below(ANSWERS) as usize) {}
        server.kill();
        clients.extend(asking.into_iter().map(|thread| thread.join().unwrap()));
    }
    // Stopped under load: what is in flight is answered, what is acknowledged is there.
    let server = Server::start(&project, &[]);
    let (sender, answered) = sync_channel(QUEUE);
    let asking: Vec<_> = clients
        .drain(..)
        .map(|c| ask(&project, &run, c, u64::MAX, &sender))
        .collect();
    for () in answered.iter().take(100) {}
    server.stop();
    clients.extend(asking.into_iter().map(|thread| thread.join().unwrap()));
    // Whatever was not answered is sent again.
    let server = Server::start(&project, &[]);
    let asking: Vec<_> = clients
        .drain(..)
        .map(|c| ask(&project, &run, c, 20, &sender))
        .collect();
    for thread in asking {
        assert!(thread.join().unwrap().is_settled());
    }
    server.stop();
    let served = project.run(&["verify", "--served", "--json"]).ok().json();
    assert_eq!(served["mismatches"], 0, "{served}");
    assert!(served["answers"].as_u64() > Some(50), "{served}");
    let history = Arc::into_inner(run).unwrap().history();
    check_history(&project, history, seed);
}
