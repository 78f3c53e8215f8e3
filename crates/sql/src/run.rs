//! Runs a query from beginning to end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chrono::DateTime;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use evenkeel_connect::{Table, TableType};
use evenkeel_engine::Offline;
use evenkeel_types::definition::Catalog;
use evenkeel_types::{Cut, EventTime, Field as OurField};
use futures::StreamExt;

use crate::error::SqlError;
use crate::failure::{Stage, failure};
use crate::names::{Named, Over, resolve};
use crate::provider::Provider;
use crate::relation::Reader;
use crate::text::parse;

/// How often a query looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Says whether to go on.
pub type GoOn = Arc<dyn Fn() -> bool + Send + Sync>;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Query {
    /// One statement that reads.
    pub text: String,
    /// When names without a time of their own are read, and what `now()` is.
    pub at: EventTime,
    /// The cut; `None`: everything applied.
    pub cut: Option<Cut>,
    /// Whether a path in quotes is a file's rows.
    pub files: bool,
    /// How much it may take.
    pub limits: Limits,
}

/// How much a query may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of the answer; what is more is cut off.
    pub rows_max: usize,
    /// Bytes of the answer.
    pub bytes_max: u64,
    /// Events times columns that are read, of all names together.
    pub values_max: u64,
    /// Bytes of joins, sorts and groups; `None`: as many as there are, and the disk.
    pub memory_bytes_max: Option<u64>,
}

impl Limits {
    /// As much as the machine has.
    pub const NONE: Limits = Limits {
        rows_max: usize::MAX,
        bytes_max: u64::MAX,
        values_max: u64::MAX,
        memory_bytes_max: None,
    };
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The rows.
    pub table: Table,
    /// Whether there are more than the limit let through.
    pub more: bool,
    /// `K`
    pub cut: Cut,
    /// When names without a time of their own were read.
    pub at: EventTime,
}

/// Answers a query. It is stopped soon after `go_on` says no.
///
/// # Errors
/// With the place where the query is wrong; if a limit is reached; if the store cannot be read.
pub fn run(store: &Offline, query: &Query, go_on: &GoOn) -> Result<Rows, SqlError> {
    let mut statement = parse(&query.text)?;
    let cut = query.cut.clone().unwrap_or_else(|| store.cut().clone());
    store.refuse_beyond(&cut).map_err(SqlError::store)?;
    let reader = Arc::new(Reader {
        store: store.clone(),
        cut: Some(cut.clone()),
        values_max: query.limits.values_max,
        values: AtomicU64::new(0),
        go_on: Arc::clone(go_on),
    });
    let named = resolve(
        &mut statement,
        &query.text,
        Over::Store(&reader),
        query.at,
        query.files,
    )?;
    runtime()?.block_on(async {
        let (state, plan) = planned(query, statement, named, Some(&reader)).await?;
        let (schema, batches, more) = execute(&state, &plan, query, go_on).await?;
        Ok(Rows {
            table: table_of(&schema, &batches)?,
            more,
            cut,
            at: query.at,
        })
    })
}

/// The columns of a query over what is defined.
///
/// # Errors
/// As [`run`].
pub(crate) fn columns(catalog: &Catalog, text: &str) -> Result<Vec<OurField>, SqlError> {
    let query = Query {
        text: text.to_owned(),
        at: EventTime(0),
        cut: None,
        files: false,
        limits: Limits::NONE,
    };
    let mut statement = parse(text)?;
    let over = Over::Definitions(catalog);
    let named = resolve(&mut statement, text, over, query.at, false)?;
    runtime()?.block_on(async {
        let (_, plan) = planned(&query, statement, named, None).await?;
        let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
        let table = table_of(&schema, &[])?;
        let fields = table.fields().into_iter();
        // A table of a query has no other columns.
        let known = fields.filter_map(|(name, data_type)| match data_type {
            TableType::Known(data_type) => Some(OurField::new(name, data_type)),
            TableType::Opaque(_) => None,
        });
        Ok(known.collect())
    })
}

/// Functions that make large values of small arguments.
const UNLIMITED_FUNCTIONS: [&str; 8] = [
    "array_repeat",
    "array_resize",
    "gen_series",
    "generate_series",
    "range",
    "repeat",
    "lpad",
    "rpad",
];

fn runtime() -> Result<tokio::runtime::Runtime, SqlError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(SqlError::Runtime)
}

/// The plan of a statement, which reads, and what it runs in.
async fn planned(
    query: &Query,
    statement: SqlStatement,
    named: Vec<Named>,
    reader: Option<&Arc<Reader>>,
) -> Result<(SessionState, LogicalPlan), SqlError> {
    let state = session(query, named, reader).map_err(|error| planning(error, query))?;
    let statement = Statement::Statement(Box::new(statement));
    let plan = state
        .statement_to_plan(statement)
        .await
        .map_err(|error| planning(error, query))?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|error| planning(error, query))?;
    Ok((state, plan))
}

fn planning(error: DataFusionError, query: &Query) -> SqlError {
    failure(
        error,
        &query.text,
        Stage::Planning,
        query.limits.memory_bytes_max,
    )
}

