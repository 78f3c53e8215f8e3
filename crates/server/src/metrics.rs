//! Counters, and their Prometheus text (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use evenkeel_engine::Engine;
use evenkeel_engine::correction::Counts;
use evenkeel_engine::push::RowAnswer;

use crate::captures::Captures;
use crate::lake::LakeFlushes;
use crate::promises::Promises;
use crate::runs::Runs;

/// Upper ends of the buckets of a histogram, seconds.
const BUCKETS: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
];

/// How long something took, each time.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    nanos: AtomicU64,
}

impl Histogram {
    /// One more.
    pub(crate) fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|end| seconds <= *end) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn text(&self, text: &mut String, name: &str, help: &str) {
        head(text, name, "histogram", help);
        let mut sum = 0;
        for (end, bucket) in BUCKETS.iter().zip(&self.buckets) {
            sum += bucket.load(Ordering::Relaxed);
            line(text, &format!("{name}_bucket{{le=\"{end}\"}}"), sum);
        }
        let count = self.count.load(Ordering::Relaxed);
        line(text, &format!("{name}_bucket{{le=\"+Inf\"}}"), count);
        let micros = self.nanos.load(Ordering::Relaxed) / 1_000;
        let seconds = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        line(text, &format!("{name}_sum"), seconds);
        line(text, &format!("{name}_count"), count);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By route and status.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// By source and what became of the row.
    rows: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// By source, kind of difference to a truth, and whether it was a dry run.
    differences: Mutex<BTreeMap<(String, &'static str, bool), u64>>,
    /// By source, and whether it failed: comparisons that were due.
    comparisons: Mutex<BTreeMap<(String, bool), u64>>,
    reads: Histogram,
    pub(crate) promises: Promises,
    pub(crate) connections: AtomicUsize,
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn request(&self, route: &'static str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
    }

    /// Features were read.
    pub(crate) fn read(&self, took: Duration) {
        self.reads.add(took);
    }

    /// Rows were pushed.
    pub(crate) fn pushed(&self, source: &str, answers: &[RowAnswer]) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers {
            *rows.entry((source.to_owned(), answer.word())).or_default() += 1;
        }
    }

    /// A source was compared with a truth, or records of it were left out.
    pub(crate) fn compared(&self, source: &str, counts: Counts, dry_run: bool) {
        let differences = self.differences.lock();
        let mut differences = differences.unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in [
            ("replaced", counts.replaced),
            ("removed", counts.removed),
            ("added", counts.added),
        ] {
            let key = (source.to_owned(), kind, dry_run);
            *differences.entry(key).or_default() += count;
        }
    }

    /// A comparison that was due was made, or failed.
    pub(crate) fn comparison(&self, source: &str, failed: bool) {
        let comparisons = self.comparisons.lock();
        let mut comparisons = comparisons.unwrap_or_else(PoisonError::into_inner);
        *comparisons.entry((source.to_owned(), failed)).or_default() += 1;
    }

    /// The text.
    pub(crate) fn text(
        &self,
        engine: &Engine,
        load: &Load<'_>,
        lake_flushes: &LakeFlushes,
        runs: &Runs,
        captures: &Captures,
    ) -> String {
        let mut text = String::new();
        head(
            &mut text,
            "evenkeel_requests_total",
            "counter",
            "Requests by route and status.",
        );
        for ((route, status), count) in
            &*self.requests.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let route = label(route);
            line(
                &mut text,
                &format!("evenkeel_requests_total{{route=\"{route}\",code=\"{status}\"}}"),
                *count,
            );
        }
        let help = "Time to answer a read of features.";
        self.reads.text(&mut text, "evenkeel_read_seconds", help);
        let help = "How long reads could not begin, as something was applied.";
        load.engine_holds
            .text(&mut text, "evenkeel_engine_held_seconds", help);
        let name = "evenkeel_differences_total";
        head(
            &mut text,
            name,
            "counter",
            "Events that differed from the truth of a correction, or were left out.",
        );
        let differences = self.differences.lock();
        for ((source, kind, dry_run), count) in
            &*differences.unwrap_or_else(PoisonError::into_inner)
        {
            let source = label(source);
            let labels = format!("source=\"{source}\",change=\"{kind}\",dry_run=\"{dry_run}\"");
            line(&mut text, &format!("{name}{{{labels}}}"), *count);
        }
        let name = "evenkeel_comparisons_total";
        head(
            &mut text,
            name,
            "counter",
            "Comparisons with the truth that were due.",
        );
        let comparisons = self.comparisons.lock();
        for ((source, failed), count) in &*comparisons.unwrap_or_else(PoisonError::into_inner) {
            let (source, outcome) = (label(source), if *failed { "failed" } else { "done" });
            let labels = format!("source=\"{source}\",outcome=\"{outcome}\"");
            line(&mut text, &format!("{name}{{{labels}}}"), *count);
        }
        let name = "evenkeel_rows_total";
        head(
            &mut text,
            name,
            "counter",
            "Pushed rows by source and outcome.",
        );
        for ((source, outcome), count) in &*self.rows.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let source = label(source);
            line(
                &mut text,
                &format!("{name}{{source=\"{source}\",outcome=\"{outcome}\"}}"),
                *count,
            );
        }
        let name = "evenkeel_requests_in_flight";
        head(
            &mut text,
            name,
            "gauge",
            "Requests that are not answered yet.",
        );
        line(&mut text, name, load.requests);
        let name = "evenkeel_queue_length";
        head(
            &mut text,
            name,
            "gauge",
            "Pushes that wait or are being written.",
        );
        line(&mut text, name, load.queue);
        let name = "evenkeel_connections";
        head(&mut text, name, "gauge", "Open connections.");
        line(&mut text, name, self.connections.load(Ordering::Relaxed));
        let name = "evenkeel_served_left_out_total";
        head(
            &mut text,
            name,
            "counter",
            "Answers that the log of served answers had no room for.",
        );
        line(&mut text, name, load.left_out);
        self.promises.text(&mut text);
        let name = "evenkeel_promise_waiters";
        let help = "Requests that wait for watermarks or captures.";
        head(&mut text, name, "gauge", help);
        line(&mut text, name, load.waiters);
        hot_tier(&mut text, engine, load.pushes_wait);
        lake(&mut text, lake_flushes);
        batch_views(&mut text, runs);
        captures.text(&mut text, engine.catalog());
        emissions(&mut text, engine);
        under_way(&mut text, engine, load.building);
        if let Some(keys) = load.not_forgotten {
            let name = "evenkeel_not_forgotten_keys";
            let help = "Keys that are to be forgotten and are not: the status says why.";
            head(&mut text, name, "gauge", help);
            line(&mut text, name, keys);
        }
        let name = "evenkeel_watermark_lag_seconds";
        head(
            &mut text,
            name,
            "gauge",
            "Now less the watermark, by source.",
        );
        let now = engine.now().0;
        for def in engine.catalog().sources.values() {
            if let Some(watermark) = engine.watermark(def) {
                let lag = now.saturating_sub(watermark.0).div_euclid(1_000_000);
                let source = label(&def.name);
                line(&mut text, &format!("{name}{{source=\"{source}\"}}"), lag);
            }
        }
        text
    }
}

