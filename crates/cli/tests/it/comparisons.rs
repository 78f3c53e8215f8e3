//! Sources that are compared with the truth when that is due, by a command and by a server.

use serde_json::json;

use crate::serve::Server;
use crate::support::Project;

/// The moment that is due is a minute ago at most: everything of the last ten years is compared.
const DEFINITIONS: &str = "
CREATE ENTITY customer (customer_id STRING);
CREATE STREAM orders (order_id STRING, customer_id STRING, amount DOUBLE, ordered_at TIMESTAMP,
  EVENT ID (order_id), EVENT TIME ordered_at)
  WITH (connector = 'file', path = 'orders.csv', compare_schedule = '* * * * *',
        compare_with = 'truth/*.csv', compare_days = 3650);
CREATE FEATURE VIEW spent ENTITY customer AS
SELECT customer_id, sum(amount) OVER (ALL HISTORY) AS spent FROM orders;";
const HEAD: &str = "order_id,customer_id,amount,ordered_at\n";
const ROWS: [&str; 3] = [
    "o-1,ada,1.5,2026-01-05T08:00:00Z\n",
    "o-2,bob,2,2026-01-06T08:00:00Z\n",
    "o-3,ada,4,2026-01-07T08:00:00Z\n",
];
/// What a store says that was compared long ago.
const COMPARED: &str = include_str!("../../../engine/tests/fixtures/comparisons/1.json");

fn project() -> Project {
    let project = Project::empty();
    project.write("definitions.sql", DEFINITIONS);
    project.write("orders.csv", &format!("{HEAD}{}", ROWS.concat()));
    std::fs::create_dir(project.path().join("truth")).unwrap();
    // One is otherwise, one is missing, one was not there.
    let truth = ROWS[1].replace("bob,2", "bob,3");
    let text = format!("{HEAD}{}{truth}o-4,eve,8,2026-01-08T08:00:00Z\n", ROWS[0]);
    project.write("truth/a.csv", &text);
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

fn spent(project: &Project) -> String {
    let customers = ["ada", "bob", "eve"].map(|name| format!("customer_id={name}"));
    let mut arguments = vec!["get", "--features", "spent:spent", "--json"];
    for customer in &customers {
        arguments.extend(["--entity", customer]);
    }
    let json = project.run(&arguments).ok().json();
    json["rows"].to_string()
}

fn compared(project: &Project) -> serde_json::Value {
    project.run(&["status", "--json"]).ok().json()["sources"][0]["compared"].clone()
}

#[test]
fn what_a_comparison_finds_is_put_right_and_counted() {
    let project = project();
    assert!(compared(&project).is_null());
    let dry = project
        .run(&["correct", "orders", "--dry-run", "--json"])
        .ok()
        .json();
    assert_eq!(
        (&dry["replaced"], &dry["removed"], &dry["added"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert!(compared(&project).is_null());
    project.run(&["correct", "orders"]).ok();
    assert_eq!(compared(&project)["differences"], 3);
    let text = project.run(&["status"]).ok().stdout;
    assert!(
        text.contains("`orders` differed from the truth at ") && text.contains("3 events"),
        "{text}"
    );
    // The same truth changes nothing, and what was found is not forgotten.
    project.run(&["correct", "orders"]).ok();
    let now = compared(&project);
    assert_eq!(
        (&now["differences"], &now["differences_total"]),
        (&json!(0), &json!(3))
    );
    let half = project.run(&["correct", "orders", "--with", "truth/a.csv"]);
    assert_eq!(half.code, 2, "{}", half.stderr);
}

#[test]
fn a_server_compares_when_it_is_due() {
    let [alone, served] = [project(), project()];
    alone.run(&["correct", "orders"]).ok();
    // A server that begins makes up for what was due while there was none.
    std::fs::create_dir(served.path().join(".evenkeel/comparisons")).unwrap();
    served.write(".evenkeel/comparisons/orders.json", COMPARED);
    let server = Server::start(&served, &[]);
    while compared(&served)["comparisons"] == 3 {}
    assert_eq!(spent(&served), spent(&alone));
    let now = compared(&served);
    // Another moment may be due meanwhile.
    assert_eq!(now["differences_total"], 7 + 3);
    let refused = served.run(&["correct", "orders"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("--with"),
        "{}",
        refused.stderr
    );
    server.stop();
}
