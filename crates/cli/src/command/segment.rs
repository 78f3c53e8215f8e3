//! `evenkeel segment`.

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::{
    AtOnce, DefinitionFile, FrozenName, FrozenSegment, FrozenSegments, Offline,
    SEGMENT_QUERY_PLACE, SegmentAnswer, SegmentPlan, SegmentRequest, ask_segment, segment_of,
    segment_query, segment_table,
};
use evenkeel_server::wire;
use evenkeel_types::definition::Catalog;
use evenkeel_types::{Cut, Field, Value};
use serde_json::{Value as Json, json};

use super::inputs;
use crate::arguments::{
    FreezeArguments, Moment, SegmentCommand, SegmentQueryArguments, SegmentShowArguments,
};
use crate::failure::{Exit, Failure};
use crate::progress::Bar;
use crate::remote::Remote;
use crate::render;
use crate::session::{Answer, Session};
use crate::table::{count, mixed_table, plural, table};

/// Keys that are shown, if nobody says otherwise.
const SHOWN: usize = 100;

pub(super) fn run(command: &SegmentCommand, session: &Session) -> Result<Answer, Failure> {
    match command {
        SegmentCommand::Query(arguments) => query(arguments, session),
        SegmentCommand::List(_) => list(session),
        SegmentCommand::Freeze(arguments) => freeze(arguments, session),
        SegmentCommand::Show(arguments) => show(arguments, session),
    }
}

/// What is asked, wherever.
pub(crate) struct Wanted<'a> {
    pub(crate) plan: Arc<SegmentPlan>,
    /// The text, if it is no segment by name.
    pub(crate) query: Option<&'a str>,
    pub(crate) moment: &'a Moment,
    pub(crate) after: Option<Vec<Value>>,
    pub(crate) limit: usize,
    pub(crate) counts: bool,
}

fn query(arguments: &SegmentQueryArguments, session: &Session) -> Result<Answer, Failure> {
    let source = Asked::of(session)?;
    let text = arguments.asked.query.as_deref();
    let plan = match (&arguments.asked.segment, text) {
        (Some(name), _) => plan_of(source.catalog(), name)?,
        (None, text) => {
            let text = text.unwrap_or_default();
            let def = segment_query(source.catalog(), text).map_err(|error| {
                let file = DefinitionFile {
                    name: SEGMENT_QUERY_PLACE.to_owned(),
                    text: text.to_owned(),
                };
                Failure::engine_in(error, &[file], "the query")
            })?;
            Arc::new(SegmentPlan::new(def))
        }
    };
    let after = arguments.after.as_ref();
    let after = after.map(|key| inputs::row(&plan.def().key, key, None));
    let limit = match (arguments.limit, arguments.count, &arguments.out) {
        (Some(0), ..) => {
            return Err(Failure::usage("`--limit 0` shows nothing")
                .with_hint("write `--count` to count only"));
        }
        (Some(limit), ..) => limit,
        (None, true, _) => 0,
        (None, false, Some(_)) => usize::MAX,
        (None, false, None) => SHOWN,
    };
    let wanted = Wanted {
        plan,
        query: text,
        moment: &arguments.moment,
        after: after.transpose()?,
        limit,
        counts: arguments.count,
    };
    let (answer, cut) = source.segment(&wanted, session)?;
    let plan = &wanted.plan;
    if let Some(path) = &arguments.out {
        let summary = summary(&wanted, &answer, &cut);
        let without_rows = SegmentAnswer {
            rows: 0,
            ..answer.clone()
        };
        let mut json = wire::segment_answer(plan, &without_rows, &cut);
        json["rows"] = json!(answer.rows);
        json["out"] = json!(path);
        let rows = plural(answer.rows as u64, "key");
        segment_table(plan, answer)?.write(path)?;
        let text = format!("{rows} to `{}`\n{summary}", path.display());
        return Ok(Answer::done(json, text));
    }
    let json = wire::segment_answer(plan, &answer, &cut);
    let mut text = String::new();
    if answer.rows > 0 {
        text.push_str(&rows_table(plan, &answer));
    }
    text.push_str(&summary(&wanted, &answer, &cut));
    Ok(Answer::done(json, text))
}

fn plan_of(catalog: &Catalog, name: &str) -> Result<Arc<SegmentPlan>, Failure> {
    Ok(Arc::new(SegmentPlan::new(segment_of(catalog, name)?)))
}

