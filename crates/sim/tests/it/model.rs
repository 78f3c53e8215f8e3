//! A store that keeps its promises, in a few lines: operations overlap, each takes effect at
//! one moment between its start and its end.

use evenkeel_sim::{
    Answer, Event, Feature, Fold, HOUR, History, Level, Moment, Outcome, Push, PushReply, Question,
    Random, Read, ReadReply, Row, SOURCES, Token, Unmet, Workload, join, lateness,
};
use evenkeel_types::{Cut, EventTime, Offset, Partition, Position, SourceId};

const CLIENTS: usize = 5;
/// What the model takes for now.
const NOW: EventTime = EventTime(evenkeel_sim::START + 6 * HOUR);

enum Flying {
    Push(Push),
    Read(Read),
}

pub(crate) struct Model {
    random: Random,
    clock: Moment,
    workload: Workload,
    pub(crate) history: History,
    /// What each client knows.
    tokens: Vec<Token>,
    flying: Vec<(usize, Flying, bool)>,
    events: Vec<(SourceId, Event)>,
}

/// A history of so many steps.
pub(crate) fn history(seed: u64, steps: usize) -> History {
    let mut random = Random(seed);
    let mut model = Model {
        workload: Workload::new(random.bits(), 0),
        random,
        clock: 0,
        history: History {
            lateness: lateness(),
            ..History::default()
        },
        tokens: vec![Token::default(); CLIENTS],
        flying: Vec::new(),
        events: Vec::new(),
    };
    for step in 0..steps {
        model.step(step * 100 / steps);
    }
    while !model.flying.is_empty() {
        model.go_on();
    }
    model.history
}

impl Model {
    fn step(&mut self, progress: usize) {
        let client = self.random.below(CLIENTS as u64) as usize;
        let busy = self.flying.iter().any(|(c, ..)| *c == client);
        if busy || self.random.one_in(2) {
            return self.go_on();
        }
        let start = self.tick();
        let flying = match self.random.one_in(2) {
            true => Flying::Push(self.push(client, start, progress as u64)),
            false => Flying::Read(self.read(client, start)),
        };
        self.flying.push((client, flying, false));
    }

    fn tick(&mut self) -> Moment {
        self.clock += 1;
        self.clock
    }

    fn push(&mut self, client: usize, start: Moment, progress: u64) -> Push {
        let source = SourceId(self.random.below(SOURCES.len() as u64) as u32);
        let count = 1 + self.random.below(4);
        let rows = (0..count).map(|_| {
            let known: Vec<&(SourceId, Event)> =
                self.events.iter().filter(|(s, _)| *s == source).collect();
            let pick = self.random.below(10);
            let event = match known.is_empty() {
                true => None,
                false => Some(
                    known[self.random.below(known.len() as u64) as usize]
                        .1
                        .clone(),
                ),
            };
            let event = match (pick, event) {
                (0, _) => return Row::Wrong,
                (1, _) => return Row::Filtered,
                (2, Some(known)) => known,
                (3, Some(known)) if known.bits[0].is_multiple_of(3) => {
                    let number = 1 + self.random.below(2) as u32;
                    let rival = self.workload.rival(&known, number);
                    let is_there = |e: &(SourceId, Event)| {
                        e.0 == source && e.1.bits == rival.bits && e.1.keys == rival.keys
                    };
                    match self.events.iter().find(|e| is_there(e)) {
                        Some((_, rival)) => rival.clone(),
                        None => rival,
                    }
                }
                _ => {
                    let id = format!("e{}", self.events.len());
                    self.workload.event(source, id, progress)
                }
            };
            self.events.push((source, event.clone()));
            Row::Event(event)
        });
        let rows = rows.collect();
        Push {
            client,
            source,
            start,
            rows,
            reply: PushReply::Unknown,
        }
    }

    fn read(&mut self, client: usize, start: Moment) -> Read {
        let entity = self.random.below(2) as usize;
        let keys = self.workload.keys(entity, 0).collect();
        let one = self.random.below(4) as usize;
        let sources = (0..SOURCES.len()).filter(|s| one == 3 || *s == one);
        let features: Vec<Feature> = sources
            .flat_map(|s| Workload::features(SourceId(s as u32)))
            .collect();
        let time = self.workload.time();
        let level = match self.random.below(6) {
            0 => Level::AtLeast,
            1 => Level::Strong,
            2 => Level::StrongNow,
            3 => Level::Complete(time),
            _ => Level::Eventual,
        };
        let in_session = !self.random.one_in(3);
        let mut token = match in_session {
            true => self.tokens[client].clone(),
            false => Token::default(),
        };
        if self.random.one_in(8) {
            let place = (SourceId(1), Partition(0));
            let end = self.history.log.ends().end(place.0, place.1);
            token
                .positions
                .set_end(place.0, place.1, Offset(end.0 + self.random.below(3)));
        }
        let level = match level {
            Level::AtLeast if token == Token::default() => Level::Eventual,
            level => level,
        };
        let as_of = (!self.random.one_in(3)).then(|| self.workload.time());
        let question = Question {
            entity,
            keys,
            features,
            level,
            token,
            as_of,
            cut: self.random.one_in(9).then(|| self.some_cut(&Cut::empty())),
            degraded: self.random.one_in(2),
        };
        let reply = ReadReply::Refused;
        Read {
            client,
            in_session,
            start,
            end: 0,
            question,
            reply,
        }
    }

