//! Training sets: a spine's rows, each with the features at its own time.
//!
//! The output has exactly the spine's rows in the spine's order, its columns untouched, then
//! the features, then statuses if asked for, then labels. A row whose key or history is
//! missing keeps its place with NULLs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_types::definition::{
    Label, ServiceDef, ServiceItem, SourceWindows, SpineQuery, ViewBody, ViewDef, WindowRows,
};
use evenkeel_types::{
    Column, DataType, Extent, Field, Frame, Interval, SLOT_PRESENT, Status, Value,
};
use evenkeel_view::{Found, Uses};

use crate::dataset::TrainingRows;
use crate::error::TrainError;
use crate::evaluate::{Answers, Evaluator, Requests};
use crate::keyed::KeyEvents;
use crate::reading::Reading;
use crate::report::{KnowledgeMode, LabelReport, TrainingSet};
use crate::spine::{Spine, typed_column};

/// A label whose key is in columns of the spine.
#[derive(Clone, Debug)]
pub struct NamedLabel {
    /// The view.
    pub view: Arc<ViewDef>,
    /// The feature's index in it.
    pub feature: usize,
    /// How far forward.
    pub within: Interval,
    /// The spine's columns that hold the view's key.
    pub keys: Vec<String>,
    /// Its name in the training set.
    pub name: String,
}

/// What a training set is asked for.
pub struct Job<'a> {
    /// The features.
    pub service: &'a ServiceDef,
    /// Latest or as served.
    pub knowledge: KnowledgeMode,
    /// Also a status column per feature.
    pub statuses: bool,
}