/// A session that knows the names of a query and nothing else.
fn session(
    query: &Query,
    named: Vec<Named>,
    reader: Option<&Arc<Reader>>,
) -> Result<SessionState, DataFusionError> {
    let mut config = SessionConfig::new()
        // One after the other: what depends on the order of rows does not depend on the machine.
        .with_target_partitions(1)
        .with_information_schema(false);
    config.options_mut().sql_parser.collect_spans = true;
    let mut environment = RuntimeEnvBuilder::new();
    if let Some(bytes_max) = query.limits.memory_bytes_max {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        environment = environment
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(bytes_max)))
            .with_disk_manager_builder(no_disk);
    }
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(environment.build_arc()?)
        .build();
    let context = SessionContext::new_with_state(state);
    if query.limits.memory_bytes_max.is_some() {
        // What they make is in no memory pool.
        for name in UNLIMITED_FUNCTIONS {
            context.deregister_udf(name);
        }
    }
    for (reference, relation) in named {
        if let Some(schema) = reference.schema() {
            let catalogs = context.catalog_names();
            let catalog = catalogs.first().and_then(|name| context.catalog(name));
            if let Some(catalog) = catalog.filter(|catalog| catalog.schema(schema).is_none()) {
                catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
            }
        }
        let provider = Provider::new(relation, reader.cloned())
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        context.register_table(reference, Arc::new(provider))?;
    }
    let mut state = context.state();
    state.execution_props_mut().query_execution_start_time =
        DateTime::from_timestamp_micros(query.at.0);
    Ok(state)
}

async fn execute(
    state: &SessionState,
    plan: &LogicalPlan,
    query: &Query,
    go_on: &GoOn,
) -> Result<(SchemaRef, Vec<RecordBatch>, bool), SqlError> {
    let limits = query.limits;
    let running = |error| failure(error, &query.text, Stage::Running, limits.memory_bytes_max);
    let plan = state.create_physical_plan(plan).await.map_err(running)?;
    let mut stream = execute_stream(plan, state.task_ctx()).map_err(running)?;
    let schema = stream.schema();
    let mut look = tokio::time::interval(LOOK_EVERY);
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0usize, 0u64);
    loop {
        let batch = tokio::select! {
            biased;
            _ = look.tick() => {
                if !go_on() {
                    return Err(SqlError::Stopped);
                }
                continue;
            }
            batch = stream.next() => batch,
        };
        let Some(batch) = batch.transpose().map_err(running)? else {
            return Ok((schema, batches, false));
        };
        let room = limits.rows_max - rows;
        let more = batch.num_rows() > room;
        let batch = if more { batch.slice(0, room) } else { batch };
        rows += batch.num_rows();
        bytes = bytes.saturating_add(bytes_of(&batch));
        if bytes > limits.bytes_max {
            return Err(SqlError::TooManyBytes {
                bytes_max: limits.bytes_max,
            });
        }
        batches.push(batch);
        if more {
            return Ok((schema, batches, true));
        }
    }
}

/// The bytes of its rows, not of what they are a slice of.
fn bytes_of(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| {
        column
            .to_data()
            .get_slice_memory_size()
            .unwrap_or(usize::MAX)
    });
    bytes.fold(0, |all, more| all.saturating_add(more as u64))
}

/// The rows as a table whose columns all have types of ours.
fn table_of(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Table, SqlError> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(SqlError::TwoColumns {
                name: (*name).to_owned(),
            });
        }
    }
    let targets: Vec<ArrowType> = schema.fields().iter().map(|f| known_type(f)).collect();
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .zip(&targets)
        .map(|(field, target)| Field::new(field.name(), target.clone(), true))
        .collect();
    let known = Arc::new(Schema::new(fields));
    let converted = batches.iter().map(|batch| {
        let columns = batch.columns().iter().zip(&targets).zip(&names);
        let columns: Vec<ArrayRef> = columns
            .map(|((array, target), name)| {
                if array.data_type() == target {
                    return Ok(Arc::clone(array));
                }
                cast(array, target).map_err(|_| SqlError::ColumnType {
                    name: (*name).to_owned(),
                    found: array.data_type().to_string(),
                })
            })
            .collect::<Result<_, SqlError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&known), columns, &options).map_err(|error| {
            SqlError::Failed {
                reason: error.to_string(),
            }
        })
    });
    let converted: Vec<RecordBatch> = converted.collect::<Result<_, _>>()?;
    let table = Table::from_batches(&known, &converted).map_err(SqlError::rows)?;
    for (name, found) in table.fields() {
        if let TableType::Opaque(found) = found {
            return Err(SqlError::ColumnType {
                name: name.to_owned(),
                found,
            });
        }
    }
    Ok(table)
}

/// The type that a column of an answer is given: times in microseconds, numbers without a sign with
/// one, texts in one form; what has no type of ours as text.
fn known_type(field: &Field) -> ArrowType {
    match field.data_type() {
        ArrowType::Timestamp(_, _) => {
            ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        ArrowType::UInt32 | ArrowType::UInt64 => ArrowType::Int64,
        ArrowType::Utf8View | ArrowType::LargeUtf8 | ArrowType::Null => ArrowType::Utf8,
        ArrowType::BinaryView | ArrowType::LargeBinary => ArrowType::Binary,
        ArrowType::Interval(_)
        | ArrowType::Duration(_)
        | ArrowType::Time32(_)
        | ArrowType::Time64(_) => ArrowType::Utf8,
        ArrowType::Dictionary(_, values) => known_type(&Field::new("", (**values).clone(), true)),
        other => other.clone(),
    }
}