/// What others count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    /// Requests that are not answered yet, but for probes.
    pub(crate) requests: usize,
    /// Requests that wait for watermarks or captures.
    pub(crate) waiters: usize,
    /// Pushes that wait or are being written.
    pub(crate) queue: usize,
    /// Served answers that were not logged.
    pub(crate) left_out: u64,
    /// Whether pushes wait for a checkpoint.
    pub(crate) pushes_wait: bool,
    /// Of how many events definitions that are applied are built, and of how many they will be.
    pub(crate) building: Option<(u64, u64)>,
    /// Keys that were asked to be forgotten and are not; none if that cannot be read.
    pub(crate) not_forgotten: Option<usize>,
    /// How long the engine was held to write.
    pub(crate) engine_holds: &'a Histogram,
}

fn emissions(text: &mut String, engine: &Engine) {
    let name = "evenkeel_emission_lag_records";
    let help = "Records of the log that a derived stream has not emitted for.";
    head(text, name, "gauge", help);
    let topics: Vec<_> = engine.catalog().emitting().collect();
    for topic in &topics {
        let labels = format!("{{topic=\"{}\"}}", label(&topic.name));
        line(text, &format!("{name}{labels}"), engine.emission_lag(topic));
    }
    let name = "evenkeel_emission_stopped";
    let help = "1 while a derived stream cannot go on: its status says why.";
    head(text, name, "gauge", help);
    let all = engine.emission_failure().is_some();
    for topic in topics {
        let labels = format!("{{topic=\"{}\"}}", label(&topic.name));
        let stopped = all || engine.emission_failures().contains_key(&topic.id);
        line(text, &format!("{name}{labels}"), u8::from(stopped));
    }
}

