//! The proof on the user's own data: the read path, the training path and, on a sub-sample,
//! the naive oracle give the same bits at the same keys, times and knowledge; and what derived streams
//! emitted is what their queries say (`emissions`).

mod emissions;
mod sampled;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_log::{EventSource, ReadOptions};
use evenkeel_store::bucket_of;
use evenkeel_train::{Answers, Evaluator, Requests};
use evenkeel_types::codec::encode_values;
use evenkeel_types::definition::{SourceDef, ViewBody, ViewDef};
use evenkeel_types::{
    Column, Cut, EventTime, Knowledge, LoggedEvent, Operation, SourceId, Status, Value,
};
use evenkeel_view::oracle::Oracle;
use evenkeel_view::{Found, Reader, SourceProgram, Uses, ViewRow, encode_key};

use crate::api::{Mismatch, VerifyOptions, VerifyReport};
use crate::emission::in_order;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::function;
use crate::hot_store::HotRead;
use crate::offline::{Offline, Online};
use crate::reads::answer;
use crate::sample::{Point, Random, Sampler, Seen, anchors, earlier_cut, left_keys};

/// Mismatches that are kept whole; the rest is counted.
pub const MISMATCH_EXAMPLES_MAX: usize = 20;
/// After so many points or events it is said how far it is.
const STEP: usize = 1024;

