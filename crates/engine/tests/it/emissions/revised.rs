//! Streams that revise what they said.

use super::*;

/// The same streams, which emit again what late inputs change.
fn revising() -> String {
    let revised = |sql: String, end: &str| {
        sql.replacen(
            end,
            &format!("{} ON LATE REVISE;", &end[..end.len() - 1]),
            1,
        )
    };
    let ends = [
        "ON t.id = c.id;",
        "ON c.city = p.city;",
        "z.city <> 'closed');",
    ];
    ends.into_iter().fold(DEFINITIONS.to_owned(), revised)
}

/// What is emitted last is what is known now, of every identity of the trigger.
fn check_revised(engine: &Engine) {
    let cut = engine.cut();
    let ids: Vec<(Value, EventTime)> = events(engine, "trips")
        .into_iter()
        .map(|e| (e.event.row[0].clone(), e.event.event_time))
        .collect();
    let mut live = 0;
    for stream in DERIVED {
        let mut last: BTreeMap<(Vec<u8>, EventTime), LoggedEvent> = BTreeMap::new();
        for emission in events(engine, stream) {
            let key = bits([emission.event.row[2].clone()]);
            last.insert((key, emission.event.event_time), emission);
        }
        for (id, time) in &ids {
            let says = twin(engine, stream, id, *time, &cut);
            let is_there = says[0].event_time == Some(*time) && says[0].status != Status::NotFound;
            let emitted = last.get(&(bits([id.clone()]), *time));
            let emitted = emitted.filter(|e| e.event.operation != Operation::Remove);
            let said = says.iter().map(|a| match a.status {
                Status::Error(reason) => Value::Error(reason),
                _ => a.value.clone(),
            });
            let emitted = emitted.map(|e| bits(e.event.row[3..].iter().cloned()));
            assert_eq!(emitted, is_there.then(|| bits(said)), "{stream} {id:?}");
            live += usize::from(is_there);
        }
    }
    assert!(live > 30, "{live}");
}

#[test]
fn what_is_revised_is_what_is_known_now() {
    for seed in 10..12 {
        let mut random = Random(seed);
        let steps = history(&mut random, 60);
        let world = World::new(&revising());
        let single = play(&world, &steps, 1, &mut random);
        check(&single);
        check_revised(&single);
        let emitted = all(&single);
        let revised = emitted
            .iter()
            .filter(|(_, revision, ..)| *revision > 0)
            .count();
        assert!(revised > 20, "{revised}");
        let world = World::new(&revising());
        let grouped = play(&world, &steps, 7, &mut random);
        assert_eq!(all(&grouped), emitted, "seed {seed}");
    }
}
