//! `evenkeel demo`: a year of real flights from the published files to a verified training
//! set, step by step.
//!
//! The steps use what every command uses; nothing here can do more than a user can.

mod convert;
mod digest;
mod local_time;
mod moments;
mod unpack;

use std::ops::ControlFlow;
use std::path::Path;

use evenkeel_engine::api::{
    IngestReport, KnowledgeMode, SpineSource, TrainReport, TrainRequest, VerifyOptions,
    VerifyReport,
};
use evenkeel_engine::dataset::{
    BuildSpine, DatasetBuild, DatasetFolder, DatasetManifest, DatasetName, RebuildReport,
};
use evenkeel_engine::{Engine, Intake, Project};
use evenkeel_server::wire;
use serde_json::{Value as Json, json};

use crate::arguments::DemoArguments;
use crate::clock::Stopwatch;
use crate::command;
use crate::failure::{Exit, Failure};
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{count, mixed_table, plural};
use convert::Conversion;
use digest::AnswersDigest;
use moments::MOMENTS;
use unpack::Found;

/// Where the demo goes unless `--dir` says otherwise.
const FOLDER: &str = "evenkeel-demo";
/// The sources in the order of the story.
const SOURCES: [&str; 4] = ["planes", "weather", "departures", "arrivals"];
/// What the model asks for.
const MODEL: &str = "delay_model";
/// What the model is trained on.
const DATASET: &str = "delay:1";
/// The file of the training set.
const TRAINING_SET: &str = "train.parquet";
/// Values that are computed by the oracle, too.
const ORACLE_VALUES: u64 = 100;

/// Runs the demo.
pub(crate) fn run(arguments: &DemoArguments, session: &Session) -> Result<Answer, Failure> {
    let session = session.with_default_folder(FOLDER);
    Demo {
        folder: &session.folder(),
        session: &session,
        clock: Stopwatch::start(),
    }
    .run(arguments)
}

struct Demo<'a> {
    session: &'a Session,
    folder: &'a Path,
    clock: Stopwatch,
}

/// What the steps found, for the summary.
struct Outcome {
    conversion: Conversion,
    reports: Vec<IngestReport>,
    events: u64,
    features: usize,
    moments: Vec<Json>,
    training: TrainReport,
    verification: VerifyReport,
    dataset: Dataset,
    digest: String,
}

/// The dataset, and whether it was built again to the same bits.
struct Dataset {
    manifest: DatasetManifest,
    rebuilt: RebuildReport,
}