impl Engine {
    /// Verifies a sample. `progress` is told stage, done and total values.
    pub fn verify(
        &self,
        options: &VerifyOptions,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<VerifyReport, EngineError> {
        let mut told = |stage: &str, done, total| {
            progress(stage, done, total);
            ControlFlow::Continue(())
        };
        self.offline().verify(self, options, &mut told)
    }
}

impl Offline {
    /// [`Engine::verify`] of an engine that is asked for one view at one point at a time, so
    /// that others have their turn in between; everything else is read here. `progress` may
    /// stop it.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the log or the hot tier cannot be read, or there is
    /// nothing to verify.
    pub fn verify(
        &self,
        online: &impl Online,
        options: &VerifyOptions,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<VerifyReport, EngineError> {
        let mut reach = |stage: &str, done| match progress(stage, done, options.values) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Stopped),
        };
        let views = self.views_to_verify(options)?;
        let uses = Uses::of(views.iter().map(AsRef::as_ref));
        let of_streams = self.read_by_streams();
        let mut sources: Vec<SourceId> = uses.sources().into_keys().collect();
        sources.extend(of_streams.iter().filter(|_| options.services.is_empty()));
        sources.sort_unstable();
        sources.dedup();
        let logged = self.events(&sources)?;
        let held = self.held_cut(&sources, options)?;
        let is_whole = held == *self.cut();
        let all = sources.clone();
        let events =
            self.events_of(&logged, sources, &held, &mut || reach("reading the log", 0))?;
        let seen_held: Vec<Vec<Seen>> = views.iter().map(|v| self.seen(v, &events)).collect();
        let sampled = match is_whole {
            true => None,
            false => Some(self.sampled(&logged, (&views, all), options, &mut || {
                reach("reading the log", 0)
            })?),
        };
        let seen = sampled.as_ref().unwrap_or(&seen_held);
        let features: u64 = views
            .iter()
            .zip(seen)
            .filter(|(_, seen)| !seen.is_empty())
            .map(|(v, _)| v.features.len() as u64)
            .sum();
        let streams = in_order(self.catalog());
        let emitted = |def: &Arc<SourceDef>| events.get(&def.id).is_some_and(|e| !e.is_empty());
        if features == 0 && !streams.iter().any(emitted) {
            return Err(EngineError::NothingToVerify);
        }
        let mut random = Random::new(options.seed);
        let cuts = self.cuts_to_verify(options, &mut random);
        let round = |cut: &Cut| Round {
            cut: cut.clone(),
            seen,
            asks_oracle: is_whole,
        };
        let mut rounds: Vec<Round<'_>> = cuts.iter().map(round).collect();
        if !is_whole {
            rounds.push(Round {
                cut: held.clone(),
                seen: &seen_held,
                asks_oracle: true,
            });
        }
        let asking = rounds.iter().filter(|round| round.asks_oracle).count();
        // The same number of points for every view and cut, rounded up.
        let values_of_points = features.max(1) * rounds.len() as u64;
        let points_each = options.values.div_ceil(values_of_points).max(1);
        let points_total = points_each * asking as u64 * views.len() as u64;
        let features_each = features / (views.len() as u64).max(1);
        let oracle_step = (points_total * features_each.max(1))
            .div_ceil(options.oracle_values.max(1))
            .max(1);
        let mut check = Check {
            offline: self,
            online,
            report: VerifyReport {
                seed: options.seed,
                cuts: rounds.len() as u64,
                is_sampled: !is_whole,
                ..VerifyReport::default()
            },
            digest: blake3::Hasher::new(),
            oracle: Oracle::new(events.values().flatten()),
            oracle_step,
            oracle_next: 0,
            asks_oracle: true,
        };
        for Round {
            cut,
            seen,
            asks_oracle,
        } in &rounds
        {
            check.begin_round(*asks_oracle);
            // Read again, as training reads: column by column where events stand so.
            let evaluator = Evaluator::load(&logged, &uses, cut, &mut |_| match reach(
                "reading the log",
                check.report.values_checked,
            ) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            });
            let evaluator = evaluator.map_err(EngineError::train)?;
            for (view, seen) in views.iter().zip(*seen) {
                if seen.is_empty() {
                    continue;
                }
                let sampler = Sampler::new(view);
                let mut points = Vec::new();
                for number in 0..points_each {
                    if number.is_multiple_of(STEP as u64) {
                        reach(&view.name, check.report.values_checked)?;
                    }
                    let at = &seen[random.below(seen.len() as u64) as usize];
                    let other = &seen[random.below(seen.len() as u64) as usize];
                    points.push(sampler.point(&mut random, at, other));
                }
                check.view(view, cut, points, &evaluator, &mut |done| {
                    reach(&view.name, done)
                })?;
            }
        }
        if options.services.is_empty() {
            // Each is compared at its own cut, so all of them are held, or none.
            if is_whole {
                check.emissions(&events, options, &mut random, &mut reach)?;
            } else if self.held_cut(&of_streams, options)? == *self.cut() {
                check.begin_round(false);
                let cut = self.cut();
                let mut read = || reach("reading the log", check.report.values_checked);
                let events = self.events_of(&logged, of_streams, cut, &mut read)?;
                check.emissions(&events, options, &mut random, &mut reach)?;
            }
        }
        check.report.answers_digest = check.digest.finalize().to_hex().to_string();
        Ok(check.report)
    }

    fn views_to_verify(&self, options: &VerifyOptions) -> Result<Vec<Arc<ViewDef>>, EngineError> {
        if options.services.is_empty() {
            let newest = self
                .catalog()
                .views
                .values()
                .filter_map(|v| v.values().next_back());
            return Ok(newest.cloned().collect());
        }
        let mut views: BTreeMap<String, Arc<ViewDef>> = BTreeMap::new();
        for name in &options.services {
            for item in &self.service(name)?.items {
                views.insert(item.view.name.clone(), Arc::clone(&item.view));
            }
        }
        Ok(views.into_values().collect())
    }

    /// The logged events of the sources used up to a cut, in log order by source.
    fn events_of(
        &self,
        logged: &dyn EventSource,
        sources: Vec<SourceId>,
        until: &Cut,
        reach: &mut dyn FnMut() -> Result<(), EngineError>,
    ) -> Result<BTreeMap<SourceId, Vec<LoggedEvent>>, EngineError> {
        reach()?;
        let options = ReadOptions {
            sources: Some(sources),
            until: Some(until.clone()),
            ..ReadOptions::default()
        };
        let mut events: BTreeMap<SourceId, Vec<LoggedEvent>> = BTreeMap::new();
        let mut stream = logged.events(options).map_err(EngineError::log)?;
        let mut read = 0;
        loop {
            let mut logged = LoggedEvent::blank();
            if !stream.next_into(&mut logged).map_err(EngineError::log)? {
                break;
            }
            if usize::is_multiple_of(read, STEP) {
                reach()?;
            }
            read += 1;
            if let Some(def) = self.catalog().source_by_id(logged.source) {
                def.schema
                    .upgrade(&mut logged)
                    .map_err(|reason| EngineError::schema(def, reason))?;
            }
            events.entry(logged.source).or_default().push(logged);
        }
        Ok(events)
    }

    /// The events that bring keys to a view.
    fn seen(&self, view: &ViewDef, events: &BTreeMap<SourceId, Vec<LoggedEvent>>) -> Vec<Seen> {
        let mut seen = Vec::new();
        for anchor in anchors(view) {
            let program = SourceProgram::new(Arc::new(anchor.source.clone()));
            let mut rows = Vec::new();
            for logged in events.get(&anchor.source.id).into_iter().flatten() {
                let row = program.row(logged);
                let values = anchor.key_columns.iter().map(|&slot| row[slot].clone());
                let this = Seen {
                    key: values.collect(),
                    time: logged.event.event_time.0,
                    visible_at: logged.visible_at().0,
                };
                if anchor.rows_move
                    && let Some(id) = program.key(&row, &anchor.source.primary_key)
                {
                    let lives = logged.event.operation != Operation::Delete;
                    rows.push((id, this.clone(), lives));
                }
                seen.push(this);
            }
            seen.extend(left_keys(rows));
        }
        seen
    }

    fn cuts_to_verify(&self, options: &VerifyOptions, random: &mut Random) -> Vec<Cut> {
        let applied = self.cut();
        let mut cuts = vec![applied.clone()];
        cuts.extend((1..options.cuts).map(|_| earlier_cut(applied, random)));
        cuts
    }
}

