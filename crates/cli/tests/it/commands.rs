//! Every command on a small project: texts and JSON as golden files, files in and out.

use crate::support::{Project, stable};

const ADA: [&str; 4] = ["--entity", "customer_id=ada", "--as-of", "2026-01-12"];

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

#[test]
fn from_nothing_to_a_verified_training_set() {
    let project = Project::empty();
    project.expect_json("init", &["init"], 0);
    project.expect_json("check", &["check"], 0);
    project.expect_json("plan", &["plan"], 0);
    project.expect_text("plan", &["plan"], 0);
    project.expect_json("apply", &["apply"], 0);
    project.expect_text("plan_of_nothing", &["plan"], 0);
    project.expect_json("ingest", &["ingest"], 0);
    project.expect_text("ingest_again", &["ingest"], 0);
    project.expect_json("status", &["status"], 0);
    let get = with(&["get", "--service", "customer_model"], &ADA);
    project.expect_json("get", &get, 0);
    project.expect_text("get", &get, 0);
    let explain = with(&["explain", "customer_orders:amount_7d"], &ADA);
    project.expect_json("explain", &explain, 0);
    project.expect_text("explain", &explain, 0);
    let spine = "SELECT customer_id, order_id, LABEL orders_7d FROM customer_orders WITHIN \
                 INTERVAL '7' DAY AS orders_next_7d FROM orders";
    let train = [
        "train",
        "customer_model",
        "--spine",
        spine,
        "--out",
        "train.csv",
    ];
    project.expect_json("train", &train, 0);
    project.expect_text("train", &train, 0);
    crate::support::expect("files/train.csv", &project.read("train.csv"));
    let verify = ["verify", "--values", "500"];
    let report = project.run(&with(&verify, &["--json"])).ok().json();
    assert_eq!(report["mismatches"], 0);
    assert!(
        report["values_checked"].as_u64().unwrap() >= 500,
        "{report}"
    );
}

#[test]
fn entities_come_from_flags_and_files() {
    let project = Project::sample();
    let as_of = ["--as-of", "2026-01-12"];
    let service = ["get", "--service", "customer_model"];
    let several = [
        "--entity",
        "customer_id=bob",
        "--entity",
        "customer_id=nobody",
        "--entity",
        "customer_id=ada",
    ];
    project.expect_text("get_several", &with(&with(&service, &several), &as_of), 0);
    project.write("entities.csv", "customer_id,note\nbob,x\nnobody,y\nada,z\n");
    let from_flags = project.run(&with(&with(&service, &several), &with(&as_of, &["--json"])));
    let from_file = project.run(&with(
        &with(&service, &["--entities", "entities.csv"]),
        &with(&as_of, &["--json"]),
    ));
    assert_eq!(from_flags.ok().json(), from_file.ok().json());
    let many: Vec<String> = (0..6).map(|i| format!("customer_id=c{i}")).collect();
    let many: Vec<&str> = many.iter().flat_map(|pairs| ["--entity", pairs]).collect();
    project.expect_text("get_many", &with(&with(&service, &many), &as_of), 0);
    let features = [
        "get",
        "--features",
        "customer_orders:amount_7d,customer_orders:orders_7d",
    ];
    project.expect_json("get_features", &with(&features, &ADA), 0);
}

#[test]
fn an_older_cut_gives_the_older_answer() {
    let project = Project::sample();
    let get = with(&["get", "--service", "customer_model", "--json"], &ADA);
    let before = project.run(&get).ok().json();
    project.write(
        "late.csv",
        "order_id,customer_id,amount,ordered_at\no-6,ada,1000,2026-01-11T09:00:00Z\n",
    );
    project
        .run(&["ingest", "orders", "--file", "late.csv"])
        .ok();
    let after = project.run(&get).ok().json();
    assert_ne!(before["rows"], after["rows"]);
    let cut = before["cut"].as_str().unwrap();
    let then = project.run(&with(&get, &["--cut", cut])).ok().json();
    assert_eq!(before["rows"], then["rows"]);
}

#[test]
fn rejected_rows_are_shown_and_logged_again() {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.write(
        "data/orders.csv",
        "order_id,customer_id,amount,ordered_at\n\
         o-1,ada,20.5,2026-01-05T09:00:00Z\n\
         o-2,ada,twenty,2026-01-06T09:00:00Z\n\
         o-3,ada,3,yesterday\n",
    );
    project.run(&["apply"]).ok();
    project.expect_json("ingest_rejected", &["ingest"], 0);
    project.expect_json("dead_letters", &["dead-letters", "orders"], 0);
    project.expect_text("dead_letters", &["dead-letters", "orders"], 0);
    project.expect_json(
        "redrive",
        &["dead-letters", "orders", "--redrive", "all"],
        0,
    );
}

