//! Insertion in any order, look-ups backwards, snapshots, contested entries, many levels.

use evenkeel_aggregate::history::{BlockEncoder, Shape};
use evenkeel_aggregate::{
    Aggregates, Bounds, Entry, EntryView, EventOrder, Everything, History, Known, SpecId,
    Visibility, WhereId,
};
use evenkeel_types::time::HOUR;
use evenkeel_types::{Column, Frame, Offset, Partition, Position, SourceCut, Value};
use proptest::prelude::*;

use crate::events::{Event, call, calls, condition, events, frames, types};
use crate::states::bytes;

const SMALL: Shape = Shape {
    block_entries: 3,
    fan_out: 2,
};

fn history_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> History {
    let mut history = History::with_shape(types(), SMALL);
    for event in events {
        history.insert(&event.entry(event.position.offset.0));
    }
    history
}

/// Hides contested entries with an odd handle.
struct Contested;

impl Visibility for Contested {
    fn sees(&self, entry: &EntryView<'_>) -> bool {
        !entry.contested() || entry.id().is_multiple_of(2)
    }

    fn sees_all(&self, bounds: &Bounds) -> bool {
        !bounds.contested
    }

    fn sees_none(&self, _: &Bounds) -> bool {
        false
    }
}

proptest! {
    #![proptest_config(crate::cases(64))]

    #[test]
    fn late_entries_change_nothing((events, shuffled) in events(40).prop_flat_map(|e| (Just(e.clone()), Just(e).prop_shuffle())), frame in frames()) {
        let mut sorted = events.clone();
        sorted.sort_by(|a, b| a.event_order().cmp(&b.event_order()));
        let mut aggregates = Aggregates::new();
        let specs: Vec<SpecId> = calls()
            .iter()
            .map(|c| aggregates.register(c, WhereId::ALL).unwrap())
            .collect();
        let in_order = history_of(&sorted);
        let late = history_of(&shuffled);
        prop_assert_eq!(in_order.len(), events.len());
        for history in [&in_order, &late] {
            let orders: Vec<EventOrder<'_>> = history.iter().map(|e| e.order()).collect();
            let want: Vec<EventOrder<'_>> = sorted.iter().map(|e| e.event_order()).collect();
            prop_assert_eq!(orders, want);
        }
        for t in sorted.iter().map(|e| e.time).take(6) {
            let states = |history: &History| -> Vec<Vec<u8>> {
                history
                    .fold_states(&aggregates, &specs, &frame, None, t, &Everything)
                    .iter()
                    .zip(&specs)
                    .map(|(state, &spec)| bytes(aggregates.aggregator(spec), state))
                    .collect()
            };
            prop_assert_eq!(states(&late), states(&in_order));
            // From what the first read kept.
            prop_assert_eq!(states(&late), states(&in_order));
        }
    }

    #[test]
    fn what_comes_in_order_is_the_same_made_at_once(all in proptest::collection::vec(events(40), 1..4)) {
        // One encoder for one history after the other: nothing of one is in the next.
        let mut encoder = BlockEncoder::new(&types());
        for mut events in all {
            let mut inserted = History::new(types());
            for (id, event) in (0..).zip(&events) {
                inserted.insert(&Entry { contested: id % 3 == 0, ..event.entry(event.position.offset.0) });
            }
            let contested: Vec<Position> = events.iter().step_by(3).map(|e| e.position).collect();
            events.sort_by(|a, b| a.event_order().cmp(&b.event_order()));
            let entries = || events.iter().map(|event| Entry {
                contested: contested.contains(&event.position),
                ..event.entry(event.position.offset.0)
            });
            let sorted = History::of_sorted(types(), entries());
            prop_assert_eq!(sorted.bounds(), inserted.bounds());
            let want = inserted.encode(0..inserted.len()).map(|(bytes, _)| bytes);
            prop_assert_eq!(sorted.encode(0..sorted.len()).map(|(bytes, _)| bytes), want.clone());
            if let Some(want) = want {
                let mut bytes = b"before".to_vec();
                encoder.encode(entries(), &mut bytes);
                prop_assert_eq!(&bytes[6..], &want[..]);
            }
        }
    }

    #[test]
    fn look_ups_find_the_last_visible_entry(
        events in events(40),
        end in 0u64..42,
        known_at in proptest::option::of(-30i64..60),
        strict in any::<bool>(),
        age in proptest::option::of((-2i64..60, any::<bool>())),
    ) {
        let history = history_of(&events);
        let Some(first) = events.first() else { return Ok(()) };
        let mut cut = evenkeel_types::Cut::empty();
        let source = evenkeel_types::SourceId(0);
        cut.set_end(source, Partition(0), Offset(end));
        cut.set_end(source, Partition(1), Offset(41));
        let cut = cut.of_source(source);
        let known_at = known_at.map(|h| first.time + h * HOUR);
        let known = Known { cut: &cut, known_at };
        let mut sorted: Vec<&Event> = events
            .iter()
            .filter(|e| cut.contains(e.position) && known_at.is_none_or(|k| e.visible_at <= k))
            .collect();
        sorted.sort_by(|a, b| a.event_order().cmp(&b.event_order()));
        for t in events.iter().take(10).flat_map(|e| [e.time - 1, e.time, e.time + 1]) {
            let before: Vec<&&Event> = sorted
                .iter()
                .filter(|e| e.time < t || (e.time == t && !strict))
                .collect();
            let found: Vec<u64> = history.descending(t, strict, &known).map(|e| e.id()).collect();
            let want: Vec<u64> = before.iter().rev().map(|e| e.position.offset.0).collect();
            prop_assert_eq!(found, want);

            let min_time = age.map(|(hours, included)| (t - hours * HOUR, included));
            let takes = |values: &[Value]| matches!(values[6], Value::Int(c) if c > 0);
            let found = history.last_before(t, strict, min_time, |e| takes(&e.row()), &known);
            let want = before.iter().rev().find(|e| {
                takes(&e.values)
                    && min_time.is_none_or(|(least, included)| {
                        e.time > least || (included && e.time == least)
                    })
            });
            prop_assert_eq!(found.map(|e| e.row()), want.map(|e| e.values.clone()));
            prop_assert_eq!(found.map(|e| e.value(4)), want.map(|e| e.values[4].clone()));
            prop_assert_eq!(found.map(|e| e.position()), want.map(|e| e.position));
            prop_assert_eq!(found.map(|e| e.visible_at()), want.map(|e| e.visible_at));
        }
    }

    #[test]
    fn contested_entries_are_asked_for(events in events(30), marked in prop::collection::vec(any::<bool>(), 30)) {
        let mut aggregates = Aggregates::new();
        let specs = [
            aggregates.register(&call("count", &[]), WhereId::ALL).unwrap(),
            aggregates.register(&call("sum", &["i"]), WhereId::ALL).unwrap(),
        ];
        let mut history = history_of(&events);
        let fold = |history: &History| {
            history.fold(&aggregates, &specs, &Frame::unbounded(), None, i64::MAX, &Contested)
        };
        let all = fold(&history);
        prop_assert_eq!(&all[0], &Value::BigInt(events.len() as i64));
        let mut hidden = 0;
        let mut rest = Vec::new();
        for (event, mark) in events.iter().zip(marked) {
            let id = event.position.offset.0;
            let is_hidden = mark && id % 2 == 1;
            if mark {
                prop_assert!(history.set_contested(event.event_order(), id));
                prop_assert!(!history.set_contested(event.event_order(), id + 1000));
            }
            if is_hidden {
                hidden += 1;
            } else {
                rest.push(event);
            }
        }
        let got = fold(&history);
        prop_assert_eq!(&got[0], &Value::BigInt((events.len() - hidden) as i64));
        prop_assert_eq!(got, fold(&history_of(rest)));
    }

    #[test]
    fn copies_are_snapshots(events in events(30), at in 0usize..30) {
        let mut aggregates = Aggregates::new();
        let specs: Vec<SpecId> = ["sum", "max", "last"]
            .iter()
            .map(|name| aggregates.register(&call(name, &["x"]), WhereId::ALL).unwrap())
            .collect();
        let at = at.min(events.len());
        let fold = |history: &History| {
            history.fold(&aggregates, &specs, &Frame::unbounded(), None, i64::MAX, &Everything)
        };
        let mut history = history_of(&events[..at]);
        let before = fold(&history);
        let snapshot = history.clone();
        for event in &events[at..] {
            history.insert(&event.entry(0));
        }
        let after = fold(&history);
        prop_assert_eq!(fold(&snapshot), before);
        prop_assert_eq!(snapshot.len(), at);
        prop_assert_eq!(after, fold(&history_of(&events)));
    }
}

