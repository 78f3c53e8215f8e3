//! `evenkeel dataset`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use evenkeel_engine::dataset::{
    BuildSpine, DatasetBuild, DatasetFolder, DatasetManifest, DatasetName, InputState,
    ListedDataset, RebuildReport, Staleness, difference,
};
use evenkeel_engine::{DefinitionFile, EngineError, Offline};
use evenkeel_types::definition::DatasetSpine;
use serde_json::{Value as Json, json};

use crate::arguments::{
    BuildArguments, DatasetCommand, DiffArguments, RebuildArguments, ShowArguments,
};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{bytes, count, mixed_table, plural, table};

pub(super) fn run(command: &DatasetCommand, session: &Session) -> Result<Answer, Failure> {
    match command {
        DatasetCommand::Build(arguments) => build(arguments, session),
        DatasetCommand::List(_) => list(session),
        DatasetCommand::Show(arguments) => show(arguments, session),
        DatasetCommand::Diff(arguments) => diff(arguments, session),
        DatasetCommand::Rebuild(arguments) => rebuild(arguments, session),
    }
}

fn spine_of(given: Option<&PathBuf>) -> BuildSpine {
    given.map_or(BuildSpine::Defined, |path| BuildSpine::File(path.clone()))
}

/// Builds a dataset with a bar.
pub(crate) fn build_dataset(
    store: &Offline,
    build: &DatasetBuild,
    output: Output,
) -> Result<DatasetManifest, Failure> {
    let bar = Bar::counts(output);
    let built = store.build_dataset(build, &mut |what, done, all| {
        bar.show(what, done, all);
        ControlFlow::Continue(())
    });
    drop(bar);
    built.map_err(|error| in_query(error, store, &build.name))
}

/// The query's mistakes are underlined in it, under the name that the engine gives it.
fn in_query(error: EngineError, store: &Offline, name: &DatasetName) -> Failure {
    let versions = store.catalog().datasets.get(&name.name);
    let def = versions.and_then(|versions| match name.version {
        None => versions.values().next_back(),
        Some(version) => versions.get(&version),
    });
    let texts: Vec<DefinitionFile> = match def.map(|def| &def.spine) {
        Some(DatasetSpine::Query(text)) => vec![super::query_text(text)],
        _ => Vec::new(),
    };
    Failure::engine_in(error, &texts, super::QUERY_PLACE)
}

fn build(arguments: &BuildArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let build = DatasetBuild {
        name: arguments.dataset.parse()?,
        spine: spine_of(arguments.spine.as_ref()),
        values_max: u64::MAX,
    };
    let manifest = build_dataset(&store, &build, session.output)?;
    let folder = folder_of(session, &manifest)?;
    let mut json = manifest.to_json();
    json["folder"] = json!(folder);
    let mut text = parts_table(&manifest);
    for label in &manifest.labels {
        text.push_str(&format!(
            "label {} within {}: {} without a value, {} not known yet\n",
            label.name,
            label.within,
            plural(label.missing, "row"),
            count(label.immature),
        ));
    }
    if manifest.rows == 0 {
        text.push_str("the spine has no rows, and this version stays as it is: define the next one once there are some\n");
    }
    for (source, rows) in &manifest.coincident {
        text.push_str(&format!(
            "{} at exactly the time of an event of `{source}`: windows include that event unless \
             they say EXCLUDE GROUP\n",
            plural(*rows, "row"),
        ));
    }
    text.push_str(&format!(
        "{} with {} to `{}`, cut {}, digest {}\n",
        plural(manifest.rows, "row"),
        plural(manifest.features.len() as u64, "feature"),
        folder.display(),
        manifest.cut,
        manifest.digest,
    ));
    Ok(Answer::done(json, text))
}

fn folder_of(session: &Session, manifest: &DatasetManifest) -> Result<PathBuf, Failure> {
    let store = session.project()?.store;
    Ok(DatasetFolder::of(&store).place(&manifest.dataset, manifest.version))
}

