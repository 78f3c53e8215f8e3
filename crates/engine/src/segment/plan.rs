//! A segment laid out for reading: which features of which views, and what is computed of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_expr::{Program, ReadTime};
use evenkeel_train::{Verdict, calls_functions};
use evenkeel_types::definition::{
    Metadata, SegmentDef, ServiceDef, ServiceItem, ViewBody, ViewDef,
};
use evenkeel_types::{Column, DataType, EventTime, Expr, ExprKind, Field};

use crate::serving::ReadPlan;

/// See the module. It holds for the definition, whatever is written or applied later.
#[derive(Debug)]
pub struct SegmentPlan {
    def: Arc<SegmentDef>,
    reads: ReadPlan,
    filter: Option<Program>,
    columns: Vec<Program>,
    /// Of what is read, whether it is needed of keys that are in: the key, and what columns are made of.
    kept: Vec<bool>,
}

impl SegmentPlan {
    /// Lays a segment out. Of its views those features are read that it uses.
    pub fn new(def: Arc<SegmentDef>) -> Self {
        let keys = def.key.len();
        let exprs = def.columns.iter().chain(&def.filter);
        let used: BTreeSet<usize> = exprs.flat_map(Expr::columns).collect();
        // Slots of the definition, in the order in which they are read.
        let mut slots: Vec<usize> = (0..keys).collect();
        let mut items = Vec::with_capacity(def.inputs.len());
        let mut first = keys;
        for view in &def.inputs {
            let features = (0..view.features.len()).filter(|i| used.contains(&(first + i)));
            let features: Vec<usize> = features.collect();
            slots.extend(features.iter().map(|i| first + i));
            first += view.features.len();
            items.push(ServiceItem {
                view: Arc::clone(view),
                key: def.key.iter().map(|field| field.name.clone()).collect(),
                features: features
                    .into_iter()
                    .map(|i| (i, format!("{}_{}", view.name, view.features[i].name)))
                    .collect(),
            });
        }
        let compiled = |expr: &Expr| {
            Program::compile(&expr.clone().map(&mut |mut expr| {
                if let ExprKind::Column(slot) = &mut expr.kind {
                    *slot = slots
                        .binary_search(slot)
                        .expect("every slot that is used is read");
                }
                expr
            }))
        };
        let service = ServiceDef {
            name: def.name.clone(),
            version: def.version,
            items,
            inputs: def.key.clone(),
            metadata: Metadata::default(),
            sql: def.sql.clone(),
            digest: def.digest,
        };
        let columns: Vec<Program> = def.columns.iter().map(compiled).collect();
        let mut kept: Vec<bool> = (0..slots.len()).map(|slot| slot < keys).collect();
        for slot in columns.iter().flat_map(Program::columns) {
            kept[*slot] = true;
        }
        SegmentPlan {
            filter: def.filter.as_ref().map(compiled),
            columns,
            kept,
            reads: ReadPlan::new(Arc::new(service)),
            def,
        }
    }

    /// The segment.
    pub fn def(&self) -> &Arc<SegmentDef> {
        &self.def
    }

    /// Names and types of an answer: the key, then what is selected.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.def.key.iter().chain(&self.def.fields)
    }

    /// The views, read for a key.
    pub fn reads(&self) -> &ReadPlan {
        &self.reads
    }

    /// The views with the features that are used and no others.
    pub(super) fn narrowed(&self) -> Vec<ViewDef> {
        let items = self.reads.service().items.iter();
        items.map(narrowed).collect()
    }

    pub(super) fn types(&self) -> impl Iterator<Item = &DataType> {
        self.fields().map(|field| &field.data_type)
    }

    pub(super) fn key_types(&self) -> impl Iterator<Item = &DataType> {
        self.def.key.iter().map(|field| &field.data_type)
    }

    /// Values that are read for a key.
    pub(super) fn width(&self) -> usize {
        self.def.key.len() + self.reads.features().len()
    }

    pub(super) fn columns(&self) -> &[Program] {
        &self.columns
    }

    /// Whether a slot of the scope (the key, then what is read) is needed of keys that are in.
    pub(super) fn keeps(&self, slot: usize) -> bool {
        self.kept[slot]
    }

    /// Whether the condition calls functions that may be slow.
    pub(super) fn calls_functions(&self) -> bool {
        self.def.filter.as_ref().is_some_and(calls_functions)
    }

    /// The verdicts on keys at a time, by key and features.
    pub(super) fn verdicts(&self, scope: &[&Column], rows: usize, at: EventTime) -> Vec<Verdict> {
        let time = ReadTime::Constant(at.0);
        let condition = self
            .filter
            .as_ref()
            .map(|f| f.eval_batch(scope, rows, time));
        Verdict::of(condition.as_ref(), rows)
    }
}

fn narrowed(item: &ServiceItem) -> ViewDef {
    let mut view = ViewDef::clone(&item.view);
    let used = || item.features.iter().map(|(number, _)| *number);
    view.features = used().map(|i| item.view.features[i].clone()).collect();
    let columns = match &mut view.body {
        ViewBody::Window(body) => &mut body.columns,
        ViewBody::Row(body) => &mut body.columns,
        ViewBody::Composed(body) => &mut body.columns,
    };
    *columns = used().map(|i| columns[i].clone()).collect();
    view
}