/// Four levels of full-sized blocks, read while late entries arrive.
#[test]
fn long_histories_agree_with_the_sweep() {
    const ENTRIES: i64 = 36_000;
    let mut aggregates = Aggregates::new();
    let some = aggregates.register_where(Some(&condition()));
    let names = [
        call("count", &[]),
        call("sum", &["x"]),
        call("avg", &["i"]),
        call("max", &["x"]),
        call("last_n", &["i", "3"]),
        call("count_distinct", &["i", "50"]),
        call("median", &["x"]),
        call("top_k", &["i", "2", "5"]),
    ];
    let register = |aggregates: &mut Aggregates, condition| -> Vec<SpecId> {
        names
            .iter()
            .map(|c| aggregates.register(c, condition).unwrap())
            .collect()
    };
    let all_specs = register(&mut aggregates, WhereId::ALL);
    let some_specs = register(&mut aggregates, some);
    let values = |i: i64| -> Vec<Value> {
        vec![
            Value::double((i * 7919 % 10_007) as f64 / 97.0),
            Value::BigInt(i * i % 120),
            Value::Null,
            Value::Boolean(i % 3 == 0),
            Value::Null,
            Value::Null,
            Value::Int((i % 5) as i32 - 2),
        ]
    };
    let time = |i: i64| i / 3 * 1_000 + i % 7 * 100;
    let key = |i: i64| (time(i), i.to_be_bytes());
    let mut history = History::new(types());
    let insert = |history: &mut History, i: i64| {
        let values = values(i);
        history.insert(&Entry {
            time: time(i),
            order: &i.to_be_bytes(),
            position: Position::new(0, i as u64),
            visible_at: time(i),
            contested: false,
            id: i as u64,
            values: &values,
        });
    };
    // One in nine arrives late, a few thousand entries behind.
    let is_late = |i: i64| i % 9 == 4;
    let frames = [
        Frame::last(2_000_000),
        Frame::unbounded(),
        Frame {
            extent: evenkeel_types::Extent::Rows {
                start: Some(20_000),
                end: 10,
            },
            exclude_group: true,
        },
        Frame {
            extent: evenkeel_types::Extent::Session { gap: 800 },
            exclude_group: false,
        },
        Frame {
            extent: evenkeel_types::Extent::Session { gap: 5_000 },
            exclude_group: false,
        },
    ];
    let mut present: Vec<i64> = Vec::new();
    for i in 0..ENTRIES {
        if !is_late(i) {
            insert(&mut history, i);
            present.push(i);
        }
        if i >= 4_000 && is_late(i - 4_000) {
            insert(&mut history, i - 4_000);
            present.push(i - 4_000);
        }
        if i % 9_001 == 0 || i == ENTRIES - 1 {
            check_long(
                &history,
                &aggregates,
                &all_specs,
                &some_specs,
                &frames,
                &present,
                &key,
                &values,
            );
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one test")]
fn check_long(
    history: &History,
    aggregates: &Aggregates,
    all_specs: &[SpecId],
    some_specs: &[SpecId],
    frames: &[Frame],
    present: &[i64],
    key: &dyn Fn(i64) -> (i64, [u8; 8]),
    values: &dyn Fn(i64) -> Vec<Value>,
) {
    let half = present.len() as u64 * 2 / 3;
    let cut = SourceCut::single(Partition(0), Offset(half));
    for (is_all, end) in [(true, u64::MAX), (false, half)] {
        let mut known: Vec<i64> = present
            .iter()
            .copied()
            .filter(|&i| (i as u64) < end)
            .collect();
        known.sort_by_key(|&i| key(i));
        let rows: Vec<Vec<Value>> = known.iter().map(|&i| values(i)).collect();
        let columns: Vec<Column> = types()
            .iter()
            .enumerate()
            .map(|(c, t)| Column::from_values(t, rows.iter().map(|r| &r[c])))
            .collect();
        let last = known.last().map_or(0, |&i| key(i).0);
        let mut reads = vec![
            last / 3,
            last / 2 + 1,
            last - 50,
            last,
            last + 700,
            last + 9_000,
        ];
        reads.sort_unstable();
        for frame in frames {
            for specs in [all_specs, some_specs] {
                let rows =
                    aggregates.passing(aggregates.condition(specs[0]), &columns, known.len());
                let times: Vec<i64> = rows.iter().map(|&r| key(known[r as usize]).0).collect();
                let mut ranges = Vec::new();
                evenkeel_aggregate::sweep::index_ranges(
                    frame,
                    None,
                    &times,
                    &reads,
                    0,
                    &mut ranges,
                );
                let swept: Vec<Column> = specs
                    .iter()
                    .map(|&spec| {
                        let inputs = aggregates.inputs(spec, &columns, &rows);
                        inputs.over(aggregates.aggregator(spec), &ranges)
                    })
                    .collect();
                for (read, &t) in reads.iter().enumerate() {
                    let known = Known {
                        cut: &cut,
                        known_at: None,
                    };
                    let got = if is_all {
                        history.fold(aggregates, specs, frame, None, t, &Everything)
                    } else {
                        history.fold(aggregates, specs, frame, None, t, &known)
                    };
                    let want: Vec<Value> = swept.iter().map(|c| c.get(read)).collect();
                    assert_eq!(got, want, "{frame} at {t} of {}", present.len());
                }
            }
        }
    }
}

#[test]
fn more_than_one_block_made_at_once() {
    let values = vec![Value::Null; types().len()];
    let entries = || {
        (0..600u64).map(|n| Entry {
            time: n as i64 / 3,
            order: if n % 3 == 0 {
                &[1]
            } else {
                &[2, 3][..n as usize % 3]
            },
            position: Position::new(0, n),
            visible_at: 0,
            contested: false,
            id: n,
            values: &values,
        })
    };
    let mut inserted = History::new(types());
    entries().for_each(|entry| inserted.insert(&entry));
    let sorted = History::of_sorted(types(), entries());
    let ids = |history: &History| history.iter().map(|e| e.id()).collect::<Vec<_>>();
    assert_eq!(ids(&sorted), (0..600).collect::<Vec<_>>());
    assert_eq!(ids(&sorted), ids(&inserted));
    assert_eq!(sorted.bounds(), inserted.bounds());
    assert_eq!(
        sorted.encode(0..600).map(|e| e.0),
        inserted.encode(0..600).map(|e| e.0)
    );
}