fn parts_table(manifest: &DatasetManifest) -> String {
    let rows = manifest.parts.iter().flat_map(|part| {
        part.files.iter().map(|file| {
            [
                part.name.clone(),
                count(part.rows),
                file.file.clone(),
                bytes(file.bytes),
            ]
        })
    });
    let mut text = table(["part", "rows", "file", "bytes"], rows);
    if manifest.left_out > 0 {
        text.push_str(&format!(
            "{} in no part\n",
            plural(manifest.left_out, "row")
        ));
    }
    text
}

fn list(session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let found = store.datasets()?;
    let lines: Vec<Json> = found.iter().map(ListedDataset::to_json).collect();
    let rows: Vec<[String; 5]> = found
        .iter()
        .map(|listed| {
            let title = format!("{}:{}", listed.name, listed.version);
            match &listed.built {
                None => [
                    title,
                    "not built".to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                ],
                Some((manifest, late)) => [
                    title,
                    format!("{}@{}", manifest.service.name, manifest.service.version),
                    count(manifest.rows),
                    late.map_or_else(|| "behind".to_owned(), count),
                    manifest.digest.chars().take(16).collect(),
                ],
            }
        })
        .collect();
    let mut text = if rows.is_empty() {
        "no dataset is defined: write CREATE TRAINING DATASET and run `evenkeel apply`\n".to_owned()
    } else {
        table(
            ["dataset", "service", "rows", "late events", "digest"],
            rows,
        )
    };
    for listed in &found {
        if let Some(reason) = &listed.forgotten {
            text.push_str(&format!("{}:{}: {reason}\n", listed.name, listed.version));
        }
    }
    Ok(Answer::done(json!({"datasets": lines}), text))
}

fn show(arguments: &ShowArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let name: DatasetName = arguments.dataset.parse()?;
    let manifest = store.dataset(&name)?;
    let bar = Bar::counts(session.output);
    let stale = store.staleness(
        &manifest,
        &spine_of(arguments.spine.as_ref()),
        u64::MAX,
        &mut |what, done, all| {
            bar.show(what, done, all);
            ControlFlow::Continue(())
        },
    )?;
    drop(bar);
    let folder = folder_of(session, &manifest)?;
    let mut json = manifest.to_json();
    json["folder"] = json!(folder);
    json["stale"] = json!(stale);
    let mut text = features_table(&manifest);
    text.push('\n');
    text.push_str(&parts_table(&manifest));
    text.push_str(&format!(
        "\n{}, service {}@{}, knowledge {}\n",
        manifest.title(),
        manifest.service.name,
        manifest.service.version,
        manifest.knowledge,
    ));
    let spine = match &manifest.spine.file {
        Some(file) => format!("`{file}`"),
        None => "a query".to_owned(),
    };
    text.push_str(&format!(
        "spine {spine} with {}, cut {}\ndigest {}, in `{}`\n",
        plural(manifest.spine.rows, "row"),
        manifest.cut,
        manifest.digest,
        folder.display(),
    ));
    text.push_str(&stale_words(&stale));
    Ok(Answer::done(json, text))
}

fn features_table(manifest: &DatasetManifest) -> String {
    let word = |json: &Json| match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows = manifest.features.iter().map(|feature| {
        let s = &feature.statistics;
        let distinct = s.distinct.map(|n| {
            let more = if s.more_distinct { "more than " } else { "" };
            format!("{more}{n} distinct")
        });
        let transform = feature.transform["shape"]["kind"].as_str();
        let impute = &feature.transform["impute"];
        let transform = match (impute.is_null(), transform) {
            (true, None) => "",
            (false, None) => "imputed",
            (_, Some(kind)) => kind,
        };
        [
            feature.name.clone(),
            feature.data_type.clone(),
            count(s.nulls),
            word(&s.min),
            word(&s.max),
            distinct.unwrap_or_else(|| word(&s.mean)),
            word(&s.stddev),
            transform.to_owned(),
        ]
    });
    mixed_table(
        [
            "feature",
            "type",
            "nulls",
            "min",
            "max",
            "mean",
            "stddev",
            "transform",
        ],
        rows,
    )
}