    /// A cut between another and the end of the log.
    fn some_cut(&mut self, from: &Cut) -> Cut {
        let mut cut = Cut::empty();
        for (source, partition, end) in self.history.log.ends().iter() {
            let known = from.end(source, partition).0.min(end.0);
            let more = self.random.below(end.0 - known + 1);
            cut.set_end(source, partition, Offset(known + more));
        }
        cut
    }

    fn go_on(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let at = self.random.below(self.flying.len() as u64) as usize;
        let now = self.tick();
        let (client, flying, done) = self.flying.swap_remove(at);
        match (flying, done) {
            (Flying::Push(mut push), false) => {
                push.reply = self.append(&push);
                self.flying.push((client, Flying::Push(push), true));
            }
            (Flying::Push(mut push), true) => {
                if let PushReply::Answered { end, token, .. } = &mut push.reply {
                    *end = now;
                    self.tokens[client].join(token);
                }
                self.history.pushes.push(push);
            }
            (Flying::Read(mut read), false) => {
                read.reply = self.answer(&read);
                self.flying.push((client, Flying::Read(read), true));
            }
            (Flying::Read(mut read), true) => {
                read.end = now;
                if let ReadReply::Answered(answer) = &read.reply
                    && read.in_session
                    && read.question.cut.is_none()
                {
                    join(&mut self.tokens[client].positions, &answer.cut);
                }
                self.history.reads.push(read);
            }
        }
    }

    fn append(&mut self, push: &Push) -> PushReply {
        if self.random.one_in(30) {
            return PushReply::Refused;
        }
        let source = push.source;
        let mut token = Token::default();
        let mut outcomes = Vec::new();
        for row in &push.rows {
            let event = match row {
                Row::Filtered => {
                    outcomes.push(Outcome::LeftOut);
                    continue;
                }
                Row::Wrong => {
                    *self.history.log.rejected.entry(source).or_default() += 1;
                    outcomes.push(Outcome::Rejected);
                    continue;
                }
                Row::Event(event) => event,
            };
            token.time = token.time.max(Some(event.at));
            // As the sources do, by identity.
            let partition = Partition(event.id.len() as u32 % [3, 1, 1][source.0 as usize]);
            let events = self
                .history
                .log
                .events
                .entry((source, partition))
                .or_default();
            let known = events.iter().position(|e| e == event);
            let offset = Offset(known.unwrap_or(events.len()) as u64);
            let position = Position { partition, offset };
            let end = token
                .positions
                .end(source, partition)
                .max(Offset(offset.0 + 1));
            token.positions.set_end(source, partition, end);
            if known.is_some() {
                outcomes.push(Outcome::Duplicate);
                continue;
            }
            let rivals = (0..)
                .map(Offset)
                .zip(events.iter())
                .filter(|(_, e)| e.id == event.id && e.at == event.at);
            let held = rivals.min_by(|a, b| a.1.version.cmp(&b.1.version));
            outcomes.push(match held {
                None => Outcome::Logged(position),
                Some((offset, held)) => {
                    let loser = match held.version < event.version {
                        true => position,
                        false => Position { partition, offset },
                    };
                    self.history
                        .log
                        .conflicts
                        .entry(source)
                        .or_default()
                        .push(loser);
                    Outcome::Conflict(position)
                }
            });
            events.push(event.clone());
        }
        match self.random.one_in(30) {
            true => PushReply::Unknown,
            false => PushReply::Answered {
                end: 0,
                outcomes,
                token,
            },
        }
    }

    fn answer(&mut self, read: &Read) -> ReadReply {
        let question = &read.question;
        let ends = self.history.log.ends();
        let cut = match (&question.cut, question.level) {
            (Some(cut), _) => cut.clone(),
            (None, Level::Eventual | Level::AtLeast) => self.some_cut(&question.token.positions),
            (None, _) => ends.clone(),
        };
        let mut wanted = question.token.positions.clone();
        if !matches!(question.level, Level::Eventual | Level::AtLeast) {
            for (source, partition, end) in ends.iter() {
                if question.features.iter().any(|f| f.source == source) {
                    let end = end.max(wanted.end(source, partition));
                    wanted.set_end(source, partition, end);
                }
            }
        }
        let fold = Fold::new(&self.history.log);
        let lacks = wanted.iter().find(|(s, p, end)| cut.end(*s, *p) < *end);
        let mut unmet = lacks.map(|(source, partition, wanted)| Unmet::Position {
            source,
            partition,
            wanted,
            reached: cut.end(source, partition),
        });
        if let (None, Level::Complete(wanted)) = (&unmet, question.level) {
            unmet = question.features.iter().find_map(|feature| {
                let source = feature.source;
                let greatest = fold.greatest_time(source, &cut);
                let reached = greatest.map(|t| EventTime(t.0 - lateness()[&source]));
                (reached <= Some(wanted)).then_some(Unmet::Watermark {
                    source,
                    wanted,
                    reached,
                })
            });
        }
        match unmet {
            Some(unmet) if !question.degraded => {
                return match question.cut {
                    Some(_) => ReadReply::CutLacks(unmet),
                    None => ReadReply::Unmet(unmet),
                };
            }
            _ => {}
        }
        let as_of = question
            .as_of
            .unwrap_or(question.token.time.unwrap_or(NOW).max(NOW));
        let row = |&key: &u64| {
            let features = question.features.iter();
            features
                .map(|f| fold.value(*f, question.entity, key, &cut, as_of))
                .collect()
        };
        let values = question.keys.iter().map(row).collect();
        ReadReply::Answered(Answer {
            cut,
            as_of,
            degraded: unmet,
            values,
        })
    }
}
