//! Pushes against the log: nothing lost, doubled, invented or out of order, and every row
//! accounted for.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_types::{EventTime, Offset, Partition, Position, SourceId};

use crate::check::{Broken, Report};
use crate::history::{Event, History, Outcome, Push, PushReply, Row, Token};

type Places<'a> = BTreeMap<(SourceId, &'a Event), Vec<Position>>;

pub(crate) fn check(history: &History, report: &mut Report) {
    let mut places = Places::new();
    for (&(source, partition), events) in &history.log.events {
        report.events += events.len() as u64;
        for (offset, event) in (0..).map(Offset).zip(events) {
            let position = Position { partition, offset };
            places.entry((source, event)).or_default().push(position);
        }
    }
    origins(history, &places, report);
    for (i, push) in history.pushes.iter().enumerate() {
        if let PushReply::Answered {
            outcomes, token, ..
        } = &push.reply
        {
            answered(history, &places, (i, push), outcomes, token, report);
        }
    }
    order(history, report);
    letters(history, report);
}

/// Every event of the log was pushed, and is there once.
fn origins(history: &History, places: &Places<'_>, report: &mut Report) {
    let mut pushed: BTreeSet<(SourceId, &Event)> = BTreeSet::new();
    for push in &history.pushes {
        if !matches!(push.reply, PushReply::Refused) {
            let events = push.rows.iter().filter_map(|row| match row {
                Row::Event(event) => Some((push.source, event)),
                Row::Filtered | Row::Wrong => None,
            });
            pushed.extend(events);
        }
    }
    for (place, positions) in places {
        if positions.len() > 1 {
            report.broken(
                Broken::Doubled,
                format!("{:?} is at {positions:?}", place.1),
            );
        }
        if !pushed.contains(place) {
            report.broken(Broken::Invented, format!("{:?} was not pushed", place.1));
        }
    }
}

/// What a push was answered is what became of its rows.
fn answered(
    history: &History,
    places: &Places<'_>,
    (i, push): (usize, &Push),
    outcomes: &[Outcome],
    token: &Token,
    report: &mut Report,
) {
    if outcomes.len() != push.rows.len() {
        let says = format!(
            "push {i}: {} rows, {} answers",
            push.rows.len(),
            outcomes.len()
        );
        return report.broken(Broken::Accounting, says);
    }
    let mut last: BTreeMap<Partition, Offset> = BTreeMap::new();
    for (n, (row, outcome)) in push.rows.iter().zip(outcomes).enumerate() {
        let wrong = |what: &str| format!("push {i}, row {n}, {outcome:?}: {what}: {row:?}");
        match (row, outcome) {
            (Row::Event(event), Outcome::Logged(at) | Outcome::Conflict(at)) => {
                if history.log.at(push.source, *at) != Some(event) {
                    report.broken(Broken::Lost, wrong("another event is there, or none"));
                }
                if last.insert(at.partition, at.offset) >= Some(at.offset) {
                    report.broken(Broken::Reordered, wrong("it is before the row before it"));
                }
                if !token.positions.contains(push.source, *at) {
                    report.broken(Broken::Accounting, wrong("the token does not hold it"));
                }
            }
            (Row::Event(event), Outcome::Duplicate) => {
                let at = places.get(&(push.source, event));
                let known = |p: &Position| token.positions.contains(push.source, *p);
                match at {
                    None => report.broken(Broken::Lost, wrong("it is nowhere")),
                    Some(at) if !at.iter().any(known) => {
                        report.broken(Broken::Accounting, wrong("the token does not hold it"));
                    }
                    Some(_) => {}
                }
            }
            (Row::Filtered, Outcome::LeftOut) | (Row::Wrong, Outcome::Rejected) => {}
            _ => report.broken(Broken::Accounting, wrong("that cannot be")),
        }
    }
    let latest = push.rows.iter().filter_map(|row| match row {
        Row::Event(event) => Some(event.at),
        Row::Filtered | Row::Wrong => None,
    });
    if latest.max() != token.time {
        let says = format!("push {i}: its token has the time {:?}", token.time);
        report.broken(Broken::Accounting, says);
    }
}

