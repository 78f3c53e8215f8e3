//! The answers of a read, feature by feature, as they are sent.

use evenkeel_store::ColdNeeds;
use evenkeel_types::{Column, EventTime, Field, Knowledge, Status, Value};
use evenkeel_view::{CompiledView, Reader, ViewColumns};

use crate::api::Answer;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::function::FunctionCalls;
use crate::hot_store::HotRead;
use crate::serving::{Item, ReadPlan};

/// Parts that one read asks for at once to be brought back.
const NEEDS_MAX: usize = 64;

/// Rows in the order of the requests, features in the order of the service.
#[derive(Clone, Debug)]
pub struct Answers {
    rows: usize,
    /// By view of the service.
    views: Vec<ViewColumns>,
}

/// One feature for all rows.
#[derive(Clone, Copy, Debug)]
pub struct FeatureAnswers<'a> {
    view: &'a ViewColumns,
    feature: usize,
}

impl<'a> FeatureAnswers<'a> {
    /// The values; NULL or ERROR where the status is not PRESENT.
    pub fn values(&self) -> &'a Column {
        self.view.values(self.feature)
    }

    /// The status in a row.
    pub fn status(&self, row: usize) -> Status {
        self.view.status(row, self.feature)
    }

    /// Whether it has a value in every row.
    pub fn are_present(&self) -> bool {
        self.view.are_present(self.feature)
    }

    /// The view's columns: what is of a row and not of a feature is the same for all of them.
    pub fn view(&self) -> &'a ViewColumns {
        self.view
    }

    /// The value in a row; NULL unless its status is PRESENT.
    pub fn value(&self, row: usize) -> Value {
        self.view.value(row, self.feature)
    }
}

impl Answers {
    /// No rows yet.
    pub fn new(plan: &ReadPlan) -> Self {
        let items = plan.service().items.iter().zip(plan.items());
        Answers {
            rows: 0,
            views: items
                .map(|(item, planned)| ViewColumns::new(&item.view, &planned.features))
                .collect(),
        }
    }

    /// Of rows that are known, as each of these features by itself.
    pub(crate) fn of_rows(features: &[Field], rows: &[Vec<Answer>]) -> Self {
        let feature = |(number, field): (usize, &Field)| {
            let answers = rows.iter().map(|row| {
                let answer = &row[number];
                let event_time = answer.event_time.map(|time| time.0);
                (answer.value.clone(), answer.status, event_time)
            });
            ViewColumns::of_answers(&field.data_type, answers)
        };
        Answers {
            rows: rows.len(),
            views: features.iter().enumerate().map(feature).collect(),
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// By view of the service.
    pub fn views(&self) -> &[ViewColumns] {
        &self.views
    }

    /// The features, in order.
    pub fn features(&self) -> impl Iterator<Item = FeatureAnswers<'_>> {
        self.views
            .iter()
            .flat_map(|view| (0..view.width()).map(move |feature| FeatureAnswers { view, feature }))
    }

    /// A row, by view of the service.
    pub fn row(&self, number: usize) -> Vec<(&ViewColumns, usize)> {
        self.views.iter().map(|view| (view, number)).collect()
    }

    /// The columns of a view of the service.
    pub(crate) fn view_mut(&mut self, number: usize) -> &mut ViewColumns {
        &mut self.views[number]
    }

    /// So many rows more are in all columns.
    pub(crate) fn add_rows(&mut self, count: usize) {
        self.rows += count;
    }

    /// Row by row.
    pub fn to_rows(&self) -> Vec<Vec<Answer>> {
        let row = |row: usize| {
            let answer = |feature: FeatureAnswers<'_>| Answer {
                value: feature.value(row),
                status: feature.status(row),
                event_time: feature.view.event_time(row).map(EventTime),
            };
            self.features().map(answer).collect()
        };
        (0..self.rows).map(row).collect()
    }
}

impl Engine {
    /// Reads rows of a planned service: one value per input each. The answers do not depend
    /// on how a request is cut into such reads, as long as the knowledge is the same.
    ///
    /// # Errors
    /// See [`Engine::read_more`].
    pub fn read(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
        knowledge: &Knowledge,
    ) -> Result<Answers, EngineError> {
        let mut answers = Answers::new(plan);
        let hot = HotRead::of(self.hot());
        let reader = Reader::new(&hot, knowledge);
        self.read_with(plan, rows, as_of, &hot, reader, &mut answers)?;
        Ok(answers)
    }

    /// Reads more rows, behind those that were read, and keeps those that last
    /// ([`Engine::read_kept`]); none of them are there if it fails.
    ///
    /// # Errors
    /// If a view of the plan is not applied in this store, or what it needs cannot be read;
    /// [`EngineError::Cold`] after [`Engine::defer_cold_reads`].
    pub fn read_more(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
        knowledge: &Knowledge,
        answers: &mut Answers,
    ) -> Result<(), EngineError> {
        let read = self.read_views(plan, rows, as_of, knowledge, answers);
        if read.is_err() {
            let before = answers.rows;
            answers.views.iter_mut().for_each(|v| v.truncate(before));
        }
        read
    }

