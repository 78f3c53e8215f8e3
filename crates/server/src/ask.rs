//! Requests with named fields, as JSON in the body or as parameters of the query.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use crate::error::ApiError;

/// Fields of a JSON body; an empty one has none.
pub(crate) fn body_fields(body: &[u8]) -> Result<Map<String, Json>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::invalid("the body is not an object")),
        Err(error) => Err(ApiError::new("JSON", error.to_string())
            .at(json!({"line": error.line(), "column": error.column()}))),
    }
}

/// Fields of a query: flags and numbers are written as in JSON, lists with commas.
pub(crate) fn query_fields(
    query: &str,
    numbers: &[&str],
    lists: &[&str],
) -> Result<Map<String, Json>, ApiError> {
    let uri = format!("/?{query}")
        .parse()
        .map_err(|_| ApiError::invalid("the query cannot be read"))?;
    let axum::extract::Query(pairs) =
        axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|e| ApiError::invalid(e.body_text()))?;
    let mut fields = Map::new();
    for (name, text) in pairs {
        let value = match text.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ if numbers.contains(&name.as_str()) => match text.parse::<u64>() {
                Ok(number) => json!(number),
                Err(_) => json!(text),
            },
            _ if lists.contains(&name.as_str()) => text.split(',').collect(),
            _ => json!(text),
        };
        if fields.insert(name.clone(), value).is_some() {
            return Err(ApiError::invalid(format!("`{name}` is given twice")));
        }
    }
    Ok(fields)
}

/// Fields that are all known, as what they ask for.
pub(crate) fn asked<T: DeserializeOwned>(
    fields: Map<String, Json>,
    known: &[&str],
) -> Result<T, ApiError> {
    for name in fields.keys() {
        if !known.contains(&name.as_str()) {
            let error = ApiError::new(
                "UNKNOWN_FIELD",
                format!("no such request has a field `{name}`"),
            )
            .at(json!({"field": name}));
            return Err(
                match evenkeel_connect::nearest(name, known.iter().copied()).0 {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                },
            );
        }
    }
    serde_json::from_value(Json::Object(fields)).map_err(|e| ApiError::invalid(e.to_string()))
}