fn rows_table(plan: &SegmentPlan, answer: &SegmentAnswer) -> String {
    let rows = (0..answer.rows).map(|row| {
        let values = answer.row(row);
        let cells = plan.fields().zip(values);
        cells
            .map(|(field, value)| render::text_value(&field.data_type, &value))
            .collect::<Vec<String>>()
    });
    mixed_table(plan.fields().map(|field| field.name.clone()), rows)
}

/// How many there are, and where to go on.
fn summary(wanted: &Wanted<'_>, answer: &SegmentAnswer, cut: &str) -> String {
    let def = wanted.plan.def();
    let behind = match &wanted.after {
        None => String::new(),
        Some(key) => format!(" behind {}", render::entity(&def.key, key)),
    };
    let mut text = if answer.complete {
        format!(
            "{} of {} of `{}`{behind} {} in it",
            count(answer.matched),
            plural(answer.asked, "key"),
            def.entity,
            if answer.matched == 1 { "is" } else { "are" },
        )
    } else {
        "there are more".to_owned()
    };
    if answer.undecided > 0 {
        text.push_str(&format!(
            ", {} not: the condition is an error for them",
            count(answer.undecided)
        ));
    }
    if let Some(next) = &answer.next {
        let known_at = answer.known_at.map(|at| format!(" --known-at {at}"));
        text.push_str(&format!(
            ": go on with `--after {} --as-of {}{} --cut {cut}`",
            typed(&def.key, next),
            answer.as_of,
            known_at.unwrap_or_default()
        ));
    }
    let known_at = answer.known_at.map(|at| format!(", known at {at}"));
    text.push_str(&format!(
        "\nas of {}{}, cut {cut}\n",
        answer.as_of,
        known_at.unwrap_or_default()
    ));
    text
}

/// A key as it is given on a command line.
fn typed(key: &[Field], values: &[Value]) -> String {
    let parts = key.iter().zip(values).map(|(field, value)| {
        let text = render::text_value(&field.data_type, value);
        let is_plain = !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b))
            && !text.eq_ignore_ascii_case("null");
        match is_plain {
            true => format!("{}={text}", field.name),
            false => format!("{}=\"{}\"", field.name, text.replace('"', "\"\"")),
        }
    });
    let text = parts.collect::<Vec<_>>().join(",");
    match text.contains(['"', '$', '\'', ' ', '`', '\\']) {
        true => format!("'{}'", text.replace('\'', "'\\''")),
        false => text,
    }
}

fn list(session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let defined = store.catalog().segments.values();
    let defined: Vec<_> = defined.flat_map(|versions| versions.values()).collect();
    let frozen = FrozenSegments::of(&session.project()?.store).list()?;
    let mut text = table(
        ["segment", "entity", "reads", "condition"],
        defined.iter().map(|def| {
            let reads: Vec<String> = def.inputs.iter().map(|v| v.name.clone()).collect();
            // The text of the query alone: a comment may have the word, too.
            let query = def
                .sql
                .split_once(" AS\nSELECT")
                .map_or("", |(_, text)| text);
            let condition = query.split_once("\nWHERE ").map_or("", |(_, text)| text);
            [
                format!("{}@{}", def.name, def.version),
                def.entity.clone(),
                reads.join(", "),
                condition.split_whitespace().collect::<Vec<_>>().join(" "),
            ]
        }),
    );
    if !frozen.is_empty() {
        text.push('\n');
        text.push_str(&mixed_table(
            ["frozen", "version", "keys", "as of", "digest"],
            frozen.iter().map(|manifest| {
                [
                    format!("{}:{}", manifest.segment, manifest.number),
                    manifest.version.to_string(),
                    count(manifest.rows),
                    manifest.as_of.clone(),
                    manifest.digest.clone(),
                ]
            }),
        ));
    }
    let defined: Vec<Json> = defined.iter().map(|def| wire::segment(def)).collect();
    let json = json!({"segments": defined, "frozen": frozen});
    Ok(Answer::done(json, text))
}

fn freeze(arguments: &FreezeArguments, session: &Session) -> Result<Answer, Failure> {
    let source = Asked::of(session)?;
    let plan = plan_of(source.catalog(), &arguments.segment)?;
    let (answer, cut) = source.segment(&everything(&plan, &arguments.moment), session)?;
    let folder = FrozenSegments::of(&session.project()?.store);
    let manifest = folder.freeze(&plan, answer, &cut)?;
    let mut json = json!(manifest);
    json["file"] = json!(folder.place(&manifest));
    let text = format!(
        "{} as `{}:{}` in `{}`\nas of {}, cut {}, digest {}\n",
        plural(manifest.rows, "key"),
        manifest.segment,
        manifest.number,
        folder.place(&manifest).display(),
        manifest.as_of,
        manifest.cut,
        manifest.digest,
    );
    Ok(Answer::done(json, text))
}

