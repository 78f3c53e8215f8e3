//! One read against what was promised.

use evenkeel_types::{Cut, EventTime, SourceId};

use crate::check::{Broken, Floor, Report, Submitted};
use crate::fold::Fold;
use crate::history::{Answer, History, Level, Moment, Question, Read, ReadReply, Unmet};

/// What a read is checked with.
pub(crate) struct ReadCheck<'a> {
    pub(crate) history: &'a History,
    pub(crate) fold: &'a Fold<'a>,
    pub(crate) submitted: &'a Submitted,
    /// The end of the log.
    pub(crate) ends: &'a Cut,
    /// What was acknowledged before the read was sent.
    pub(crate) acknowledged: &'a Cut,
    /// What its session knew before.
    pub(crate) floor: Option<&'a Floor>,
}

impl ReadCheck<'_> {
    pub(crate) fn check(&self, number: usize, read: &Read, report: &mut Report) {
        let mut found: Vec<(Broken, String)> = Vec::new();
        match &read.reply {
            ReadReply::Refused => {}
            ReadReply::Unmet(unmet) => {
                report.unmet += 1;
                self.error(read, unmet, &mut found);
            }
            ReadReply::CutLacks(unmet) => self.cut_lacks(read, unmet, &mut found),
            ReadReply::Answered(answer) => {
                report.answers += 1;
                report.inside += u64::from(answer.cut != *self.ends);
                report.unmet += u64::from(answer.degraded.is_some());
                self.answer(read, answer, &mut found);
                report.values += self.values(&read.question, answer, &mut found);
            }
        }
        for (broken, says) in found {
            report.broken(broken, format!("read {number} at {}: {says}", read.start));
        }
    }

    fn answer(&self, read: &Read, answer: &Answer, found: &mut Vec<(Broken, String)>) {
        let question = &read.question;
        if question.cut.as_ref().is_some_and(|cut| *cut != answer.cut) {
            found.push((Broken::Asked, format!("its cut is {:?}", answer.cut)));
        }
        if question.as_of.is_some_and(|t| t != answer.as_of) {
            found.push((Broken::Asked, format!("its time is {}", answer.as_of)));
        }
        self.logged_by(&answer.cut, read.end, found);
        let lacking = self.lacking(read, &answer.cut);
        match &answer.degraded {
            None => found.extend(lacking),
            Some(_) if !question.degraded => {
                found.push((
                    Broken::Degraded,
                    "a lesser answer was not allowed".to_owned(),
                ));
            }
            Some(unmet) => {
                if !self.names_what_lacks(read, &answer.cut, unmet) {
                    found.push((Broken::Degraded, format!("{unmet:?} is not so")));
                }
                if !self.reached_is(&answer.cut, unmet) {
                    found.push((Broken::Degraded, format!("{unmet:?} at {:?}", answer.cut)));
                }
            }
        }
        let floor = self.floor.filter(|_| read.in_session);
        let early = floor.is_some_and(|f| question.as_of.is_none() && f.time > Some(answer.as_of));
        if early {
            found.push((Broken::Backwards, format!("its time is {}", answer.as_of)));
        }
    }

    /// A cut holds nothing that was not sent when the answer was there.
    fn logged_by(&self, cut: &Cut, end: Moment, found: &mut Vec<(Broken, String)>) {
        for (source, partition, offset) in cut.iter() {
            let Some(last) = offset.0.checked_sub(1) else {
                continue;
            };
            let moments = self.submitted.get(&(source, partition));
            let sent = usize::try_from(last)
                .ok()
                .and_then(|i| moments?.get(i).copied());
            if sent.is_none_or(|sent| sent >= end) {
                let says = format!(
                    "{source:?}/{} @{} was not logged yet",
                    partition.0, offset.0
                );
                found.push((Broken::Beyond, says));
            }
        }
    }

    /// The promises that a cut does not keep.
    fn lacking(&self, read: &Read, cut: &Cut) -> Vec<(Broken, String)> {
        let question = &read.question;
        let mut lacking = Vec::new();
        if !cut.covers(&question.token.positions) {
            lacking.push((
                Broken::Behind,
                format!("{cut:?} is behind {:?}", question.token),
            ));
        }
        let floor = self
            .floor
            .filter(|_| read.in_session && question.cut.is_none());
        if floor.is_some_and(|floor| !cut.covers(&floor.positions)) {
            lacking.push((Broken::Backwards, format!("{cut:?} is behind {floor:?}")));
        }
        if !matches!(question.level, Level::Eventual | Level::AtLeast) {
            let stale = self.acknowledged.iter().find(|(source, partition, end)| {
                reads(question, *source) && cut.end(*source, *partition) < *end
            });
            if let Some(stale) = stale {
                lacking.push((Broken::Stale, format!("{cut:?} is behind {stale:?}")));
            }
        }
        if let Level::Complete(time) = question.level {
            let behind = sources(question).find(|s| self.watermark(*s, cut) <= Some(time));
            if let Some(source) = behind {
                let watermark = self.watermark(source, cut);
                let says = format!("the watermark of {source:?} is {watermark:?}");
                lacking.push((Broken::Incomplete, says));
            }
        }
        lacking
    }

    fn watermark(&self, source: SourceId, cut: &Cut) -> Option<EventTime> {
        let lateness = self.history.lateness.get(&source).copied().unwrap_or(0);
        let greatest = self.fold.greatest_time(source, cut)?;
        Some(EventTime(greatest.0.saturating_sub(lateness)))
    }

    /// Whether something that is said to be missing was promised, and is missing in a cut.
    fn names_what_lacks(&self, read: &Read, cut: &Cut, unmet: &Unmet) -> bool {
        let question = &read.question;
        match unmet {
            Unmet::Position {
                source,
                partition,
                wanted,
                ..
            } => {
                let brought = question.token.positions.end(*source, *partition) >= *wanted;
                let strong = !matches!(question.level, Level::Eventual | Level::AtLeast);
                let logged = self.ends.end(*source, *partition) >= *wanted;
                let promised = brought || (strong && logged && reads(question, *source));
                promised && cut.end(*source, *partition) < *wanted
            }
            Unmet::Watermark { source, wanted, .. } => {
                question.level == Level::Complete(*wanted)
                    && reads(question, *source)
                    && self.watermark(*source, cut) <= Some(*wanted)
            }
        }
    }

    /// Whether what is said to be reached is what a cut has.
    fn reached_is(&self, cut: &Cut, unmet: &Unmet) -> bool {
        match unmet {
            Unmet::Position {
                source,
                partition,
                reached,
                ..
            } => cut.end(*source, *partition) == *reached,
            Unmet::Watermark {
                source, reached, ..
            } => self.watermark(*source, cut) == *reached,
        }
    }

    /// An error of a promise that was not met in time: it was promised, it was missing at
    /// what is said to be reached, and that is at least what was acknowledged before.
    fn error(&self, read: &Read, unmet: &Unmet, found: &mut Vec<(Broken, String)>) {
        if read.question.degraded {
            let says = format!("{unmet:?}, and a lesser answer was welcome");
            found.push((Broken::Degraded, says));
        }
        let truly = match unmet {
            Unmet::Position {
                source,
                partition,
                reached,
                ..
            } => {
                let mut cut = self.ends.clone();
                cut.set_end(*source, *partition, *reached);
                self.names_what_lacks(read, &cut, unmet)
                    && *reached >= self.acknowledged.end(*source, *partition)
                    && *reached <= self.ends.end(*source, *partition)
            }
            Unmet::Watermark {
                source,
                wanted,
                reached,
            } => {
                read.question.level == Level::Complete(*wanted)
                    && reads(&read.question, *source)
                    && *reached <= Some(*wanted)
                    && *reached >= self.watermark(*source, self.acknowledged)
                    && *reached <= self.watermark(*source, self.ends)
            }
        };
        if !truly {
            found.push((Broken::Error, format!("{unmet:?} is not what was missing")));
        }
    }

    /// An error of a question that names a cut in which something is missing.
    fn cut_lacks(&self, read: &Read, unmet: &Unmet, found: &mut Vec<(Broken, String)>) {
        let truly = read.question.cut.as_ref().is_some_and(|cut| {
            self.names_what_lacks(read, cut, unmet) && self.reached_is(cut, unmet)
        });
        if !truly {
            found.push((
                Broken::Error,
                format!("{unmet:?} is not missing in the cut"),
            ));
        }
    }

    fn values(
        &self,
        question: &Question,
        answer: &Answer,
        found: &mut Vec<(Broken, String)>,
    ) -> u64 {
        let shape = |rows: &Vec<crate::Tally>| rows.len() == question.features.len();
        if answer.values.len() != question.keys.len() || !answer.values.iter().all(shape) {
            found.push((
                Broken::Asked,
                "it has other rows than the question".to_owned(),
            ));
            return 0;
        }
        let mut compared = 0;
        for (&key, row) in question.keys.iter().zip(&answer.values) {
            for (&feature, &given) in question.features.iter().zip(row) {
                compared += 1;
                let entity = question.entity;
                let truth = self
                    .fold
                    .value(feature, entity, key, &answer.cut, answer.as_of);
                if given == truth {
                    continue;
                }
                let later = self.fold.later(feature.source, entity, key, answer.as_of);
                let broken = match given.sum & !truth.sum & later {
                    0 => Broken::Values,
                    _ => Broken::Future,
                };
                let says = format!(
                    "key {key} {feature:?} at {} is {given:?}, its cut {:?} has {truth:?}",
                    answer.as_of, answer.cut
                );
                found.push((broken, says));
            }
        }
        compared
    }
}

fn sources(question: &Question) -> impl Iterator<Item = SourceId> + '_ {
    question.features.iter().map(|feature| feature.source)
}

fn reads(question: &Question, source: SourceId) -> bool {
    sources(question).any(|s| s == source)
}
