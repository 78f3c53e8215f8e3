//! Values that are recorded, when a process ends or definitions change while they are called for, and
//! when what was recorded leaves the log or the store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{
    BackfillRequest, Emitter, Engine, EngineError, ForgetRequest, FunctionCalls, Next, Online,
    Switched, TruncateOptions,
};
use evenkeel_types::Value;

use crate::emissions::{at, bits, events, push};
use crate::functions::world;
use crate::lake::flush;
use crate::recorded::{MODULE, SCORED, calls_of, drawn, pay, scored, verified};
use crate::support::World;

/// An engine as a server's writer has it: nothing waits for a function.
struct Impatient<'a>(&'a Engine);

impl Online for Impatient<'_> {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        work(self.0)
    }

    fn makes_calls(&self) -> bool {
        false
    }
}

/// What an emitter makes until it needs calls, or nothing more comes.
fn until_calls(engine: &mut Engine, emitter: &mut Emitter) -> Option<Box<FunctionCalls>> {
    let log = engine.writer().unwrap();
    loop {
        let next = emitter.next(&Impatient(engine));
        engine.emitted(emitter);
        match next {
            Next::Calls(calls) => return Some(calls),
            Next::End => return None,
            Next::Nothing => {}
            Next::Emissions(judged) => {
                let mut commit = judged.append(&log).unwrap();
                while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
                emitter.done();
            }
        }
    }
}

/// A store whose pushes emit nothing.
fn as_server(world: &World) -> Engine {
    let mut engine = Engine::open_to_serve(&world.project()).unwrap();
    engine.defer_cold_reads();
    engine
}

fn log_payments(engine: &mut Engine, ids: Range<i64>) {
    let source = engine.source("payments").unwrap();
    let row = |id: i64| PushedRow {
        // Of one amount: what is asked is the same for all.
        values: Ok(vec![
            Value::BigInt(id),
            Value::BigInt(id),
            Value::Double(100.0),
            at(9),
        ]),
        producer: None,
    };
    let write = Write::Push {
        source,
        rows: ids.map(row).collect(),
    };
    let judged = Pusher::default().judge(&*engine, vec![write]);
    let mut commit = judged.append(&engine.writer().unwrap()).unwrap();
    while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
}

/// Goes over to the definitions of the folder, beside everything else.
fn go_over(world: &World, engine: &mut Engine) -> Result<(), EngineError> {
    let plan = engine.plan(&world.project().definition_files()?)?;
    let mut applying = engine.begin_apply(plan)?;
    let mut goes_on = |_: &str, _, _| ControlFlow::Continue(());
    applying.build(&*engine, &mut goes_on)?;
    match applying.switch(engine)? {
        Switched::Done(_) => Ok(()),
        Switched::Later(_) => panic!("no checkpoint is under way"),
    }
}