#[test]
fn a_stream_is_inferred_from_a_file() {
    let project = Project::empty();
    project.write(
        "data/clicks.csv",
        "click_id,user_id,price,Referrer,at\n\
         1,u1,2.5,,2026-01-05T09:00:00Z\n\
         2,u2,1.25,mail,2026-01-05T10:00:00Z\n\
         3,u1,0.5,mail,2026-01-06T09:00:00Z\n",
    );
    project
        .run(&["init", "--from", "data/clicks.csv", "--key", "user_id"])
        .ok();
    crate::support::expect(
        "files/clicks.sql",
        &stable(&project.read("definitions/clicks.sql"), project.path()),
    );
    project.run(&["check"]).ok();
    project.run(&["apply"]).ok();
    let report = project.run(&["ingest", "--json"]).ok().json();
    assert_eq!(
        (&report["recorded"], &report["rejected"]),
        (&3.into(), &0.into())
    );
    let again = project
        .run(&["init", "--from", "data/clicks.csv", "--json"])
        .ok()
        .json();
    assert_eq!(again["written"], serde_json::json!([]));
    project.write("data/taps.csv", "stop,at\n");
    project.run(&["init", "--from", "data/taps.csv"]).ok();
    let inferred = project.read("definitions/taps.sql");
    assert!(
        inferred
            .contains("stop STRING,                           -- CHECK: no row says what it is\n"),
        "{inferred}"
    );
}

#[test]
fn spines_keep_their_rows_their_order_and_their_columns() {
    let project = Project::sample();
    project.write(
        "spine.csv",
        "note,customer_id,event_time\nlast,bob,2026-01-21\nfirst,ada,2026-01-06\nnone,nobody,2026-01-06\n",
    );
    project
        .run(&[
            "train",
            "customer_model",
            "--spine",
            "spine.csv",
            "--out",
            "t.csv",
            "--statuses",
        ])
        .ok();
    crate::support::expect("files/train_from_file.csv", &project.read("t.csv"));
    project.write("spine.sql", "-- all orders\nSELECT customer_id FROM orders");
    let report = project
        .run(&[
            "train",
            "customer_model",
            "--spine",
            "spine.sql",
            "--out",
            "t.parquet",
            "--json",
        ])
        .ok()
        .json();
    assert_eq!(report["rows"], 5);
}

#[test]
fn environments_have_their_own_store() {
    let project = Project::sample();
    let settings = project.read("evenkeel.toml");
    project.write(
        "evenkeel.toml",
        &format!("{settings}\n[environments.trial.store]\npath = \"trial\"\n"),
    );
    project.run(&["apply", "--env", "trial"]).ok();
    let here = project.run(&["status", "--json"]).ok().json();
    let there = project
        .run(&["status", "--env", "trial", "--json"])
        .ok()
        .json();
    assert_eq!(here["sources"][0]["events"], 5);
    assert_eq!(there["sources"][0]["events"], 0);
    assert!(project.path().join("trial").is_dir());
}

#[test]
fn functions_are_listed() {
    let project = Project::empty();
    project.expect_json("functions_nullif", &["functions", "nullif"], 0);
    project.expect_text("functions_nullif", &["functions", "nullif"], 0);
    let all = project.run(&["functions", "--json"]).ok().json();
    assert!(all["expressions"].as_array().unwrap().len() > 100);
    assert!(all["aggregates"].as_array().unwrap().len() > 20);
    assert_eq!(project.run(&["functions", "nosuch"]).code, 1);
}

#[test]
fn a_plan_says_in_words_what_views_are() {
    let project = Project::sample();
    let orders = project.read("definitions/orders.sql");
    let service = orders.find("CREATE FEATURE SERVICE").unwrap();
    project.write("definitions/orders.sql", &orders[..service]);
    project.write(
        "definitions/more.sql",
        "CREATE FEATURE VIEW periods ENTITY customer AS SELECT customer_id,\n\
           count(*) OVER (SINCE START OF MONTH) AS this_month,\n\
           sum(amount) OVER (SINCE START OF WEEK IN 'Europe/Berlin') AS this_week,\n\
           sum(amount * 2) FILTER (WHERE amount > 1) OVER (RANGE BETWEEN START OF DAY AND CURRENT ROW EXCLUDE GROUP) AS today,\n\
           max(amount) OVER (LAST 1 DAY HOP 1 HOUR) AS hopping\n\
         FROM orders;\n\
         CREATE FEATURE VIEW counts ENTITY customer AS\n\
         SELECT customer_id, count(*) OVER (ALL HISTORY) AS ever FROM orders;\n\
         CREATE ON DEMAND FEATURE VIEW asked REQUEST (price DOUBLE, pieces INT) AS\n\
         SELECT price * pieces / c.ever AS share FROM counts c;\n",
    );
    project.expect_text("plan_words", &["plan", "--all"], 0);
}
