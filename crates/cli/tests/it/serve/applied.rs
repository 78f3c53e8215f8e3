//! Definitions that are applied through a server.

use super::*;

const MORE: &str = "CREATE ENTITY order_number (order_id STRING);
CREATE FEATURE VIEW by_order ENTITY order_number AS
SELECT order_id, count(*) OVER d AS times FROM orders WINDOW d AS (LAST 7 DAYS);
";

#[test]
fn definitions_are_applied_through_the_server_as_without_one() {
    let alone = Project::sample();
    let beside = Project::sample();
    let server = Server::start(&beside, &[]);
    for project in [&alone, &beside] {
        project.write("definitions/more.sql", MORE);
    }
    let say = |arguments: &[&str]| {
        let said = [&alone, &beside].map(|project| {
            let run = project.run(arguments);
            (run.code, run.stdout, run.stderr)
        });
        assert_eq!(said[0], said[1], "{arguments:?}");
        said[0].0
    };
    assert_eq!(say(&["plan"]), 0);
    assert_eq!(say(&["plan", "--json"]), 0);
    for project in [&alone, &beside] {
        project.write(
            "definitions/more.sql",
            &MORE.replace("order_id, count", "order_, count"),
        );
    }
    assert_eq!(say(&["plan"]), 1);
    assert_eq!(say(&["apply"]), 1);
    assert_eq!(say(&["apply", "--json"]), 1);
    for project in [&alone, &beside] {
        project.write("definitions/more.sql", MORE);
    }
    assert_eq!(say(&["apply", "--json"]), 0);
    assert_eq!(say(&["apply"]), 0);
    assert_eq!(
        say(&[
            "get",
            "--features",
            "by_order:times",
            "--entity",
            "order_id=o-1",
            "--as-of",
            "2026-01-12"
        ]),
        0
    );
    assert_eq!(say(&["verify", "--values", "500"]), 0);
    server.stop();
    assert_eq!(say(&["verify", "--values", "500"]), 0);
}

#[test]
fn a_server_that_is_killed_while_it_applies_starts_clean() {
    let project = Project::sample();
    let orders: Vec<Json> = (0..20_000)
        .map(|i| {
            let mut order = order(1000 + i, 0.5);
            order["ordered_at"] = json!(format!("2026-01-{:02}T08:00:00Z", 1 + i % 20));
            order
        })
        .collect();
    let text = json!([{"name": "more.sql", "text": MORE}]);
    let body = json!({"registered": true, "files": text}).to_string();
    for round in 0..4 {
        let server = Server::start(&project, &[]);
        if round == 0 {
            post(
                &client(&project),
                "/v1/sources/orders/events",
                &json!(orders),
            );
        }
        let client = client(&project);
        let pid = server.id().to_string();
        // At another line of its progress each time; it may have been done before.
        let mut left = round;
        let mut progress = |_: &str, _, _| {
            if left == 0 {
                Command::new("kill").args(["-9", &pid]).status().unwrap();
            }
            left -= 1;
        };
        let mut sent = Sent::new(
            "POST",
            "/v1/definitions/apply",
            Scope::Admin,
            body.as_bytes(),
        );
        sent.progress = Some(&mut progress);
        let _ = client.send(&mut sent);
        drop(sent);
        server.kill();
        project.run(&["verify", "--values", "500"]).ok();
    }
    let server = Server::start(&project, &[]);
    let again = client(&project).send(&mut Sent::new(
        "POST",
        "/v1/definitions/apply",
        Scope::Admin,
        body.as_bytes(),
    ));
    assert_eq!(again.unwrap().status, 200);
    let features = json!({"features": ["by_order:times"], "entities": [{"order_id": "o1003"}],
        "as_of": "2026-01-04T12:00:00Z"});
    let read = post(&client(&project), "/v1/features", &features);
    assert_eq!(read["rows"][0]["values"][0], 1, "{read}");
    project.run(&["verify", "--values", "500"]).ok();
    server.stop();
    assert!(!project.path().join(".evenkeel/hot.beside").exists());
}
