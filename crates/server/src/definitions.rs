//! `POST /v1/definitions/plan` and `/apply`: what definitions would change, and the change,
//! while reads and pushes go on.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_engine::{Applying, ChangePlan, DefinitionFile, EngineError, Switched};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::ApiError;
use crate::long_work::{self, Asked, Made, Reporter};
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["files", "registered", "timeout_ms"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ask {
    /// None: the files of the project.
    files: Option<Vec<File>>,
    /// Whether what is registered and not in the files is taken with them.
    registered: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    text: String,
}

pub(crate) async fn plan(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    run(shared, request, |shared, files, _| {
        let plan = planned(shared, files)?;
        Ok(report(&plan.changes, &plan))
    })
    .await
}

pub(crate) async fn apply(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    run(shared, request, |shared, files, reporter| {
        let Ok(_one) = shared.applying.try_lock() else {
            return Err(
                ApiError::new("OVERLOADED", "other definitions are being applied")
                    .with_hint("nothing was changed: send it again when they are"),
            );
        };
        if let Some(reason) = shared.writes_closed() {
            return Err(closed(&reason));
        }
        // If the checkpoint under way fails, nobody could go over.
        shared.checkpoints.wait_for_end();
        {
            let _appending = shared.appending();
            shared.heal()?;
        }
        // Some that were recorded and not gone over to come first: they hold already.
        let left = shared.engine().begin_recorded();
        if let Some(left) = left? {
            go_over(shared, left, reporter)?;
        }
        let plan = planned(shared, files)?;
        let warned = plan.clone();
        let applying = shared.engine().begin_apply(plan);
        let changes = go_over(shared, applying?, reporter)?;
        Ok(report(&changes, &warned))
    })
    .await
}

async fn run(
    shared: Arc<Shared>,
    request: Request,
    work: impl FnOnce(&Shared, &[DefinitionFile], &Reporter) -> Result<Json, ApiError> + Send + 'static,
) -> Result<Response<Body>, ApiError> {
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Ask>(&shared, request, FIELDS).await?;
    let working = Arc::clone(&shared);
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let files = files(&working, ask)?;
        let made = work(&working, &files, reporter).map_err(|mut error| {
            with_lines(&mut error, &files);
            error
        })?;
        Ok(Made::Report(made))
    })
    .await
}

fn files(shared: &Shared, ask: Ask) -> Result<Vec<DefinitionFile>, ApiError> {
    let Some(given) = ask.files else {
        let project = shared.engine().project().clone();
        return Ok(project.definition_files()?);
    };
    let files = given.into_iter().map(|file| DefinitionFile {
        name: file.name,
        text: file.text,
    });
    let files: Vec<DefinitionFile> = files.collect();
    if ask.registered {
        return Ok(shared.engine().with_registered(files));
    }
    Ok(files)
}

fn planned(shared: &Shared, files: &[DefinitionFile]) -> Result<ChangePlan, ApiError> {
    let offline = shared.engine().offline();
    offline
        .plan(files)
        .map_err(|error| ApiError::mistakes(&error, "file"))
}

/// Builds beside the engine, then goes over.
fn go_over(
    shared: &Shared,
    mut applying: Applying,
    reporter: &Reporter,
) -> Result<Vec<evenkeel_engine::api::Change>, ApiError> {
    let failed = |error: EngineError| match error {
        EngineError::Stopped => reporter.stopped(),
        error => ApiError::from(error),
    };
    let built = applying.build(shared, &mut |stage, done, total| {
        shared.set_building(Some((done, total)));
        reporter.reach(stage, done, total)
    });
    shared.set_building(None);
    built.map_err(failed)?;
    let mut held = None;
    loop {
        let is_recorded = applying.is_recorded();
        let failed = |error: EngineError| match error {
            error if is_recorded => recorded(&error.to_string()),
            error => failed(error),
        };
        let switched = {
            let _appending = shared.appending();
            if let Some(reason) = shared.writes_closed() {
                return Err(match is_recorded {
                    true => recorded(&reason),
                    false => closed(&reason),
                });
            }
            let mut engine = shared.engine_mut();
            let switched = applying.switch(&mut engine).map_err(failed)?;
            // Under the same hold, so that no plan of before is kept after it.
            shared.plans.forget();
            switched
        };
        match switched {
            Switched::Done(changes) => {
                drop(held);
                let spent = shared.engine_mut().take_spent();
                drop(spent);
                // So that the next start need not build it. If it fails, the definitions hold.
                shared.checkpoints.write_now(shared);
                // A new derived stream begins with what was logged before.
                shared.queue.wake();
                return Ok(changes);
            }
            Switched::Later(later) => {
                applying = *later;
                // The next checkpoint comes after the switch; pushes go on while there is room.
                held.get_or_insert_with(|| shared.checkpoints.hold());
                shared.checkpoints.wait_for_end();
                applying.catch_up_again(shared).map_err(failed)?;
            }
        }
    }
}

pub(crate) fn closed(reason: &str) -> ApiError {
    ApiError::new(
        "UNAVAILABLE",
        format!("nothing is written any more: {reason}"),
    )
}

fn recorded(reason: &str) -> ApiError {
    ApiError::new(
        "UNAVAILABLE",
        format!("the definitions are recorded, and not read yet: {reason}"),
    )
    .with_hint("apply them again, or start the server again")
}

fn report(changes: &[evenkeel_engine::api::Change], plan: &ChangePlan) -> Json {
    let warnings: Vec<Json> = plan
        .warnings
        .iter()
        .map(|(text, found)| wire::mistake(text, found))
        .collect();
    json!({"changes": wire::changes(changes), "warnings": warnings})
}

/// Adds to each mistake its line and column, and how it is shown to a person.
fn with_lines(error: &mut ApiError, files: &[DefinitionFile]) {
    let Some(all) = error.place["all"].as_array_mut() else {
        return;
    };
    for mistake in all {
        let text = files.iter().find(|f| mistake["text"] == f.name);
        let (Some(file), Some(at)) = (text, mistake["from"].as_u64()) else {
            continue;
        };
        let before = usize::try_from(at).ok().and_then(|at| file.text.get(..at));
        let before = before.unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        mistake["line"] = json!(line);
        mistake["column"] = json!(column);
    }
}
