//! Features of entities, training sets, explanations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_connect::{ColumnSpec, Table as Columns};
use evenkeel_engine::api::{Answer, GetAnswer, GetRequest, KnowledgeMode, SpineSource};
use evenkeel_engine::dataset::DatasetPlan;
use evenkeel_engine::{DefinitionFile, Engine, ReadPlan, TrainingPlan};
use evenkeel_types::definition::{ServiceDef, ViewBody};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Column, Cut, DataType, EventTime, Field, Status, Value, VisibleAt, Zone};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Store;
use crate::error::Failure;
use crate::reports;
use crate::rows;
use crate::table::Table;
use crate::values::Builders;

/// When to read and what is known, in words.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Moment {
    as_of: Option<String>,
    known_at: Option<String>,
    cut: Option<String>,
}

/// The same, read.
struct Known {
    as_of: EventTime,
    known_at: Option<VisibleAt>,
    cut: Option<Cut>,
}

impl Moment {
    fn read(&self, engine: &Engine) -> Result<Known, Failure> {
        let time = |name: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| parse_timestamp(text, &Zone::utc()))
                .transpose()
                .map_err(|error| Failure::invalid(format!("`{name}`: {error}")))
        };
        let cut = self.cut.as_deref().map(|text| engine.parse_cut(text));
        Ok(Known {
            as_of: time("as_of", &self.as_of)?.map_or_else(|| engine.now(), EventTime),
            known_at: time("known_at", &self.known_at)?.map(VisibleAt),
            cut: cut.transpose()?,
        })
    }
}

/// A service, or a list of features as one.
pub(super) fn service(
    engine: &Engine,
    name: Option<&str>,
    features: &[String],
) -> Result<Arc<ServiceDef>, Failure> {
    match name {
        Some(name) => Ok(engine.service(name)?),
        None => engine.feature_list(features).map_err(|error| {
            let text = |item: &String| DefinitionFile {
                name: item.clone(),
                text: item.clone(),
            };
            let texts: Vec<DefinitionFile> = features.iter().map(text).collect();
            Failure::engine(error, &texts)
        }),
    }
}

fn specs(service: &ServiceDef) -> Vec<ColumnSpec> {
    service
        .inputs
        .iter()
        .map(|f| ColumnSpec::new(f.name.clone(), f.data_type.clone()))
        .collect()
}

/// A table's rows as inputs of a service.
fn inputs(service: &ServiceDef, table: &Columns) -> Result<Vec<Vec<Value>>, Failure> {
    let batch = table.rows(&specs(service), &Zone::utc())?;
    if let Some(wrong) = batch.rejected.into_iter().next() {
        return Err(Failure::in_row(
            wrong.row,
            wrong.column,
            &wrong.reason.to_string(),
        ));
    }
    let row = |i: usize| batch.columns.iter().map(|c| c.get(i)).collect();
    Ok((0..table.len()).map(row).collect())
}

/// Inputs of a service as a table.
fn entities(service: &ServiceDef, rows: &[Vec<Value>], given: &[bool]) -> Result<Columns, Failure> {
    let mut table = Columns::of_rows(rows.len());
    let columns = service.inputs.iter().enumerate().zip(given);
    for ((i, field), _) in columns.filter(|(_, given)| **given) {
        let values = Column::from_values(&field.data_type, rows.iter().map(|row| &row[i]));
        table.append(field.clone(), &values)?;
    }
    Ok(table)
}

/// The features behind their entities: per feature its value, `__status` and
/// `__event_time`, and where it has a default and they are asked for, `__default`.
fn answers(
    entities: Columns,
    answer: &GetAnswer,
    defaults: Option<&[Option<Value>]>,
) -> Result<Columns, Failure> {
    let mut table = entities;
    for (i, field) in answer.features.iter().enumerate() {
        let default = defaults.and_then(|defaults| defaults.get(i)?.as_ref());
        let stands_in = |a: &Answer| default.filter(|_| a.status != Status::Present);
        let mut append = |name: String, data_type: DataType, get: &dyn Fn(&Answer) -> Value| {
            let mut column = Column::new(&data_type);
            for row in &answer.rows {
                column.push(&row.get(i).map_or(Value::Null, get));
            }
            table.append(Field::new(name, data_type), &column)
        };
        append(field.name.clone(), field.data_type.clone(), &|a| {
            stands_in(a).unwrap_or(&a.value).clone()
        })?;
        append(format!("{}__status", field.name), DataType::String, &|a| {
            Value::string(a.status.to_string())
        })?;
        append(
            format!("{}__event_time", field.name),
            DataType::Timestamp,
            &|a| a.event_time.map_or(Value::Null, |t| Value::Timestamp(t.0)),
        )?;
        if default.is_some() {
            append(
                format!("{}__default", field.name),
                DataType::Boolean,
                &|a| Value::Boolean(stands_in(a).is_some()),
            )?;
        }
    }
    Ok(table)
}