fn stale_words(stale: &Staleness) -> String {
    let mut text = String::new();
    if stale.behind.is_some() {
        text.push_str("the store is behind it: late events cannot be counted\n");
    }
    for late in &stale.late {
        text.push_str(&format!(
            "{} of `{}` came since that may touch it\n",
            plural(late.events, "event"),
            late.source,
        ));
    }
    let Some(differing) = &stale.differing else {
        return text;
    };
    match (differing.rows, &differing.reason) {
        (Some(0), _) => text.push_str("not stale: no row differs at today's cut\n"),
        (Some(rows), _) => {
            let columns = differing.columns.iter();
            let columns: Vec<String> = columns
                .map(|(name, rows)| format!("{name} in {}", count(*rows)))
                .collect();
            text.push_str(&format!(
                "stale: {} at today's cut ({})\n",
                plural_verb(rows),
                columns.join(", "),
            ));
        }
        (None, reason) => text.push_str(&format!(
            "whether rows differ cannot be told: {}\n",
            reason.as_deref().unwrap_or("no reason is known"),
        )),
    }
    text
}

fn plural_verb(rows: u64) -> String {
    if rows == 1 {
        "1 row differs".to_owned()
    } else {
        format!("{} rows differ", count(rows))
    }
}

fn diff(arguments: &DiffArguments, session: &Session) -> Result<Answer, Failure> {
    let folder = DatasetFolder::of(&session.project_with_store()?.store);
    let first = folder.manifest(&arguments.first.parse()?)?;
    let second = folder.manifest(&arguments.second.parse()?)?;
    let found = difference(&first, &second);
    let short = |json: &Json| -> String {
        let text = match json {
            Json::Null => "-".to_owned(),
            Json::String(text) => text.replace('\n', " "),
            other => other.to_string(),
        };
        match text.char_indices().nth(60) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    };
    let rows = found
        .iter()
        .map(|d| [d.what.clone(), short(&d.first), short(&d.second)]);
    let text = if found.is_empty() {
        format!("{} and {} are the same\n", first.title(), second.title())
    } else {
        mixed_table(["what", &first.title(), &second.title()], rows)
    };
    let json = json!({
        "first": first.title(),
        "second": second.title(),
        "differences": found,
    });
    Ok(Answer::done(json, text))
}

fn rebuild(arguments: &RebuildArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let mut name: DatasetName = arguments.name.parse()?;
    name.version = arguments.version.or(name.version);
    let bar = Bar::counts(session.output);
    let report = store.rebuild_dataset(
        &name,
        &spine_of(arguments.spine.as_ref()),
        u64::MAX,
        &mut |what, done, all| {
            bar.show(what, done, all);
            ControlFlow::Continue(())
        },
    );
    drop(bar);
    let report = report.map_err(|error| in_query(error, &store, &name))?;
    let text = rebuild_words(&report);
    Ok(Answer {
        json: json!(report),
        text,
        exit: if report.is_whole() {
            Exit::Done
        } else {
            Exit::Refuted
        },
    })
}

fn rebuild_words(report: &RebuildReport) -> String {
    let mut text = String::new();
    let state = |state: InputState| match state {
        InputState::Same => "the same",
        InputState::Changed => "another",
        InputState::Gone => "gone",
        InputState::Unknown => "not looked at",
    };
    for found in report.inputs.iter().chain(&report.files) {
        if found.state != InputState::Same {
            let reason = if found.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", found.reason)
            };
            text.push_str(&format!(
                "{} is {}{reason}\n",
                found.input,
                state(found.state)
            ));
        }
    }
    for file in &report.restored {
        text.push_str(&format!("{file} is there again\n"));
    }
    let title = format!("{}:{}", report.dataset, report.version);
    text.push_str(&match &report.digest {
        None => format!("{title} cannot be built again\n"),
        Some(digest) if report.matches => {
            let bytes = if report.same_bytes == Some(true) {
                "to the byte"
            } else {
                "in its values; another version of the program writes other bytes"
            };
            format!("{title} is the same {bytes}: digest {digest}\n")
        }
        Some(digest) => format!(
            "{title} does not match: digest {digest}, it was {}\n",
            report.expected
        ),
    });
    text
}
