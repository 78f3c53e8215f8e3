//! The processes: one that writes and is told what to do next, one that checks an image.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use evenkeel_engine::{Project, ReadPlan, Registry, ServedAnswer, ServedLog};

use crate::syncs;
use crate::ticks::{self, Ticker};

pub(crate) const WRITE: &str = "write";
pub(crate) const CHECK: &str = "check";
const SERVED_BYTES_MAX: u64 = 64 << 10;

/// What was acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acknowledged {
    /// Ticks.
    pub(crate) ticks: u64,
    /// Records of the registry.
    pub(crate) applied: u64,
}

fn records(directory: &Path) -> u64 {
    let project = Project::open(directory, None).unwrap();
    Registry::open(&project.store).unwrap().records().len() as u64
}

/// Reads every tick and logs the answer as served.
fn serve(ticker: &Ticker, log: &mut ServedLog) {
    let request = ticks::request(&ticker.engine);
    let answer = ticker.engine.get(&request).unwrap();
    let plan = ReadPlan::new(request.service);
    let cut = ticker.engine.format_cut(&answer.cut);
    let at = ticker.engine.now();
    let rows = &request.rows;
    let as_of = request.as_of;
    let served = ServedAnswer::new(at, &plan, false, rows, as_of, None, &cut, &answer.rows);
    log.append(&served).unwrap();
}

/// The process that writes: a step per line that it is told, and says what is acknowledged.
pub(crate) fn write(directory: &Path) {
    let mut ticker = Ticker::open(directory);
    let mut served = ServedLog::open(ticker.engine.project(), SERVED_BYTES_MAX).unwrap();
    let say = |ticker: &Ticker| {
        println!("{} {}", ticker.next, records(directory));
        std::io::stdout().flush().unwrap();
    };
    say(&ticker);
    for step in std::io::stdin().lines() {
        match step.unwrap().as_str() {
            "push" => ticker.push(),
            "apply" => ticks::apply(&mut ticker.engine),
            other => panic!("`{other}` is no step"),
        }
        say(&ticker);
        ticks::read_old(&ticker.engine, ticker.next, ticker.next);
        serve(&ticker, &mut served);
    }
}

/// The process that checks what a power cut left.
pub(crate) fn check(directory: &Path, acknowledged: Acknowledged) {
    let found = records(directory);
    assert!(
        found >= acknowledged.applied,
        "definitions were applied {} times, {found} are there",
        acknowledged.applied
    );
    ticks::check(directory, acknowledged.ticks, 300);
    let engine = ticks::open(directory);
    let served = engine.verify_served(&mut |_| ()).unwrap();
    assert_eq!(served.mismatches, 0, "{:?}", served.examples);
    let brought_back = ticks::read_old(&engine, ticks::ticks(&engine), found + acknowledged.ticks);
    println!("{brought_back}");
}

/// A process that writes.
pub(crate) struct Session {
    child: Child,
    steps: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Session {
    /// Starts one over a project; with `leave_out` without some of its syncs.
    pub(crate) fn start(project: &Path, leave_out: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(WRITE).arg(project);
        if let Some(which) = leave_out {
            command.env(syncs::VARIABLE, which);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Session {
            steps: child.stdin.take(),
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// What it acknowledges next.
    pub(crate) fn acknowledged(&mut self) -> Acknowledged {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        let numbers = line.trim().split_once(' ');
        let (ticks, applied) = numbers.expect("the writer died by itself");
        Acknowledged {
            ticks: ticks.parse().unwrap(),
            applied: applied.parse().unwrap(),
        }
    }

    /// Tells it a step.
    pub(crate) fn step(&mut self, step: &str) {
        let steps = self.steps.as_mut().unwrap();
        writeln!(steps, "{step}").unwrap();
    }

    /// Lets it end by itself.
    pub(crate) fn end(mut self) {
        self.steps = None;
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Checks an image that is mounted; how many ticks a read brought back that had left the hot
/// tier, or the words of the failure.
pub(crate) fn checked(project: &Path, acknowledged: Acknowledged) -> Result<u64, String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg(CHECK)
        .arg(project)
        .arg(acknowledged.ticks.to_string())
        .arg(acknowledged.applied.to_string())
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
