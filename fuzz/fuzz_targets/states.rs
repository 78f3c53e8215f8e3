//! States of aggregates: no panic; what is read merges, finishes, and is written to the same bytes.
#![no_main]

use std::sync::OnceLock;

use evenkeel_ddl::bind_project;
use evenkeel_types::definition::{Catalog, ViewDef};
use evenkeel_view::Plan;
use libfuzzer_sys::fuzz_target;

const DEFINITIONS: &str = "
CREATE ENTITY k (k BIGINT);
CREATE STREAM s (k BIGINT, n BIGINT, x DOUBLE, w STRING, b BOOLEAN, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW v ENTITY k AS SELECT k,
  count(*) OVER a AS f0, sum(n) OVER a AS f1, sum(x) OVER a AS f2, avg(x) OVER a AS f3,
  min(w) OVER a AS f4, max(x) OVER a AS f5, stddev(x) OVER a AS f6, var_pop(n) OVER a AS f7,
  first_value(w) OVER a AS f8, last_value(x) IGNORE NULLS OVER a AS f9, last_n(w, 3) OVER a AS f10,
  count_distinct(w) OVER a AS f11, top_k(w, 3) OVER a AS f12, max_by(w, x) OVER a AS f13,
  approx_quantile(x, 0.5) OVER a AS f14
FROM s WINDOW a AS (ALL HISTORY);";

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let project = bind_project(
            &[("a.sql", DEFINITIONS)],
            &Catalog::default(),
            &|_| false,
            &mut |_| Err("there are no files".to_owned()),
        );
        assert!(project.errors.is_empty(), "{:?}", project.errors);
        let views: Vec<&std::sync::Arc<ViewDef>> =
            project.catalog.views.values().flat_map(|v| v.values()).collect();
        Plan::new(views).expect("its calls fit")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&number, bytes)) = bytes.split_first() else {
        return;
    };
    let aggregates = plan().indexes()[0].aggregates();
    let spec = aggregates.specs().nth(usize::from(number) % aggregates.len());
    let aggregator = aggregates.aggregator(spec.expect("it is below their number"));
    let Ok(state) = aggregator.decode(bytes) else {
        return;
    };
    let written = |state| {
        let mut out = Vec::new();
        aggregator.encode(state, &mut out);
        out
    };
    assert_eq!(written(&state), bytes);
    let mut merged = aggregator.empty();
    aggregator.merge(&mut merged, &state);
    assert_eq!(written(&merged), bytes);
    aggregator.merge(&mut merged, &state);
    drop(aggregator.finish(&merged));
});
