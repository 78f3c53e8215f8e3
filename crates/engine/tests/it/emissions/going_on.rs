//! What was logged and not emitted, in part or at all.

use super::*;

#[test]
fn what_was_logged_and_not_emitted_is_emitted_when_the_store_is_opened() {
    let mut random = Random(3);
    let world = World::new(DEFINITIONS);
    let trips: Vec<Vec<Value>> = (0..20).map(|id| trip(&mut random, id)).collect();
    let mut engine = world.engine();
    let rows = trips.iter().map(|values| PushedRow {
        values: Ok(values.clone()),
        producer: None,
    });
    let write = Write::Push {
        source: engine.source("trips").unwrap(),
        rows: rows.collect(),
    };
    let judged = Pusher::default().judge(&engine, vec![write]);
    // Dies between the append and everything else.
    drop(judged.append(&engine.writer().unwrap()).unwrap());
    assert!(events(&engine, "city_trips").is_empty());
    drop(engine);
    engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    check(&engine);
    check_complete(&engine);
    let died = all(&engine);
    assert!(died.len() > 20);
    let other = World::new(DEFINITIONS);
    let mut whole = other.engine();
    push(&mut whole, "trips", trips);
    assert_eq!(all(&whole), died);
}

#[test]
fn what_was_emitted_in_part_goes_on_where_it_ended() {
    let mut random = Random(5);
    let trips: Vec<Vec<Value>> = (0..20).map(|id| trip(&mut random, id)).collect();
    let other = World::new(DEFINITIONS);
    let mut whole = other.engine();
    push(&mut whole, "trips", trips.clone());
    // One stream after the other emits; the process dies behind the append of each.
    for parts in 1..=DERIVED.len() {
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        let log = engine.writer().unwrap();
        let rows = trips.iter().map(|values| PushedRow {
            values: Ok(values.clone()),
            producer: None,
        });
        let write = Write::Push {
            source: engine.source("trips").unwrap(),
            rows: rows.collect(),
        };
        let judged = Pusher::default().judge(&engine, vec![write]);
        let mut commit = judged.append(&log).unwrap();
        while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
        let mut emitter = Emitter::default();
        for part in 1..=parts {
            let Next::Emissions(judged) = emitter.next(&engine) else {
                panic!("part {part} of {parts} emits nothing");
            };
            let mut commit = judged.append(&log).unwrap();
            if part < parts {
                while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
                emitter.done();
            }
        }
        drop((engine, log));
        let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
        assert_eq!(all(&engine), all(&whole), "{parts} parts");
    }
}

#[test]
fn a_stream_that_is_new_begins_with_what_was_logged_before() {
    let mut random = Random(4);
    let steps = history(&mut random, 40);
    let plain: Vec<&str> = DEFINITIONS
        .split(';')
        .filter(|statement| {
            statement.contains("ENTITY") && !statement.contains("VIEW")
                || statement.contains(" TIMESTAMP")
        })
        .collect();
    let world = World::new(&format!("{};", plain.join(";")));
    drop(play(&world, &steps, 3, &mut random));
    world.write("definitions.sql", DEFINITIONS);
    let late = world.engine();
    check(&late);
    check_complete(&late);
    let world = World::new(DEFINITIONS);
    let early = play(&world, &steps, 3, &mut random);
    assert_eq!(all(&late), all(&early));
}

#[test]
fn nothing_is_emitted_for_what_is_not_applied() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let log = engine.writer().unwrap();
    let write = Write::Push {
        source: engine.source("trips").unwrap(),
        rows: vec![PushedRow {
            values: Ok(trip(&mut Random(1), 1)),
            producer: None,
        }],
    };
    let judged = Pusher::default().judge(&engine, vec![write]);
    let mut commit = judged.append(&log).unwrap();
    let mut emitter = Emitter::default();
    assert!(matches!(emitter.next(&engine), Next::End));
    while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
    assert!(matches!(emitter.next(&engine), Next::Emissions(_)));
}
