//! Emissions in a verification: each is what its query says at the cut of the record that it was made
//! for, by the read path and, of some, by the oracle; and for an event that brings a row there is one.
//!
//! Does not know how emissions are made: the order of records, and what each stream knows at one, it
//! finds by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::Sequence;
use evenkeel_types::definition::{DerivedDef, SourceDef};
use evenkeel_types::{
    Cut, Event, EventTime, Knowledge, LoggedEvent, Offset, Operation, Partition, SourceId, Status,
    Value,
};
use evenkeel_view::SourceProgram;

use super::{Check, MISMATCH_EXAMPLES_MAX, STEP};
use crate::api::{Mismatch, VerifyOptions};
use crate::emission::{
    Known, OWN_COLUMNS, again, columns_of, drawn_again, due_until, first_selected, greatest_at,
    identity_of, in_order, is_same, is_too_large, made_by, read_by, record_of, turn_of,
    with_recorded,
};
use crate::error::EngineError;
use crate::forget::forgotten;
use crate::offline::{Offline, Online};
use crate::sample::Random;
use crate::source_state::Turn;

/// One of so many values is an emission.
const SHARE: u64 = 10;

type Events = BTreeMap<SourceId, Vec<LoggedEvent>>;
/// The identity of a trigger, and the time of its row.
type Id = (Vec<u8>, EventTime);

/// One derived stream.
struct Emitted<'a> {
    def: &'a SourceDef,
    derived: &'a DerivedDef,
    program: SourceProgram,
    emissions: &'a [LoggedEvent],
    triggers: &'a [LoggedEvent],
    /// The definition as emissions name it.
    digest: String,
    bytes_max: usize,
}

impl Offline {
    /// What derived streams read and go by, and they themselves.
    pub(super) fn read_by_streams(&self) -> Vec<SourceId> {
        let streams = in_order(self.catalog());
        let derived = streams.iter().filter_map(|def| def.derived.as_ref());
        let clocks = |derived| self.catalog().clocks(derived);
        let read = derived.flat_map(|derived| &read_by(derived) | &clocks(derived));
        read.chain(streams.iter().map(|def| def.id)).collect()
    }
}