fn under_way(text: &mut String, engine: &Engine, building: Option<(u64, u64)>) {
    let backfilling = engine.backfilling_named();
    let backfilling = backfilling.map(|(_, done, total)| (done, total));
    for (name, help, of) in [
        (
            "evenkeel_building_events",
            "While definitions are applied: events that what they need is built of.",
            building,
        ),
        (
            "evenkeel_backfilling_events",
            "While a backfill is under way: events of the stream's trigger.",
            backfilling,
        ),
    ] {
        let (done, total) = of.unwrap_or_default();
        head(text, name, "gauge", help);
        line(text, &format!("{name}{{state=\"done\"}}"), done);
        line(text, &format!("{name}{{state=\"all\"}}"), total);
    }
}

fn hot_tier(text: &mut String, engine: &Engine, pushes_wait: bool) {
    let name = "evenkeel_unwritten_bytes";
    head(
        text,
        name,
        "gauge",
        "About the memory of events that no checkpoint has, and of those that one writes now.",
    );
    let (new, written_now) = engine.unwritten_bytes();
    line(text, &format!("{name}{{state=\"new\"}}"), new);
    line(
        text,
        &format!("{name}{{state=\"being_written\"}}"),
        written_now,
    );
    let reheats = engine.reheats();
    for (what, number) in [
        ("scans", reheats.scans),
        ("keys", reheats.keys),
        ("events", reheats.events),
    ] {
        let name = format!("evenkeel_brought_back_{what}_total");
        let help = "What had left the hot tier and was brought back from the log.";
        head(text, &name, "counter", help);
        line(text, &name, number);
    }
    let kept = engine.kept_counts();
    for (name, kind, help, number) in [
        (
            "evenkeel_kept_rows",
            "gauge",
            "Rows of views that are kept whole in memory, by service and entity.",
            kept.rows,
        ),
        (
            "evenkeel_kept_rows_bytes",
            "gauge",
            "About the memory of rows that are kept.",
            kept.bytes,
        ),
        (
            "evenkeel_kept_rows_hits_total",
            "counter",
            "Rows that reads asked for and that were kept.",
            kept.hits,
        ),
        (
            "evenkeel_kept_rows_misses_total",
            "counter",
            "Rows that reads asked for and that were not kept.",
            kept.misses,
        ),
    ] {
        head(text, name, kind, help);
        line(text, name, number);
    }
    let name = "evenkeel_pushes_wait_for_checkpoint";
    head(
        text,
        name,
        "gauge",
        "1 while pushes wait for a checkpoint, as both halves of the memory for new events are full.",
    );
    line(text, name, u8::from(pushes_wait));
}

fn lake(text: &mut String, flushes: &LakeFlushes) {
    let name = "evenkeel_lake_flushes_total";
    head(text, name, "counter", "Flushes of the log to the lake.");
    for (outcome, count) in [("done", &flushes.done), ("failed", &flushes.failed)] {
        let labelled = format!("{name}{{outcome=\"{outcome}\"}}");
        line(text, &labelled, count.load(Ordering::Relaxed));
    }
    let name = "evenkeel_lake_source_failures_total";
    head(
        text,
        name,
        "counter",
        "Flushes that could not bring a source's table up to the log.",
    );
    let failed = flushes.failed_sources.lock();
    for (source, count) in &*failed.unwrap_or_else(PoisonError::into_inner) {
        let source = label(source);
        line(text, &format!("{name}{{source=\"{source}\"}}"), *count);
    }
    let name = "evenkeel_lake_events_total";
    head(
        text,
        name,
        "counter",
        "Events that were flushed to the lake.",
    );
    line(text, name, flushes.events.load(Ordering::Relaxed));
}

fn batch_views(text: &mut String, runs: &Runs) {
    let by_view = runs.by_view();
    let name = "evenkeel_batch_runs_total";
    head(text, name, "counter", "Runs of batch views.");
    for (view, runs) in &by_view {
        let view = label(view);
        for (outcome, count) in [("done", runs.done), ("failed", runs.failed)] {
            let labelled = format!("{name}{{view=\"{view}\",outcome=\"{outcome}\"}}");
            line(text, &labelled, count);
        }
    }
    let name = "evenkeel_batch_run_as_of_seconds";
    head(
        text,
        name,
        "gauge",
        "As of when the last run of a batch view was that ended well.",
    );
    for (view, runs) in &by_view {
        if let Some(last) = runs.last {
            let labelled = format!("{name}{{view=\"{}\"}}", label(view));
            line(text, &labelled, last / 1_000_000);
        }
    }
}

pub(crate) fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

pub(crate) fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name} {value}");
}

/// A label's value.
pub(crate) fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
