//! Property 6: for every frame, the history, the sweep and the oracle give the same bits.

use evenkeel_aggregate::history::{Shape, Visibility};
use evenkeel_aggregate::oracle::{evaluate, frame_members};
use evenkeel_aggregate::sweep::{index_ranges, retain_floors, slide};
use evenkeel_aggregate::{Aggregates, EventOrder, Everything, History, Known, SpecId, WhereId};
use evenkeel_types::time::HOUR;
use evenkeel_types::{AggregateCall, Column, Expr, Frame, Offset, Partition, SourceCut, Value};
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::events::{Event, calls, condition, events, frames, other_condition, reach, types};
use crate::states::{columns, oracle_inputs};

/// Small blocks, so that few events make many levels.
const SMALL: Shape = Shape {
    block_entries: 4,
    fan_out: 3,
};

/// Fewer than many windows hold.
const LISTED_MAX: usize = 5;

#[derive(Clone, Debug)]
struct Case {
    events: Vec<Event>,
    frame: Frame,
    calls: Vec<AggregateCall>,
    condition: Option<Expr>,
    retain: Option<i64>,
    /// Ends of the two partitions, and the visible time that bounds what is known.
    knowledge: Option<(u64, u64, Option<i64>)>,
    /// After how many insertions something is read, to fill the caches.
    reads_between: Vec<usize>,
}

fn cases() -> impl Strategy<Value = Case> {
    let wheres = prop_oneof![
        3 => Just(None),
        1 => Just(Some(condition())),
        1 => Just(Some(other_condition())),
    ];
    let retain = prop_oneof![
        3 => Just(None),
        1 => Just(Some(HOUR)),
        1 => Just(Some(30 * HOUR)),
        1 => Just(Some(0)),
    ];
    (
        events(48),
        frames(),
        subsequence(calls(), 5),
        wheres,
        retain,
        any::<bool>(),
    )
        .prop_flat_map(|(events, frame, calls, condition, retain, everything)| {
            let end = 0..=events.len() as u64 + 1;
            let times: Vec<Option<i64>> = events
                .iter()
                .map(|e| Some(e.visible_at))
                .chain([None])
                .collect();
            let knowledge = (end.clone(), end, prop::sample::select(times))
                .prop_map(move |k| (!everything).then_some(k));
            let between = prop::collection::vec(0..50usize, 0..4);
            (
                Just(events),
                Just((frame, calls, condition, retain)),
                knowledge,
                between,
            )
        })
        .prop_map(
            |(events, (frame, calls, condition, retain), knowledge, reads_between)| Case {
                events,
                frame,
                calls,
                condition,
                retain,
                knowledge,
                reads_between,
            },
        )
}

/// Every event time, every time at which an event may enter or leave the window, and one
/// microsecond beside each.
fn read_times(case: &Case) -> Vec<i64> {
    let mut times = Vec::new();
    let mut distances = reach(&case.frame);
    distances.extend(case.retain);
    distances.push(0);
    for event in case.events.iter().take(12) {
        for distance in &distances {
            for beside in [-1, 0, 1] {
                times.push(event.time + distance + beside);
            }
        }
    }
    times.sort_unstable();
    times.dedup();
    times
}

fn cut((first, second, _): (u64, u64, Option<i64>)) -> SourceCut {
    let mut cut = evenkeel_types::Cut::empty();
    let source = evenkeel_types::SourceId(0);
    cut.set_end(source, Partition(0), Offset(first));
    cut.set_end(source, Partition(1), Offset(second));
    cut.of_source(source)
}

fn is_true(expr: &Expr, event: &Event) -> bool {
    evenkeel_expr::Program::compile(expr).eval_row(&event.values, 0) == Value::Boolean(true)
}