impl<O: Online> Check<'_, O> {
    /// Checks a sample of the emissions of every derived stream.
    pub(super) fn emissions(
        &mut self,
        events: &Events,
        options: &VerifyOptions,
        random: &mut Random,
        reach: &mut dyn FnMut(&str, u64) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut streams = in_order(self.offline.catalog());
        // Functions of what has ended may not be there any more.
        let has_functions = !self.offline.catalog().functions.is_empty();
        streams.retain(|def| !(def.has_ended() && has_functions));
        let share = SHARE * streams.len() as u64;
        let each = options.values.div_ceil(share.max(1));
        let of_oracle = options.oracle_values.div_ceil(share.max(1)).max(1);
        let forgotten = forgotten(self.offline.store())?;
        for def in &streams {
            let Some(stream) = self.stream(def, events) else {
                continue;
            };
            // What was emitted before something was forgotten that it looked up stays as it was.
            // So does what was made of a key that has another name since.
            let since = forgotten.iter().filter(|record| {
                let read = names_of_read(self.offline, stream.derived, record.is_renaming());
                let mut sources = record.sources.iter();
                sources.any(|source| read.contains(&source.source))
            });
            let since = since.map(|record| record.at).max();
            let is_later = |logged: &LoggedEvent| since.is_none_or(|at| logged.logged_at.0 > at);
            let count = match stream.derived.is_ended {
                // They are compared with the oracle alone.
                true => of_oracle,
                false => each,
            };
            let sampled = sample(stream.emissions.len(), count, random);
            let sampled: Vec<usize> = sampled
                .into_iter()
                .filter(|at| is_later(&stream.emissions[*at]))
                .collect();
            self.emitted(events, &stream, &sampled, of_oracle, reach)?;
            if stream.derived.is_ended {
                continue;
            }
            let sampled = sample(stream.triggers.len(), each, random);
            let sampled: Vec<usize> = sampled
                .into_iter()
                .filter(|at| is_later(&stream.triggers[*at]))
                .collect();
            self.brought(events, &stream, &sampled, reach)?;
        }
        Ok(())
    }

    fn stream<'a>(&self, def: &'a Arc<SourceDef>, events: &'a Events) -> Option<Emitted<'a>> {
        let derived = def.derived.as_deref()?;
        let trigger = &derived.trigger().source;
        let of = |source: SourceId| events.get(&source).map_or(&[][..], Vec::as_slice);
        Some(Emitted {
            def,
            derived,
            program: SourceProgram::new(Arc::clone(trigger)),
            emissions: of(def.id),
            triggers: of(trigger.id),
            digest: def.digest[..8].iter().map(|b| format!("{b:02x}")).collect(),
            bytes_max: self.online.with(|engine| engine.project().limits.row_bytes),
        })
    }

    fn emitted(
        &mut self,
        events: &Events,
        stream: &Emitted<'_>,
        sampled: &[usize],
        of_oracle: u64,
        reach: &mut dyn FnMut(&str, u64) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut versions: BTreeMap<Id, Vec<&LoggedEvent>> = BTreeMap::new();
        for &at in sampled {
            versions.insert(id_of(&stream.emissions[at]), Vec::new());
        }
        for trigger in stream.triggers {
            let id = stream.id_of_trigger(trigger);
            if let Some(versions) = versions.get_mut(&id) {
                versions.push(trigger);
            }
        }
        let mut last: BTreeMap<Id, usize> = BTreeMap::new();
        for (at, emission) in stream.emissions.iter().enumerate() {
            let id = id_of(emission);
            if versions.contains_key(&id)
                && let Some(before) = last.insert(id, at)
            {
                self.compare_recorded(events, stream, &stream.emissions[before], emission)?;
            }
        }
        let oracle_step = (sampled.len() as u64).div_ceil(of_oracle).max(1);
        for (number, &at) in (0..).zip(sampled) {
            if u64::is_multiple_of(number, STEP as u64) {
                reach(&stream.def.name, self.report.values_checked)?;
            }
            let emission = &stream.emissions[at];
            let id = id_of(emission);
            let (Some(versions), Some((digest, record))) =
                (versions.get(&id), made_by(&emission.event))
            else {
                continue;
            };
            if digest != stream.digest || stream.is_followed(at, &id, record) {
                // Another definition made it, or the record said more of this identity.
                continue;
            }
            self.report.emissions_checked += 1;
            let cut = self.cut_of(stream, events, record)?;
            let emitted = columns(&emission.event);
            if !stream.derived.is_ended {
                let expected = self.expected(stream, versions, &cut)?;
                self.compare_emission(stream, emission, &cut, emitted, "read path", &expected);
            }
            if self.asks_oracle && number.is_multiple_of(oracle_step) {
                let expected = self.by_oracle(stream, versions, &cut);
                self.compare_emission(stream, emission, &cut, emitted, "oracle", &expected);
            }
            let is_kept = !stream.derived.revises && !stream.derived.is_ended;
            if is_kept && last.get(&id) == Some(&at) {
                let now = self.expected(stream, versions, self.offline.cut())?;
                let now = now.map(|now| with_recorded(stream.derived, now, emitted));
                self.report.revised_by_late_input += u64::from(!stream.is_as(emitted, &now));
            }
        }
        Ok(())
    }

    /// For events that bring a row there is an emission.
    fn brought(
        &mut self,
        events: &Events,
        stream: &Emitted<'_>,
        sampled: &[usize],
        reach: &mut dyn FnMut(&str, u64) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let reached = self
            .online
            .with(|engine| engine.reached().get(&stream.def.id).copied());
        for (number, &at) in (0..).zip(sampled) {
            if usize::is_multiple_of(number, STEP) {
                reach(&stream.def.name, self.report.values_checked)?;
            }
            let trigger = &stream.triggers[at];
            let Some(record) = self.record_of_trigger(stream, trigger)? else {
                continue;
            };
            if stream.derived.timer.is_some() {
                self.came_due(events, stream, (trigger, record), reached.unwrap_or(0))?;
                continue;
            }
            if reached.is_none_or(|reached| record >= reached) {
                continue;
            }
            let cut = self.cut_of(stream, events, record)?;
            let turn = self
                .online
                .read_with(|engine| turn_of(engine, trigger, &cut))?;
            let Some((Turn::Begins | Turn::Replaces(_), _)) = turn else {
                continue;
            };
            let expected = self.evaluated(stream, trigger, &cut)?;
            if expected.is_none() {
                continue;
            }
            self.report.emissions_checked += 1;
            let id = stream.id_of_trigger(trigger);
            let of_record = stream.of_record(record).iter();
            if !of_record.clone().any(|emission| id_of(emission) == id) {
                self.compare_emission(stream, trigger, &cut, None, "read path", &expected);
            }
        }
        Ok(())
    }

    /// For an event whose row is due, from a record on, there is an emission.
    fn came_due(
        &mut self,
        events: &Events,
        stream: &Emitted<'_>,
        (trigger, record): (&LoggedEvent, u64),
        reached: u64,
    ) -> Result<(), EngineError> {
        let time = trigger.event.event_time;
        let is_due = |record: u64| {
            let cut = self.cut_of(stream, events, record)?;
            Ok::<_, EngineError>(stream.derived.is_due(time, self.due_until(stream, &cut)?))
        };
        if record >= reached || !is_due(reached - 1)? {
            return Ok(());
        }
        let (mut due, mut not_due) = (reached - 1, record);
        if is_due(record)? {
            due = record;
        }
        while due > not_due + 1 {
            let middle = not_due + (due - not_due) / 2;
            match is_due(middle)? {
                true => due = middle,
                false => not_due = middle,
            }
        }
        let cut = self.cut_of(stream, events, due)?;
        let expected = self.expected(stream, &[trigger], &cut)?;
        if expected.is_none() {
            return Ok(());
        }
        self.report.emissions_checked += 1;
        let id = stream.id_of_trigger(trigger);
        let emissions = stream.emissions_until(due).iter();
        let last = emissions.rev().find(|emission| id_of(emission) == id);
        let emitted = last.and_then(|emission| columns(&emission.event));
        // What was emitted before, and what came late since left as it was, was compared at its record.
        if emitted.is_none() || stream.derived.revises {
            self.compare_emission(stream, trigger, &cut, emitted, "read path", &expected);
        }
        Ok(())
    }

    /// Up to when rows of a stream are due at a cut.
    fn due_until(&self, stream: &Emitted<'_>, cut: &Cut) -> Result<Option<EventTime>, EngineError> {
        due_until(self.offline.catalog(), stream.derived, |source| {
            self.online
                .read_with(|engine| greatest_at(engine, source, cut))
        })
    }

    /// The record of an event of a trigger: that of its emission, if others made it.
    fn record_of_trigger(
        &self,
        stream: &Emitted<'_>,
        trigger: &LoggedEvent,
    ) -> Result<Option<u64>, EngineError> {
        if stream.derived.trigger().source.derived.is_some() {
            return Ok(record_of(&trigger.event));
        }
        let found = self
            .offline
            .log()
            .sequence(trigger.source, trigger.position);
        Ok(found.map_err(EngineError::log)?.map(|sequence| sequence.0))
    }

    /// What a stream knows at a record: everything that others logged up to it, and what the streams
    /// that it reads emitted for records up to it.
    fn cut_of(
        &self,
        stream: &Emitted<'_>,
        events: &Events,
        record: u64,
    ) -> Result<Cut, EngineError> {
        let logged = self.offline.log().cut_before(Sequence(record + 1));
        let mut cut = logged.map_err(EngineError::log)?;
        let read = read_by(stream.derived);
        for def in in_order(self.offline.catalog()) {
            let emitted = events.get(&def.id).filter(|_| read.contains(&def.id));
            let end = emitted.map_or(0, |emitted| {
                emitted.partition_point(|e| record_of(&e.event).is_some_and(|of| of <= record))
            });
            cut.set_end(def.id, Partition(0), Offset(end as u64));
        }
        Ok(cut)
    }

    /// The columns that a stream has at a cut for what holds of some versions of one event.
    fn expected(
        &self,
        stream: &Emitted<'_>,
        versions: &[&LoggedEvent],
        cut: &Cut,
    ) -> Result<Option<Vec<Value>>, EngineError> {
        let Some(one) = versions.first() else {
            return Ok(None);
        };
        let row = stream.program.row(one);
        let of_source = cut.of_source(one.source);
        let holding = self
            .online
            .with(|engine| match engine.hot().source(one.source) {
                Some(state) => state.holding(one, &row, &of_source),
                None => Ok(None),
            })?;
        match versions.iter().find(|v| Some(v.position) == holding) {
            Some(holding) => self.evaluated(stream, holding, cut),
            None => Ok(None),
        }
    }

    fn evaluated(
        &self,
        stream: &Emitted<'_>,
        trigger: &LoggedEvent,
        cut: &Cut,
    ) -> Result<Option<Vec<Value>>, EngineError> {
        let of = (stream.def, stream.derived);
        let due_until = self.due_until(stream, cut)?;
        let known = Known { cut, due_until };
        let found = self
            .online
            .read_with(|engine| again(engine, of, trigger, known))?;
        Ok(found.and_then(|brought| brought.row))
    }

    fn by_oracle(
        &self,
        stream: &Emitted<'_>,
        versions: &[&LoggedEvent],
        cut: &Cut,
    ) -> Option<Vec<Value>> {
        let knowledge = Knowledge::latest(cut.clone());
        let catalog = self.offline.catalog();
        let greatest = |source: SourceId| {
            let def = catalog.source_by_id(source);
            Ok(def.and_then(|def| self.oracle.greatest_time(def, &knowledge)))
        };
        let due_until = due_until(catalog, stream.derived, greatest).ok()?;
        let emitted = self
            .oracle
            .emitted(stream.derived, versions, &knowledge, due_until);
        let (position, selected) = emitted?;
        let trigger = versions.iter().find(|v| v.position == position)?;
        let row = stream.program.row(trigger);
        let (def, program) = (stream.def, &stream.program);
        Some(columns_of(
            def,
            program,
            (trigger, &row),
            selected?,
            stream.bytes_max,
        ))
    }

    /// What is recorded stays as it was, as long as the same is asked.
    fn compare_recorded(
        &mut self,
        events: &Events,
        stream: &Emitted<'_>,
        before: &LoggedEvent,
        emission: &LoggedEvent,
    ) -> Result<(), EngineError> {
        let columns = |emission: &LoggedEvent| {
            let columns = emission.event.row.get(OWN_COLUMNS..);
            columns.unwrap_or_default().to_vec()
        };
        let (was, is) = (columns(before), columns(emission));
        let Some(column) = drawn_again(stream.derived, &was, &is) else {
            return Ok(());
        };
        self.report.mismatches += 1;
        if self.report.examples.len() >= MISMATCH_EXAMPLES_MAX {
            return Ok(());
        }
        let record = record_of(&emission.event).unwrap_or(0);
        let cut = self.cut_of(stream, events, record)?;
        let answers = [("recorded before", &was), ("emitted", &is)].map(|(path, row)| {
            let (value, status) = status_of(&row[column]);
            (path, value, status)
        });
        let (id, time) = id_of(emission);
        let fields = stream.def.stored_fields();
        let field = &fields[OWN_COLUMNS + column];
        self.report.examples.push(Mismatch {
            feature: format!("{}:{}", stream.def.name, field.name),
            key: vec![Value::Bytes(id.into())],
            time,
            cut: self.offline.format_cut(&cut),
            known_at: None,
            answers: answers.to_vec(),
        });
        Ok(())
    }

    fn compare_emission(
        &mut self,
        stream: &Emitted<'_>,
        event: &LoggedEvent,
        cut: &Cut,
        emitted: Option<&[Value]>,
        path: &'static str,
        expected: &Option<Vec<Value>>,
    ) {
        // What was recorded is taken as given.
        let expected = expected.clone();
        let expected = &expected.map(|row| with_recorded(stream.derived, row, emitted));
        if stream.is_as(emitted, expected) {
            return;
        }
        let answer = |row: Option<&[Value]>, column: usize| match row {
            None => (Value::Null, Status::NotFound),
            Some(row) => status_of(row.get(column).unwrap_or(&Value::Null)),
        };
        let fields = stream.def.stored_fields();
        let fields = fields.iter().skip(OWN_COLUMNS);
        let differs = |column: usize| {
            let value = |row: Option<&[Value]>| row.map(|row| row.get(column).cloned());
            match (value(emitted), value(expected.as_deref())) {
                (Some(a), Some(b)) => !is_same_value(a.as_ref(), b.as_ref()),
                (a, b) => a.is_some() != b.is_some(),
            }
        };
        for (column, field) in fields.enumerate().filter(|(column, _)| differs(*column)) {
            self.report.mismatches += 1;
            if self.report.examples.len() >= MISMATCH_EXAMPLES_MAX {
                continue;
            }
            let paths = [("emitted", emitted), (path, expected.as_deref())];
            let answers = paths.map(|(path, row)| {
                let (value, status) = answer(row, column);
                (path, value, status)
            });
            let (id, time) = match event.source == stream.def.id {
                true => id_of(event),
                false => stream.id_of_trigger(event),
            };
            self.report.examples.push(Mismatch {
                feature: format!("{}:{}", stream.def.name, field.name),
                key: vec![Value::Bytes(id.into())],
                time,
                cut: self.offline.format_cut(cut),
                known_at: None,
                answers: answers.to_vec(),
            });
        }
    }
}

