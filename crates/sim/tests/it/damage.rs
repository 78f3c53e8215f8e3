//! Every kind of damage, planted into a good history, is found.

use std::collections::BTreeSet;

use evenkeel_sim::{
    Answer, Broken, History, Level, Outcome, Push, PushReply, Read, ReadReply, Row, Tally, Unmet,
    check,
};
use evenkeel_types::{Cut, EventTime, Offset, Partition, Position, SourceId};

use crate::model;

const RIDES: SourceId = SourceId(0);
const P0: Partition = Partition(0);

/// What a damage must be found as; `None`: this history has no place for it.
type Damage = fn(&mut History) -> Option<Broken>;

fn answers(history: &mut History) -> impl Iterator<Item = (&mut Read, Answer)> {
    history
        .reads
        .iter_mut()
        .filter_map(|read| match &read.reply {
            ReadReply::Answered(answer) => {
                let answer = answer.clone();
                Some((read, answer))
            }
            _ => None,
        })
}

/// Changes the first answer that a change wants.
fn answer(
    history: &mut History,
    broken: Broken,
    change: impl Fn(&mut Read, &mut Answer) -> bool,
) -> Option<Broken> {
    for (read, mut answer) in answers(history) {
        if change(read, &mut answer) {
            read.reply = ReadReply::Answered(answer);
            return Some(broken);
        }
    }
    None
}

/// The first value that an answer has.
fn value(answer: &mut Answer) -> Option<&mut Tally> {
    answer
        .values
        .iter_mut()
        .flatten()
        .find(|tally| tally.count > 1)
}

fn below(cut: &Cut) -> Option<Cut> {
    let (source, partition, end) = cut.iter().find(|(.., end)| end.0 > 0)?;
    let mut below = cut.clone();
    below.set_end(source, partition, Offset(end.0 - 1));
    Some(below)
}

/// An answer that is true at another cut.
fn at(history: &History, read: &Read, answer: &Answer, cut: Cut) -> Answer {
    let fold = evenkeel_sim::Fold::new(&history.log);
    let question = &read.question;
    let row = |&key: &u64| {
        let value = |f: &_| fold.value(*f, question.entity, key, &cut, answer.as_of);
        question.features.iter().map(value).collect()
    };
    let values = question.keys.iter().map(row).collect();
    Answer {
        cut,
        values,
        ..answer.clone()
    }
}

/// Gives the first answer that matches the cut that it had at the start of everything.
fn empty_cut(
    history: &mut History,
    broken: Broken,
    matches: fn(&Read, &Answer) -> bool,
) -> Option<Broken> {
    let found = history.reads.iter().position(|read| match &read.reply {
        ReadReply::Answered(answer) => {
            let late = read.start > 200 && answer.cut.iter().all(|(.., end)| end.0 > 2);
            late && read.question.cut.is_none() && matches(read, answer)
        }
        _ => false,
    })?;
    let ReadReply::Answered(answer) = &history.reads[found].reply else {
        return None;
    };
    let stale = at(history, &history.reads[found], answer, Cut::empty());
    history.reads[found].reply = ReadReply::Answered(stale);
    Some(broken)
}

