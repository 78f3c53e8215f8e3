//! One process that serves a store, in steps: what a server does between two looks of
//! anybody else is one of them.
//!
//! It makes the same calls of the engine in the same order as the HTTP server; what runs
//! there on threads of its own is here whatever step the seed takes next.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::push::{Durable, Judged, Pusher, Write, Written, append};
use evenkeel_engine::{
    Applying, BackfillRequest, Checkpoint, CheckpointWritten, DefinitionFile, Emitter, Engine,
    EngineError, Machine, Next, Project, ReadPlan, Switched, emits, log_backfill,
};
use evenkeel_log::Log;
use evenkeel_sim::{
    Asked, HOUR, Level, PushReply, Question, Random, ReadReply, Reply, SOURCES, START,
};
use evenkeel_store::StoreError;
use evenkeel_types::{Cut, EventTime, Knowledge, Value};

use crate::settings::Settings;
use crate::words;

const MINUTE: i64 = HOUR / 60;
/// Steps for a millisecond of a client's patience.
const STEPS_OF_MS: u64 = 4;
/// Steps that a read waits, at most.
const WAIT_STEPS_MAX: u64 = 4_000;

/// A request of a client: the client's number, and the request's.
pub(crate) type Ticket = (usize, u64);

/// What a step answers, to whom; none: nobody knows what became of it.
pub(crate) type Answers = Vec<(Ticket, Option<Reply>)>;

/// A push that waits.
struct Waiting {
    ticket: Ticket,
    write: Write,
}

/// A commit on its way.
enum Writing {
    Nothing,
    Judged(Judged, Vec<Ticket>),
    Applying(Durable, Vec<Ticket>),
    Letters(Durable, Vec<Ticket>),
    Emitting(Durable),
}

/// A checkpoint on its way.
enum Checkpointing {
    Nothing,
    Begun(Checkpoint),
    Written(CheckpointWritten),
    Failed(StoreError),
}

/// A read on its way.
struct Reading {
    ticket: Ticket,
    question: Question,
    plan: ReadPlan,
    positions: Cut,
    since: u64,
    deadline: u64,
    pinned: Option<Pinned>,
}

/// What a read that waits no more reads.
struct Pinned {
    knowledge: Knowledge,
    as_of: EventTime,
    degraded: Option<evenkeel_sim::Unmet>,
    values: Vec<Vec<evenkeel_sim::Tally>>,
}

/// See the module.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    log: Arc<Log>,
    pusher: Pusher,
    queue: VecDeque<Waiting>,
    writing: Writing,
    emitter: Emitter,
    /// Whether there was nothing to emit when it was looked last, and nothing was logged since.
    is_emitted: bool,
    checkpointing: Checkpointing,
    reads: Vec<Reading>,
    applying: Option<Box<Applying>>,
    /// Why nothing is written any more.
    closed: Option<String>,
    /// Failures that a disk which fails explains, and nothing else.
    pub(crate) failures: Vec<String>,
}

fn words_of(error: &EngineError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        words.push_str(&format!(": {source}"));
        cause = source.source();
    }
    words
}

impl Server {
    /// Opens the store, and applies what it must define.
    pub(crate) fn open(
        project: &Project,
        machine: Machine,
        definitions: &[DefinitionFile],
    ) -> Result<Self, EngineError> {
        let mut engine = Engine::open_to_serve_on(project, machine)?;
        if engine.catalog().sources.len() < SOURCES.len() || engine.catalog().views.is_empty() {
            let plan = engine.plan(definitions)?;
            engine.apply(plan)?;
        }
        Ok(Server {
            log: engine.writer()?,
            engine,
            pusher: Pusher::default(),
            queue: VecDeque::new(),
            writing: Writing::Nothing,
            emitter: Emitter::default(),
            is_emitted: false,
            checkpointing: Checkpointing::Nothing,
            reads: Vec::new(),
            applying: None,
            closed: None,
            failures: Vec::new(),
        })
    }

    /// Why nothing is written any more; none if it is.
    pub(crate) fn closed(&self) -> Option<String> {
        self.closed.clone().or_else(|| self.log.closed())
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && matches!(self.writing, Writing::Nothing)
            && self.is_emitted
            && matches!(self.checkpointing, Checkpointing::Nothing)
            && self.reads.is_empty()
            && self.applying.is_none()
    }

