//! Clients of the API under a seed, and the history that they write down: each asks, is
//! answered or loses the connection, and asks again. Whoever runs them carries the requests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_types::{Cut, Offset, Partition, SourceId};
use serde_json::Value as Json;

use crate::history::{
    Event, History, Level, Moment, Push, PushReply, Question, Read, ReadReply, Row, Token, join,
};
use crate::json::{Malformed, push_reply, question_json, read_reply, rows_json};
use crate::random::Random;
use crate::workload::{ENTITIES, SOURCES, Workload};

/// The source whose events are told apart by producer and sequence.
const COUNTED: SourceId = SourceId(1);
/// What others pushed and is pushed again, and cuts that are read at again, at most.
const REMEMBERED: usize = 60;
/// Rows of a push, at most.
const ROWS: u64 = 8;
/// Keys of a read, at most.
const KEYS: u64 = 12;
/// How long a read waits for positions that nobody may ever write.
const SHORT_MS: u64 = 3;
/// How long the others wait.
const LONG_MS: u64 = 30_000;

/// What the clients of one run share.
#[derive(Debug)]
pub struct Run {
    clock: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    workload: Workload,
    history: History,
    /// Payloads to be pushed once more, or for the first time: of sources with event ids.
    again: VecDeque<(SourceId, Event)>,
    cuts: VecDeque<Cut>,
    events: u64,
    events_expected: u64,
}

impl Run {
    /// A run of about so many events.
    pub fn new(seed: u64, events_expected: u64) -> Self {
        Run {
            clock: AtomicU64::new(1),
            state: Mutex::new(State {
                workload: Workload::new(seed, 0),
                history: History {
                    lateness: crate::workload::lateness(),
                    ..History::default()
                },
                again: VecDeque::new(),
                cuts: VecDeque::new(),
                events: 0,
                events_expected: events_expected.max(1),
            }),
        }
    }

    /// The next tick: when something happens now.
    pub fn tick(&self) -> Moment {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened; the log is still to be filled in.
    pub fn history(self) -> History {
        let state = self.state.into_inner();
        state.unwrap_or_else(PoisonError::into_inner).history
    }
}

impl State {
    fn event(&mut self, source: SourceId, id: String) -> Event {
        let progress = self.events * 100 / self.events_expected;
        self.events += 1;
        self.workload.event(source, id, progress)
    }

