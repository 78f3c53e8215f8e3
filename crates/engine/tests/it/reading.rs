//! Training sets whose sources are read one after the other, each let go behind the last view that
//! reads it, and all at once: both are what the views give over all events in memory. The events
//! stand by column in a log, as many of them came at once.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_log::{
    Batch, EventSource, EventStream, Log, LogError, LogOptions, LogReader, ManualClock,
    MemoryFileSystem, ReadOptions,
};
use evenkeel_train::{Evaluator, Job, KnowledgeMode, NamedLabel, Reading, Requests, Spine};
use evenkeel_types::definition::{Catalog, SourceKind};
use evenkeel_types::time::HOUR;
use evenkeel_types::{
    Column, DataType, Field, Interval, LoggedEvent, Partition, Position, SourceId, Value,
};

use crate::in_order_of_time::{CARDS, history};
use crate::random_history::{Random, START, catalog, whole};

const DEFINITIONS: &str = "
CREATE ENTITY card (card STRING);
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM seen (card STRING, shop BIGINT, score DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE STREAM paid (id BIGINT, card STRING, shop BIGINT, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at);
CREATE TABLE owner (card STRING, name STRING, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE FEATURE VIEW seen_last ENTITY card AS SELECT card, score AS last_score FROM seen;
CREATE FEATURE VIEW seen_fresh ENTITY card TTL INTERVAL '1' HOUR AS
  SELECT card, shop AS fresh_shop, at AS fresh_at FROM seen;
CREATE FEATURE VIEW owned ENTITY card AS SELECT card, name FROM owner;
CREATE FEATURE VIEW sold ENTITY shop AS
  SELECT shop, count(*) OVER w AS sales, sum(amount) OVER w AS takings FROM paid
  WINDOW w AS (LAST 3 HOURS);
CREATE FEATURE VIEW context ENTITY shop AS
  SELECT p.shop, p.amount AS amount, s.score AS score_then
  FROM paid p ASOF JOIN seen s MATCH_CONDITION (p.at > s.at) ON p.card = s.card;
CREATE FEATURE SERVICE apart AS seen_last (*), sold (*), owned (*), seen_fresh (*);
CREATE FEATURE SERVICE mixed AS owned (*), context (*), seen_last (*), sold (*);
CREATE FEATURE SERVICE labelled AS seen_last (*);
";

/// A log that says by itself whether its sources stand apart, and counts what is asked of it.
struct Asked {
    log: LogReader,
    apart: bool,
    passes: RefCell<Vec<Vec<SourceId>>>,
}

impl EventSource for Asked {
    fn events(&self, options: ReadOptions) -> Result<Box<dyn EventStream>, LogError> {
        let sources = options.sources.clone().unwrap();
        self.passes.borrow_mut().push(sources);
        EventSource::events(&self.log, options)
    }

    fn event_at(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<LoggedEvent>, LogError> {
        self.log.event_at(source, position)
    }

    fn are_apart(&self, _: &[SourceId]) -> bool {
        self.apart
    }
}

/// Logs the events of each source by themselves, some at a time. Of `seen` a row's time may be another
/// than its event's.
fn logged(
    catalog: &Catalog,
    random: &mut Random,
    events: Vec<LoggedEvent>,
) -> (Log, Vec<LoggedEvent>) {
    let clock = Arc::new(ManualClock::new(START));
    let files = Arc::new(MemoryFileSystem::new());
    let options = LogOptions::default();
    let (log, _) = Log::open(files, Path::new("/log"), clock, options).unwrap();
    let differ_from = random.below(400) as usize;
    for source in catalog.sources.values() {
        let of_source = events.iter().filter(|e| e.source == source.id);
        let mut events: Vec<_> = of_source.map(|e| e.event.clone()).collect();
        if source.kind == SourceKind::Stream && source.event_id.is_empty() {
            for event in events.iter_mut().skip(differ_from) {
                let place = source.event_time;
                event.row[place] = Value::Timestamp(event.event_time.0 + random.below(2) as i64);
            }
        }
        for some in events.chunks(*random.pick(&[7, 100, 1_000])) {
            let batch = Batch::Events {
                source: source.id,
                partition: Partition(0),
                schema_version: source.schema.version(),
                events: some.to_vec(),
            };
            log.append(&[batch]).unwrap();
        }
    }
    let read = log.reader().read(ReadOptions::default());
    let events = read.collect::<Result<Vec<_>, _>>().unwrap();
    (log, events)
}

/// Cards, shops and times, in no order.
fn asked(random: &mut Random, logged: &[LoggedEvent], rows: usize) -> (Vec<Column>, Vec<i64>) {
    let mut cards = Column::new(&DataType::String);
    let mut shops = Column::new(&DataType::BigInt);
    let mut times = Vec::new();
    for _ in 0..rows {
        cards.push(&match random.below(6) {
            0 => Value::Null,
            1 => Value::string("unknown"),
            _ => Value::string(*random.pick(&CARDS)),
        });
        shops.push(&Value::BigInt(random.below(4) as i64));
        times.push(random.pick(logged).event.event_time.0 + random.below(3) as i64 - 1);
    }
    (vec![cards, shops], times)
}

/// Of a source that an item reads, too, and of one that only a label reads.
fn labels(catalog: &Catalog) -> Vec<NamedLabel> {
    let label = |view: &str, feature: usize, key: &str, name: &str| NamedLabel {
        view: Arc::clone(catalog.views[view].values().next_back().unwrap()),
        feature,
        within: Interval::from_micros(HOUR),
        keys: vec![key.to_owned()],
        name: name.to_owned(),
    };
    vec![
        label("sold", 1, "shop", "takings_then"),
        label("seen_fresh", 0, "card", "seen_then"),
    ]
}

fn labelled(spine: Spine, labels: &[NamedLabel]) -> Spine {
    let add = |spine: Spine, label| spine.with_label(label).unwrap();
    labels.iter().fold(spine, add)
}

#[test]
fn sources_are_read_one_after_the_other_or_all_at_once() {
    let catalog = catalog(DEFINITIONS);
    let mut present = 0;
    for seed in 0..40 {
        let mut random = Random(seed);
        let events = history(&catalog, &mut random, 900, 0);
        let (log, events) = logged(&catalog, &mut random, events);
        let cut = whole(&events);
        let rows = *random.pick(&[1, 30, 500]);
        let (keys, times) = asked(&mut random, &events, rows);
        let known_at: Vec<i64> = times.iter().map(|t| t + HOUR).collect();
        let spine = || {
            let named = |name: &str, times: &[i64]| {
                let times: Vec<Value> = times.iter().map(|t| Value::Timestamp(*t)).collect();
                let column = Column::from_values(&DataType::Timestamp, &times);
                (Field::new(name, DataType::Timestamp), column)
            };
            let columns = [
                (Field::new("card", DataType::String), keys[0].clone()),
                (Field::new("shop", DataType::BigInt), keys[1].clone()),
                named("event_time", &times),
                named("known_at", &known_at),
            ];
            Spine::table(Table::from_columns(columns).unwrap(), None, None).unwrap()
        };
        for (name, passes_apart) in [("apart", 3), ("mixed", 2), ("labelled", 2)] {
            let service = catalog.service(name).unwrap();
            let labels = match name {
                "labelled" => labels(&catalog),
                _ => Vec::new(),
            };
            let uses = Evaluator::uses_of(service, &labels, None);
            let whole = Evaluator::from_events(&events, &uses, &cut);
            for knowledge in [KnowledgeMode::Latest, KnowledgeMode::AsServed] {
                let mut digests = Vec::new();
                for apart in [true, false] {
                    let log = Asked {
                        log: log.reader(),
                        apart,
                        passes: RefCell::default(),
                    };
                    let mut reading = Reading::new(&log, uses.clone(), &cut);
                    let job = Job {
                        service,
                        knowledge,
                        statuses: false,
                    };
                    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
                    let set = job.run(&mut reading, labelled(spine(), &labels), &mut go_on);
                    let set = set.unwrap();
                    digests.push(set.digest.clone());
                    let passes = log.passes.take();
                    let sources = uses.sources().len();
                    assert_eq!(passes.len(), if apart { passes_apart } else { 1 });
                    assert_eq!(
                        passes.concat().len(),
                        sources,
                        "each is read once: {passes:?}"
                    );
                    for label in &labels {
                        let ends: Vec<i64> = times.iter().map(|t| label.within.after(*t)).collect();
                        let key = match label.view.key[0].data_type {
                            DataType::BigInt => keys[1].clone(),
                            _ => keys[0].clone(),
                        };
                        let requests = Requests::new(vec![key], ends, None);
                        let answers = whole.read(&label.view, &requests, &[]);
                        let data_type = &label.view.features[label.feature].data_type;
                        let column = set.table.column_as(&label.name, data_type).unwrap();
                        for (row, found) in column.iter().enumerate() {
                            // A row view's label is a row that comes later.
                            let later = answers.times.get(row).is_none_or(|time| time > times[row]);
                            let want = match later {
                                true => answers.columns[label.feature].get(row),
                                false => Value::Null,
                            };
                            assert!(found.same_bits(&want), "seed {seed}, `{}`", label.name);
                        }
                    }
                    for item in &service.items {
                        let key = match item.view.key[0].data_type {
                            DataType::BigInt => keys[1].clone(),
                            _ => keys[0].clone(),
                        };
                        let known =
                            (knowledge == KnowledgeMode::AsServed).then(|| known_at.clone());
                        let requests = Requests::new(vec![key], times.clone(), known);
                        let answers = whole.read(&item.view, &requests, &[]);
                        for (index, name) in &item.features {
                            let feature = &item.view.features[*index];
                            let column = set.table.column_as(name, &feature.data_type).unwrap();
                            for (row, want) in answers.columns[*index].iter().enumerate() {
                                let found = column.get(row);
                                assert!(
                                    found.same_bits(&want),
                                    "seed {seed}, `{name}` of row {row}, apart {apart}, {knowledge:?}: \
                                     {found:?} in the training set, {want:?} in memory"
                                );
                                present += u64::from(!want.is_missing());
                            }
                        }
                    }
                }
                assert_eq!(digests[0], digests[1]);
            }
        }
    }
    assert!(present > 50_000, "{present} values");
}