const DAMAGES: &[(&str, Damage)] = &[
    ("an acknowledged event is lost at the end", |h| {
        let lost = Row::Event(h.log.events.get_mut(&(RIDES, P0))?.pop()?);
        let acknowledged =
            |p: &Push| matches!(p.reply, PushReply::Answered { .. }) && p.rows.contains(&lost);
        h.pushes.iter().any(acknowledged).then_some(Broken::Lost)
    }),
    ("a lost event moves those behind it", |h| {
        h.log.events.get_mut(&(RIDES, P0))?.remove(0);
        Some(Broken::Lost)
    }),
    ("an event is there twice", |h| {
        let events = h.log.events.get_mut(&(RIDES, P0))?;
        events.push(events.first()?.clone());
        Some(Broken::Doubled)
    }),
    ("two events change places", |h| {
        h.log.events.get_mut(&(RIDES, P0))?.swap(0, 1);
        Some(Broken::Lost)
    }),
    ("an event comes from nowhere", |h| {
        let events = h.log.events.get_mut(&(RIDES, P0))?;
        let mut event = events.first()?.clone();
        event.id.push('x');
        events.push(event);
        Some(Broken::Invented)
    }),
    ("a refused push is logged", |h| {
        let first = h.log.events.get(&(RIDES, P0))?.first()?.clone();
        for push in &mut h.pushes {
            if push.source == RIDES && push.rows.contains(&Row::Event(first.clone())) {
                push.reply = PushReply::Refused;
            }
        }
        Some(Broken::Invented)
    }),
    ("a push is placed before an earlier one", |h| {
        let last = h.pushes.iter_mut().rev().find(|push| match &push.reply {
            PushReply::Answered { outcomes, .. } => {
                push.source == RIDES
                    && matches!(outcomes.first(), Some(Outcome::Logged(at)) if at.partition == P0)
            }
            _ => false,
        })?;
        if let PushReply::Answered { outcomes, .. } = &mut last.reply {
            outcomes[0] = Outcome::Logged(Position {
                partition: P0,
                offset: Offset(0),
            });
        }
        Some(Broken::Reordered)
    }),
    ("a new event is called a duplicate of nothing", |h| {
        let push = h
            .pushes
            .iter_mut()
            .find(|p| matches!(p.reply, PushReply::Answered { .. }))?;
        let mut event = h.log.events[&(RIDES, P0)][0].clone();
        event.id.push('y');
        push.rows.push(Row::Event(event));
        if let PushReply::Answered { outcomes, .. } = &mut push.reply {
            outcomes.push(Outcome::Duplicate);
        }
        Some(Broken::Lost)
    }),
    ("dead letters are missing", |h| {
        *h.log.rejected.values_mut().find(|count| **count > 5)? = 0;
        Some(Broken::Accounting)
    }),
    ("a conflict is told twice", |h| {
        let told = h.log.conflicts.values_mut().find(|told| !told.is_empty())?;
        told.push(told[0]);
        Some(Broken::Accounting)
    }),
    ("a token does not hold what it acknowledges", |h| {
        let tokens = h.pushes.iter_mut().find_map(|push| match &mut push.reply {
            PushReply::Answered { token, .. } if token.positions != Cut::empty() => Some(token),
            _ => None,
        })?;
        tokens.positions = Cut::empty();
        Some(Broken::Accounting)
    }),
    ("an event is counted that is not added", |h| {
        answer(h, Broken::Values, |_, answer| {
            value(answer).map(|v| v.count += 1).is_some()
        })
    }),
    ("an event is missing in one value", |h| {
        answer(h, Broken::Values, |_, answer| {
            let lost = value(answer).map(|v| {
                v.count -= 1;
                v.sum &= v.sum - 1;
            });
            lost.is_some()
        })
    }),
    ("an event is there twice in one value", |h| {
        answer(h, Broken::Values, |_, answer| {
            value(answer).map(|v| v.sum *= 2).is_some()
        })
    }),
    ("a row is torn: one value is of an earlier cut", |h| {
        let changed = h.reads.iter().enumerate().find_map(|(i, read)| {
            let ReadReply::Answered(answer) = &read.reply else {
                return None;
            };
            let mut earlier = answer.cut.clone();
            while let Some(cut) = below(&earlier) {
                let other = at(h, read, answer, cut.clone());
                if other.values != answer.values {
                    let row =
                        (0..answer.values.len()).find(|&r| other.values[r] != answer.values[r])?;
                    let feature = (0..answer.values[row].len())
                        .find(|&f| other.values[row][f] != answer.values[row][f])?;
                    let mut torn = answer.clone();
                    torn.values[row][feature] = other.values[row][feature];
                    return Some((i, torn));
                }
                earlier = cut;
            }
            None
        });
        let (i, torn) = changed?;
        h.reads[i].reply = ReadReply::Answered(torn);
        Some(Broken::Values)
    }),
    ("a value holds what happens later", |h| {
        let changed = h.reads.iter().enumerate().find_map(|(i, read)| {
            let ReadReply::Answered(answer) = &read.reply else {
                return None;
            };
            let later = Answer {
                as_of: EventTime(i64::MAX),
                ..answer.clone()
            };
            let mut future = at(h, read, &later, answer.cut.clone());
            future.as_of = answer.as_of;
            let more = |(a, b): (&Tally, &Tally)| a.sum & !b.sum != 0;
            let all = future
                .values
                .iter()
                .flatten()
                .zip(answer.values.iter().flatten());
            all.into_iter().any(more).then_some((i, future))
        });
        let (i, future) = changed?;
        h.reads[i].reply = ReadReply::Answered(future);
        Some(Broken::Future)
    }),
    ("a strong answer is stale", |h| {
        empty_cut(h, Broken::Stale, |read, _| {
            read.question.level == Level::Strong && !read.question.degraded
        })
    }),
    ("a strong answer over the newest is stale", |h| {
        empty_cut(h, Broken::Stale, |read, _| {
            read.question.level == Level::StrongNow && !read.question.degraded
        })
    }),
    ("positions that were brought are missing", |h| {
        empty_cut(h, Broken::Behind, |read, _| {
            read.question.level == Level::AtLeast && !read.question.degraded
        })
    }),
    (
        "a session goes back, and its token was not asked for",
        |h| {
            for read in &mut h.reads {
                read.question.token = Default::default();
            }
            empty_cut(h, Broken::Backwards, |read, _| {
                read.in_session && read.question.level == Level::Eventual
            })
        },
    ),
    ("a session's time goes back", |h| {
        let far = EventTime(i64::MAX - 1);
        for push in &mut h.pushes {
            let rows = push.rows.iter_mut();
            for row in rows {
                if let Row::Event(event) = row {
                    event.at = far;
                }
            }
            if let PushReply::Answered { token, .. } = &mut push.reply
                && token.time.is_some()
            {
                token.time = Some(far);
            }
        }
        Some(Broken::Backwards)
    }),
    ("a cut is beyond the log", |h| {
        answer(h, Broken::Beyond, |read, answer| {
            answer.cut.set_end(RIDES, P0, Offset(1_000_000));
            read.question.cut.is_none()
        })
    }),
    ("a cut holds what is pushed later", |h| {
        let end = h.log.ends().end(RIDES, P0);
        answer(h, Broken::Beyond, |read, answer| {
            let more = answer.cut.end(RIDES, P0).0 + 20 < end.0;
            answer.cut.set_end(RIDES, P0, end);
            more && read.question.cut.is_none()
        })
    }),
    ("another cut is answered than was asked for", |h| {
        answer(h, Broken::Asked, |read, answer| match below(&answer.cut) {
            Some(cut) if read.question.cut.is_some() => {
                answer.cut = cut;
                true
            }
            _ => false,
        })
    }),
    ("another time is answered than was asked for", |h| {
        answer(h, Broken::Asked, |read, answer| {
            answer.as_of.0 += 1;
            read.question.as_of.is_some()
        })
    }),
    ("a row is missing", |h| {
        answer(h, Broken::Asked, |_, answer| answer.values.pop().is_some())
    }),
    ("complete is answered before the watermark", |h| {
        answer(h, Broken::Incomplete, |read, answer| {
            let wanted = matches!(read.question.level, Level::Complete(_));
            if wanted {
                read.question.level = Level::Complete(EventTime(i64::MAX - 1));
            }
            wanted && answer.degraded.is_none()
        })
    }),
    ("something is said to be missing that is there", |h| {
        answer(h, Broken::Degraded, |read, answer| {
            let reached = answer.cut.end(RIDES, P0);
            let (source, partition, wanted) = (RIDES, P0, reached);
            answer.degraded = Some(Unmet::Position {
                source,
                partition,
                wanted,
                reached,
            });
            read.question.degraded
        })
    }),
    ("what is reached is said wrongly", |h| {
        answer(h, Broken::Degraded, |_, answer| {
            match &mut answer.degraded {
                Some(Unmet::Position { reached, .. }) => {
                    reached.0 += 1;
                    true
                }
                _ => false,
            }
        })
    }),
    ("a lesser answer is given to who did not allow it", |h| {
        answer(h, Broken::Degraded, |read, answer| {
            read.question.degraded = false;
            answer.degraded.is_some()
        })
    }),
    ("a lesser answer does not say so", |h| {
        answer(h, Broken::Behind, |read, answer| {
            let positions = matches!(answer.degraded, Some(Unmet::Position { .. }));
            let behind = !answer.cut.covers(&read.question.token.positions);
            positions && behind && answer.degraded.take().is_some()
        })
    }),
    ("an error names what is not missing", |h| {
        let wrong = h.reads.iter_mut().find_map(|read| match &mut read.reply {
            ReadReply::Unmet(Unmet::Position {
                wanted, reached, ..
            }) => Some((wanted, reached)),
            _ => None,
        })?;
        *wrong.0 = *wrong.1;
        Some(Broken::Error)
    }),
    ("an error names a watermark that has passed", |h| {
        let wrong = h.reads.iter_mut().find_map(|read| match &mut read.reply {
            ReadReply::Unmet(Unmet::Watermark {
                wanted, reached, ..
            }) => Some((wanted, reached)),
            _ => None,
        })?;
        *wrong.1 = Some(EventTime(wrong.0.0 + 1));
        Some(Broken::Error)
    }),
];