    fn failed(&mut self, what: &str, error: &EngineError) {
        self.failures.push(format!("{what}: {}", words_of(error)));
    }

    /// Takes a request; what is answered at once.
    pub(crate) fn receive(
        &mut self,
        settings: &Settings,
        step: u64,
        ticket: Ticket,
        asked: Asked,
    ) -> Option<Reply> {
        match asked {
            Asked::Push {
                source,
                rows,
                producer,
            } => {
                if self.queue.len() >= settings.queue || self.closed().is_some() {
                    return Some(Reply::Push(PushReply::Refused));
                }
                let source = self.engine.source(SOURCES[source.0 as usize]);
                let source = source.expect("it is defined");
                let rows = (0..).zip(&rows);
                let rows = rows
                    .map(|(n, row)| words::pushed_row(&source, row, n, producer.as_ref()))
                    .collect();
                let write = Write::Push { source, rows };
                self.queue.push_back(Waiting { ticket, write });
                None
            }
            Asked::Read {
                question,
                timeout_ms,
            } => {
                let names = words::feature_names(&question);
                let service = self.engine.feature_list(&names).expect("it is defined");
                let plan = ReadPlan::new(service);
                let brought = words::cut_to_store(&self.engine, &question.token.positions);
                let positions = match question.level {
                    Level::Eventual | Level::AtLeast => brought,
                    Level::Strong | Level::StrongNow | Level::Complete(_) => {
                        let reads = |source| plan.sources().iter().any(|def| def.id == source);
                        words::logged(self.engine.reader(), &brought, reads)
                    }
                };
                self.reads.push(Reading {
                    ticket,
                    question,
                    plan,
                    positions,
                    since: step,
                    deadline: step + (timeout_ms * STEPS_OF_MS).min(WAIT_STEPS_MAX),
                    pinned: None,
                });
                None
            }
        }
    }

    /// Does one thing of those that can be done; what.
    pub(crate) fn step(
        &mut self,
        random: &mut Random,
        settings: &Settings,
        step: u64,
    ) -> (&'static str, Answers) {
        match random.below(8) {
            0..=2 => self.write(random, settings),
            3 => (self.checkpoint(random), Vec::new()),
            4 if self.applying.is_some() => (self.apply(random), Vec::new()),
            _ => self.read(random, settings, step),
        }
    }

    fn write(&mut self, random: &mut Random, settings: &Settings) -> (&'static str, Answers) {
        match std::mem::replace(&mut self.writing, Writing::Nothing) {
            Writing::Nothing if !self.is_emitted && random.one_in(2) => (self.emit(), Vec::new()),
            Writing::Nothing if random.one_in(200) => (self.backfill(random), Vec::new()),
            Writing::Nothing if self.queue.is_empty() => ("nothing to write", Vec::new()),
            Writing::Nothing => {
                let count =
                    (1 + random.below(settings.group as u64) as usize).min(self.queue.len());
                let (tickets, writes): (Vec<_>, Vec<_>) = self
                    .queue
                    .drain(..count)
                    .map(|waiting| (waiting.ticket, waiting.write))
                    .unzip();
                if self.closed().is_some() {
                    return ("closed", refused(tickets));
                }
                if let Err(error) = self.engine.heal() {
                    if !waits(&error) {
                        self.failed("heal", &error);
                    }
                    return ("not healed", refused(tickets));
                }
                let judged = self.pusher.judge(&self.engine, writes);
                self.writing = Writing::Judged(judged, tickets);
                ("judged", Vec::new())
            }
            Writing::Judged(judged, tickets) => match judged.append(&self.log) {
                Ok(durable) => {
                    self.is_emitted = false;
                    self.writing = Writing::Applying(durable, tickets);
                    ("appended", Vec::new())
                }
                Err(error) => {
                    self.pusher = Pusher::default();
                    self.failed("append", &error);
                    // An append that the log has taken back has not been.
                    match self.log.closed() {
                        None => ("not appended", refused(tickets)),
                        Some(_) => ("perhaps appended", lost(tickets)),
                    }
                }
            },
            Writing::Applying(mut durable, tickets) => {
                let more = self.engine.apply_some(&mut durable, settings.apply_events);
                match more {
                    Ok(true) => self.writing = Writing::Applying(durable, tickets),
                    Ok(false) => self.writing = Writing::Letters(durable, tickets),
                    Err(error) => {
                        self.failed("apply", &error);
                        self.closed = Some(error.to_string());
                        return ("not applied", lost(tickets));
                    }
                }
                ("applied some", Vec::new())
            }
            Writing::Letters(durable, tickets) => self.letters(durable, tickets),
            Writing::Emitting(durable) => (self.emit_some(durable, settings), Vec::new()),
        }
    }

