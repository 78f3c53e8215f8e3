//! What an event brings to a derived stream, with and without a timer, and up to when its rows are due: stores
//! that came to be in several ways say of every cut what the oracle says.

use std::convert::Infallible;
use std::sync::Arc;

use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef};
use evenkeel_types::{Cut, EventTime, Knowledge, LoggedEvent, Value};
use evenkeel_view::{Reader, SourceProgram, Store};

use crate::cut_purity::Paths;
use crate::random_history::Random;

/// Defined over the sources of the random worlds; what the streams emitted is as random as what the others
/// have, as it is data for whoever reads it.
pub(crate) const STREAMS: &str = "
CREATE STREAM met AS SELECT p.id, p.card, p.amount, s.word AS word,
  count(*) OVER (PARTITION BY p.shop ORDER BY p.at RANGE BETWEEN INTERVAL '2' HOUR PRECEDING AND CURRENT ROW) AS n
FROM paid p ASOF JOIN seen s ON p.card = s.card ON LATE REVISE;
CREATE STREAM missed AS SELECT p.id, p.card, s.word AS word FROM paid p ASOF JOIN seen s ON p.card = s.card
  WHERE p.ok AFTER INTERVAL '20' MINUTE WITHOUT fading f ON p.card = f.card;
CREATE STREAM impatient AS SELECT m.card, m.word,
  count(*) OVER (PARTITION BY m.card ORDER BY m.triggered_at RANGE BETWEEN INTERVAL '6' HOUR PRECEDING AND CURRENT ROW) AS n
FROM met m AFTER INTERVAL '1' HOUR WITHOUT missed x ON m.card = x.card WAIT FOR WATERMARK TIMEOUT 2 HOURS;
CREATE FEATURE VIEW of_missed ENTITY card AS
SELECT card, count(*) OVER (LAST 90 MINUTES) AS n, last_value(word) OVER (ALL HISTORY) AS word FROM missed;
CREATE FEATURE VIEW beside_met ENTITY card AS
SELECT m.card, m.n, m.word, x.id AS missed FROM met m ASOF JOIN missed x ON m.card = x.card;
";
/// Triggers of each stream that are compared.
const TRIGGERS: usize = 10;

/// Up to when rows of a stream are due, by the greatest times of sources.
fn due_until(
    catalog: &Catalog,
    derived: &DerivedDef,
    greatest: &dyn Fn(&SourceDef) -> Option<EventTime>,
) -> Option<EventTime> {
    let Ok(due) = catalog.due_until(derived, &mut |def| Ok::<_, Infallible>(greatest(def)));
    due
}

fn same(a: &Option<Vec<Value>>, b: &Option<Vec<Value>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_bits(b)),
        _ => false,
    }
}

/// Compares what some triggers of every derived stream bring at a cut; how many brought a row, and of how many it
/// was not due.
pub(crate) fn agree(
    (catalog, logged): (&Catalog, &[LoggedEvent]),
    paths: &Paths<'_>,
    cut: &Cut,
    random: &mut Random,
    world: &str,
) -> (u64, u64) {
    let knowledge = Knowledge::latest(cut.clone());
    let (mut rows, mut early) = (0, 0);
    for def in catalog.derived() {
        let derived: &Arc<DerivedDef> = def.derived.as_ref().unwrap();
        let clock = |def: &SourceDef| paths.oracle.greatest_time(def, &knowledge);
        let due = due_until(catalog, derived, &clock);
        let trigger = &derived.trigger().source;
        let program = SourceProgram::new(Arc::clone(trigger));
        let mut triggers: Vec<&LoggedEvent> = logged
            .iter()
            .filter(|e| e.source == trigger.id && cut.contains(e.source, e.position))
            .collect();
        while triggers.len() > TRIGGERS {
            triggers.swap_remove(random.below(triggers.len() as u64) as usize);
        }
        for event in triggers {
            let Some((_, truth)) = paths.oracle.emitted(derived, &[event], &knowledge, due) else {
                // Something else holds under its identity.
                continue;
            };
            let is_due = derived.is_due(event.event.event_time, due);
            rows += u64::from(truth.is_some());
            early += u64::from(!is_due);
            for (name, store) in paths.stores {
                let reader = Reader::new(store, &knowledge);
                let clock = |def: &SourceDef| {
                    let index = store.plan().index(def.id, &[]).expect("a timer goes by it");
                    reader.greatest_time(index, &[]).unwrap().map(EventTime)
                };
                assert_eq!(due_until(catalog, derived, &clock), due, "{name}\n{world}");
                let view = store.plan().view(&derived.view.digest).unwrap();
                let time = derived.time_of(event.event.event_time).0;
                let brought = match is_due {
                    true => reader.brought(view, &mut program.row(event), time).unwrap(),
                    false => None,
                };
                assert!(
                    same(&brought, &truth),
                    "{name} differs from the oracle\nstream {} at {time}: {event:?}\n\
                     oracle {truth:?}\n{name} {brought:?}\n{world}",
                    def.name
                );
            }
        }
    }
    (rows, early)
}