    fn read_views(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
        knowledge: &Knowledge,
        answers: &mut Answers,
    ) -> Result<(), EngineError> {
        let read = self.read_and_keep(plan, rows, as_of, knowledge, answers);
        if read.len() == plan.items().len() {
            answers.rows += rows.len();
            return Ok(());
        }
        let hot = HotRead::of(self.hot());
        let reader = Reader::new(&hot, knowledge);
        let read = ViewRead {
            reader,
            hot: &hot,
            as_of,
            read,
        };
        read.all(self, plan, rows, answers)
    }

    /// Reads rows with a reader over what `hot` has. The columns are worth nothing if it fails.
    pub(crate) fn read_with(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
        hot: &HotRead<'_>,
        reader: Reader<'_>,
        answers: &mut Answers,
    ) -> Result<(), EngineError> {
        let read = ViewRead {
            reader,
            hot,
            as_of,
            read: Vec::new(),
        };
        read.all(self, plan, rows, answers)
    }
}

/// What the reads of a request have in common.
struct ViewRead<'a> {
    hot: &'a HotRead<'a>,
    reader: Reader<'a>,
    as_of: EventTime,
    /// Items whose rows are there already.
    read: Vec<usize>,
}

impl ViewRead<'_> {
    fn all(
        &self,
        engine: &Engine,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        answers: &mut Answers,
    ) -> Result<(), EngineError> {
        let mut needs: Option<Box<ColdNeeds>> = None;
        let mut calls: Option<Box<FunctionCalls>> = None;
        let items = plan.items().iter().zip(&mut answers.views).enumerate();
        for (_, (item, columns)) in items.filter(|(number, _)| !self.read.contains(number)) {
            let view = engine.compiled(&item.view, &item.name)?;
            self.rows(view, item, rows, columns, (&mut needs, &mut calls))?;
            if are_enough(needs.as_deref(), calls.as_deref()) {
                break;
            }
        }
        match (needs, calls) {
            (Some(needs), _) => Err(EngineError::Cold(needs)),
            (None, Some(calls)) => Err(EngineError::Calls(calls)),
            (None, None) => {
                answers.rows += rows.len();
                Ok(())
            }
        }
    }

    /// Reads the rows of one view. What has to be brought back first is added to `needs`, what is to
    /// be called to `calls`; then the columns are worth nothing.
    fn rows(
        &self,
        view: &CompiledView,
        item: &Item,
        rows: &[Vec<Value>],
        columns: &mut ViewColumns,
        (needs, calls): (&mut Option<Box<ColdNeeds>>, &mut Option<Box<FunctionCalls>>),
    ) -> Result<(), EngineError> {
        // A request often has one user and many items.
        let is_again = |number: usize| {
            let before = number.checked_sub(1).map(|before| &rows[before]);
            before.is_some_and(|before| item.asks_the_same(before, &rows[number]))
        };
        let others: Vec<usize> = (0..rows.len()).filter(|&n| !is_again(n)).collect();
        let keys: Vec<Vec<Value>> = others.iter().map(|&n| take(&rows[n], &item.key)).collect();
        if others.len() > 1 {
            self.reader.expect(view, keys.iter().map(Vec::as_slice));
        }
        let mut next = others.iter().zip(&keys).peekable();
        for (number, row) in rows.iter().enumerate() {
            let Some((_, key)) = next.next_if(|(other, _)| **other == number) else {
                if needs.is_none() && calls.is_none() {
                    columns.repeat(columns.len() - 1);
                }
                continue;
            };
            let request = take(row, &item.request);
            let mut read = || {
                let read = self
                    .reader
                    .read_into(view, key, self.as_of.0, &request, columns);
                self.hot.checked(read)
            };
            // What another read of the key lacked is lacking in what this one was
            // given, too. Given it anew, only what it needs itself is.
            let done = match read() {
                Err(EngineError::Cold(_)) => read(),
                done => done,
            };
            match done {
                Ok(()) => {}
                // What other rows need comes back along with it.
                Err(EngineError::Cold(more)) => {
                    match needs.as_mut() {
                        Some(needs) => needs.join(*more),
                        None => *needs = Some(more),
                    }
                    if are_enough(needs.as_deref(), None) {
                        break;
                    }
                }
                // One call for many rows.
                Err(EngineError::Calls(more)) => {
                    match calls.as_mut() {
                        Some(calls) => calls.join(*more),
                        None => *calls = Some(more),
                    }
                    if are_enough(None, calls.as_deref()) {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn are_enough(needs: Option<&ColdNeeds>, calls: Option<&FunctionCalls>) -> bool {
    needs.is_some_and(|needs| needs.parts() >= NEEDS_MAX)
        || calls.is_some_and(FunctionCalls::are_enough)
}

/// The inputs of a row at these places; NULL for those that there are none of.
pub(crate) fn take(row: &[Value], from: &[Option<usize>]) -> Vec<Value> {
    let value = |i: &Option<usize>| i.and_then(|i| row.get(i).cloned()).unwrap_or(Value::Null);
    from.iter().map(value).collect()
}