/// A verification under way.
struct Check<'a, O> {
    offline: &'a Offline,
    online: &'a O,
    report: VerifyReport,
    digest: blake3::Hasher,
    oracle: Oracle<'a>,
    /// Every so many values the oracle is asked, too.
    oracle_step: u64,
    oracle_next: u64,
    /// Whether it has what there is to know.
    asks_oracle: bool,
}

/// A cut that is verified, and from which events points are drawn for each view.
struct Round<'a> {
    cut: Cut,
    seen: &'a Vec<Vec<Seen>>,
    asks_oracle: bool,
}

impl<O: Online> Check<'_, O> {
    fn begin_round(&mut self, asks_oracle: bool) {
        if asks_oracle && !self.asks_oracle {
            self.oracle_next = self.report.values_checked;
        }
        self.asks_oracle = asks_oracle;
    }

    fn view(
        &mut self,
        view: &Arc<ViewDef>,
        cut: &Cut,
        points: Vec<Point>,
        evaluator: &Evaluator,
        reach: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        // Requests either all have a `known_at` or none has.
        let (served, latest): (Vec<Point>, Vec<Point>) =
            points.into_iter().partition(|p| p.known_at.is_some());
        for points in [latest, served] {
            if !points.is_empty() {
                reach(self.report.values_checked)?;
                let answers = function::taking(|| train(view, &points, evaluator))?;
                self.points(view, cut, &points, &answers, reach)?;
            }
        }
        Ok(())
    }

    fn points(
        &mut self,
        view: &Arc<ViewDef>,
        cut: &Cut,
        points: &[Point],
        trained: &Answers,
        reach: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        self.digest.update(view.name.as_bytes());
        self.digest.update(self.offline.format_cut(cut).as_bytes());
        let reads = self.reads(view, cut, points, reach)?;
        for (at, (point, read)) in points.iter().zip(reads).enumerate() {
            let knowledge = knowledge_of(cut, point);
            let trained = trained_row(view, trained, at);
            let mut rows = vec![("read path", read), ("training path", trained)];
            if self.asks_oracle && self.report.values_checked >= self.oracle_next {
                self.oracle_next = self.report.values_checked + self.oracle_step;
                let row = function::taking(|| {
                    self.oracle
                        .read(view, &point.key, point.time, &knowledge, &point.request)
                });
                rows.push(("oracle", row?));
                self.report.oracle_checked += view.features.len() as u64;
            }
            self.report.points += 1;
            self.report.values_checked += view.features.len() as u64;
            self.digest_row(point, &rows[0].1);
            self.compare(view, cut, point, &rows);
        }
        Ok(())
    }

    /// The read path's answers, in the order of the points.
    fn reads(
        &self,
        view: &Arc<ViewDef>,
        cut: &Cut,
        points: &[Point],
        reach: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<Vec<ViewRow>, EngineError> {
        // Read in the order in which keys are stored: what left the hot tier comes back for
        // many keys at once.
        let bucket = |at: &usize| encode_key(&points[*at].key).map(|key| bucket_of(&key));
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by_key(bucket);
        let mut reads: Vec<(usize, ViewRow)> = Vec::with_capacity(points.len());
        for (done, at) in order.into_iter().enumerate() {
            if done.is_multiple_of(STEP) {
                reach(self.report.values_checked)?;
            }
            let point = &points[at];
            let knowledge = knowledge_of(cut, point);
            let row = self.online.read_with(|engine| {
                let compiled = engine.compiled(&view.digest, &view.name)?;
                let hot = HotRead::of(engine.hot());
                let reader = Reader::new(&hot, &knowledge);
                hot.checked(reader.read(compiled, &point.key, point.time, &point.request))
            })?;
            reads.push((at, row));
        }
        reads.sort_unstable_by_key(|(at, _)| *at);
        Ok(reads.into_iter().map(|(_, row)| row).collect())
    }

    fn digest_row(&mut self, point: &Point, row: &ViewRow) {
        self.digest.update(&encode_values(&point.key));
        self.digest.update(&point.time.to_be_bytes());
        self.digest.update(&[match row.found {
            Found::Row => 0,
            Found::Nothing => 1,
            Found::TooOld => 2,
        }]);
        self.digest.update(&encode_values(&row.values));
    }

    fn compare(
        &mut self,
        view: &ViewDef,
        cut: &Cut,
        point: &Point,
        rows: &[(&'static str, ViewRow)],
    ) {
        let found = differing(view, rows, &|feature, answers| Mismatch {
            feature,
            key: point.key.clone(),
            time: EventTime(point.time),
            cut: self.offline.format_cut(cut),
            known_at: point.known_at,
            answers,
        });
        self.report.mismatches += found.len() as u64;
        let room = MISMATCH_EXAMPLES_MAX - self.report.examples.len();
        self.report.examples.extend(found.into_iter().take(room));
    }
}

/// What each path answers, by its name.
type PathAnswers = Vec<(&'static str, Value, Status)>;

/// The features that the rows of several paths do not have the same bits of. `mismatch` makes one
/// of its name and what each path answers.
pub(crate) fn differing(
    view: &ViewDef,
    rows: &[(&'static str, ViewRow)],
    mismatch: &dyn Fn(String, PathAnswers) -> Mismatch,
) -> Vec<Mismatch> {
    let Some((_, first)) = rows.first() else {
        return Vec::new();
    };
    if rows.iter().all(|(_, row)| row.same_bits(first)) {
        return Vec::new();
    }
    let differs = |index: usize| {
        rows.iter().any(|(_, row)| {
            row.found != first.found
                || row
                    .event_time
                    .zip(first.event_time)
                    .is_some_and(|(a, b)| a != b)
                || !row.values[index].same_bits(&first.values[index])
        })
    };
    let features = view.features.iter().enumerate();
    features
        .filter(|(index, _)| differs(*index))
        .map(|(index, feature)| {
            let answers = rows.iter().map(|(name, row)| {
                let answer = answer(row, index);
                (*name, answer.value, answer.status)
            });
            mismatch(format!("{}:{}", view.name, feature.name), answers.collect())
        })
        .collect()
}

fn knowledge_of(cut: &Cut, point: &Point) -> Knowledge {
    Knowledge {
        cut: cut.clone(),
        known_at: point.known_at,
    }
}

/// The training path's answers at the points.
fn train(view: &ViewDef, points: &[Point], evaluator: &Evaluator) -> Answers {
    let keys = view
        .key
        .iter()
        .enumerate()
        .map(|(i, field)| Column::from_values(&field.data_type, points.iter().map(|p| &p.key[i])))
        .collect();
    let known: Option<Vec<i64>> = points.iter().map(|p| p.known_at.map(|k| k.0)).collect();
    let requests = Requests::new(keys, points.iter().map(|p| p.time).collect(), known);
    let request: Vec<Column> = match &view.body {
        ViewBody::Composed(body) => body
            .request
            .iter()
            .enumerate()
            .map(|(i, field)| {
                Column::from_values(&field.data_type, points.iter().map(|p| &p.request[i]))
            })
            .collect(),
        _ => Vec::new(),
    };
    evaluator.read(view, &requests, &request)
}

/// What the training path answers in one row.
pub(crate) fn trained_row(view: &ViewDef, answers: &Answers, at: usize) -> ViewRow {
    let values: Vec<Value> = answers.columns.iter().map(|c| c.get(at)).collect();
    let event_time = match view.body {
        ViewBody::Row(_) => answers.times.get(at),
        _ => None,
    };
    ViewRow {
        values,
        found: answers.found[at],
        event_time,
    }
}
