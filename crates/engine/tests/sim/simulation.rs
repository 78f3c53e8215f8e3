//! A whole run: clients, a network, a server that dies and comes back, a disk that fails.
//!
//! One seed decides everything, step by step. First with faults: nothing may be wrong. Then
//! all is well, and everything must be answered within so many steps. At the end the checker
//! compares what clients saw with the log, and the store is verified, as it is and built anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::{DefinitionFile, Engine, Machine, Project};
use evenkeel_log::{Crash, LogOptions, ManualClock, ReadOptions};
use evenkeel_sim::{
    Asked, Client, DEFINITIONS, HOUR, Log, PushReply, Random, ReadReply, Reply, Run, START, check,
};

use crate::disk::{Disk, ROOT};
use crate::server::{Server, Ticket};
use crate::settings::{Faults, Settings, happens};
use crate::trace::Trace;

/// Steps with faults, at most.
const STEPS: u64 = 12_000;
/// Steps without, in which everything must be answered.
const HEALTHY_STEPS: u64 = 120_000;
/// A column that all sources have besides, and as it may be defined later.
const EXTRA: [&str; 2] = [", extra INT", ", extra BIGINT"];
/// What is defined besides: an index from which events leave, where sources let them.
const LEAVING: &str = "
CREATE ENTITY pair (driver BIGINT, place BIGINT);
CREATE ENTITY bit (driver_bit BIGINT);
CREATE FEATURE VIEW calls_of_bit ENTITY bit AS
SELECT driver_bit, count(*) OVER h AS n, sum(place_bit) OVER h AS bits, last_value(id) OVER h AS id,
  max(extra) OVER h AS extra
FROM calls WINDOW h AS (LAST 20 MINUTES);
";
/// Streams that are made of others, one of them of the other.
const EMITTED: &str = "
CREATE STREAM met AS SELECT r.id, r.driver, c.place, c.place_bit AS bits
FROM rides r ASOF JOIN calls c ON r.driver = c.driver WHERE c.place IS NOT NULL OR r.place_bit > 4 ON LATE REVISE;
CREATE STREAM tapped AS SELECT t.driver, m.place, m.bits,
  count(*) OVER (PARTITION BY t.driver RANGE BETWEEN INTERVAL '20' MINUTE PRECEDING AND CURRENT ROW) AS n
FROM taps t ASOF JOIN met m ON t.driver = m.driver;
CREATE FEATURE VIEW met_of_place ENTITY place AS
SELECT place, count(*) OVER h AS n, sum(bits) OVER h AS bits FROM met WINDOW h AS (LAST 1 HOURS);
";
/// Streams with timers, one of which waits for what another stream emits.
const TIMED: &str = "
CREATE STREAM unanswered AS SELECT r.id, r.driver, r.place_bit AS bits FROM rides r
  AFTER INTERVAL '12' MINUTE WITHOUT calls c ON r.driver = c.driver ON LATE REVISE;
CREATE STREAM alone AS SELECT t.driver, u.bits FROM taps t ASOF JOIN unanswered u ON t.driver = u.driver
  WAIT FOR WATERMARK TIMEOUT 20 MINUTES AFTER INTERVAL '2' MINUTE WITHOUT met m ON t.driver = m.driver;
CREATE FEATURE VIEW unanswered_of_driver ENTITY driver AS
SELECT driver, count(*) OVER h AS n, sum(bits) OVER h AS bits FROM unanswered WINDOW h AS (LAST 1 HOURS);
";
/// The file with all but the views that come later.
const DEFINITION_FILE: &str = "definitions.sql";
/// How sources let events leave.
const RETENTION: &str = ", MAX FUTURE INTERVAL '1' MINUTE, HOT RETENTION INTERVAL '5' MINUTE";
/// Views that are applied while the store is in use.
const MORE_VIEWS: [&str; 2] = [
    "CREATE FEATURE VIEW rides_of_driver_lately ENTITY driver AS
     SELECT driver, count(*) OVER h AS n, max(driver_bit) OVER h AS bit, last_value(version) OVER h AS v
     FROM rides WINDOW h AS (LAST 30 MINUTES);",
    "CREATE FEATURE VIEW pairs ENTITY pair AS
     SELECT driver, place, sum(driver_bit) OVER (ALL HISTORY) AS bits FROM calls;",
];

/// A message on its way.
struct Message {
    due: u64,
    to: To,
}

enum To {
    Server(Ticket, Asked),
    Client(Ticket, Reply),
}

