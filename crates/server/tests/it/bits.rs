//! Over HTTP come the bits of the engine, for every type of value, as JSON and as Arrow.

use axum::body::Body;
use axum::http::Request;
use evenkeel_connect::{Table, json_to_value, value_to_json};
use evenkeel_engine::api::GetRequest;
use evenkeel_types::{Column, DataType, EventTime, Field, Value, Zone};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use crate::support::World;

const DEFINITIONS: &str = "
CREATE ENTITY k (k BIGINT);
CREATE STREAM s (k BIGINT, a BOOLEAN, b INT, c BIGINT, d FLOAT, e DOUBLE, f DECIMAL(38, 9),
  g STRING, h BYTES, i DATE, j TIMESTAMP, l ARRAY<DOUBLE>, m FLOAT[2], at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW last_row ENTITY k AS SELECT k, a, b, c, d, e, f, g, h, i, j, l, m FROM s;
CREATE FEATURE VIEW windows ENTITY k AS
SELECT k, sum(e) OVER w AS sum_e, avg(d) OVER w AS avg_d, sum(f) OVER w AS sum_f,
  stddev_samp(e) OVER w AS dev_e, max(g) OVER w AS max_g, top_k(b, 2) OVER w AS top_b,
  last_n(j, 3) OVER w AS last_j, count(DISTINCT h) OVER w AS hs
FROM s WINDOW w AS (LAST 1 HOURS);
CREATE FEATURE SERVICE bits VERSION 1 AS last_row (*), windows (*);
";

const AT: i64 = 1_772_359_200_000_000;

fn columns() -> Vec<Field> {
    let decimal = DataType::Decimal {
        precision: 38,
        scale: 9,
    };
    let vector = DataType::Vector {
        element: Box::new(DataType::Float),
        length: 2,
    };
    [
        ("k", DataType::BigInt),
        ("a", DataType::Boolean),
        ("b", DataType::Int),
        ("c", DataType::BigInt),
        ("d", DataType::Float),
        ("e", DataType::Double),
        ("f", decimal),
        ("g", DataType::String),
        ("h", DataType::Bytes),
        ("i", DataType::Date),
        ("j", DataType::Timestamp),
        ("l", DataType::Array(Box::new(DataType::Double))),
        ("m", vector),
        ("at", DataType::Timestamp),
    ]
    .into_iter()
    .map(|(name, data_type)| Field::new(name, data_type))
    .collect()
}

fn double() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|bits| Value::double(f64::from_bits(bits))),
        prop::sample::select(vec![
            0.1,
            -0.0,
            1e300,
            5e-324,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY
        ])
        .prop_map(Value::double),
    ]
}

fn float() -> impl Strategy<Value = Value> {
    any::<u32>().prop_map(|bits| Value::float(f32::from_bits(bits)))
}

fn or_null(values: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![4 => values, 1 => Just(Value::Null)].boxed()
}

fn row() -> impl Strategy<Value = Vec<Value>> {
    let decimal = -99_999_999_999_999_999_999_999_999_999_999_999_999i128
        ..=99_999_999_999_999_999_999_999_999_999_999_999_999;
    let time = -62_135_596_800_000_000i64..253_402_300_800_000_000;
    vec![
        (0i64..2).prop_map(Value::BigInt).boxed(),
        or_null(any::<bool>().prop_map(Value::Boolean)),
        or_null(any::<i32>().prop_map(Value::Int)),
        or_null(any::<i64>().prop_map(Value::BigInt)),
        or_null(float()),
        or_null(double()),
        or_null(decimal.prop_map(Value::decimal)),
        or_null("\\PC{0,8}".prop_map(Value::string)),
        or_null(prop::collection::vec(any::<u8>(), 0..6).prop_map(|b| Value::Bytes(b.into()))),
        or_null((-719_162i32..2_932_896).prop_map(Value::Date)),
        or_null(time.prop_map(Value::Timestamp)),
        or_null(
            prop::collection::vec(or_null(double()), 0..4).prop_map(|v| Value::Array(v.into())),
        ),
        or_null(prop::collection::vec(float(), 2).prop_map(|v| Value::Array(v.into()))),
        (0i64..1_000_000)
            .prop_map(|t| Value::Timestamp(AT - t))
            .boxed(),
    ]
}

