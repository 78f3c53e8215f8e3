//! A relation as the query engine sees it: read when it is scanned, the columns that are used.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::bounds::Bounds;
use crate::error::SqlError;
use crate::relation::{EVENT_TIME, Reader, Relation};

/// Rows that go through the plan at a time: in between it can be stopped.
const BATCH_ROWS: usize = 8192;

pub(crate) struct Provider {
    relation: Relation,
    /// None: its columns are asked for, not its rows.
    reader: Option<Arc<Reader>>,
    schema: SchemaRef,
}

impl Provider {
    pub(crate) fn new(relation: Relation, reader: Option<Arc<Reader>>) -> Result<Self, SqlError> {
        Ok(Provider {
            schema: relation.schema()?,
            relation,
            reader,
        })
    }

    fn time_columns(&self) -> Vec<&str> {
        match self.relation.time_column() {
            Some(name) => vec![EVENT_TIME, name],
            None => Vec::new(),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a relation of the store")
    }
}

#[async_trait]
impl TableProvider for Provider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let names = self.time_columns();
        let pushed = filters.iter().map(|filter| {
            match Bounds::of_filter(filter, &names) {
                // Read by, and applied once more.
                Some(_) => TableProviderFilterPushDown::Inexact,
                None => TableProviderFilterPushDown::Unsupported,
            }
        });
        Ok(pushed.collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let bounds = Bounds::among(filters, &self.time_columns());
        let Some(reader) = &self.reader else {
            return Err(DataFusionError::Plan(
                "there are no rows to read".to_owned(),
            ));
        };
        // The lake waits for its stores itself, which it must not where others wait on the thread.
        let read = std::thread::scope(|scope| {
            let reading = scope.spawn(|| self.relation.rows(reader, &columns, bounds));
            reading
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let read = read.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let batches: Vec<RecordBatch> = read.iter().flat_map(in_pieces).collect();
        let schema = Arc::new(self.schema.project(&columns)?);
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }
}

fn in_pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
    starts.map(|start| batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)))
}