#[test]
fn a_good_history_breaks_nothing() {
    for seed in 0..20 {
        let history = model::history(seed, 2_000);
        let report = check(&history);
        assert_eq!(report.violations, [], "seed {seed}");
        assert!(
            report.answers > 200 && report.values > 5_000,
            "seed {seed}: {report:?}"
        );
        assert!(
            report.inside > 50 && report.unmet > 10,
            "seed {seed}: {report:?}"
        );
    }
}

#[test]
fn every_planted_damage_is_found() {
    let mut found_as = BTreeSet::new();
    let mut missed = Vec::new();
    for (name, damage) in DAMAGES {
        let mut planted = 0;
        for seed in 100..106 {
            let mut history = model::history(seed, 1_500);
            let Some(broken) = damage(&mut history) else {
                continue;
            };
            planted += 1;
            let found: BTreeSet<Broken> = check(&history)
                .violations
                .iter()
                .map(|v| v.broken)
                .collect();
            if !found.contains(&broken) {
                missed.push(format!("{name}, seed {seed}: found as {found:?}"));
            }
            found_as.insert(broken);
        }
        if planted < 3 {
            missed.push(format!("{name}: planted {planted} times"));
        }
    }
    assert_eq!(missed, Vec::<String>::new());
    assert_eq!(
        found_as.len(),
        15,
        "every kind is found by something: {found_as:?}"
    );
}