/// What an answer says of itself; of a named service, which it is.
pub(super) fn parts<'py>(
    py: Python<'py>,
    service: Option<&ServiceDef>,
    answer: &GetAnswer,
    cut: String,
) -> PyResult<Bound<'py, PyDict>> {
    let builders = Builders::new(py)?;
    let dict = PyDict::new(py);
    dict.set_item("service", service.map(|service| &service.name))?;
    dict.set_item("version", service.map(|service| service.version))?;
    dict.set_item(
        "features",
        answer
            .features
            .iter()
            .map(|f| f.name.clone())
            .collect::<Vec<_>>(),
    )?;
    dict.set_item("types", reports::fields(&answer.features))?;
    dict.set_item("as_of", builders.time(answer.as_of.0)?)?;
    dict.set_item("cut", cut)?;
    let known_at = answer.known_at.map(|t| builders.time(t.0)).transpose()?;
    dict.set_item("known_at", known_at)?;
    dict.set_item("definition", reports::hex(&answer.definition))?;
    Ok(dict)
}

/// One row of features behind the inputs that they were read with.
pub(super) fn one_row(
    service: &ServiceDef,
    inputs: Vec<Value>,
    answer: &GetAnswer,
) -> Result<Table, Failure> {
    let given = vec![true; service.inputs.len()];
    let entities = entities(service, &[inputs], &given)?;
    Ok(Table(answers(entities, answer, None)?))
}