fn check<V: Visibility>(
    case: &Case,
    visibility: &V,
    sees: impl Fn(&Event) -> bool,
) -> Result<(), TestCaseError> {
    let mut aggregates = Aggregates::new();
    let where_id = aggregates.register_where(case.condition.as_ref());
    let specs: Vec<SpecId> = case
        .calls
        .iter()
        .map(|call| aggregates.register(call, where_id).unwrap())
        .collect();
    let mut history = History::with_shape(types(), SMALL);
    let read_times = read_times(case);
    let fold = |history: &History, t| {
        history.fold(&aggregates, &specs, &case.frame, case.retain, t, visibility)
    };
    for (i, event) in case.events.iter().enumerate() {
        history.insert(&event.entry(i as u64));
        if case.reads_between.contains(&i) {
            for &t in read_times.iter().step_by(5) {
                fold(&history, t);
            }
        }
    }

    let mut known: Vec<&Event> = case.events.iter().filter(|e| sees(e)).collect();
    known.sort_by_key(|e| e.event_order());
    let times: Vec<i64> = known.iter().map(|e| e.time).collect();
    let passes: Vec<bool> = known
        .iter()
        .map(|e| case.condition.as_ref().is_none_or(|c| is_true(c, e)))
        .collect();

    let all_columns = columns(&known);
    let rows = aggregates.passing(where_id, &all_columns, known.len());
    let passing_times: Vec<i64> = rows.iter().map(|&i| times[i as usize]).collect();
    let floors = case.retain.map(|r| retain_floors(r, &times, &read_times));
    let mut ranges = Vec::new();
    index_ranges(
        &case.frame,
        floors.as_deref(),
        &passing_times,
        &read_times,
        0,
        &mut ranges,
    );
    let swept: Vec<Column> = specs
        .iter()
        .map(|&spec| {
            let inputs = aggregates.inputs(spec, &all_columns, &rows);
            inputs.over(aggregates.aggregator(spec), &ranges)
        })
        .collect();
    // What running totals gave, sliding gives too.
    for (&spec, swept) in specs.iter().zip(&swept) {
        let aggregator = aggregates.aggregator(spec);
        let inputs = aggregates.inputs(spec, &all_columns, &rows);
        let slid = inputs.slide_over(aggregator, &ranges);
        for (a, b) in slid.iter().zip(swept.iter()) {
            prop_assert!(
                a.same_bits(&b),
                "{:?}: {a:?} slid, {b:?} by totals",
                aggregates.call(spec)
            );
        }
    }

    for (read, &t) in read_times.iter().enumerate() {
        let members: Vec<&Event> = frame_members(&case.frame, case.retain, &times, &passes, t)
            .into_iter()
            .map(|i| known[i])
            .collect();
        let folded = fold(&history, t);
        for (i, call) in case.calls.iter().enumerate() {
            let want = evaluate(call, &oracle_inputs(call, &members));
            prop_assert_eq!(
                &folded[i],
                &want,
                "history at {} of {:?} {}",
                t,
                call,
                case.frame
            );
            let listed = history.members(
                &aggregates,
                specs[i],
                &case.frame,
                case.retain,
                t,
                visibility,
                LISTED_MAX,
            );
            let counted = oracle_inputs(call, &members);
            prop_assert_eq!(listed.inside, members.len());
            prop_assert_eq!(listed.counted, counted.len());
            let newest: Vec<_> = listed.newest.iter().map(|e| e.order()).collect();
            let want_newest: Vec<_> = counted
                .iter()
                .rev()
                .take(LISTED_MAX)
                .map(|input| EventOrder::new(input.time, &input.order))
                .collect();
            prop_assert_eq!(newest, want_newest, "listed at {} of {}", t, case.frame);
            prop_assert_eq!(
                &swept[i].get(read),
                &want,
                "sweep at {} of {:?} {}",
                t,
                call,
                case.frame
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::cases(160))]
    #[test]
    fn history_sweep_and_oracle_agree(case in cases()) {
        match case.knowledge {
            None => check(&case, &Everything, |_| true)?,
            Some(knowledge) => {
                let cut = cut(knowledge);
                let known = Known { cut: &cut, known_at: knowledge.2 };
                check(&case, &known, |e| {
                    cut.contains(e.position) && knowledge.2.is_none_or(|t| e.visible_at <= t)
                })?;
            }
        }
    }
}

/// Several keys behind each other slide as one.
#[test]
fn keys_slide_as_one() {
    let column = |values: &[f64]| {
        let values: Vec<Value> = values.iter().map(|x| Value::double(*x)).collect();
        Column::from_values(&evenkeel_types::DataType::Double, &values)
    };
    let frame = Frame::last(10);
    let keys: [(&[i64], &[f64], &[i64]); 3] = [
        (&[0, 5, 12], &[1.0, 2.0, 4.0], &[4, 12, 15, 99]),
        (&[], &[], &[3]),
        (&[1, 1], &[8.0, 8.0], &[0, 1, 11, 12]),
    ];
    let mut ranges = Vec::new();
    let mut values = Vec::new();
    for (times, numbers, reads) in keys {
        index_ranges(&frame, None, times, reads, values.len() as u32, &mut ranges);
        values.extend_from_slice(numbers);
    }
    let mut aggregates = Aggregates::new();
    let want = [
        (
            "sum",
            [
                Some(1.0),
                Some(6.0),
                Some(6.0),
                None,
                None,
                None,
                Some(16.0),
                Some(16.0),
                None,
            ],
        ),
        (
            "max",
            [
                Some(1.0),
                Some(4.0),
                Some(4.0),
                None,
                None,
                None,
                Some(8.0),
                Some(8.0),
                None,
            ],
        ),
        (
            "median",
            [
                Some(1.0),
                Some(2.0),
                Some(2.0),
                None,
                None,
                None,
                Some(8.0),
                Some(8.0),
                None,
            ],
        ),
    ];
    for (name, want) in want {
        let spec = aggregates
            .register(&crate::events::call(name, &["x"]), WhereId::ALL)
            .unwrap();
        let got = slide(
            aggregates.aggregator(spec),
            &[&column(&values)],
            None,
            &ranges,
        );
        let got: Vec<Value> = got.iter().collect();
        let want: Vec<Value> = want
            .iter()
            .map(|x| x.map_or(Value::Null, Value::double))
            .collect();
        assert_eq!(got, want, "{name}");
    }
}

/// Reads at the ends of time.
#[test]
fn nothing_overflows_at_the_ends_of_time() {
    use evenkeel_types::time::{TIME_MAX, TIME_MIN};
    use evenkeel_types::{Extent, Interval};
    let call = crate::events::call("count", &[]);
    let mut aggregates = Aggregates::new();
    let spec = aggregates.register(&call, WhereId::ALL).unwrap();
    let mut history = History::new(types());
    let values: Vec<Value> = types().iter().map(|_| Value::Null).collect();
    let times = [TIME_MIN, 0, TIME_MAX];
    for (i, &time) in times.iter().enumerate() {
        history.insert(&evenkeel_aggregate::Entry {
            time,
            order: b"",
            position: evenkeel_types::Position::new(0, i as u64),
            visible_at: time,
            contested: false,
            id: 0,
            values: &values,
        });
    }
    let exact = |micros| Some(Interval::from_micros(micros));
    let extents = [
        Extent::Range {
            start: exact(i64::MAX),
            end: Interval::default(),
        },
        Extent::Range {
            start: Some(Interval::from_months(i32::MAX)),
            end: Interval::default(),
        },
        Extent::Range {
            start: None,
            end: Interval::from_micros(1),
        },
        Extent::Hop {
            start: Some(i64::MAX - 1),
            end: 0,
            hop: i64::MAX - 1,
        },
        Extent::Hop {
            start: None,
            end: 0,
            hop: 1,
        },
        Extent::Rows {
            start: Some(u64::MAX),
            end: 0,
        },
        Extent::Rows {
            start: None,
            end: u64::MAX,
        },
        Extent::Session { gap: i64::MAX },
    ];
    for extent in extents {
        let frame = Frame {
            extent,
            exclude_group: false,
        };
        for retain in [None, Some(0), Some(i64::MAX)] {
            let mut ranges = Vec::new();
            let floors = retain.map(|r| retain_floors(r, &times, &times));
            index_ranges(&frame, floors.as_deref(), &times, &times, 0, &mut ranges);
            for (&t, (start, end)) in times.iter().zip(ranges) {
                let folded = history.fold(&aggregates, &[spec], &frame, retain, t, &Everything);
                let members = frame_members(&frame, retain, &times, &[true; 3], t);
                let count = Value::BigInt(members.len() as i64);
                assert_eq!(folded, vec![count], "{frame} {retain:?} at {t}");
                assert_eq!(
                    members.len() as u32,
                    end - start,
                    "{frame} {retain:?} at {t}"
                );
            }
        }
    }
}