    fn remember_event(&mut self, source: SourceId, event: Event) {
        self.again.push_back((source, event));
        if self.again.len() > REMEMBERED {
            self.again.pop_front();
        }
    }
}

/// What a client asks.
#[derive(Clone, Debug)]
pub enum Asked {
    /// To push rows.
    Push {
        /// Where to.
        source: SourceId,
        /// The rows.
        rows: Vec<Row>,
        /// Who counts them, and the number of the first, if somebody does.
        producer: Option<(String, u64)>,
    },
    /// To read.
    Read {
        /// What.
        question: Question,
        /// How long it waits, at most.
        timeout_ms: u64,
    },
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Reply {
    /// For a push.
    Push(PushReply),
    /// For a read.
    Read(ReadReply),
}

impl Asked {
    /// As the API takes it.
    pub fn request(&self) -> Request {
        match self {
            Asked::Push {
                source,
                rows,
                producer,
            } => {
                let source = SOURCES[source.0 as usize];
                let producer = producer.as_ref().map(|(id, first)| (id.as_str(), *first));
                Request {
                    path: format!("/v1/sources/{source}/events"),
                    body: rows_json(rows, producer),
                }
            }
            Asked::Read {
                question,
                timeout_ms,
            } => Request {
                path: "/v1/features".to_owned(),
                body: question_json(question, *timeout_ms),
            },
        }
    }
}

/// A request: `POST`, with a JSON body.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub path: String,
    /// What.
    pub body: Json,
}

#[derive(Clone, Debug)]
enum Flying {
    Push(Push, Option<u64>),
    Read(Read),
}

/// One client: its requests follow each other.
#[derive(Debug)]
pub struct Client {
    number: usize,
    random: Random,
    token: Token,
    sequence: u64,
    /// Events that it counted itself, with the number of the first.
    counted: Vec<(u64, Vec<Row>)>,
    flying: Option<Flying>,
    /// Pushes whose outcome is not known.
    lost: Vec<(SourceId, Vec<Row>, Option<u64>)>,
}

impl Client {
    /// A client with a number of its own.
    pub fn new(number: usize, seed: u64) -> Self {
        Client {
            number,
            random: Random(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            token: Token::default(),
            sequence: 0,
            counted: Vec::new(),
            flying: None,
            lost: Vec::new(),
        }
    }

    /// What it asks next, as the API takes it.
    pub fn next(&mut self, run: &Run) -> Request {
        self.ask(run).request()
    }

    /// What it asks next; first of all what it was not answered.
    pub fn ask(&mut self, run: &Run) -> Asked {
        if let Some((source, rows, sequence)) = self.lost.pop() {
            return self.send(run, source, rows, sequence);
        }
        if self.random.one_in(2) {
            return self.read(run);
        }
        let source = SourceId(self.random.below(SOURCES.len() as u64) as u32);
        if source == COUNTED {
            let (sequence, rows) = self.counted_rows(run);
            self.send(run, source, rows, Some(sequence))
        } else {
            let rows = self.rows(run, source);
            self.send(run, source, rows, None)
        }
    }

    /// Whether it was answered everything that it pushed.
    pub fn is_settled(&self) -> bool {
        self.lost.is_empty() && self.flying.is_none()
    }

    fn producer(&self) -> String {
        format!("client-{}", self.number)
    }

    fn rows(&mut self, run: &Run, source: SourceId) -> Vec<Row> {
        let mut state = run.state();
        let count = 1 + self.random.below(ROWS);
        let rows = (0..count).map(|_| {
            let known = state.again.iter().rposition(|(s, _)| *s == source);
            match (self.random.below(12), known) {
                (0, _) => Row::Wrong,
                (1, _) => Row::Filtered,
                (2..=4, Some(at)) => match self.random.one_in(2) {
                    true => Row::Event(state.again[at].1.clone()),
                    false => state
                        .again
                        .remove(at)
                        .map_or(Row::Filtered, |(_, e)| Row::Event(e)),
                },
                _ => {
                    let id = format!("e{}", state.events);
                    let event = state.event(source, id);
                    for rival in 1..=self.random.below(6).saturating_sub(3) {
                        let rival = state.workload.rival(&event, rival as u32);
                        state.remember_event(source, rival);
                    }
                    if self.random.one_in(4) {
                        state.remember_event(source, event.clone());
                    }
                    Row::Event(event)
                }
            }
        });
        rows.collect()
    }

    /// Events with this client's numbers: new ones, some again, or another payload for one.
    fn counted_rows(&mut self, run: &Run) -> (u64, Vec<Row>) {
        let mut state = run.state();
        if !self.counted.is_empty() && self.random.one_in(3) {
            let at = self.random.below(self.counted.len() as u64) as usize;
            let (sequence, rows) = self.counted[at].clone();
            return match &rows[0] {
                Row::Event(event) if event.bits[0].is_multiple_of(3) && self.random.one_in(2) => {
                    let rival = vec![Row::Event(state.workload.rival(event, 1))];
                    // One rival for each event, which may be sent again like any other.
                    self.counted.remove(at);
                    self.counted.push((sequence, rival.clone()));
                    (sequence, rival)
                }
                _ => (sequence, rows),
            };
        }
        let first = self.sequence;
        let count = 1 + self.random.below(ROWS);
        let rows: Vec<Row> = (first..first + count)
            .map(|n| Row::Event(state.event(COUNTED, format!("{}-{n}", self.producer()))))
            .collect();
        self.sequence += count;
        self.counted.push((first, rows.clone()));
        (first, rows)
    }

    fn send(
        &mut self,
        run: &Run,
        source: SourceId,
        rows: Vec<Row>,
        sequence: Option<u64>,
    ) -> Asked {
        let push = Push {
            client: self.number,
            source,
            start: run.tick(),
            rows: rows.clone(),
            reply: PushReply::Unknown,
        };
        self.flying = Some(Flying::Push(push, sequence));
        Asked::Push {
            source,
            rows,
            producer: sequence.map(|first| (self.producer(), first)),
        }
    }

    fn read(&mut self, run: &Run) -> Asked {
        let entity = self.random.below(ENTITIES.len() as u64) as usize;
        let one = self.random.below(SOURCES.len() as u64 + 2) as usize;
        let sources = (0..SOURCES.len()).filter(|s| one >= SOURCES.len() || *s == one);
        let features = sources.flat_map(|s| Workload::features(SourceId(s as u32)));
        let in_session = !self.random.one_in(4);
        let mut token = match in_session {
            true => self.token.clone(),
            false => Token::default(),
        };
        let mut timeout_ms = LONG_MS;
        if self.random.one_in(10) {
            let source = SourceId(self.random.below(SOURCES.len() as u64) as u32);
            let partition = Partition(0);
            let end = token.positions.end(source, partition).0 + 1 + self.random.below(40);
            token.positions.set_end(source, partition, Offset(end));
            timeout_ms = 1 + self.random.below(SHORT_MS);
        }
        let mut state = run.state();
        let level = match self.random.below(8) {
            0 if token.positions != Cut::empty() => Level::AtLeast,
            1 | 2 => Level::Strong,
            3 => Level::StrongNow,
            4 => {
                timeout_ms = 1 + self.random.below(SHORT_MS);
                Level::Complete(state.workload.time())
            }
            _ => Level::Eventual,
        };
        let newest = *state.workload.keys(entity, 0).end();
        let question = Question {
            entity,
            keys: (0..1 + self.random.below(KEYS))
                .map(|_| self.random.below(newest + 1))
                .collect(),
            features: features.collect(),
            level,
            token,
            as_of: (!self.random.one_in(3)).then(|| state.workload.time()),
            // `complete` is not of a cut that is named.
            cut: match self.random.one_in(8) && !matches!(level, Level::Complete(_)) {
                true => state.cuts.front().cloned(),
                false => None,
            },
            degraded: self.random.one_in(3),
        };
        drop(state);
        self.flying = Some(Flying::Read(Read {
            client: self.number,
            in_session,
            start: run.tick(),
            end: 0,
            question: question.clone(),
            reply: ReadReply::Refused,
        }));
        Asked::Read {
            question,
            timeout_ms,
        }
    }

    /// It was answered by the API.
    ///
    /// # Errors
    /// If that is no answer that the API gives to what it asked.
    pub fn answered(&mut self, run: &Run, status: u16, body: &Json) -> Result<(), Malformed> {
        let end = run.tick();
        let reply = match &self.flying {
            None => return Err("nothing was asked".to_owned()),
            Some(Flying::Push(push, _)) => Reply::Push(push_reply(status, body, push.source, end)?),
            Some(Flying::Read(read)) => Reply::Read(read_reply(status, body, &read.question)?),
        };
        self.replied(run, end, reply)
    }

    /// It was answered at a moment.
    ///
    /// # Errors
    /// If that is no answer to what it asked.
    pub fn replied(&mut self, run: &Run, end: Moment, reply: Reply) -> Result<(), Malformed> {
        match (self.flying.take(), reply) {
            (Some(Flying::Push(mut push, sequence)), Reply::Push(reply)) => {
                push.reply = reply;
                match &push.reply {
                    PushReply::Answered { token, .. } => self.token.join(token),
                    // Nothing of it was done; it is sent again.
                    _ => self.lost.push((push.source, push.rows.clone(), sequence)),
                }
                run.state().history.pushes.push(push);
                Ok(())
            }
            (Some(Flying::Read(mut read)), Reply::Read(reply)) => {
                read.end = end;
                read.reply = reply;
                let mut state = run.state();
                if let ReadReply::Answered(answer) = &read.reply {
                    if read.in_session && read.question.cut.is_none() {
                        join(&mut self.token.positions, &answer.cut);
                    }
                    state.cuts.push_back(answer.cut.clone());
                    if state.cuts.len() > REMEMBERED {
                        state.cuts.pop_front();
                    }
                }
                state.history.reads.push(read);
                Ok(())
            }
            (asked, reply) => Err(format!("{reply:?} to {asked:?}")),
        }
    }

    /// What it pushes reaches the server once more than it was sent.
    pub fn repeated(&self, run: &Run) {
        if let Some(Flying::Push(push, _)) = &self.flying {
            run.state().history.pushes.push(push.clone());
        }
    }

    /// Its connection broke: a push may be done or not, and is sent again.
    pub fn lost(&mut self, run: &Run) {
        if let Some(Flying::Push(push, sequence)) = self.flying.take() {
            self.lost.push((push.source, push.rows.clone(), sequence));
            run.state().history.pushes.push(push);
        }
    }
}
