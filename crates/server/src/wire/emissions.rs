//! Emissions as JSON.

use evenkeel_engine::{Emission, made_by};
use evenkeel_types::Value;
use evenkeel_types::definition::{DerivedDef, SourceDef};
use serde_json::{Map, Value as Json, json};

use super::values::value;

/// An emission of a topic: where it stands, what it is made of, and its row. What is an error is NULL
/// in the row, and named in `errors`.
pub fn emission(topic: &SourceDef, emission: &Emission) -> Json {
    let logged = &emission.logged;
    let event = &logged.event;
    let (mut row, mut errors) = (Map::new(), Map::new());
    let mut trigger = Json::Null;
    for (column, found) in topic.columns.iter().zip(&event.row) {
        match column.name.as_str() {
            DerivedDef::TRIGGER_ID => trigger = value(&column.data_type, found),
            DerivedDef::TRIGGERED_AT | DerivedDef::TRIGGER_ORDER | DerivedDef::RECORDED_INPUTS => {}
            name => {
                if let Value::Error(reason) = found {
                    errors.insert(name.to_owned(), json!(reason.to_string()));
                }
                row.insert(name.to_owned(), value(&column.data_type, found));
            }
        }
    }
    let (definition, record) = made_by(event).unzip();
    json!({
        "topic": topic.name,
        "position": logged.position.offset.0,
        "operation": event.operation.to_string(),
        "revision": event.revision,
        "event_time": event.event_time.to_string(),
        "logged_at": logged.logged_at.to_string(),
        "trigger": trigger,
        "record": record,
        "correlation_id": emission.correlation_id,
        "definition": definition,
        "row": row,
        "errors": errors,
    })
}
