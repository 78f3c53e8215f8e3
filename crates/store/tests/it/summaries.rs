//! Stored summaries: whatever is stored of states, and since when, windows give the bytes
//! that the events give one by one, and the values of the oracle.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_aggregate::history::Visibility;
use evenkeel_aggregate::oracle::{Input, evaluate, frame_members};
use evenkeel_aggregate::signature::{Argument, Modifiers, resolve};
use evenkeel_aggregate::{
    Aggregates, Bounds, EntryView, Everything, History, Known, SpecId, WhereId,
};
use evenkeel_store::{Batch, BlocksOptions, IndexShape, Kv, MemoryKv, Space, examine};
use evenkeel_types::{
    AggregateCall, Cut, DataType, Expr, ExprKind, Extent, Frame, Interval, Offset, Partition,
    SourceCut, SourceId, Value,
};
use proptest::prelude::*;

use crate::world::{INDEX, Row, World, random, types};

fn column(at: usize) -> Expr {
    Expr::column(at, types()[at].clone())
}

/// `ok`, the last column.
fn condition() -> Expr {
    column(3)
}

/// A call over a column and numbers.
fn call(name: &str, at: &[usize], numbers: &[Value], filter: Option<Expr>) -> AggregateCall {
    let number = |value: &Value| Expr {
        kind: ExprKind::Literal(value.clone()),
        data_type: match value {
            Value::Double(_) => DataType::Double,
            _ => DataType::BigInt,
        },
    };
    let columns = at.iter().map(|&at| column(at));
    let exprs: Vec<Expr> = columns.chain(numbers.iter().map(number)).collect();
    let arguments: Vec<Argument<'_>> = exprs
        .iter()
        .zip(0..)
        .map(|(expr, i)| Argument {
            data_type: &expr.data_type,
            constant: (i >= at.len()).then(|| &numbers[i - at.len()]),
        })
        .collect();
    let signature = resolve(name, &arguments, Modifiers::default()).unwrap();
    signature.into_call(&exprs, filter)
}

/// Calls with small and large states, of which some have ERROR inputs.
fn calls() -> Vec<AggregateCall> {
    let n = Value::BigInt;
    let mut calls = vec![call("count", &[], &[], None)];
    for filter in [None, Some(condition())] {
        let call = |name, at: &[usize], numbers: &[Value]| call(name, at, numbers, filter.clone());
        calls.extend([
            call("count", &[0], &[]),
            call("sum", &[0], &[]),
            call("min", &[0], &[]),
            call("max", &[1], &[]),
            call("sum", &[2], &[]),
            call("avg", &[2], &[]),
            call("stddev_samp", &[2], &[]),
            call("first", &[1], &[]),
            call("last", &[0], &[]),
            call("last_n", &[1], &[n(3)]),
            call("count_distinct", &[1], &[n(100)]),
            call("count_distinct", &[0], &[n(4)]),
            call("approx_quantile", &[2], &[Value::Double(0.3)]),
            call("top_k", &[1], &[n(2), n(50)]),
            call("top_k", &[0], &[n(2), n(5)]),
            call("min_by", &[1, 0], &[]),
            call("bool_and", &[3], &[]),
        ]);
    }
    calls
}

/// Some calls, each also under a WHERE condition.
fn aggregates(seed: &mut u64) -> Aggregates {
    let mut aggregates = Aggregates::new();
    let where_ok =
        (random(seed).is_multiple_of(2)).then(|| aggregates.register_where(Some(&condition())));
    for call in calls() {
        for condition in [Some(WhereId::ALL), where_ok].into_iter().flatten() {
            if random(seed).is_multiple_of(4) {
                aggregates.register(&call, condition).unwrap();
            }
        }
    }
    aggregates
}

fn frames(seed: &mut u64, reach: u64) -> Frame {
    let mut micros = || Interval {
        months: 0,
        micros: (random(seed) % reach) as i64,
    };
    let (far, near) = (micros(), micros());
    let extent = match random(seed) % 6 {
        0 => Extent::Range {
            start: None,
            end: Interval::default(),
        },
        1 => Extent::Range {
            start: None,
            end: near,
        },
        2 => Extent::Range {
            start: Some(far.max(near)),
            end: far.min(near),
        },
        3 => Extent::Range {
            start: Some(far),
            end: Interval::default(),
        },
        4 => Extent::Rows {
            start: Some(random(seed) % reach),
            end: random(seed) % 7,
        },
        _ => Extent::Session {
            gap: 1 + (random(seed) % 12) as i64,
        },
    };
    Frame {
        extent,
        exclude_group: random(seed).is_multiple_of(3),
    }
}