impl Emitted<'_> {
    fn is_as(&self, emitted: Option<&[Value]>, expected: &Option<Vec<Value>>) -> bool {
        let (emitted, expected) = match (emitted, expected) {
            (None, None) => return true,
            (Some(emitted), Some(expected)) => (emitted, expected),
            _ => return false,
        };
        // How large a row may be is a setting, which may have been another one then.
        let first = first_selected(self.derived, expected);
        let is_too_large = |row: &[Value]| row.get(first..).is_some_and(is_too_large);
        is_too_large(emitted) || is_too_large(expected) || is_same(emitted, expected)
    }

    fn id_of_trigger(&self, trigger: &LoggedEvent) -> Id {
        let row = self.program.row(trigger);
        let id = identity_of(&self.program, trigger, &row);
        (id, self.derived.time_of(trigger.event.event_time))
    }

    /// The emissions for records up to one.
    fn emissions_until(&self, record: u64) -> &[LoggedEvent] {
        let of = |e: &LoggedEvent| record_of(&e.event).unwrap_or(u64::MAX);
        let end = self.emissions.partition_point(|e| of(e) <= record);
        &self.emissions[..end]
    }

    /// The emissions for a record.
    fn of_record(&self, record: u64) -> &[LoggedEvent] {
        let of = |e: &LoggedEvent| record_of(&e.event).unwrap_or(u64::MAX);
        let first = self.emissions.partition_point(|e| of(e) < record);
        let end = self.emissions.partition_point(|e| of(e) <= record);
        &self.emissions[first..end]
    }

    /// Whether a record has another emission of an identity behind one.
    fn is_followed(&self, at: usize, id: &Id, record: u64) -> bool {
        let behind = self.emissions[at + 1..].iter();
        let mut of_record = behind.take_while(|e| record_of(&e.event) == Some(record));
        of_record.any(|e| id_of(e) == *id)
    }
}