impl Job<'_> {
    /// Builds the training set of what is read. `progress` is told stage, done, total, and may stop
    /// it.
    ///
    /// # Errors
    /// [`TrainError::Stopped`]; if the log cannot be read, the spine lacks a column, or a name is
    /// taken.
    pub fn run(
        &self,
        reading: &mut Reading<'_>,
        spine: Spine,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<TrainingSet, TrainError> {
        let Spine {
            mut table,
            times,
            known_at,
            labels,
        } = spine;
        let rows = times.len();
        let known = match self.knowledge {
            KnowledgeMode::Latest => None,
            KnowledgeMode::AsServed => Some(known_at),
        };
        let mut features = Vec::new();
        let mut coincident: BTreeMap<String, u64> = BTreeMap::new();
        let mut appended: Vec<(Field, Column)> = Vec::new();
        let mut status_columns: Vec<(Field, Column)> = Vec::new();
        // Views with the same key share what is made of the requests.
        let mut asked: BTreeMap<Vec<(&str, String)>, Requests> = BTreeMap::new();
        let total = self.service.items.len() as u64;
        let of_labels = || labels.iter().map(|(label, _)| label.view.as_ref());
        let needed_for = |items: &[ServiceItem]| {
            let mut uses = Uses::of(items.iter().map(|item| item.view.as_ref()));
            of_labels().for_each(|view| uses.add_view(view));
            uses
        };
        // What only the spine was read from is needed no more.
        reading.keep(&needed_for(&self.service.items));
        for (done, item) in self.service.items.iter().enumerate() {
            reach(progress, &item.view.name, done as u64, total)?;
            let evaluator = reading.with(&Uses::of([item.view.as_ref()]), progress)?;
            let requests = match asked.entry(key_of(item)) {
                Entry::Occupied(same) => same.into_mut(),
                Entry::Vacant(first) => {
                    let keys = key_columns(&table, item)?;
                    first.insert(Requests::sharing(keys, Arc::clone(&times), known.clone()))
                }
            };
            let request = request_columns(&table, &item.view)?;
            let mut answers = evaluator.values(&item.view, requests, &request);
            for (source, count) in coincidences(evaluator, &item.view, requests) {
                let most = coincident.entry(source).or_default();
                *most = (*most).max(count);
            }
            for (index, name) in &item.features {
                if self.statuses {
                    let name = format!("{name}__status");
                    let statuses = statuses(&answers, *index, rows);
                    status_columns.push((Field::new(name, DataType::String), statuses));
                }
            }
            for (at, (index, name)) in item.features.iter().enumerate() {
                let feature = &item.view.features[*index];
                let field = Field::new(name.clone(), feature.data_type.clone());
                let again = item.features[at + 1..].iter().any(|(i, _)| i == index);
                let column = &mut answers.columns[*index];
                let values = match again {
                    true => column.clone(),
                    false => std::mem::replace(column, Column::new(&field.data_type)),
                };
                let missing = values.states().iter().filter(|s| **s != SLOT_PRESENT);
                features.push((field.clone(), missing.count() as u64));
                appended.push((field, values));
            }
            // What is made of requests and events takes room: nobody keeps it longer than it is
            // asked for.
            let later = &self.service.items[done + 1..];
            if !later.iter().any(|later| key_of(later) == key_of(item)) {
                asked.remove(&key_of(item));
            }
            let kept = reading.keep(&needed_for(later));
            for requests in asked.values_mut() {
                requests.retain(|source| kept.contains(&source));
            }
        }
        reach(progress, "labels", total, total)?;
        let evaluator = reading.with(&Uses::of(of_labels()), progress)?;
        let mut label_reports = Vec::new();
        let mut label_columns = Vec::new();
        for (label, keys) in labels {
            let (report, columns) = self.label(evaluator, &label, keys, &times);
            label_reports.push(report);
            label_columns.extend(columns);
        }
        appended.extend(status_columns);
        appended.extend(label_columns);
        for (field, column) in appended {
            if table.has_column(&field.name) {
                return Err(TrainError::NameCollision { name: field.name });
            }
            table
                .append_owned(field, column)
                .map_err(TrainError::table)?;
        }
        reading.keep(&Uses::default());
        reach(progress, "writing", total, total)?;
        let digest = table.digest().map_err(TrainError::table)?;
        Ok(TrainingSet {
            table,
            features,
            labels: label_reports,
            coincident: coincident
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect(),
            cut: reading.cut().clone(),
            definition: self.service.digest,
            digest: digest.iter().map(|b| format!("{b:02x}")).collect(),
        })
    }

    /// [`Job::run`], with what a dataset needs to know of the spine.
    pub fn rows(
        &self,
        reading: &mut Reading<'_>,
        spine: Spine,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<TrainingRows, TrainError> {
        let spine_columns = spine.table.fields().len();
        let times = Arc::clone(&spine.times);
        Ok(TrainingRows {
            set: self.run(reading, spine, progress)?,
            spine_columns,
            times,
        })
    }

    /// A label's values at the build's cut, and whether each is mature.
    fn label(
        &self,
        evaluator: &Evaluator,
        label: &Label,
        keys: Vec<Column>,
        times: &[i64],
    ) -> (LabelReport, Vec<(Field, Column)>) {
        let ends: Vec<i64> = times.iter().map(|&t| label.within.after(t)).collect();
        let requests = Requests::new(keys, ends.clone(), None);
        let answers = evaluator.read(&label.view, &requests, &[]);
        let data_type = &label.view.features[label.feature].data_type;
        let is_row_view = matches!(label.view.body, ViewBody::Row(_));
        let watermark = evaluator.watermark(&label.view);
        let mut values = Column::new(data_type);
        let mut mature = Column::new(&DataType::Boolean);
        let (mut immature, mut missing) = (0, 0);
        for (i, end) in ends.iter().enumerate() {
            let in_reach = !is_row_view || answers.times.get(i).is_some_and(|time| time > times[i]);
            let value = match answers.columns[label.feature].get(i) {
                _ if !in_reach => Value::Null,
                Value::Error(_) => Value::Null,
                value => value,
            };
            let is_mature = watermark.is_some_and(|w| w > *end);
            immature += u64::from(!is_mature);
            missing += u64::from(value.is_missing());
            values.push(&value);
            mature.push(&Value::Boolean(is_mature));
        }
        let report = LabelReport {
            name: label.name.clone(),
            data_type: data_type.clone(),
            within: label.within,
            immature,
            missing,
        };
        let columns = vec![
            (Field::new(label.name.clone(), data_type.clone()), values),
            (
                Field::new(format!("{}__mature", label.name), DataType::Boolean),
                mature,
            ),
        ];
        (report, columns)
    }
}

impl Evaluator {
    /// What a service, labels, and a spine query with its own labels read.
    pub fn uses_of(
        service: &ServiceDef,
        labels: &[NamedLabel],
        query: Option<&SpineQuery>,
    ) -> Uses {
        let mut uses = Uses::of(service.items.iter().map(|item| item.view.as_ref()));
        for label in labels {
            uses.add_view(&label.view);
        }
        if let Some(query) = query {
            for label in &query.labels {
                uses.add_view(&label.view);
            }
            uses.add_spine(query);
        }
        uses
    }

    /// The least watermark of the sources that a view reads: per partition the greatest event
    /// time minus the declared lateness. None where a source has no event.
    pub fn watermark(&self, view: &ViewDef) -> Option<i64> {
        let uses = Uses::of([view]);
        uses.sources()
            .keys()
            .map(|id| {
                let events = self.events(*id);
                events
                    .greatest_times()
                    .values()
                    .min()
                    .map(|time| events.def().lateness.before(*time))
            })
            .min()
            .flatten()
    }
}

fn reach(
    progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    stage: &str,
    done: u64,
    total: u64,
) -> Result<(), TrainError> {
    match progress(stage, done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TrainError::Stopped),
    }
}