/// Within a cut, and not what something else removed: here, contested entries with an odd
/// number.
struct Sight<'a> {
    known: Known<'a>,
}

impl Visibility for Sight<'_> {
    fn sees(&self, entry: &EntryView<'_>) -> bool {
        self.known.sees(entry) && !(entry.contested() && entry.id() % 2 == 1)
    }

    fn sees_all(&self, bounds: &Bounds) -> bool {
        !bounds.contested && self.known.sees_all(bounds)
    }

    fn sees_none(&self, bounds: &Bounds) -> bool {
        self.known.sees_none(bounds)
    }
}

fn cut(seed: &mut u64, offsets: u64) -> SourceCut {
    let mut cut = Cut::empty();
    let whole = random(seed).is_multiple_of(2);
    for partition in 0..3 {
        let end = if whole {
            offsets
        } else {
            random(seed) % (offsets + 1)
        };
        cut.set_end(SourceId(0), Partition(partition), Offset(end));
    }
    cut.of_source(SourceId(0))
}

/// Reads some windows of every key and compares them with what the events say one by one.
fn check(world: &World, aggregates: &Aggregates, seed: &mut u64) {
    let offsets = world.log.0.lock().unwrap().len() as u64;
    for (key, model) in &world.model {
        let history = world.blocks.history(0, key).unwrap().unwrap();
        for _ in 0..3 {
            let last = model.bounds().unwrap().last_time;
            let t = (random(seed) % (last.max(1) as u64 + 20)) as i64;
            let t = if random(seed).is_multiple_of(2) {
                last
            } else {
                t
            };
            let frame = frames(seed, last.max(1) as u64 + 20);
            let cut = cut(seed, offsets);
            let known_at = (random(seed).is_multiple_of(3)).then_some(t + 60);
            let known = Known {
                cut: &cut,
                known_at,
            };
            check_window(&history, model, aggregates, &frame, t, &Sight { known });
            check_window(&history, model, aggregates, &frame, t, &Everything);
        }
        assert!(history.source().is_none_or(|s| s.failure().is_none()));
    }
}

fn check_window<V: Visibility>(
    history: &History,
    model: &History,
    aggregates: &Aggregates,
    frame: &Frame,
    t: i64,
    visibility: &V,
) {
    let known: Vec<EntryView<'_>> = model.iter().filter(|e| visibility.sees(e)).collect();
    let times: Vec<i64> = known.iter().map(|e| e.time()).collect();
    let is_true = |condition: &Option<Expr>, entry: &EntryView<'_>| {
        condition.is_none() || entry.value(3) == Value::Boolean(true)
    };
    for (spec, condition) in specs(aggregates) {
        let call = aggregates.call(spec);
        let passes: Vec<bool> = known.iter().map(|e| is_true(&condition, e)).collect();
        let aggregator = aggregates.aggregator(spec);
        let mut state = aggregator.empty();
        let mut inputs = Vec::new();
        for at in frame_members(frame, None, &times, &passes, t) {
            let entry = &known[at];
            if !is_true(&call.filter, entry) {
                continue;
            }
            let values: Vec<Value> = call
                .args
                .iter()
                .map(|arg| match arg.kind {
                    ExprKind::Column(at) => entry.value(at),
                    _ => panic!("a call of these tests is over columns"),
                })
                .collect();
            aggregator.add(&mut state, &values, entry.order());
            inputs.push(Input {
                time: entry.time(),
                order: entry.order().order.to_vec(),
                values,
            });
        }
        let folded = history.fold_states(aggregates, &[spec], frame, None, t, visibility);
        let bytes = |state| {
            let mut bytes = Vec::new();
            aggregator.encode(state, &mut bytes);
            bytes
        };
        assert_eq!(
            bytes(&folded[0]),
            bytes(&state),
            "{call:?} {frame:?} at {t}"
        );
        let (found, want) = (aggregator.finish(&folded[0]), evaluate(call, &inputs));
        assert!(
            found.same_bits(&want),
            "{found:?} {want:?} {call:?} {frame:?} at {t}"
        );
    }
}

/// Every call, and the WHERE condition that it stands under.
fn specs(aggregates: &Aggregates) -> Vec<(SpecId, Option<Expr>)> {
    let under = |spec| (aggregates.condition(spec) != WhereId::ALL).then(condition);
    aggregates.specs().map(|spec| (spec, under(spec))).collect()
}