/// Pushes rows as JSON or as Arrow.
async fn push(world: &World, rows: &[Vec<Value>], as_arrow: bool) {
    let fields = columns();
    let path = "/v1/sources/s/events";
    let answer = if as_arrow {
        let column = |i: usize, field: Field| {
            let column = Column::from_values(&field.data_type, rows.iter().map(|row| &row[i]));
            (field, column)
        };
        let table = Table::from_columns(fields.into_iter().enumerate().map(|(i, f)| column(i, f)));
        let stream = table.unwrap().to_stream().unwrap();
        world
            .post(path, "application/vnd.apache.arrow.stream", stream)
            .await
    } else {
        let object = |row: &Vec<Value>| {
            let members = fields.iter().zip(row);
            Json::Object(
                members
                    .map(|(f, v)| (f.name.clone(), value_to_json(&f.data_type, v)))
                    .collect::<Map<_, _>>(),
            )
        };
        let rows: Vec<Json> = rows.iter().map(object).collect();
        world.post_json(path, &json!(rows)).await
    };
    let counts = &answer.json()["counts"];
    assert_eq!(counts["logged"], rows.len(), "{}", answer.text());
}

fn check(rows: Vec<Vec<Value>>, as_arrow: bool) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut world = World::with(DEFINITIONS, Default::default(), Default::default());
    let as_of = EventTime(AT + 1);
    let (json, arrow) = runtime.block_on(async {
        push(&world, &rows, as_arrow).await;
        let ask =
            json!({"service": "bits", "entities": {"k": [0, 1, 2]}, "as_of": as_of.to_string()});
        let json = world.read(&ask).await;
        let request = Request::post("/v1/features")
            .header("content-type", "application/json")
            .header("accept", "application/vnd.apache.arrow.stream")
            .body(Body::from(ask.to_string()))
            .unwrap();
        let arrow = world.send(request).await;
        assert_eq!(
            arrow.status,
            200,
            "{}",
            String::from_utf8_lossy(&arrow.body)
        );
        (json, Table::from_stream(arrow.body.to_vec(), 0).unwrap())
    });
    let engine = world.engine();
    let service = engine.service("bits").unwrap();
    let request = GetRequest {
        rows: (0..3).map(|k| vec![Value::BigInt(k)]).collect(),
        service,
        as_of,
        cut: Some(engine.parse_cut(json["cut"].as_str().unwrap()).unwrap()),
        known_at: None,
    };
    let answer = engine.get(&request).unwrap();
    assert_eq!(
        arrow.metadata()["evenkeel.cut"],
        json["cut"].as_str().unwrap()
    );
    for (i, field) in answer.features.iter().enumerate() {
        let column = arrow.column_as(&field.name, &field.data_type).unwrap();
        let statuses = arrow
            .column_as(&format!("{}__status", field.name), &DataType::String)
            .unwrap();
        for (n, row) in answer.rows.iter().enumerate() {
            let json = &json["rows"][n];
            let value = json_to_value(&field.data_type, &json["values"][i], &Zone::utc()).unwrap();
            let expected = &row[i].value;
            assert!(
                value.same_bits(expected),
                "{}: {value:?} {expected:?}",
                field.name
            );
            let value = column.get(n);
            assert!(
                value.same_bits(expected),
                "{}: {value:?} {expected:?}",
                field.name
            );
            assert_eq!(json["statuses"][i], row[i].status.to_string());
            assert_eq!(statuses.get(n), Value::string(row[i].status.to_string()));
            let time = row[i].event_time.map(|t| t.to_string());
            assert_eq!(json["event_times"][i], json!(time));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn http_gives_the_bits_of_the_engine(
        rows in prop::collection::vec(row(), 1..12),
        as_arrow in any::<bool>(),
    ) {
        check(rows, as_arrow);
    }
}
