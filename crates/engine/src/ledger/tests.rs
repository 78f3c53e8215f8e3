use std::collections::BTreeMap;

use evenkeel_store::{Kv, MemoryKv};
use evenkeel_types::Position;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// An identity at a time, after the greatest or anywhere.
    Set {
        id: u8,
        time: i64,
        is_next: bool,
    },
    Begin,
    /// What was begun is written.
    End,
    /// What was begun is written, and the process dies: the ledger is made again of what is stored.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u8..4, 0i64..12, any::<bool>())
            .prop_map(|(id, time, is_next)| Step::Set { id, time, is_next }),
        1 => Just(Step::Begin),
        1 => Just(Step::End),
        1 => Just(Step::Reopen),
    ]
}

/// One version, by its number.
pub(super) fn home(entry: u64) -> Identity {
    Identity::Single(Home {
        entry,
        revision: 0,
        payload: [0; 16],
        position: Position::new(0, entry),
        visible_at: VisibleAt(0),
    })
}

proptest! {
    /// Whatever is in memory, being written or stored, and whatever times are known.
    #[test]
    fn a_ledger_is_a_map(steps in prop::collection::vec(step(), 1..60)) {
        let source = SourceId(3);
        let id = LedgerId::first_of(source);
        let kv = MemoryKv::new();
        let mut ledger = Ledger::new(id, kv.snapshot(), None);
        let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut begun: Option<(LedgerCheckpoint, BTreeMap<Vec<u8>, u64>)> = None;
        let mut stored = BTreeMap::new();
        let mut greatest = 0;
        for (number, step) in (0u64..).zip(steps) {
            match step {
                Step::Set { id, time, is_next } => {
                    let time = if is_next { greatest + time } else { time };
                    greatest = greatest.max(time);
                    let key = identity_key(source, time, &[id]);
                    model.insert(key.to_vec(), number);
                    ledger.set_identity(key, home(number));
                }
                Step::Begin if begun.is_none() => begun = Some((ledger.begin(), model.clone())),
                Step::Begin => {}
                Step::End | Step::Reopen => {
                    let is_end = matches!(step, Step::End);
                    if let Some((checkpoint, written)) = begun.take() {
                        let mut batch = Batch::default();
                        checkpoint.write(&mut batch);
                        kv.write(batch).unwrap();
                        stored = written;
                        if is_end {
                            ledger.end(&kv.snapshot());
                        }
                    }
                    if !is_end {
                        let times: Vec<i64> = stored.keys().filter_map(|key| time_of(key)).collect();
                        let times = times.iter().min().zip(times.iter().max());
                        let times = times.map(|(first, last)| *first..=*last);
                        ledger = Ledger::new(id, kv.snapshot(), times);
                        model = stored.clone();
                    }
                }
            }
            for (time, id) in (0..greatest + 2).flat_map(|time| (0u8..4).map(move |id| (time, id))) {
                let key = identity_key(source, time, &[id]);
                let found = ledger.identity(&key).unwrap().map(|identity| match identity {
                    Identity::Single(home) => home.entry,
                    Identity::Group(_) => panic!("nothing is contested here"),
                });
                prop_assert_eq!(found, model.get(&*key).copied(), "time {}, id {}", time, id);
            }
        }
    }
}