/// The names of sources that emissions read, of those that read their trigger's row alone not its, unless
/// that is asked for.
fn names_of_read(offline: &Offline, derived: &DerivedDef, with_trigger: bool) -> BTreeSet<String> {
    // When a row is due hangs on other events of the trigger, too, and on what is below it.
    let clocks = offline.catalog().clocks(derived);
    let mut read = &read_by(derived) | &clocks;
    let body = derived.body();
    let is_alone = body.windows.is_empty() && body.lookups.is_empty() && clocks.is_empty();
    if is_alone && !with_trigger {
        read.remove(&derived.trigger().source.id);
    }
    let defs = read
        .iter()
        .filter_map(|id| offline.catalog().source_by_id(*id));
    defs.map(|def| def.name.clone()).collect()
}

/// The identity of the trigger of an emission, and its time.
fn id_of(emission: &LoggedEvent) -> Id {
    let id = match emission.event.row.first() {
        Some(Value::Bytes(id)) => id.to_vec(),
        _ => Vec::new(),
    };
    (id, emission.event.event_time)
}

/// The columns of an emission behind the identity and the time; none of one that is withdrawn.
fn columns(event: &Event) -> Option<&[Value]> {
    (event.operation != Operation::Remove).then(|| &event.row[OWN_COLUMNS..])
}

fn is_same_value(a: Option<&Value>, b: Option<&Value>) -> bool {
    let null = Value::Null;
    a.unwrap_or(&null).same_bits(b.unwrap_or(&null))
}

fn status_of(value: &Value) -> (Value, Status) {
    match value {
        Value::Error(reason) => (Value::Null, Status::Error(*reason)),
        Value::Null => (Value::Null, Status::NullValue),
        value => (value.clone(), Status::Present),
    }
}

/// So many numbers below an end, in their order; all of them, if there are no more.
fn sample(end: usize, count: u64, random: &mut Random) -> Vec<usize> {
    if end as u64 <= count {
        return (0..end).collect();
    }
    let drawn = (0..count).map(|_| random.below(end as u64) as usize);
    let mut sampled: Vec<usize> = drawn.collect();
    sampled.sort_unstable();
    sampled.dedup();
    sampled
}
