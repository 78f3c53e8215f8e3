//! `explain` lists exactly the events that a window holds, and prints values as `get` does.

use serde_json::Value as Json;

use crate::support::Project;

const DEFINITIONS: &str = "\
CREATE ENTITY card (card_id STRING);
CREATE STREAM payments (
  id STRING, card_id STRING, shop STRING, amount DECIMAL(10, 2), ok BOOLEAN, paid_at TIMESTAMP,
  EVENT ID (id), EVENT TIME paid_at, KNOWN AT paid_at
) WITH (connector = 'file', path = 'payments.csv');
CREATE TABLE shops (
  shop STRING, city STRING, since TIMESTAMP,
  PRIMARY KEY (shop), EVENT TIME since, KNOWN AT since
) WITH (connector = 'file', path = 'shops.csv');
CREATE FEATURE VIEW windows ENTITY card (card_id) AS
SELECT card_id,
  count(id) OVER (LAST 1 HOUR)                       AS last_hour,
  count(id) OVER (LAST 1 HOUR BEFORE)                AS hour_before,
  count(id) OVER (RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND INTERVAL '30' MINUTE PRECEDING) AS older,
  count(id) OVER (LAST 3 ROWS)                       AS last_rows,
  count(id) OVER (LAST 2 ROWS BEFORE)                AS rows_before,
  count(id) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 5 PRECEDING) AS older_rows,
  count(id) OVER (SINCE START OF MONTH)              AS this_month,
  count(id) OVER (SINCE START OF MONTH IN 'Europe/Berlin') AS this_month_there,
  count(id) OVER (LAST 1 MONTH)                      AS last_month,
  count(id) OVER (SESSION GAP 30 MINUTES)            AS in_session,
  count(id) OVER (SESSION GAP 30 MINUTES EXCLUDE GROUP) AS session_before,
  count(id) OVER (LAST 2 HOURS HOP 1 HOUR)           AS hopping,
  count(id) OVER (ALL HISTORY)                       AS ever,
  count(id) FILTER (WHERE ok) OVER (LAST 1 HOUR)     AS ok_last_hour,
  count(id) FILTER (WHERE amount > 100) OVER (LAST 1 HOUR) AS large_last_hour,
  sum(amount) FILTER (WHERE ok) OVER (LAST 1 HOUR)
    / count(id) OVER (LAST 1 HOUR)                   AS ok_share
FROM payments;
CREATE FEATURE VIEW web ENTITY card (card_id) AS
SELECT card_id, count(id) OVER (LAST 2 ROWS) AS web_rows FROM payments WHERE shop = 'web';
CREATE FEATURE VIEW latest ENTITY card (card_id) AS
SELECT p.card_id, p.amount, s.city, w.ever, prev.amount AS amount_before
FROM payments p
  ASOF JOIN shops s ON p.shop = s.shop
  ASOF JOIN windows w ON p.card_id = w.card_id
  ASOF JOIN payments prev MATCH_CONDITION (p.paid_at > prev.paid_at) ON p.card_id = prev.card_id;
CREATE ON DEMAND FEATURE VIEW asked REQUEST (price DOUBLE) AS
SELECT price / w.last_hour AS share, v.web_rows, price * 2 AS twice FROM windows w, web v;
";

/// Six payments around the first of February, two of them at one time, and one after.
const PAYMENTS: &str = "\
id,card_id,shop,amount,ok,paid_at
a,c1,web,1.00,true,2026-01-31T22:30:00Z
b,c1,web,2.00,false,2026-01-31T23:30:00Z
c,c1,web,3.00,true,2026-02-01T00:00:00Z
d,c1,market,4.00,true,2026-02-01T10:00:00Z
e,c1,web,5.00,false,2026-02-01T10:20:00Z
f,c1,market,6.00,true,2026-02-01T10:40:00Z
g,c1,market,7.50,,2026-02-01T10:40:00Z
h,c1,web,8.00,true,2026-02-01T11:00:00Z
";

fn project() -> Project {
    let project = Project::empty();
    project.write("definitions.sql", DEFINITIONS);
    let mut payments = PAYMENTS.to_owned();
    for i in 10..23 {
        payments.push_str(&format!("m{i},many,web,1,true,2026-01-01T00:{i}:00Z\n"));
    }
    project.write("payments.csv", &payments);
    project.write(
        "shops.csv",
        "shop,city,since\nmarket,Porto,2026-01-01T00:00:00Z\nmarket,Lisbon,2026-03-01T00:00:00Z\n",
    );
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

const AS_OF: &str = "2026-02-01T10:40:00Z";

fn explain(project: &Project, feature: &str, entity: &str, as_of: &str) -> Json {
    let arguments = [
        "explain", feature, "--entity", entity, "--as-of", as_of, "--json",
    ];
    project.run(&arguments).ok().json()
}

/// What is stated in steps that have the name.
fn stated<'a>(explanation: &'a Json, name: &str) -> Vec<&'a Json> {
    let steps = explanation["evidence"].as_array().unwrap();
    steps.iter().filter_map(|step| step.get(name)).collect()
}

