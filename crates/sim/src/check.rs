//! The checker: a history against the log at the end.
//!
//! Each partition is a list in one order, a cut is a number per partition, and an answer says
//! its cut. So nothing has to be searched for: what an answer must hold is a cut, found by one
//! sweep over the operations in the order of time; what it must be is the fold of its own cut.

use std::collections::BTreeMap;

use evenkeel_types::{Cut, SourceId};

use crate::fold::Fold;
use crate::history::{Event, History, Moment, PushReply, ReadReply, Row};
use crate::{log_check, read_check};

/// Which promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// What was acknowledged is not there.
    Lost,
    /// An event is in the log twice.
    Doubled,
    /// An event is in the log that nobody pushed.
    Invented,
    /// Places do not follow the order of pushes.
    Reordered,
    /// What was answered for a row is not what became of it, or dead letters do not add up.
    Accounting,
    /// Values are not the fold of the cut.
    Values,
    /// Values hold an event of a later time.
    Future,
    /// A strong answer lacks what was acknowledged before.
    Stale,
    /// An answer lacks positions that the question brought.
    Behind,
    /// A session went backwards, in what it knows or in time.
    Backwards,
    /// A cut holds what was not logged yet.
    Beyond,
    /// The answer has another cut or time than was asked for.
    Asked,
    /// `complete`, and a watermark is not there yet.
    Incomplete,
    /// An answer says falsely, or does not say, what it lacks.
    Degraded,
    /// An error names something that is not missing.
    Error,
}

/// A promise that is broken, with the operation and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub broken: Broken,
    /// In words.
    pub says: String,
}

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The promises that are broken.
    pub violations: Vec<Violation>,
    /// Values that were compared.
    pub values: u64,
    /// Answers.
    pub answers: u64,
    /// Of them with a cut that was not the end of the log.
    pub inside: u64,
    /// Promises that were not met in time, and said so: errors and degraded answers.
    pub unmet: u64,
    /// Events in the log.
    pub events: u64,
}

impl Report {
    pub(crate) fn broken(&mut self, broken: Broken, says: String) {
        self.violations.push(Violation { broken, says });
    }
}

/// Checks a history. Its cost is that of sorting the operations and folding every answer.
pub fn check(history: &History) -> Report {
    let mut report = Report::default();
    log_check::check(history, &mut report);
    let fold = Fold::new(&history.log);
    let submitted = submitted(history);
    let ends = history.log.ends();
    let mut sweep = Sweep::new(history);
    let mut reads: Vec<usize> = (0..history.reads.len()).collect();
    reads.sort_by_key(|&i| history.reads[i].start);
    for i in reads {
        let read = &history.reads[i];
        sweep.advance(read.start);
        let checked = read_check::ReadCheck {
            history,
            fold: &fold,
            submitted: &submitted,
            ends: &ends,
            acknowledged: &sweep.acknowledged,
            floor: sweep.floors.get(&read.client),
        };
        checked.check(i, read, &mut report);
    }
    report
}

/// Per partition and offset: the moment before which not all events up to there were sent.
pub(crate) type Submitted = BTreeMap<(SourceId, evenkeel_types::Partition), Vec<Moment>>;

fn submitted(history: &History) -> Submitted {
    let mut first: BTreeMap<(SourceId, &Event), Moment> = BTreeMap::new();
    for push in &history.pushes {
        if matches!(push.reply, PushReply::Refused) {
            continue;
        }
        for row in &push.rows {
            if let Row::Event(event) = row {
                let start = first.entry((push.source, event)).or_insert(push.start);
                *start = push.start.min(*start);
            }
        }
    }
    let partitions = history.log.events.iter();
    partitions
        .map(|(&(source, partition), events)| {
            let mut latest = 0;
            let moments = events.iter().map(|event| {
                let start = first.get(&(source, event)).copied().unwrap_or(0);
                latest = start.max(latest);
                latest
            });
            ((source, partition), moments.collect())
        })
        .collect()
}

/// What a session must know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floor {
    pub(crate) positions: Cut,
    pub(crate) time: Option<evenkeel_types::EventTime>,
}

/// Everything that was answered before a moment.
struct Sweep<'a> {
    history: &'a History,
    /// Operations by the moment of their answer, the last one first.
    ended: Vec<(Moment, Ended)>,
    acknowledged: Cut,
    /// Per client.
    floors: BTreeMap<usize, Floor>,
}

#[derive(Clone, Copy)]
enum Ended {
    Push(usize),
    Read(usize),
}

impl<'a> Sweep<'a> {
    fn new(history: &'a History) -> Self {
        let pushes = history.pushes.iter().enumerate();
        let pushes = pushes.filter_map(|(i, push)| match push.reply {
            PushReply::Answered { end, .. } => Some((end, Ended::Push(i))),
            PushReply::Refused | PushReply::Unknown => None,
        });
        let reads = history.reads.iter().enumerate();
        let reads = reads.map(|(i, read)| (read.end, Ended::Read(i)));
        let mut ended: Vec<_> = pushes.chain(reads).collect();
        ended.sort_by_key(|(end, _)| std::cmp::Reverse(*end));
        Sweep {
            history,
            ended,
            acknowledged: Cut::empty(),
            floors: BTreeMap::new(),
        }
    }

    fn advance(&mut self, to: Moment) {
        while let Some((_, ended)) = self.ended.pop_if(|(end, _)| *end < to) {
            match ended {
                Ended::Push(i) => self.pushed(i),
                Ended::Read(i) => self.read(i),
            }
        }
    }

    fn pushed(&mut self, i: usize) {
        let push = &self.history.pushes[i];
        if let PushReply::Answered { token, .. } = &push.reply {
            crate::join(&mut self.acknowledged, &token.positions);
            let floor = self.floors.entry(push.client).or_default();
            crate::join(&mut floor.positions, &token.positions);
            floor.time = floor.time.max(token.time);
        }
    }

    fn read(&mut self, i: usize) {
        let read = &self.history.reads[i];
        // A read of the past is no step of its session.
        if let ReadReply::Answered(answer) = &read.reply
            && read.in_session
            && read.question.cut.is_none()
        {
            let floor = self.floors.entry(read.client).or_default();
            crate::join(&mut floor.positions, &answer.cut);
        }
    }
}
