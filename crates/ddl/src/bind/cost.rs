//! What one read of a view costs, and the limits that keep a small text from making a large
//! one.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::definition::{LookupTarget, ViewBody, ViewDef};

use super::report::Report;
use crate::ast::Ident;

/// The most features of a view.
pub const FEATURES_MAX: usize = 4_096;
/// The most windows of a view.
pub const WINDOWS_MAX: usize = 4_096;
/// The most look-ups of a view, those of the view that it reads rows of counted.
pub const LOOKUPS_MAX: usize = 256;
/// The most parts of all expressions of a view's columns together.
pub const COLUMN_PARTS_MAX: usize = 1_000_000;
/// How many views may read one another in a row.
pub const VIEW_DEPTH_MAX: usize = 32;
/// The most reads of sources that one read of a view may take, through all views that it
/// reads.
pub const VIEW_READS_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    depth: usize,
    reads: usize,
}

/// Refuses a view that takes too many reads, or reads views through too many others.
pub(super) fn check(name: &Ident, body: &ViewBody, report: &mut Report) -> Option<()> {
    let cost = cost_of(body, &mut BTreeMap::new());
    if cost.depth > VIEW_DEPTH_MAX {
        return report.hinted(
            format!("view `{name}` reads views through more than {VIEW_DEPTH_MAX} others"),
            name.span,
            "compute some of it in one view",
        );
    }
    if cost.reads > VIEW_READS_MAX {
        return report.hinted(
            format!(
                "one read of view `{name}` takes {} reads of sources, and at most {VIEW_READS_MAX} are allowed",
                cost.reads
            ),
            name.span,
            "look fewer views up",
        );
    }
    Some(())
}

/// The cost of a body. Views are remembered by their address: the same one is counted at
/// each of its uses, but computed once.
fn cost_of(body: &ViewBody, known: &mut BTreeMap<*const ViewDef, Cost>) -> Cost {
    let mut of_view = |view: &Arc<ViewDef>| {
        let address = Arc::as_ptr(view);
        if let Some(cost) = known.get(&address) {
            return *cost;
        }
        let cost = cost_of(&view.body, known);
        known.insert(address, cost);
        cost
    };
    let mut total = Cost { depth: 1, reads: 0 };
    let mut add = |cost: Cost| {
        total.depth = total.depth.max(cost.depth + 1);
        total.reads = total.reads.saturating_add(cost.reads);
    };
    let one = Cost { depth: 0, reads: 1 };
    match body {
        ViewBody::Window(_) => add(one),
        ViewBody::Row(body) => {
            add(one);
            body.windows.iter().for_each(|_| add(one));
            for lookup in &body.lookups {
                add(match &lookup.target {
                    LookupTarget::Source { .. } => one,
                    LookupTarget::View(view) => of_view(view),
                });
            }
        }
        ViewBody::Composed(body) => {
            for input in &body.inputs {
                add(of_view(input));
            }
        }
    }
    total
}