/// The ids of the events that are listed, in order.
fn listed(explanation: &Json) -> String {
    let events = stated(explanation, "values");
    events
        .iter()
        .map(|values| values["id"].as_str().unwrap())
        .collect()
}

#[test]
fn a_window_lists_exactly_the_events_inside_it() {
    let project = project();
    for (feature, inside, ids) in [
        ("last_hour", 4, "gfed"),
        ("hour_before", 2, "ed"),
        ("older", 4, "dcba"),
        ("last_rows", 3, "gfe"),
        ("rows_before", 2, "ed"),
        ("older_rows", 2, "ba"),
        ("this_month", 5, "gfedc"),
        ("this_month_there", 6, "gfedcb"),
        ("last_month", 7, "gfedcba"),
        ("in_session", 4, "gfed"),
        ("session_before", 2, "ed"),
        ("hopping", 1, "d"),
        ("ever", 7, "gfedcba"),
    ] {
        let feature = format!("windows:{feature}");
        let explanation = explain(&project, &feature, "card_id=c1", AS_OF);
        assert_eq!(explanation["answer"]["value"], inside, "{feature}");
        assert_eq!(stated(&explanation, "value"), [inside], "{feature}");
        assert_eq!(stated(&explanation, "inside"), [inside], "{feature}");
        assert_eq!(stated(&explanation, "counted"), [inside], "{feature}");
        assert_eq!(listed(&explanation), ids, "{feature}");
    }
    // WHERE comes before the window.
    let explanation = explain(&project, "web:web_rows", "card_id=c1", AS_OF);
    assert_eq!(listed(&explanation), "ec");
}

#[test]
fn events_that_a_filter_leaves_out_are_counted_and_not_listed() {
    let project = project();
    let explanation = explain(&project, "windows:ok_last_hour", "card_id=c1", AS_OF);
    assert_eq!(stated(&explanation, "inside"), [4]);
    assert_eq!(stated(&explanation, "counted"), [2]);
    assert_eq!(listed(&explanation), "fd");
    let explanation = explain(&project, "windows:large_last_hour", "card_id=c1", AS_OF);
    assert_eq!(stated(&explanation, "inside"), [4]);
    assert_eq!(stated(&explanation, "counted"), [0]);
    assert_eq!(listed(&explanation), "");
    // Two aggregates over one window: each has its own list.
    let explanation = explain(&project, "windows:ok_share", "card_id=c1", AS_OF);
    assert_eq!(stated(&explanation, "counted"), [4, 2]);
    assert_eq!(listed(&explanation), "gfedfd");
}

#[test]
fn many_events_are_counted_and_the_newest_listed() {
    let project = project();
    let explanation = explain(&project, "windows:ever", "card_id=many", AS_OF);
    assert_eq!(stated(&explanation, "inside"), [13]);
    assert_eq!(stated(&explanation, "more"), [3]);
    assert_eq!(listed(&explanation), "m22m21m20m19m18m17m16m15m14m13");
}

#[test]
fn rows_requests_and_empty_windows_are_explained() {
    let project = project();
    let of = |feature: &'static str, entity: &'static str| {
        ["explain", feature, "--entity", entity, "--as-of", AS_OF]
    };
    project.expect_text("explain_filter", &of("windows:ok_share", "card_id=c1"), 0);
    project.expect_text("explain_more", &of("windows:ever", "card_id=many"), 0);
    project.expect_text("explain_row", &of("latest:city", "card_id=c1"), 0);
    project.expect_text("explain_chain", &of("latest:ever", "card_id=c1"), 0);
    project.expect_text(
        "explain_before",
        &of("latest:amount_before", "card_id=c1"),
        0,
    );
    project.expect_text("explain_share", &of("asked:share", "card_id=c1,price=8"), 0);
    project.expect_text(
        "explain_request",
        &of("asked:twice", "card_id=c1,price=8"),
        0,
    );
    project.expect_text(
        "explain_nobody",
        &of("windows:last_hour", "card_id=nobody"),
        0,
    );
    project.expect_text("explain_no_row", &of("latest:city", "card_id=nobody"), 0);
    let json = explain(&project, "latest:city", "card_id=c1", AS_OF);
    assert_eq!(stated(&json, "key")[0]["shop"], "market");
    assert_eq!(stated(&json, "found"), [true]);
}