fn examined(world: &World, aggregates: &Arc<Aggregates>) -> Vec<String> {
    let shape = |index: u32| {
        (index == INDEX).then(|| IndexShape {
            key: vec![DataType::String],
            columns: types(),
            aggregates: Arc::clone(aggregates),
        })
    };
    let mut examined = examine(world.kv.snapshot().as_ref(), &shape).unwrap();
    examined.check_cold(INDEX, 0, world.log.as_ref()).unwrap();
    examined.findings.into_iter().map(|f| f.reason).collect()
}

/// The encoding of an entity key of one string.
fn key_of(name: &str) -> Vec<u8> {
    evenkeel_types::codec::encode_values(&[Value::string(name)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_those_of_the_events_whatever_is_stored(
        seed in any::<u64>(),
        events in 1u64..1_500,
        checkpoint_every in 20u64..200,
        cache_bytes in prop_oneof![Just(0u64), Just(200_000), Just(1 << 30)],
        sealed_entries in prop_oneof![Just(4usize), Just(20), Just(100)],
        fan_out in prop_oneof![Just(2usize), Just(3), Just(64)],
        keep in prop_oneof![2 => Just(None), 1 => Just(Some(500u64)), 1 => Just(Some(3_000))],
    ) {
        let mut seed = seed;
        let numbers = BlocksOptions { cache_bytes, sealed_entries, fan_out };
        let calls = Arc::new(aggregates(&mut seed));
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let mut world = World::with(kv, numbers, Arc::clone(&calls));
        let mut calls = calls;
        let mut picks: Vec<(Vec<u8>, u64, u64)> = Vec::new();
        for id in 0..events {
            let key = if random(&mut seed).is_multiple_of(8) { key_of("b") } else { key_of("a") };
            let pick = random(&mut seed);
            world.insert(&key, &Row::new(id, pick));
            picks.push((key, id, pick));
            if let Some(keep) = keep {
                world.horizon = Some(id as i64 * 3 - (random(&mut seed) % keep) as i64);
            }
            if pick.is_multiple_of(150) {
                let (key, id, pick) = &picks[(random(&mut seed) % picks.len() as u64) as usize];
                world.contest(key, &Row::new(*id, *pick));
            }
            match random(&mut seed) % checkpoint_every {
                0 => world.checkpoint(),
                1 => {
                    let begun = world.begin();
                    let pick = random(&mut seed);
                    world.insert(&key_of("a"), &Row::new(events + id, pick));
                    picks.push((key_of("a"), events + id, pick));
                    check(&world, &calls, &mut seed);
                    world.finish(begun);
                }
                2 => {
                    // Other views may be there when it is opened again.
                    world.checkpoint();
                    calls = Arc::new(aggregates(&mut seed));
                    world.reopen_with(Arc::clone(&calls));
                }
                3 => {
                    // Others while it is open, with what is in memory.
                    calls = Arc::new(aggregates(&mut seed));
                    world.switch(Arc::clone(&calls));
                }
                4 => check(&world, &calls, &mut seed),
                _ => {}
            }
        }
        check(&world, &calls, &mut seed);
        world.checkpoint();
        prop_assert_eq!(examined(&world, &calls), Vec::<String>::new());
        world.reopen();
        check(&world, &calls, &mut seed);
        world.check();
    }
}

/// A store with one key of so many events in order, sealed and opened again.
fn long(events: u64, calls: &Arc<Aggregates>, numbers: BlocksOptions) -> World {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let mut world = World::with(kv, numbers, Arc::clone(calls));
    for id in 0..events {
        let row = Row {
            time: id as i64 * 3,
            contested: false,
            ..Row::new(id, 2 + id % 7)
        };
        world.insert(&key_of("k"), &row);
        if id % 1_000 == 999 {
            world.checkpoint();
        }
    }
    world.checkpoint();
    world.reopen();
    world
}

fn small_states() -> Arc<Aggregates> {
    let mut aggregates = Aggregates::new();
    for name in ["count", "sum", "min", "avg"] {
        aggregates
            .register(&call(name, &[0], &[], None), WhereId::ALL)
            .unwrap();
    }
    Arc::new(aggregates)
}

#[test]
fn a_window_over_closed_nodes_reads_the_blocks_at_its_edges_only() {
    let calls = small_states();
    let world = long(50_000, &calls, BlocksOptions::with_cache(0));
    let rows = size_of(world.kv.as_ref(), Space::Blocks);
    assert!(
        rows > 97,
        "{rows} rows: 97 blocks, and a node above 64 of them"
    );
    for (start, end, blocks) in [(0, 150_000, 1), (30_000, 140_000, 3), (139_000, 140_000, 2)] {
        let history = world.blocks.history(0, &key_of("k")).unwrap().unwrap();
        // The run behind the last block is read with the directory.
        let before = history.entries_in_memory();
        let frame = Frame {
            extent: Extent::Range {
                start: Some(Interval {
                    months: 0,
                    micros: end - start,
                }),
                end: Interval::default(),
            },
            exclude_group: false,
        };
        let model = &world.model[&key_of("k")];
        check_window(&history, model, &calls, &frame, end, &Everything);
        let read = history.entries_in_memory() - before;
        assert!(read <= blocks * 512, "{read} entries from {start} to {end}");
    }
}

#[test]
fn few_rows_are_written_again_at_the_end_of_a_long_key() {
    let calls = small_states();
    let numbers = BlocksOptions {
        sealed_entries: 8,
        fan_out: 4,
        ..BlocksOptions::with_cache(1 << 30)
    };
    let mut world = long(20_000, &calls, numbers);
    let mut most = (0, 0);
    for id in 20_000..20_500 {
        let row = Row {
            time: id as i64 * 3,
            contested: false,
            ..Row::new(id, 3)
        };
        world.insert(&key_of("k"), &row);
        let begun = world.begin();
        let mut batch = Batch::default();
        let number = world.number + 1;
        let _ = begun.write(number, &mut batch).unwrap();
        most = (most.0.max(batch.len()), most.1.max(batch.bytes()));
        world.finish(begun);
    }
    // 2,500 blocks: the directory, a block, a node of each level, the runs that went, the
    // list of garbage.
    assert!(most.0 <= 24 && most.1 <= 16_000, "{most:?}");
    world.reopen();
    world.check();
}

#[test]
fn a_state_that_is_not_that_of_the_events_is_named() {
    let calls = small_states();
    let numbers = BlocksOptions {
        sealed_entries: 16,
        fan_out: 4,
        ..BlocksOptions::with_cache(1 << 30)
    };
    let world = long(200, &calls, numbers);
    assert_eq!(examined(&world, &calls), Vec::<String>::new());
    let mut reasons: BTreeMap<Space, String> = BTreeMap::new();
    for space in [Space::Runs, Space::Blocks] {
        let mut rows = Vec::new();
        world
            .kv
            .snapshot()
            .prefix(space, b"", &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        for (row, value) in rows {
            for at in (0..value.len()).step_by(3) {
                let mut changed = value.clone();
                changed[at] ^= 1;
                put(&world, space, &row, changed);
                let found = examined(&world, &calls).join("; ");
                reasons.entry(space).or_default().push_str(&found);
                // No read panics over it.
                let opened = world.reopened();
                if let Ok(Some(history)) = opened.history(0, &key_of("k")) {
                    let frame = frames(&mut (at as u64), 600);
                    for (spec, _) in specs(&calls) {
                        history.fold(&calls, &[spec], &frame, None, 600, &Everything);
                    }
                }
            }
            put(&world, space, &row, value);
        }
    }
    for space in [Space::Runs, Space::Blocks] {
        assert!(
            reasons[&space].contains("a state of block"),
            "{}",
            reasons[&space]
        );
    }
}

#[test]
fn a_new_call_is_summarised_at_the_next_seal() {
    let before = small_states();
    let mut world = long(50_000, &before, BlocksOptions::with_cache(1 << 30));
    let mut more = Aggregates::clone(&before);
    more.register(&call("max", &[0], &[], None), WhereId::ALL)
        .unwrap();
    let more = Arc::new(more);
    world.reopen_with(Arc::clone(&more));
    let frame = Frame {
        extent: Extent::Range {
            start: None,
            end: Interval::default(),
        },
        exclude_group: false,
    };
    let read = |world: &World| {
        let history = world.blocks.history(0, &key_of("k")).unwrap().unwrap();
        let before = history.entries_in_memory();
        let model = &world.model[&key_of("k")];
        check_window(&history, model, &more, &frame, i64::MAX, &Everything);
        history.entries_in_memory() - before
    };
    assert!(read(&world) > 49_000);
    for id in 50_000..51_000 {
        let row = Row {
            time: id as i64 * 3,
            contested: false,
            ..Row::new(id, 3)
        };
        world.insert(&key_of("k"), &row);
    }
    world.checkpoint();
    world.reopen_with(Arc::clone(&more));
    assert_eq!(read(&world), 0);
}

fn put(world: &World, space: Space, row: &[u8], value: Vec<u8>) {
    let mut batch = Batch::default();
    batch.put(space, row.to_vec(), value);
    world.kv.write(batch).unwrap();
}

fn size_of(kv: &dyn Kv, space: Space) -> usize {
    let mut rows = 0;
    kv.snapshot()
        .prefix(space, b"", &mut |_, _| {
            rows += 1;
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    rows
}