/// A client, and the request that it waits for.
struct Asking {
    client: Client,
    requests: u64,
    /// The number of its request, and when it was sent.
    waits: Option<(u64, u64)>,
}

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) digest: u64,
    pub(crate) steps: u64,
    pub(crate) starts: u64,
    pub(crate) events: u64,
    pub(crate) values: u64,
    /// How often each thing happened.
    pub(crate) seen: BTreeMap<String, u64>,
}

/// See the module.
pub(crate) struct Simulation {
    seed: u64,
    random: Random,
    settings: Settings,
    faults: Faults,
    clock: Arc<ManualClock>,
    disk: Disk,
    project: Project,
    definitions: Vec<DefinitionFile>,
    /// Files that are still to be applied, each new or in place of one of its name.
    more: Vec<DefinitionFile>,
    server: Option<Server>,
    run: Run,
    clients: Vec<Asking>,
    network: Vec<Message>,
    step: u64,
    /// The file operation at which the power goes.
    power_off_at: Option<u64>,
    /// Whether the server has met a fault, or may meet one that waits for it.
    excused: bool,
    full_until: Option<u64>,
    trace: Trace,
    summary: Summary,
    _root: tempfile::TempDir,
}

impl Simulation {
    pub(crate) fn new(seed: u64, aloud: bool) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let settings = Settings::of(&mut random);
        let root = tempfile::tempdir().unwrap();
        let mut project = Project::open(root.path(), None).unwrap();
        project.store = PathBuf::from(ROOT);
        project.limits.memory_bytes = settings.memory_bytes;
        let file = |name: &str, text: &str| DefinitionFile {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let columns = DEFINITIONS.replace("at TIMESTAMP", &format!("at TIMESTAMP{}", EXTRA[0]));
        // Where there is no event id, the order of emissions has all columns: none can be widened.
        let mut emitted = match (settings.emits, settings.waits) {
            (false, _) => String::new(),
            (true, false) => EMITTED.to_owned(),
            (true, true) => [EMITTED, TIMED].concat(),
        };
        if settings.widens {
            emitted = emitted.replace("FROM taps t", "FROM calls t");
        }
        let mut text = format!("{columns}{LEAVING}{emitted}");
        if settings.retention {
            text = text.replace("EVENT TIME at)", &format!("EVENT TIME at{RETENTION})"));
        }
        let more = MORE_VIEWS[..settings.applies].iter().enumerate();
        let more = more.map(|(n, text)| file(&format!("{n}.sql"), text));
        let mut more: Vec<DefinitionFile> = more.collect();
        if settings.widens {
            let at = random.below(more.len() as u64 + 1) as usize;
            more.insert(at, file(DEFINITION_FILE, &text.replace(EXTRA[0], EXTRA[1])));
        }
        let clients = (0..settings.clients).map(|number| Asking {
            client: Client::new(number, seed),
            requests: 0,
            waits: None,
        });
        let mut trace = Trace::default();
        trace.aloud = aloud;
        trace.tell(format_args!("{settings:?}"));
        Simulation {
            seed,
            disk: Disk::new(random.bits()),
            faults: settings.faults.clone(),
            clock: Arc::new(ManualClock::new(START + 30 * 24 * HOUR)),
            project,
            definitions: vec![file(DEFINITION_FILE, &text)],
            more,
            server: None,
            run: Run::new(seed, settings.clients as u64 * settings.requests * 2),
            clients: clients.collect(),
            network: Vec::new(),
            step: 0,
            power_off_at: None,
            excused: false,
            full_until: None,
            trace,
            summary: Summary::default(),
            random,
            settings,
            _root: root,
        }
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Summary {
        while self.step < STEPS && !self.is_done() {
            self.one_step();
        }
        self.heal();
        let end = self.step + HEALTHY_STEPS;
        while !self.is_done() {
            assert!(self.step < end, "{}", self.stuck());
            self.one_step();
        }
        self.finish()
    }

    fn seen(&mut self, what: &str) {
        *self.summary.seen.entry(what.to_owned()).or_default() += 1;
    }

    fn is_done(&self) -> bool {
        let asked = |c: &Asking| c.requests >= self.settings.requests && c.client.is_settled();
        self.clients.iter().all(asked) && self.server.as_ref().is_some_and(Server::is_idle)
    }

    fn stuck(&self) -> String {
        let waits: Vec<_> = self.clients.iter().map(|c| (c.requests, c.waits)).collect();
        let closed = self.server.as_ref().map(Server::closed);
        format!("seed {}: nothing goes on: {waits:?}, {closed:?}", self.seed)
    }

    fn one_step(&mut self) {
        self.step += 1;
        self.clock
            .advance(1 + self.random.below(3_000).cast_signed());
        self.disturb();
        match self.random.below(10) {
            0..=1 => self.client(),
            2..=3 => self.deliver(),
            _ => self.serve(),
        }
        let off = |at: u64| self.disk.files.operations() > at;
        if self.power_off_at.is_some_and(off) {
            self.power_off();
        }
    }

    // Faults.

    fn disturb(&mut self) {
        let random = &mut self.random;
        if happens(random, self.faults.clock) {
            let hours = random.below(48).cast_signed() - 24;
            self.clock.advance(hours * HOUR);
            self.seen("the clock jumps");
        }
        if happens(&mut self.random, self.faults.kill) && self.server.is_some() {
            self.die(Crash::KeepUnsynced, "killed");
        }
        let next = self.disk.files.operations();
        if self.power_off_at.is_none() && happens(&mut self.random, self.faults.power) {
            let at = next + self.random.below(60);
            self.disk.files.power_off_at(at);
            (self.power_off_at, self.excused) = (Some(at), true);
        } else if self.power_off_at.is_none() && happens(&mut self.random, self.faults.error) {
            let at = next + self.random.below(40);
            let kind = match self.random.one_in(2) {
                true => std::io::ErrorKind::Other,
                false => std::io::ErrorKind::StorageFull,
            };
            self.disk.files.fail_at(at, kind);
            self.excused = true;
            self.seen("a file operation fails");
        }
        if self.full_until.is_some_and(|until| self.step >= until) {
            self.disk.files.set_capacity(None);
            self.full_until = None;
        } else if self.full_until.is_none() && happens(&mut self.random, self.faults.full) {
            let paths = self.disk.files.paths();
            let bytes = |path| self.disk.files.content(path).map_or(0, |c| c.len());
            let used: usize = paths.iter().map(|path| bytes(path)).sum();
            let room = self.random.below(3_000);
            self.disk.files.set_capacity(Some(used as u64 + room));
            self.full_until = Some(self.step + 50 + self.random.below(600));
            self.excused = true;
            self.seen("the disk is full");
        }
    }

    fn power_off(&mut self) {
        let crash = match self.random.below(3) {
            0 => Crash::LoseUnsynced,
            1 => Crash::KeepUnsynced,
            _ => Crash::Tear {
                seed: self.random.bits(),
            },
        };
        self.die(crash, "the power is cut");
    }

    fn die(&mut self, crash: Crash, why: &str) {
        self.trace
            .tell(format_args!("{} {why}: {crash:?}", self.step));
        self.seen(why);
        self.server = None;
        self.disk = self.disk.crash(crash);
        self.power_off_at = None;
        self.full_until = None;
        self.excused = false;
        // Every connection breaks; what a client has sent may still arrive, or never.
        self.network.retain(|m| matches!(m.to, To::Server(..)));
        for asking in &mut self.clients {
            if asking.waits.take().is_some() {
                asking.client.lost(&self.run);
            }
        }
    }

    /// From now on all is well; a server that writes nothing more is started again.
    fn heal(&mut self) {
        self.faults = Faults::none();
        if self.power_off_at.is_some() {
            self.die(Crash::LoseUnsynced, "the power is cut");
        }
        self.disk.files.heal();
        (self.full_until, self.excused) = (None, false);
        if self.server.as_ref().is_some_and(|s| s.closed().is_some()) {
            self.die(Crash::KeepUnsynced, "started again");
        }
        self.trace.tell(format_args!("{} all is well", self.step));
    }

    // Clients and the network.

    fn client(&mut self) {
        let number = self.random.below(self.clients.len() as u64) as usize;
        let asking = &mut self.clients[number];
        match asking.waits {
            None if asking.requests < self.settings.requests || !asking.client.is_settled() => {
                asking.requests += 1;
                let asked = asking.client.ask(&self.run);
                let ticket = (number, asking.requests);
                asking.waits = Some((asking.requests, self.step));
                self.send(To::Server(ticket, asked));
            }
            Some((_, since)) if self.step - since > self.settings.patience * 10 => {
                // Its request or the answer is lost, or it lasts too long.
                asking.waits = None;
                asking.client.lost(&self.run);
                self.seen("a client gives up");
            }
            _ => {}
        }
    }

    fn send(&mut self, to: To) {
        if happens(&mut self.random, self.faults.lost) {
            self.seen("a message is lost");
            return;
        }
        if let To::Server(ticket, asked @ Asked::Push { .. }) = &to
            && happens(&mut self.random, self.faults.repeated)
        {
            self.clients[ticket.0].client.repeated(&self.run);
            // An answer to it would be taken for one to the other: nobody waits for it.
            let again = To::Server((ticket.0, u64::MAX), asked.clone());
            let due = self.step + self.random.below(self.settings.delay * 20);
            self.network.push(Message { due, to: again });
            self.seen("a request arrives twice");
        }
        let due = self.step + self.random.below(self.settings.delay);
        self.network.push(Message { due, to });
    }

    fn deliver(&mut self) {
        let due: Vec<usize> = (0..self.network.len())
            .filter(|&i| self.network[i].due <= self.step)
            .collect();
        if due.is_empty() {
            return;
        }
        let at = due[self.random.below(due.len() as u64) as usize];
        match self.network.swap_remove(at).to {
            To::Server(ticket, asked) => {
                let Some(server) = &mut self.server else {
                    // Nobody listens.
                    self.broken(ticket);
                    return;
                };
                let reply = server.receive(&self.settings, self.step, ticket, asked);
                if let Some(reply) = reply {
                    self.send(To::Client(ticket, reply));
                }
            }
            To::Client(ticket, reply) => self.answer(ticket, reply),
        }
    }

    /// A client's connection breaks.
    fn broken(&mut self, (number, request): Ticket) {
        let asking = &mut self.clients[number];
        if asking.waits.is_some_and(|(waits, _)| waits == request) {
            asking.waits = None;
            asking.client.lost(&self.run);
        }
    }

    fn answer(&mut self, (number, request): Ticket, mut reply: Reply) {
        let asking = &mut self.clients[number];
        if asking.waits.is_none_or(|(waits, _)| waits != request) {
            return;
        }
        asking.waits = None;
        let end = self.run.tick();
        if let Reply::Push(PushReply::Answered { end: when, .. }) = &mut reply {
            *when = end;
        }
        self.trace
            .tell(format_args!("{} client {number} {reply:?}", self.step));
        let what = match &reply {
            Reply::Push(PushReply::Answered { .. }) => "pushes",
            Reply::Read(ReadReply::Answered(answer)) if answer.degraded.is_some() => "degraded",
            Reply::Read(ReadReply::Answered(_)) => "reads",
            Reply::Read(ReadReply::Unmet(_)) => "unmet",
            Reply::Read(ReadReply::CutLacks(_)) => "a cut lacks",
            Reply::Push(_) | Reply::Read(_) => "refused",
        };
        let replied = asking.client.replied(&self.run, end, reply);
        replied.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        self.seen(what);
    }

    // The server.

    fn machine(&self) -> Machine {
        Machine {
            clock: Arc::clone(&self.clock) as _,
            files: Arc::new(self.disk.files.clone()),
            stores: Arc::new(self.disk.clone()),
            log: LogOptions {
                segment_bytes: self.settings.segment_bytes,
                compression: self.settings.compression,
            },
            sealed_entries: self.settings.sealed_entries,
            evaluated_max: self.settings.evaluated_max,
            // Commits end by bytes in some runs, and by triggers in others.
            commit_bytes: match self.settings.evaluated_max {
                40 => 600,
                _ => 8 << 20,
            },
            places_max: self.settings.evaluated_max * 16,
            piece_records: match self.settings.evaluated_max {
                3 => 5,
                _ => 4_096,
            },
        }
    }

    fn serve(&mut self) {
        let Some(server) = &mut self.server else {
            self.start();
            return;
        };
        if server.closed().is_some() && self.random.one_in(200) {
            self.die(Crash::KeepUnsynced, "started again");
            return;
        }
        if self.random.one_in(800) && !self.excused {
            self.verify_now();
            return;
        }
        let Some(server) = &mut self.server else {
            return;
        };
        if !self.more.is_empty() && self.random.one_in(400) {
            let file = self.more.remove(0);
            let name = file.name.clone();
            self.trace
                .tell(format_args!("{} applies {name}", self.step));
            match self.definitions.iter_mut().find(|f| f.name == name) {
                Some(known) => *known = file,
                None => self.definitions.push(file),
            }
            server.begin_apply(&self.definitions);
            return;
        }
        let (what, answers) = server.step(&mut self.random, &self.settings, self.step);
        let failures = std::mem::take(&mut server.failures);
        if !matches!(what, "nothing to write" | "nothing to read" | "waits") {
            self.trace.tell(format_args!("{} {what}", self.step));
        }
        self.seen(what);
        for failure in failures {
            self.trace.tell(format_args!("{} {failure}", self.step));
            assert!(self.excused, "seed {}: {failure}", self.seed);
        }
        // What a machine without power has done nobody hears of.
        let off = |at: u64| self.disk.files.operations() > at;
        if self.power_off_at.is_some_and(off) {
            return;
        }
        for (ticket, reply) in answers {
            match reply {
                Some(reply) => self.send(To::Client(ticket, reply)),
                None => self.broken(ticket),
            }
        }
    }

    /// Whatever is under way, what is applied is served right.
    fn verify_now(&mut self) {
        if let Some(server) = self.server.take() {
            self.summary.values += self.verify(&server.engine);
            self.server = Some(server);
        }
    }

    fn start(&mut self) {
        match Server::open(&self.project, self.machine(), &self.definitions) {
            Ok(mut server) => {
                if self.settings.defers {
                    server.engine.defer_cold_reads();
                }
                self.trace.tell(format_args!("{} started", self.step));
                self.server = Some(server);
                self.summary.starts += 1;
            }
            Err(error) => {
                self.trace.tell(format_args!("{} not started", self.step));
                self.seen("not started");
                assert!(self.excused, "seed {}: {error:?}", self.seed);
                let off = |at: u64| self.disk.files.operations() > at;
                if !self.power_off_at.is_some_and(off) {
                    // The process has ended.
                    self.die(Crash::KeepUnsynced, "gave up starting");
                }
            }
        }
    }

    // The end.

    fn finish(mut self) -> Summary {
        let seed = self.seed;
        self.server = None;
        let mut engine = self.open();
        let plan = engine.plan(&self.definitions).unwrap();
        engine.apply(plan).unwrap();
        let run = std::mem::replace(&mut self.run, Run::new(0, 1));
        let mut history = run.history();
        history.log = log_of(&engine);
        let report = check(&history);
        assert_eq!(report.violations, [], "seed {seed}");
        self.timeline_never_decreases(&engine);
        assert!(!engine.is_emission_stuck(), "seed {seed}");
        for topic in engine.catalog().derived() {
            assert_eq!(engine.emission_lag(topic), 0, "seed {seed}: {}", topic.name);
        }
        self.summary.values = report.values + self.verify(&engine);
        drop(engine);
        // The hot tier is never the only copy of anything.
        self.disk = self.disk.without_stores();
        let engine = self.open();
        self.summary.values += self.verify(&engine);
        self.summary.events = report.events;
        self.summary.steps = self.step;
        self.summary.digest = self.trace.digest();
        self.summary
    }

    fn open(&self) -> Engine {
        let opened = Engine::open_on(&self.project, self.machine());
        opened.unwrap_or_else(|error| panic!("seed {}: {error:?}", self.seed))
    }

    fn verify(&mut self, engine: &Engine) -> u64 {
        let reheated = engine.reheats();
        let options = VerifyOptions {
            seed: self.random.bits(),
            values: 200,
            oracle_values: 40,
            ..VerifyOptions::default()
        };
        let verified = engine.verify(&options, &mut |_, _, _| ());
        match verified {
            Err(evenkeel_engine::EngineError::NothingToVerify) => 0,
            Err(error) => panic!("seed {}: {error:?}", self.seed),
            Ok(report) => {
                assert_eq!(report.mismatches, 0, "seed {}: {report:?}", self.seed);
                let (values, emissions) = (report.values_checked, report.emissions_checked);
                self.trace
                    .tell(format_args!("verified {values}, {emissions} emissions"));
                *self.summary.seen.entry("emissions".to_owned()).or_default() += emissions;
                if engine.reheats() != reheated {
                    self.seen("events come back");
                }
                report.values_checked
            }
        }
    }

    fn timeline_never_decreases(&self, engine: &Engine) {
        let mut last = i64::MIN;
        for logged in engine.reader().read(ReadOptions::default()) {
            let logged_at = logged.unwrap().logged_at.0;
            assert!(logged_at >= last, "seed {}", self.seed);
            last = logged_at;
        }
    }
}

/// The log as the checker knows it.
fn log_of(engine: &Engine) -> Log {
    let mut log = Log::default();
    let sources = engine.catalog().sources.iter();
    for (name, def) in sources.filter(|(_, def)| def.derived.is_none()) {
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            ..ReadOptions::default()
        };
        for logged in engine.reader().read(options) {
            log.take_event(name, &logged.unwrap()).unwrap();
        }
        for letter in engine.reader().dead_letters(def.id).unwrap() {
            log.take_letter(name, letter.unwrap().letter.position)
                .unwrap();
        }
    }
    log
}