#[pymethods]
impl Store {
    /// Reads features for a table's rows or for dictionaries.
    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: Option<String>,
        features: Vec<String>,
        table: Option<Bound<'py, Table>>,
        dicts: Vec<Bound<'py, PyDict>>,
        moment: Moment,
        defaults: bool,
        dataset: Option<String>,
    ) -> PyResult<(Table, Bound<'py, PyDict>)> {
        let (service, dataset) = self.read(py, |engine| {
            let Some(dataset) = &dataset else {
                return Ok((service(engine, name.as_deref(), &features)?, None));
            };
            let manifest = engine.offline().dataset(&dataset.parse()?)?;
            let plan = DatasetPlan::new(&manifest, engine.catalog())?;
            Ok((Arc::clone(&plan.service), Some(plan)))
        })?;
        let given = match &table {
            Some(_) => None,
            None => Some(self.dicts(py, &service, &dicts)?),
        };
        let table = table.as_ref().map(|table| table.get());
        let (table, answer, cut) = self.read(py, |engine| {
            let (rows, entities) = match (table, given) {
                (Some(table), _) => (inputs(&service, &table.0)?, table.0.clone()),
                (None, Some((rows, given))) => {
                    let entities = entities(&service, &rows, &given)?;
                    (rows, entities)
                }
                (None, None) => (Vec::new(), Columns::of_rows(0)),
            };
            let known = moment.read(engine)?;
            let plan = ReadPlan::new(Arc::clone(&service));
            let answer = engine.get(&GetRequest {
                service: Arc::clone(&service),
                rows,
                as_of: known.as_of,
                cut: known.cut,
                known_at: known.known_at,
            })?;
            let defaults = (defaults && dataset.is_none()).then(|| plan.defaults());
            let cut = engine.format_cut(&answer.cut);
            let answer = match &dataset {
                Some(plan) => plan.answer(answer),
                None => answer,
            };
            Ok((answers(entities, &answer, defaults)?, answer, cut))
        })?;
        let named = name.is_some() || dataset.is_some();
        let dict = parts(py, named.then_some(&*service), &answer, cut)?;
        dict.set_item("dataset", dataset.as_ref().map(|plan| &plan.title))?;
        Ok((Table(table), dict))
    }

    /// Builds a training set for a table's rows, a file's, or a query's.
    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    fn train<'py>(
        &self,
        py: Python<'py>,
        name: Option<String>,
        features: Vec<String>,
        table: Option<Bound<'py, Table>>,
        path: Option<PathBuf>,
        query: Option<String>,
        time_column: Option<String>,
        known_at_column: Option<String>,
        as_served: bool,
        cut: Option<String>,
        statuses: bool,
    ) -> PyResult<(Table, Bound<'py, PyDict>)> {
        let spine = match (table, path, query) {
            (Some(table), _, _) => SpineSource::Table {
                table: table.get().0.clone(),
                time_column,
                known_at_column,
            },
            (None, Some(path), _) => SpineSource::File {
                path,
                time_column,
                known_at_column,
            },
            (None, None, query) => SpineSource::Query(query.unwrap_or_default()),
        };
        let knowledge = if as_served {
            KnowledgeMode::AsServed
        } else {
            KnowledgeMode::Latest
        };
        let (set, cut) = self.read(py, |engine| {
            let service = service(engine, name.as_deref(), &features)?;
            let cut = cut.as_deref().map(|text| engine.parse_cut(text));
            let cut = cut.transpose()?;
            let plan = TrainingPlan {
                service,
                spine,
                knowledge,
                cut,
                statuses,
                values_max: u64::MAX,
            };
            let set = engine.training_set(&plan, &mut |_, _, _| ());
            let set = set.map_err(|error| {
                let text = match &plan.spine {
                    SpineSource::Query(text) => text.clone(),
                    _ => String::new(),
                };
                let name = "spine".to_owned();
                Failure::engine(error, &[DefinitionFile { name, text }])
            })?;
            let cut = engine.format_cut(&set.cut);
            Ok((set, cut))
        })?;
        let report = reports::training_set(py, &set, &cut)?;
        Ok((Table(set.table), report))
    }

    /// How one value came about.
    fn explain<'py>(
        &self,
        py: Python<'py>,
        feature: String,
        entity: Bound<'py, PyDict>,
        moment: Moment,
    ) -> PyResult<Bound<'py, PyDict>> {
        let features = [feature];
        let service = self.read(py, |engine| service(engine, None, &features))?;
        let (rows, _) = self.dicts(py, &service, &[entity])?;
        let found = self.read(py, |engine| {
            let one = || Failure::invalid("explain takes one feature, as `view:feature`");
            let [item] = service.items.as_slice() else {
                return Err(one());
            };
            let [(index, _)] = item.features.as_slice() else {
                return Err(one());
            };
            let named: BTreeMap<&str, &Value> = service
                .inputs
                .iter()
                .map(|f| f.name.as_str())
                .zip(rows.iter().flatten())
                .collect();
            let value = |name: &str| named.get(name).map_or(Value::Null, |v| (*v).clone());
            let key: Vec<Value> = item.key.iter().map(|name| value(name)).collect();
            let request: Vec<(String, Value)> = match &item.view.body {
                ViewBody::Composed(body) => body
                    .request
                    .iter()
                    .map(|f| (f.name.clone(), value(&f.name)))
                    .collect(),
                _ => Vec::new(),
            };
            let known = moment.read(engine)?;
            let [feature] = &features;
            let explanation = engine.explain(
                feature,
                &key,
                &request,
                known.as_of,
                known.cut.as_ref(),
                known.known_at,
            )?;
            let cut = engine.format_cut(&explanation.cut);
            let data_type = item.view.features[*index].data_type.clone();
            Ok((explanation, data_type, cut))
        })?;
        let (explanation, data_type, cut) = found;
        reports::explanation(py, &explanation, &data_type, &cut)
    }
}

impl Store {
    /// Dictionaries as inputs of a service, and which inputs any of them names.
    pub(super) fn dicts<'py>(
        &self,
        py: Python<'py>,
        service: &ServiceDef,
        dicts: &[Bound<'py, PyDict>],
    ) -> PyResult<(Vec<Vec<Value>>, Vec<bool>)> {
        let decoded = rows::declared(py, dicts, &specs(service), &Zone::utc())?;
        let rows = (0u64..)
            .zip(decoded)
            .map(|(i, row)| row.map_err(|(column, reason)| Failure::in_row(i, column, &reason)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let named = |field: &Field| {
            dicts
                .iter()
                .any(|d| d.contains(&field.name).unwrap_or(false))
        };
        Ok((rows, service.inputs.iter().map(named).collect()))
    }
}