/// The spine's columns that hold the key of an item's view, each with the type that it is taken as.
fn key_of(item: &ServiceItem) -> Vec<(&str, String)> {
    let names = item.key.iter().map(String::as_str);
    let types = item
        .view
        .key
        .iter()
        .map(|field| field.data_type.to_string());
    names.zip(types).collect()
}

pub(crate) fn key_columns(table: &Table, item: &ServiceItem) -> Result<Vec<Column>, TrainError> {
    item.key
        .iter()
        .zip(&item.view.key)
        .map(|(name, field)| typed_column(table, name, &field.data_type))
        .collect()
}

pub(crate) fn request_columns(table: &Table, view: &ViewDef) -> Result<Vec<Column>, TrainError> {
    let ViewBody::Composed(body) = &view.body else {
        return Ok(Vec::new());
    };
    body.request
        .iter()
        .map(|f| typed_column(table, &f.name, &f.data_type))
        .collect()
}

/// How each value of a feature is to be taken.
fn statuses(answers: &Answers, feature: usize, rows: usize) -> Column {
    let mut statuses = Column::new(&DataType::String);
    for i in 0..rows {
        let status = match answers.found[i] {
            Found::Row => Status::of(&answers.columns[feature].get(i)),
            Found::Nothing => Status::NotFound,
            Found::TooOld => Status::OutsideMaxAge,
        };
        statuses.push(&Value::string(status.to_string()));
    }
    statuses
}

/// Per windowed source: how many requests have the time of an event of their own key, for
/// windows that contain the events at their end.
fn coincidences(evaluator: &Evaluator, view: &ViewDef, requests: &Requests) -> Vec<(String, u64)> {
    match &view.body {
        // Rows that live have no frame that could leave an event out.
        ViewBody::Window(body) if body.is_state() => Vec::new(),
        ViewBody::Window(body) => {
            let windows = &body.windows;
            let reach_their_end = |rows: WindowRows| {
                let mut of = windows.aggregates.iter().filter(|a| a.rows == rows);
                of.any(|a| contains_its_end(&a.frame))
            };
            let mut marks = vec![false; requests.len()];
            if reach_their_end(WindowRows::Events) {
                mark_coincident(evaluator, windows, requests, &mut marks);
            }
            if reach_their_end(WindowRows::Changes) {
                evaluator.mark_changes(windows, requests, &mut marks);
            }
            let count = marks.into_iter().filter(|mark| *mark).count() as u64;
            vec![(windows.source.name.clone(), count)]
        }
        ViewBody::Composed(body) => body
            .inputs
            .iter()
            .flat_map(|v| coincidences(evaluator, v, requests))
            .collect(),
        ViewBody::Row(_) => Vec::new(),
    }
}

fn contains_its_end(frame: &Frame) -> bool {
    !frame.exclude_group
        && match &frame.extent {
            Extent::Range { end, .. } => end.is_zero(),
            Extent::Hop { end, .. } => *end == 0,
            Extent::Rows { end, .. } => *end == 0,
            Extent::StartOf { .. } | Extent::Session { .. } => true,
        }
}

/// Marks the requests that have the time of an event of their own key.
fn mark_coincident(
    evaluator: &Evaluator,
    windows: &SourceWindows,
    requests: &Requests,
    marks: &mut [bool],
) {
    let events = evaluator.events(windows.source.id);
    let keyed = evaluator.keyed(windows.source.id, &windows.key_columns);
    let placed = evaluator.placed(windows.source.id, &windows.key_columns, requests);
    for (key, of_key) in placed.keys() {
        let KeyEvents { numbers, times } = keyed.of(key);
        let mut first = 0;
        for &(time, request) in of_key {
            while first < times.len() && times[first] < time {
                first += 1;
            }
            let known_at = requests.known_at(request as usize);
            let mut at_once = numbers[first..].iter().zip(&times[first..]);
            marks[request as usize] |= at_once
                .by_ref()
                .take_while(|(_, t)| **t == time)
                .any(|(number, _)| events.holds(*number, known_at));
        }
    }
}
