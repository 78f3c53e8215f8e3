//! The description of the API: `docs/openapi.json`, as it is served.

use axum::body::Body;
use axum::http::Response;

use crate::reply;

/// The text; a test compares it with the routes and the error codes.
pub const OPENAPI: &str = include_str!("../../../docs/openapi.json");

pub(crate) async fn text() -> Response<Body> {
    reply::json(OPENAPI.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use evenkeel_engine::Scope;
    use serde_json::Value as Json;

    use super::*;
    use crate::error::ERROR_CODES;
    use crate::request::FIELDS;
    use crate::routes::ROUTES;
    use crate::{
        backfills, calls, captures, corrections, definitions, doctor, forget, pushed, runs,
        segments, sql, training, triggers, verification,
    };

    fn json() -> Json {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[test]
    fn it_has_the_routes_with_their_scopes() {
        let mut found = BTreeMap::new();
        for (path, methods) in json()["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let scope = operation["x-scope"].as_str().map(str::to_owned);
                found.insert((method.to_uppercase(), path.clone()), scope);
            }
        }
        let expected = ROUTES.iter().map(|(method, path, scope)| {
            let scope = scope.map(|scope| match scope {
                Scope::Read => "read".to_owned(),
                Scope::Write => "write".to_owned(),
                Scope::Admin => "admin".to_owned(),
            });
            (((*method).to_owned(), (*path).to_owned()), scope)
        });
        assert_eq!(found, expected.collect());
    }

    #[test]
    fn it_has_the_codes_and_the_fields_of_a_read() {
        let json = json();
        let schemas = &json["components"]["schemas"];
        let codes = &schemas["Error"]["properties"]["error"]["properties"]["code"]["enum"];
        let codes: Vec<&str> = codes
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_str().unwrap())
            .collect();
        let expected: Vec<&str> = ERROR_CODES.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes, expected);
        let fields = schemas["ReadRequest"]["properties"].as_object().unwrap();
        let fields: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        assert_eq!(fields, FIELDS.iter().copied().collect());
        for (name, known) in [
            ("TrainingRequest", training::FIELDS),
            ("SqlRequest", sql::FIELDS),
            ("RunRequest", runs::FIELDS),
            ("BackfillRequest", backfills::FIELDS),
            ("RowChange", pushed::FIELDS),
            ("VerifyRequest", verification::VERIFY_FIELDS),
            ("ExplainRequest", verification::EXPLAIN_FIELDS),
            ("DefinitionsRequest", definitions::FIELDS),
            ("DoctorRequest", doctor::FIELDS),
            ("SegmentRequest", segments::FIELDS),
            ("CallRequest", calls::FIELDS),
            ("TriggerRequest", triggers::FIELDS),
            ("CaptureReport", captures::FIELDS),
            ("ExclusionRequest", corrections::EXCLUSION_FIELDS),
            ("ForgetRequest", forget::FIELDS),
        ] {
            let fields = schemas[name]["properties"].as_object().unwrap();
            let fields: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
            assert_eq!(fields, known.iter().copied().collect(), "{name}");
        }
    }
}