impl Demo<'_> {
    fn run(&self, arguments: &DemoArguments) -> Result<Answer, Failure> {
        let conversion = self.unpack(arguments)?;
        let project = self.session.project()?;
        let mut engine = self.define(&project)?;
        let reports = self.log(&mut engine)?;
        let mut digest = AnswersDigest::new();
        let moments = self.read(&engine, &mut digest)?;
        let training = self.train(&engine)?;
        digest.text(&training.digest);
        let verification = self.verify(&engine, arguments.values)?;
        digest.text(&verification.answers_digest);
        let dataset = self.dataset(&engine)?;

        let status = engine.status()?;
        let outcome = Outcome {
            conversion,
            reports,
            events: status.sources.iter().map(|s| s.events).sum(),
            features: status
                .views
                .iter()
                .map(|(_, _, _, features)| features)
                .sum(),
            moments,
            training,
            verification,
            dataset,
            digest: digest.finish(),
        };
        let seconds = self.clock.elapsed().as_secs_f64();
        let equal = outcome.verification.mismatches == 0 && outcome.dataset.rebuilt.matches;
        Ok(Answer {
            json: self.to_json(&outcome, seconds, &engine),
            text: self.summary(&outcome, seconds),
            exit: if equal { Exit::Done } else { Exit::Refuted },
        })
    }

    fn step(&self, number: u8, what: &str) {
        self.session.output.step(&format!("\n{number}. {what}"));
    }

    fn say(&self, text: &str) {
        if !self.session.output.is_json() {
            self.session.output.note(&format!("   {text}"));
        }
    }

    fn show(&self, text: &str) -> Result<(), Failure> {
        if self.session.output.is_json() {
            return Ok(());
        }
        self.session.output.data(text)
    }

    fn unpack(&self, arguments: &DemoArguments) -> Result<Conversion, Failure> {
        self.step(
            1,
            &format!(
                "Unpack the flights of 2014 into `{}`",
                self.folder.display()
            ),
        );
        if unpack::project(self.folder, arguments.force)? == Found::Demo {
            self.say("there is a demo already: its definitions and its log are used (--force starts anew)");
        }
        let data = self.folder.join("data");
        unpack::raw_data(&data.join("raw"))?;
        let found = convert::convert(&data.join("raw"), &data)?;
        self.say(&format!(
            "{}: {} departed, {} arrived; {} cancelled, {} with no arrival recorded",
            plural(found.flights, "flight"),
            count(found.departed),
            count(found.arrived),
            count(found.cancelled()),
            count(found.arrival_not_recorded),
        ));
        self.say(&format!(
            "local times became instants; {} impossible (left out: see README.md there)",
            plural(found.non_existent + found.contradictory, "recorded time"),
        ));
        Ok(found)
    }

    fn define(&self, project: &Project) -> Result<Engine, Failure> {
        self.step(2, "Check the definitions and register them");
        let files = project.definition_files()?;
        let mut engine = Engine::open(project)?;
        let plan = engine
            .plan(&files)
            .map_err(|error| Failure::engine(error, &files))?;
        let changes = engine.apply(plan)?;
        for line in command::changes(&changes, true)
            .lines()
            .filter(|l| !l.starts_with("  "))
        {
            self.say(line);
        }
        Ok(engine)
    }

    fn log(&self, engine: &mut Engine) -> Result<Vec<IngestReport>, Failure> {
        self.step(
            3,
            "Log the events: every departure, every arrival, the weather, the aircraft",
        );
        SOURCES
            .iter()
            .map(|source| {
                let output = self.session.output;
                let (def, root) = (engine.source(source)?, engine.project().root.clone());
                let mut intake = Intake::new(engine);
                let report = command::ingest_source(&mut intake, &def, &root, None, output)?;
                self.say(&command::report_line(&report));
                Ok(report)
            })
            .collect()
    }

    fn read(&self, engine: &Engine, digest: &mut AnswersDigest) -> Result<Vec<Json>, Failure> {
        self.step(4, "Read features at three telling moments");
        let mut all = Vec::new();
        for moment in &MOMENTS {
            let reads = moment.read(engine)?;
            for read in &reads {
                digest.answer(&read.answer);
            }
            self.say(&format!("\n   {}: {}", moment.title, moment.why));
            self.show(&moments::table(&reads))?;
            all.push(moment.to_json(&reads, engine));
        }
        Ok(all)
    }

    fn train(&self, engine: &Engine) -> Result<TrainReport, Failure> {
        self.step(
            5,
            "Build a training set: which flights arrive more than 15 minutes late?",
        );
        let path = self.folder.join("spine.sql");
        let query =
            std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        for line in query.lines().filter(|line| !line.starts_with("--")) {
            self.say(line);
        }
        let request = TrainRequest {
            service: engine.service(MODEL)?,
            spine: SpineSource::Query(query),
            knowledge: KnowledgeMode::Latest,
            cut: None,
            out: self.folder.join(TRAINING_SET),
            statuses: false,
        };
        let report = command::build(&engine.offline(), &request, self.session.output)?;
        self.say(&format!(
            "{} with {} to `{}`",
            plural(report.rows, "row"),
            plural(report.features.len() as u64, "feature"),
            report.out.display(),
        ));
        for label in &report.labels {
            self.say(&format!(
                "label {}: {} without a value (diverted, or no arrival recorded), {} not known yet",
                label.name,
                plural(label.missing, "row"),
                count(label.immature),
            ));
        }
        for (source, rows) in &report.coincident {
            self.say(&format!(
                "{} at exactly the time of an event of `{source}`: windows include it unless they \
                 say BEFORE",
                plural(*rows, "row"),
            ));
        }
        Ok(report)
    }

    fn verify(&self, engine: &Engine, values: u64) -> Result<VerifyReport, Failure> {
        self.step(
            6,
            "Verify: what is read and what is trained on are the same, to the bit",
        );
        let options = VerifyOptions {
            values,
            oracle_values: ORACLE_VALUES,
            ..VerifyOptions::default()
        };
        let bar = Bar::counts(self.session.output);
        let report = engine.verify(&options, &mut |what, done, all| bar.show(what, done, all))?;
        drop(bar);
        let json = wire::verify_report(&report, engine.catalog());
        for line in command::verify_summary(&json, engine.catalog()).lines() {
            self.say(line);
        }
        Ok(report)
    }

    fn dataset(&self, engine: &Engine) -> Result<Dataset, Failure> {
        self.step(
            7,
            "Build a training dataset, and build it again to the same bits",
        );
        let store = engine.offline();
        let name: DatasetName = DATASET.parse()?;
        let built = DatasetFolder::of(&engine.project().store).built()?;
        let manifest = if built.contains(&(name.name.clone(), 1)) {
            self.say("it was built by an earlier demo: a version is built once");
            store.dataset(&name)?
        } else {
            let build = DatasetBuild {
                name: name.clone(),
                spine: BuildSpine::Defined,
                values_max: u64::MAX,
            };
            command::build_dataset(&store, &build, self.session.output)?
        };
        let parts: Vec<String> = manifest
            .parts
            .iter()
            .map(|part| format!("{} in {}", count(part.rows), part.name))
            .collect();
        self.say(&format!(
            "{}: {}, {} features, digest {}",
            manifest.title(),
            parts.join(", "),
            manifest.features.len(),
            manifest.digest,
        ));
        let bar = Bar::counts(self.session.output);
        let rebuilt = store.rebuild_dataset(
            &name,
            &BuildSpine::Defined,
            u64::MAX,
            &mut |what, done, all| {
                bar.show(what, done, all);
                ControlFlow::Continue(())
            },
        )?;
        drop(bar);
        self.say(if rebuilt.matches {
            "built again: the same digest"
        } else {
            "built again it is another: see `evenkeel dataset rebuild`"
        });
        Ok(Dataset { manifest, rebuilt })
    }

    fn summary(&self, outcome: &Outcome, seconds: f64) -> String {
        let rejected: u64 = outcome
            .reports
            .iter()
            .map(IngestReport::rejected_total)
            .sum();
        let mut text = String::from("\n");
        text.push_str(&mixed_table(
            ["the demo", ""],
            [
                ["events recorded", &count(outcome.events)],
                ["rows rejected", &count(rejected)],
                ["features defined", &count(outcome.features as u64)],
                ["training rows", &count(outcome.training.rows)],
                [
                    "training features",
                    &count(outcome.training.features.len() as u64),
                ],
                [
                    "values checked",
                    &count(outcome.verification.values_checked),
                ],
                [
                    "values that differ",
                    &count(outcome.verification.mismatches),
                ],
                ["dataset rows", &count(outcome.dataset.manifest.rows)],
                ["seconds", &format!("{seconds:.1}")],
                ["digest of all answers", &outcome.digest],
            ],
        ));
        let dir = self.folder.display();
        // As it was called: nobody has it on the path after `cargo run`.
        let evenkeel = std::env::args()
            .next()
            .unwrap_or_else(|| "evenkeel".to_owned());
        text.push_str(&format!(
            "\nThe project is yours to change. Try:\n  \
             {evenkeel} status --dir {dir}\n  \
             {evenkeel} plan --dir {dir} --all\n  \
             {evenkeel} get --dir {dir} --service airport_board --entity origin=SEA --as-of 2014-07-04T16:00:00Z\n  \
             {evenkeel} explain --dir {dir} airport_congestion:departures_3h --entity origin=PDX --as-of 2014-07-04T16:00:00Z\n"
        ));
        text
    }

    fn to_json(&self, outcome: &Outcome, seconds: f64, engine: &Engine) -> Json {
        let found = &outcome.conversion;
        let total = |f: fn(&IngestReport) -> u64| outcome.reports.iter().map(f).sum::<u64>();
        let sources: Vec<Json> = outcome.reports.iter().map(wire::ingest_report).collect();
        json!({
            "folder": self.folder,
            "events_recorded": outcome.events,
            "rejected": total(IngestReport::rejected_total),
            "left_out": total(|r| r.left_out),
            "training_rows": outcome.training.rows,
            "features": outcome.features,
            "training_features": outcome.training.features.len(),
            "values_checked": outcome.verification.values_checked,
            "oracle_checked": outcome.verification.oracle_checked,
            "mismatches": outcome.verification.mismatches,
            // Milliseconds are enough, and more would only be noise.
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "answers_digest": outcome.digest,
            "dataset": {
                "dataset": outcome.dataset.manifest.title(),
                "digest": outcome.dataset.manifest.digest,
                "training_digest": outcome.dataset.manifest.training_digest,
                "parts": outcome.dataset.manifest.parts.iter()
                    .map(|part| json!({"part": part.name, "rows": part.rows, "digest": part.digest}))
                    .collect::<Vec<Json>>(),
                "matches": outcome.dataset.rebuilt.matches,
            },
            "data": {
                "flights": found.flights,
                "departed": found.departed,
                "cancelled": found.cancelled(),
                "arrived": found.arrived,
                "arrival_not_recorded": found.arrival_not_recorded,
                "non_existent_times": found.non_existent,
                "contradictory_arrivals": found.contradictory,
                "unknown_zones": found.no_zone,
                "weather": found.weather,
                "planes": found.planes,
            },
            "sources": sources,
            "moments": outcome.moments,
            "training": command::json_training_report(&outcome.training, &engine.offline()),
            "verification": wire::verify_report(&outcome.verification, engine.catalog()),
        })
    }
}