/// A push that was sent after another was acknowledged is logged behind it.
fn order(history: &History, report: &mut Report) {
    let new = |push: &Push| -> Vec<(SourceId, Position)> {
        let PushReply::Answered { outcomes, .. } = &push.reply else {
            return Vec::new();
        };
        let places = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Logged(at) | Outcome::Conflict(at) => Some((push.source, *at)),
            Outcome::Duplicate | Outcome::LeftOut | Outcome::Rejected => None,
        });
        places.collect()
    };
    let mut by_start: Vec<usize> = (0..history.pushes.len()).collect();
    by_start.sort_by_key(|&i| history.pushes[i].start);
    let mut by_end: Vec<(u64, usize)> = Vec::new();
    for (i, push) in history.pushes.iter().enumerate() {
        if let PushReply::Answered { end, .. } = push.reply {
            by_end.push((end, i));
        }
    }
    by_end.sort_by_key(|(end, _)| std::cmp::Reverse(*end));
    let mut taken: BTreeMap<(SourceId, Partition), Offset> = BTreeMap::new();
    for i in by_start {
        let push = &history.pushes[i];
        while let Some((_, earlier)) = by_end.pop_if(|(end, _)| *end < push.start) {
            for (source, at) in new(&history.pushes[earlier]) {
                let last = taken.entry((source, at.partition)).or_insert(at.offset);
                *last = at.offset.max(*last);
            }
        }
        for (source, at) in new(push) {
            if taken
                .get(&(source, at.partition))
                .is_some_and(|last| at.offset <= *last)
            {
                let says = format!("push {i} is at {at:?}, behind it is an earlier push");
                report.broken(Broken::Reordered, says);
            }
        }
    }
}

/// One dead letter for each wrong row, and for each payload that does not hold.
fn letters(history: &History, report: &mut Report) {
    let mut rejected: BTreeMap<SourceId, (u64, u64)> = BTreeMap::new();
    for push in &history.pushes {
        let wrong = push.rows.iter().filter(|row| **row == Row::Wrong).count() as u64;
        let (least, most) = rejected.entry(push.source).or_default();
        match push.reply {
            PushReply::Answered { .. } => {
                *least += wrong;
                *most += wrong;
            }
            PushReply::Unknown => *most += wrong,
            PushReply::Refused => {}
        }
    }
    for (source, (least, most)) in rejected {
        let there = history.log.rejected.get(&source).copied().unwrap_or(0);
        if there < least || there > most {
            let says = format!("{source:?}: {least} to {most} rows were rejected, {there} letters");
            report.broken(Broken::Accounting, says);
        }
    }
    for (source, losers) in losers(history) {
        let told = history
            .log
            .conflicts
            .get(&source)
            .cloned()
            .unwrap_or_default();
        let unique: BTreeSet<Position> = told.iter().copied().collect();
        if unique != losers || unique.len() != told.len() {
            let says = format!("{source:?}: {losers:?} lost a conflict, {told:?} have letters");
            report.broken(Broken::Accounting, says);
        }
    }
}

/// The positions of payloads that do not hold at the end.
fn losers(history: &History) -> BTreeMap<SourceId, BTreeSet<Position>> {
    let mut holds: BTreeMap<(SourceId, &str, EventTime), (&str, Position)> = BTreeMap::new();
    let mut losers: BTreeMap<SourceId, BTreeSet<Position>> = BTreeMap::new();
    for (&(source, partition), events) in &history.log.events {
        let losers = losers.entry(source).or_default();
        for (offset, event) in (0..).map(Offset).zip(events) {
            let position = Position { partition, offset };
            let new = (event.version.as_str(), position);
            match holds.get_mut(&(source, event.id.as_str(), event.at)) {
                None => {
                    holds.insert((source, &event.id, event.at), new);
                }
                Some(known) if new.0 < known.0 => {
                    losers.insert(known.1);
                    *known = new;
                }
                Some(known) if new.0 > known.0 => {
                    losers.insert(position);
                }
                // The same payload: said to be doubled above.
                Some(_) => {}
            }
        }
    }
    losers
}