fn show(arguments: &SegmentShowArguments, session: &Session) -> Result<Answer, Failure> {
    let name: FrozenName = arguments.frozen.parse()?;
    let folder = FrozenSegments::of(&session.project()?.store);
    let manifest = folder.manifest(&name)?;
    let frozen = folder.table(&manifest)?;
    let source = Asked::of(session)?;
    let named = format!("{}@{}", manifest.segment, manifest.version);
    let plan = plan_of(source.catalog(), &named)?;
    let moment = Moment {
        as_of: Some(manifest.as_of.clone()),
        cut: Some(manifest.cut.clone()),
        known_at: manifest.known_at.clone(),
    };
    let (answer, _) = source.segment(&everything(&plan, &moment), session)?;
    let again = segment_table(&plan, answer)?.digest()?;
    let is_same = render::hex(&again) == manifest.digest
        && render::hex(&plan.def().digest) == manifest.definition;
    let mut json = json!(manifest);
    json["file"] = json!(folder.place(&manifest));
    json["digest_now"] = json!(render::hex(&again));
    json["matches"] = json!(is_same);
    let text = shown(&manifest, frozen.len() as u64, is_same);
    let exit = if is_same { Exit::Done } else { Exit::Refuted };
    Ok(Answer { json, text, exit })
}

fn shown(manifest: &FrozenSegment, rows: u64, is_same: bool) -> String {
    format!(
        "{}:{} of {}\n{}\n\n{} of {} asked, {} undecided\nas of {}, cut {}\ndigest {}: {}\n",
        manifest.segment,
        manifest.number,
        manifest.entity,
        manifest.sql.trim_end(),
        plural(rows, "key"),
        count(manifest.asked),
        count(manifest.undecided),
        manifest.as_of,
        manifest.cut,
        manifest.digest,
        if is_same {
            "it comes out the same again"
        } else {
            "it comes out otherwise now"
        },
    )
}

/// All keys of a segment.
fn everything<'a>(plan: &Arc<SegmentPlan>, moment: &'a Moment) -> Wanted<'a> {
    Wanted {
        plan: Arc::clone(plan),
        query: None,
        moment,
        after: None,
        limit: usize::MAX,
        counts: false,
    }
}

/// Who is asked.
enum Asked {
    /// The store: its log first, and the hot tier where that does not suffice.
    Store(Box<Offline>),
    /// The server that holds it.
    Server(Remote, Box<Catalog>),
}

impl Asked {
    fn of(session: &Session) -> Result<Self, Failure> {
        Ok(match session.server()? {
            Some(remote) => {
                let catalog = remote.catalog(&session.project()?)?;
                Asked::Server(remote, Box::new(catalog))
            }
            None => Asked::Store(Box::new(Offline::open_once(&session.project()?)?)),
        })
    }

    fn catalog(&self) -> &Catalog {
        match self {
            Asked::Store(offline) => offline.catalog(),
            Asked::Server(_, catalog) => catalog,
        }
    }

    /// The keys that are in a segment, and the cut in words.
    fn segment(
        &self,
        wanted: &Wanted<'_>,
        session: &Session,
    ) -> Result<(SegmentAnswer, String), Failure> {
        let offline = match self {
            Asked::Store(offline) => offline,
            Asked::Server(remote, _) => return remote.segment(wanted, session.output),
        };
        let known = inputs::known(wanted.moment)?;
        let cut = wanted.moment.cut.as_deref();
        let request = SegmentRequest {
            plan: Arc::clone(&wanted.plan),
            as_of: Some(known.as_of),
            not_before: None,
            positions: Cut::empty(),
            cut: cut.map(|text| offline.parse_cut(text)).transpose()?,
            known_at: known.known_at,
            after: wanted.after.clone(),
            limit: wanted.limit,
            counts: wanted.counts,
            at_once: AtOnce::default(),
        };
        let bar = Bar::words(session.output);
        let mut progress = |keys| {
            bar.say(format!("{} asked", plural(keys, "key")));
            ControlFlow::Continue(())
        };
        let answer = match offline.ask_segment(&request, &mut progress)? {
            Some(answer) => answer,
            None => ask_segment(&session.reader()?, &request, &mut progress)?,
        };
        drop(bar);
        let cut = offline.format_cut(&answer.cut);
        Ok((answer, cut))
    }
}