    /// Somebody asks for a period of a stream to be made again, and does not wait for it.
    fn backfill(&mut self, random: &mut Random) -> &'static str {
        let streams: Vec<String> = self
            .engine
            .catalog()
            .emitting()
            .map(|stream| stream.name.clone())
            .collect();
        if streams.is_empty() || self.closed().is_some() {
            return "nothing to backfill";
        }
        let stream = &streams[random.below(streams.len() as u64) as usize];
        let from = START + random.below(180).cast_signed() * MINUTE;
        let to = from + (1 + random.below(90).cast_signed()) * MINUTE;
        let [from, to] = [from, to].map(|time| EventTime(time).to_string());
        let request = BackfillRequest::of(self.engine.catalog(), stream, Some(&from), Some(&to));
        let request = request.expect("it emits, and that is a period");
        self.is_emitted = false;
        match log_backfill(&self.engine, &self.log, &request) {
            Ok(_) => "a backfill is logged",
            Err(error) => {
                self.failed("backfill", &error);
                "a backfill is not logged"
            }
        }
    }

    /// One stream emits for one piece of the log.
    fn emit(&mut self) -> &'static str {
        if !emits(self.engine.catalog()) || self.closed().is_some() {
            self.is_emitted = true;
            return "nothing to emit";
        }
        if let Err(error) = self.engine.heal() {
            if !waits(&error) {
                self.failed("heal", &error);
            }
            return "not healed";
        }
        let next = self.emitter.next(&self.engine);
        self.engine.emitted(&self.emitter);
        let stuck = self.engine.emission_failures().values();
        self.failures
            .extend(stuck.map(|why| format!("emit: {why}")));
        match next {
            Next::End => {
                self.is_emitted = !self.engine.is_emission_stuck();
                "all is emitted"
            }
            Next::Nothing => "emitted nothing",
            Next::Calls(calls) => {
                self.emitter.answered(calls.run());
                "functions were called"
            }
            Next::Emissions(judged) => match judged.append(&self.log) {
                Ok(durable) => {
                    self.writing = Writing::Emitting(durable);
                    "emissions appended"
                }
                Err(error) => {
                    self.emitter = Emitter::default();
                    self.failed("append emissions", &error);
                    "emissions not appended"
                }
            },
        }
    }

    fn emit_some(&mut self, mut durable: Durable, settings: &Settings) -> &'static str {
        match self.engine.apply_some(&mut durable, settings.apply_events) {
            Ok(true) => self.writing = Writing::Emitting(durable),
            Ok(false) => {
                self.emitter.done();
                self.engine.emitted(&self.emitter);
            }
            Err(error) => {
                self.failed("apply emissions", &error);
                self.closed = Some(error.to_string());
                return "emissions not applied";
            }
        }
        "applied some emissions"
    }

    fn letters(&mut self, durable: Durable, tickets: Vec<Ticket>) -> (&'static str, Answers) {
        let letters = match self.engine.conflict_letters(&durable) {
            Ok(letters) => letters,
            Err(error) => {
                self.failed("letters", &error);
                self.closed = Some(error.to_string());
                Vec::new()
            }
        };
        match append(&self.log, &letters) {
            Ok(_) if letters.is_empty() => {}
            Ok(_) => self.engine.told(&durable),
            // What is durable and seen is acknowledged all the same.
            Err(error) => self.failed("letters", &error),
        }
        let answers = tickets.into_iter().zip(durable.answers());
        let answers = answers.map(|(ticket, written)| match written {
            Ok(Written::Pushed(answer)) => {
                let (outcomes, token) = words::outcomes(&self.engine, answer);
                // When it ends is when the client has it.
                let end = 0;
                let reply = PushReply::Answered {
                    end,
                    outcomes,
                    token,
                };
                (ticket, Some(Reply::Push(reply)))
            }
            // It had no events, and was widened behind the client's back: nothing is written.
            Err(EngineError::SourceChanged { .. }) => {
                (ticket, Some(Reply::Push(PushReply::Refused)))
            }
            other => {
                self.failures.push(format!("answer: {other:?}"));
                (ticket, None)
            }
        });
        ("written", answers.collect())
    }

    fn checkpoint(&mut self, random: &mut Random) -> &'static str {
        match std::mem::replace(&mut self.checkpointing, Checkpointing::Nothing) {
            Checkpointing::Nothing => {
                if !matches!(self.writing, Writing::Nothing) {
                    return "no checkpoint within a commit";
                }
                if self.engine.is_untold()
                    && let Err(error) = self.engine.tell()
                {
                    self.failed("tell", &error);
                    return "not told";
                }
                let begun = match random.one_in(10) {
                    true => self.engine.begin_checkpoint_now(),
                    false => self.engine.begin_checkpoint_if_due(),
                };
                let Some(checkpoint) = begun else {
                    return "no checkpoint";
                };
                self.checkpointing = Checkpointing::Begun(checkpoint);
                "checkpoint begun"
            }
            Checkpointing::Begun(checkpoint) => match checkpoint.write() {
                Ok(written) => {
                    self.checkpointing = Checkpointing::Written(written);
                    "checkpoint written"
                }
                Err(error) => {
                    self.failures.push(format!("checkpoint: {error}"));
                    self.checkpointing = Checkpointing::Failed(error);
                    "checkpoint not written"
                }
            },
            Checkpointing::Written(written) => {
                self.engine.end_checkpoint(written);
                "checkpoint ended"
            }
            Checkpointing::Failed(error) => {
                self.engine.checkpoint_failed(&error);
                "checkpoint given up"
            }
        }
    }

    /// Begins to apply definitions, unless some are under way.
    pub(crate) fn begin_apply(&mut self, files: &[DefinitionFile]) {
        if self.applying.is_some() {
            return;
        }
        let begun = self.engine.plan(files);
        match begun.and_then(|plan| self.engine.begin_apply(plan)) {
            Ok(mut applying) => {
                let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
                match applying.build(&self.engine, &mut go_on) {
                    Ok(()) => self.applying = Some(Box::new(applying)),
                    Err(error) => self.failed("build", &error),
                }
            }
            Err(error) => self.failed("begin to apply", &error),
        }
    }

    fn apply(&mut self, random: &mut Random) -> &'static str {
        // From the judging of a commit until its events are applied nobody goes over.
        if !matches!(self.writing, Writing::Nothing) {
            return "not yet";
        }
        let Some(mut applying) = self.applying.take() else {
            return "nothing to apply";
        };
        if random.one_in(2)
            && let Err(error) = applying.catch_up_again(&self.engine)
        {
            self.failed("catch up", &error);
            return "not caught up";
        }
        match applying.switch(&mut self.engine) {
            Ok(Switched::Done(_)) => "gone over",
            Ok(Switched::Later(later)) => {
                self.applying = Some(later);
                "later"
            }
            // A source that had none when this was planned: it is to be asked for again.
            Err(EngineError::EventsCame { .. }) => "events came",
            Err(error) => {
                self.failed("switch", &error);
                "not gone over"
            }
        }
    }

    fn read(
        &mut self,
        random: &mut Random,
        settings: &Settings,
        step: u64,
    ) -> (&'static str, Answers) {
        if self.reads.is_empty() {
            return ("nothing to read", Vec::new());
        }
        let at = random.below(self.reads.len() as u64) as usize;
        let mut reading = self.reads.swap_remove(at);
        let ticket = reading.ticket;
        let reply = match &reading.pinned {
            None => match self.pin(&reading, step) {
                None => {
                    self.reads.push(reading);
                    return ("waits", Vec::new());
                }
                Some(Ok(pinned)) => {
                    reading.pinned = Some(pinned);
                    self.reads.push(reading);
                    return ("pinned", Vec::new());
                }
                Some(Err(reply)) => reply,
            },
            Some(_) => match self.read_some(&mut reading, settings) {
                None => {
                    self.reads.push(reading);
                    return ("read some", Vec::new());
                }
                Some(reply) => reply,
            },
        };
        ("read", vec![(ticket, Some(Reply::Read(reply)))])
    }

    /// What is read, once it is known; an answer if there is nothing to read.
    fn pin(&mut self, reading: &Reading, step: u64) -> Option<Result<Pinned, ReadReply>> {
        let question = &reading.question;
        let engine = &self.engine;
        let missing = || {
            engine
                .unmet(&reading.positions)
                .or_else(|| match question.level {
                    Level::Complete(time) => engine.unmet_watermark(reading.plan.sources(), time),
                    _ => None,
                })
        };
        let (cut, lacks) = match &question.cut {
            None => match missing() {
                Some(_) if step < reading.deadline => return None,
                Some(unmet) => {
                    let unmet = words::unmet(&unmet);
                    if reading.deadline == reading.since + WAIT_STEPS_MAX {
                        self.failures.push(format!("waited for {unmet:?}"));
                    }
                    if !question.degraded {
                        return Some(Err(ReadReply::Unmet(unmet)));
                    }
                    (self.engine.cut(), Some(unmet))
                }
                None => (engine.cut(), None),
            },
            Some(cut) => {
                let cut = words::cut_to_store(engine, cut);
                if let Err(error) = engine.refuse_beyond(&cut) {
                    self.failed("a cut that was answered", &error);
                    return Some(Err(ReadReply::Refused));
                }
                match engine.unmet_at(&reading.positions, &cut) {
                    Some(unmet) if !question.degraded => {
                        return Some(Err(ReadReply::CutLacks(words::unmet(&unmet))));
                    }
                    lacks => (cut, lacks.map(|unmet| words::unmet(&unmet))),
                }
            }
        };
        let not_before = question.token.time.unwrap_or(EventTime(i64::MIN));
        Some(Ok(Pinned {
            knowledge: Knowledge {
                cut,
                known_at: None,
            },
            as_of: question.as_of.unwrap_or(self.engine.now().max(not_before)),
            degraded: lacks,
            values: Vec::new(),
        }))
    }

    fn read_some(&mut self, reading: &mut Reading, settings: &Settings) -> Option<ReadReply> {
        let pinned = reading.pinned.as_mut()?;
        let keys = &reading.question.keys[pinned.values.len()..];
        let rows: Vec<Vec<Value>> = keys
            .iter()
            .take(settings.read_rows)
            .map(|key| vec![Value::BigInt(key.cast_signed())])
            .collect();
        let read = self
            .engine
            .read(&reading.plan, &rows, pinned.as_of, &pinned.knowledge);
        match read {
            Ok(answers) => {
                let rows = answers.to_rows();
                pinned
                    .values
                    .extend(rows.iter().map(|row| words::tallies(row)));
            }
            Err(error) => {
                self.failed("read", &error);
                return Some(ReadReply::Refused);
            }
        }
        if pinned.values.len() < reading.question.keys.len() {
            return None;
        }
        Some(ReadReply::Answered(evenkeel_sim::Answer {
            cut: words::cut_from_store(&self.engine, &pinned.knowledge.cut),
            as_of: pinned.as_of,
            degraded: pinned.degraded.take(),
            values: std::mem::take(&mut pinned.values),
        }))
    }
}

/// Whether healing waits: for the end of what uses the hot tier, or for its turn after it failed.
fn waits(error: &EngineError) -> bool {
    matches!(error, EngineError::HotTierClosed { source }
        if matches!(**source, EngineError::HotTierInUse | EngineError::HotTierRests { .. }))
}

fn refused(tickets: Vec<Ticket>) -> Answers {
    let refused = |ticket| (ticket, Some(Reply::Push(PushReply::Refused)));
    tickets.into_iter().map(refused).collect()
}

fn lost(tickets: Vec<Ticket>) -> Answers {
    tickets.into_iter().map(|ticket| (ticket, None)).collect()
}