#[test]
fn a_call_that_is_out_is_made_again_after_an_end_and_answered_after_other_definitions() {
    let Some((world, engine)) = scored() else {
        return;
    };
    drop(engine);
    let mut engine = as_server(&world);
    log_payments(&mut engine, 100..140);
    // It ends while what was called for is known to it alone: nobody has read that.
    let mut emitter = Emitter::default();
    let calls = until_calls(&mut engine, &mut emitter).unwrap();
    emitter.answered(calls.run());
    assert_eq!((calls_of(&engine, "chance"), drawn(&engine).len()), (40, 6));
    drop((emitter, engine));
    let mut engine = as_server(&world);
    let mut emitter = Emitter::default();
    let calls = until_calls(&mut engine, &mut emitter).unwrap();
    // Other definitions meanwhile: what they are is told before the answer comes.
    let more = "CREATE STREAM copied AS SELECT card FROM payments;";
    world.write("more.sql", more);
    go_over(&world, &mut engine).unwrap();
    assert!(until_calls(&mut engine, &mut emitter).is_none());
    assert_eq!(
        (events(&engine, "copied").len(), drawn(&engine).len()),
        (46, 6)
    );
    emitter.answered(calls.run());
    while let Some(calls) = until_calls(&mut engine, &mut emitter) {
        emitter.answered(calls.run());
    }
    let emitted = events(&engine, "scores");
    assert_eq!(emitted.len(), 46);
    // Each was called for by itself, though all ask the same.
    let lucks: BTreeSet<Vec<u8>> = emitted[6..]
        .iter()
        .map(|e| bits([e.event.row[6].clone()]))
        .collect();
    assert_eq!(lucks.len(), 40);
    assert!(emitter.failures().is_empty());
    assert!(verified(&engine) > 40);
    log_payments(&mut engine, 140..141);
    let calls = until_calls(&mut engine, &mut emitter).unwrap();
    let ended = std::fs::read_to_string(world.path().join("definitions.sql")).unwrap();
    let (kept, rest) = ended.split_once("CREATE FEATURE VIEW scored").unwrap();
    let spent = rest.split_once("CREATE FEATURE VIEW spent").unwrap().1;
    let spent = spent
        .split_once("CREATE FEATURE SERVICE decision")
        .unwrap()
        .0;
    let without = format!("{kept}DROP STREAM scores;\nCREATE FEATURE VIEW spent{spent}");
    world.write("definitions.sql", &without);
    // What it has not emitted yet is emitted before it ends.
    let refused = go_over(&world, &mut engine).unwrap_err();
    assert!(
        matches!(refused, EngineError::StillEmitting { .. }),
        "{refused}"
    );
    emitter.answered(calls.run());
    assert!(until_calls(&mut engine, &mut emitter).is_none());
    assert_eq!(events(&engine, "scores").len(), 47);
    go_over(&world, &mut engine).unwrap();
    assert!(until_calls(&mut engine, &mut emitter).is_none());
    assert!(emitter.failures().is_empty());
}

#[test]
fn what_left_the_log_stays_recorded_and_what_is_forgotten_is_nobody_elses() {
    let Some(world) = world(MODULE, SCORED) else {
        return;
    };
    let mut engine = world.engine_of_short_segments();
    for n in 0..60 {
        push(&mut engine, "payments", vec![pay(n, n.unsigned_abs())]);
    }
    let before = drawn(&engine);
    assert_eq!(before.len(), 60);
    flush(&engine, &[]);
    engine.checkpoint().unwrap();
    let truncation = engine.log_truncation().unwrap();
    let options = TruncateOptions::default();
    let truncated = truncation.run(&options, &mut |_, _| ControlFlow::Continue(()));
    assert!(truncated.unwrap().truncated > 3);
    drop((engine, truncation));
    std::fs::remove_dir_all(world.path().join(".evenkeel/hot")).unwrap();
    let mut engine = world.engine_of_short_segments();
    let home = |card| vec![Value::BigInt(card), Value::string("west"), at(0)];
    push(&mut engine, "homes", vec![home(1)]);
    let all = BackfillRequest::of(engine.catalog(), "scored", None, None).unwrap();
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let report = engine.backfill(&all, &mut go_on).unwrap();
    assert_eq!((report.events, report.replaced), (60, 30));
    assert_eq!(calls_of(&engine, "chance"), 0);
    let after = drawn(&engine);
    for (time, (_, luck)) in &before {
        assert!(after[time].1.same_bits(luck), "{time}");
    }
    assert!(verified(&engine) > 30);

    let request = ForgetRequest {
        entity: "card".to_owned(),
        key: "0".to_owned(),
        ..ForgetRequest::default()
    };
    let plan = engine.plan_forget(&request, &mut |_, _| ControlFlow::Continue(()));
    engine.forget(plan.unwrap()).unwrap();
    let mut engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    push(&mut engine, "homes", vec![home(0)]);
    engine.backfill(&all, &mut go_on).unwrap();
    let left: BTreeMap<_, _> = drawn(&engine)
        .into_iter()
        .filter(|(_, (_, luck))| !luck.is_null())
        .collect();
    assert_eq!(left.len(), 30);
    for (time, (ticket, luck)) in &left {
        let (same_ticket, same_luck) = &after[time];
        assert!(
            ticket.same_bits(same_ticket) && luck.same_bits(same_luck),
            "{time}"
        );
    }
    assert_eq!(calls_of(&engine, "chance"), 0);
    // It takes what was emitted before something was forgotten as it is.
    verified(&engine);
}
