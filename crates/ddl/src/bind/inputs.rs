//! What a composed view is made of: the request's columns and the views that it reads.
//!
//! How many request columns there are is known only when all views are added, since a view
//! that needs a request brings its own columns. So expressions are first built over
//! *provisional* slots, and [`Inputs::finish`] puts them where `definition.rs` says.

use std::sync::Arc;

use evenkeel_types::definition::{ComposedBody, ViewBody, ViewDef};
use evenkeel_types::{Expr, Field};

use super::relation::Read;
use super::report::Report;
use super::rows::map_columns;

/// The first provisional slot of the request; below are the keys.
pub(super) const REQUEST_BASE: usize = 1 << 40;
/// The first provisional slot of the inputs.
const INPUT_BASE: usize = 1 << 41;

/// The composed scope in the making, over provisional slots.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) request: Vec<Field>,
    pub(super) views: Vec<Arc<ViewDef>>,
}

impl Inputs {
    /// Adds a view; the answer is what each of its features stands for.
    pub(super) fn add(
        &mut self,
        view: &Arc<ViewDef>,
        read: &Read<'_>,
        report: &mut Report,
    ) -> Option<Vec<Expr>> {
        match &view.body {
            ViewBody::Composed(body) if !body.request.is_empty() => {
                self.inline(view, body, read, report)
            }
            _ => {
                let first = self.input(view);
                Some(
                    view.features
                        .iter()
                        .enumerate()
                        .map(|(i, f)| Expr::column(first + i, f.data_type.clone()))
                        .collect(),
                )
            }
        }
    }

    /// The first slot of a view among the inputs; the same view is read once.
    fn input(&mut self, view: &Arc<ViewDef>) -> usize {
        let mut first = INPUT_BASE;
        for known in &self.views {
            if known.name == view.name && known.version == view.version {
                return first;
            }
            first += known.features.len();
        }
        self.views.push(view.clone());
        first
    }

    fn inline(
        &mut self,
        view: &ViewDef,
        body: &ComposedBody,
        read: &Read<'_>,
        report: &mut Report,
    ) -> Option<Vec<Expr>> {
        let keys = view.key.len();
        let mut slots: Vec<usize> = (0..keys).collect();
        for field in &body.request {
            let found = self.request.iter().position(|f| f.name == field.name);
            let index = match found {
                Some(index) if self.request[index].data_type == field.data_type => index,
                Some(index) => {
                    return report.hinted(
                        format!(
                            "view `{}` needs the request column `{}` as {}, and here it is {}",
                            view.name, field.name, field.data_type, self.request[index].data_type
                        ),
                        read.name_span,
                        "request columns of one name have one type",
                    );
                }
                None => {
                    self.request.push(field.clone());
                    self.request.len() - 1
                }
            };
            slots.push(REQUEST_BASE + index);
        }
        for input in &body.inputs {
            let first = self.input(input);
            slots.extend(first..first + input.features.len());
        }
        Some(
            body.columns
                .iter()
                .map(|c| map_columns(c.clone(), &|slot| slots.get(slot).copied().unwrap_or(slot)))
                .collect(),
        )
    }

    /// The columns over the composed scope.
    pub(super) fn finish(&self, keys: usize, columns: Vec<Expr>) -> Vec<Expr> {
        let request = self.request.len();
        columns
            .into_iter()
            .map(|c| {
                map_columns(c, &|slot| {
                    if slot >= INPUT_BASE {
                        keys + request + (slot - INPUT_BASE)
                    } else if slot >= REQUEST_BASE {
                        keys + (slot - REQUEST_BASE)
                    } else {
                        slot
                    }
                })
            })
            .collect()
    }
}
