//! `evenkeel serve`.

use evenkeel_engine::Engine;
use serde_json::json;

use crate::arguments::ServeArguments;
use crate::failure::Failure;
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &ServeArguments, session: &Session) -> Result<Answer, Failure> {
    let engine = session.engine_to_serve()?;
    let mut settings = engine.project().server.clone();
    if let Some(bind) = &arguments.bind {
        settings.bind = bind.clone();
    }
    let output = session.output;
    for reason in Engine::not_forgotten(engine.project())? {
        output.note(&format!(
            "a key that a server was asked to forget is not forgotten: {reason}"
        ));
    }
    let store = engine.project().store.display().to_string();
    let mut said = Ok(());
    evenkeel_server::run(engine, &settings, |presence| {
        let url = presence.url();
        said = if output.is_json() {
            output.data(&json!({"listening": url, "store": store, "pid": presence.pid}).to_string())
        } else {
            output.data(&format!("listening on {url}"))
        };
    })?;
    // Whoever reads stdout may go away without the server caring.
    said.or_else(Failure::unless_quiet)?;
    output.step("stopped");
    Ok(Answer::silent())
}
