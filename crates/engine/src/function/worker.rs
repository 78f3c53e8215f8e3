//! One worker process: started, spoken to, ended.
//!
//! Owns the pipes and their threads. Frames go in and come out in order, so several may be under
//! way. Invariant: nothing here waits longer than it was told to, and a process whose answers are not understood any
//! more is ended.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use evenkeel_connect::Table;
use evenkeel_types::definition::FunctionSpec;
use evenkeel_types::{Column, Field};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::failure::{FunctionFailure, FunctionFailureKind};
use super::program::Program;

/// What the process runs.
const SCRIPT: &str = include_str!("worker.py");
/// Reads the script from the pipe, so that it is not in the list of processes.
const BOOT: &str = "\
import os
def read(length):
    parts = b''
    while len(parts) < length:
        part = os.read(0, length - len(parts))
        if not part:
            os._exit(0)
        parts += part
    return parts
exec(compile(read(int.from_bytes(read(4), 'little')), '<evenkeel worker>', 'exec'))";

/// How long a process may take to start and to load a module.
const START_MS: u64 = 60_000;
/// How much longer than a call may take its answer is waited for: the process ends itself first,
/// and says where it was.
const GRACE: Duration = Duration::from_secs(5);
/// Frames that may be under way.
const FRAMES_MAX: usize = 4;
const HEADER_BYTES_MAX: u32 = 64 << 20;
const PAYLOAD_BYTES_MAX: u32 = 1 << 30;
/// What is kept of what a process says beside its answers.
const TOLD_BYTES_MAX: usize = 16 << 10;

/// How something went wrong, without the name of the function.
pub(super) struct WorkerFailure {
    pub(super) kind: FunctionFailureKind,
    pub(super) reason: String,
    pub(super) told: String,
}

impl WorkerFailure {
    pub(super) fn of(self, function: &str) -> FunctionFailure {
        FunctionFailure {
            function: function.to_owned(),
            kind: self.kind,
            reason: self.reason,
            told: self.told,
        }
    }
}

/// A header of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    kind: ReplyKind,
    id: Option<u64>,
    #[serde(default)]
    reason: String,
    /// Rows whose call raised an exception.
    #[serde(default)]
    rows: Vec<usize>,
    /// What the first of them said.
    #[serde(default)]
    told: Vec<String>,
    /// How long the call took.
    #[serde(default)]
    micros: u64,
    #[serde(default)]
    walls: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum ReplyKind {
    Ready,
    Defined,
    Values,
    Raised,
    Refused,
    Memory,
}

/// What came of a call.
pub(super) enum Outcome {
    /// A column of as many rows as were asked for.
    Values(Values),
    /// The function raised an exception for all of the rows at once, or gave no such column.
    Raised(String),
}

/// See [`Outcome::Values`].
pub(super) struct Values {
    pub(super) column: Column,
    /// Rows that have no value, as their call raised an exception.
    pub(super) errors: Vec<usize>,
    pub(super) told: Vec<String>,
    pub(super) micros: u64,
}

struct Frame {
    header: Vec<u8>,
    payload: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Worker {
    process: Process,
    requests: Option<SyncSender<Vec<u8>>>,
    replies: Receiver<io::Result<Frame>>,
    /// The number of the last request, and of the last answer.
    asked: u64,
    answered: u64,
    /// Digests of the functions that it knows, by their numbers.
    defined: Vec<[u8; 16]>,
    walls: Vec<String>,
}

impl Worker {
    /// Starts a process and hands it the modules.
    pub(super) fn start(program: &Program) -> Result<Worker, WorkerFailure> {
        let mut worker = Worker::spawn(program).map_err(|error| WorkerFailure {
            kind: FunctionFailureKind::Start,
            reason: format!(
                "the interpreter `{}` cannot be started: {error}; name another one with `python` of \
                 `[functions]` in `evenkeel.toml`",
                program.interpreter.display()
            ),
            told: String::new(),
        })?;
        let length = u32::try_from(SCRIPT.len()).unwrap_or(u32::MAX);
        worker.send([&length.to_le_bytes(), SCRIPT.as_bytes()].concat())?;
        worker.request(Json::clone(&program.start), START_MS, &[])?;
        let (reply, _) = worker.reply(START_MS)?;
        match reply.kind {
            ReplyKind::Ready => {
                worker.walls = reply.walls;
                Ok(worker)
            }
            _ => Err(refused(reply)),
        }
    }

    fn spawn(program: &Program) -> io::Result<Worker> {
        let mut command = command(&program.interpreter, BOOT);
        command.envs(program.variables.iter().copied());
        let mut child = command.spawn()?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were asked for");
        };
        let told = Arc::<Mutex<Vec<u8>>>::default();
        let (requests, waiting) = sync_channel(FRAMES_MAX);
        let (answers, replies) = sync_channel(FRAMES_MAX);
        on_thread(move || write_all(input, &waiting));
        on_thread(move || read_all(output, &answers));
        let tail = Arc::clone(&told);
        let (speaks, silent) = sync_channel(1);
        on_thread(move || keep_tail(errors, &tail, speaks));
        Ok(Worker {
            process: Process {
                child,
                told,
                silent,
            },
            requests: Some(requests),
            replies,
            asked: 0,
            answered: 0,
            defined: Vec::new(),
            walls: Vec::new(),
        })
    }

    /// What keeps the process from files and network.
    pub(super) fn walls(&self) -> &[String] {
        &self.walls
    }

    /// The number by which this process knows a function.
    pub(super) fn define(&mut self, spec: &FunctionSpec) -> Result<usize, WorkerFailure> {
        if let Some(number) = self.defined.iter().position(|known| *known == spec.digest) {
            return Ok(number);
        }
        let number = self.defined.len();
        let header = json!({
            "kind": "define",
            "id": number,
            "file": spec.file,
            "module": module_of(&spec.file),
            "function": spec.function,
            "vectorized": spec.is_vectorized,
            "declared": spec.result.to_string(),
        });
        let column = Column::new(&spec.result);
        let types = message([(Field::new("result", spec.result.clone()), column)])?;
        self.request(header, START_MS, &types)?;
        let (reply, _) = self.reply(START_MS)?;
        if reply.kind != ReplyKind::Defined {
            return Err(refused(reply));
        }
        self.defined.push(spec.digest);
        Ok(number)
    }

    /// Asks for the values of rows; the answers come in the order of the calls.
    pub(super) fn ask(
        &mut self,
        number: usize,
        spec: &FunctionSpec,
        arguments: Vec<Column>,
    ) -> Result<(), WorkerFailure> {
        let fields = spec.parameters.iter().enumerate();
        let fields = fields.map(|(i, p)| Field::new(format!("a{i}"), p.data_type.clone()));
        let payload = message(fields.zip(arguments))?;
        let header = json!({ "kind": "call", "id": number });
        self.request(header, spec.timeout_ms, &payload)
    }

    /// The next answer, of so many rows.
    pub(super) fn answer(
        &mut self,
        spec: &FunctionSpec,
        rows: usize,
    ) -> Result<Outcome, WorkerFailure> {
        let (reply, payload) = self.reply(spec.timeout_ms)?;
        match reply.kind {
            ReplyKind::Values => {}
            ReplyKind::Raised | ReplyKind::Refused => return Ok(Outcome::Raised(reply.reason)),
            ReplyKind::Memory => return Err(refused(reply)),
            ReplyKind::Ready | ReplyKind::Defined => return Err(no_answer("another answer came")),
        }
        let table = Table::from_stream(payload, u64::from(PAYLOAD_BYTES_MAX));
        let column = table.and_then(|table| table.column_as("result", &spec.result));
        let column = match column {
            Ok(column) => column,
            // An array with a NULL where none may be, a time outside the calendar.
            Err(error) => return Ok(Outcome::Raised(format!("what it returned: {error}"))),
        };
        if column.len() != rows || reply.rows.iter().any(|row| *row >= rows) {
            return Err(no_answer("it has another number of rows"));
        }
        Ok(Outcome::Values(Values {
            column,
            errors: reply.rows,
            told: reply.told,
            micros: reply.micros,
        }))
    }

    fn request(
        &mut self,
        mut header: Json,
        timeout_ms: u64,
        payload: &[u8],
    ) -> Result<(), WorkerFailure> {
        self.asked += 1;
        header["number"] = json!(self.asked);
        header["timeout_ms"] = json!(timeout_ms);
        let header = header.to_string().into_bytes();
        let length = |bytes: &[u8]| {
            let length = u32::try_from(bytes.len());
            let length = length.ok().filter(|length| *length <= PAYLOAD_BYTES_MAX);
            length.ok_or_else(|| no_answer("the arguments of one call are more than a gigabyte"))
        };
        let lengths = [
            length(&header)?.to_le_bytes(),
            length(payload)?.to_le_bytes(),
        ];
        self.send([lengths.as_flattened(), &header, payload].concat())
    }

    fn send(&mut self, bytes: Vec<u8>) -> Result<(), WorkerFailure> {
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|to| to.send(bytes).is_ok());
        match sent {
            true => Ok(()),
            false => Err(self.ended()),
        }
    }

    fn reply(&mut self, timeout_ms: u64) -> Result<(Reply, Vec<u8>), WorkerFailure> {
        let longest = Duration::from_millis(timeout_ms) + GRACE;
        let frame = match self.replies.recv_timeout(longest) {
            Ok(Ok(frame)) => frame,
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                return Err(WorkerFailure {
                    kind: FunctionFailureKind::Timeout,
                    reason: format!("it did not answer within {timeout_ms} ms"),
                    told: self.process.end().1,
                });
            }
        };
        let reply: Reply =
            serde_json::from_slice(&frame.header).map_err(|error| no_answer(&error.to_string()))?;
        self.answered += 1;
        if reply.id.is_some_and(|id| id != self.answered) {
            return Err(no_answer("answers are out of order"));
        }
        Ok((reply, frame.payload))
    }

    /// Why the process answers no more.
    fn ended(&mut self) -> WorkerFailure {
        self.requests = None;
        // It closed its pipes: it is about to end, unless it did only that.
        let _ = self.process.silent.recv_timeout(GRACE);
        let (status, told) = self.process.end();
        let (kind, reason) = match status {
            Ok(status) if status.signal() == Some(ALARM) => (
                FunctionFailureKind::Timeout,
                "it took longer than its `TIMEOUT`".to_owned(),
            ),
            Ok(status) => (
                FunctionFailureKind::Ended,
                format!("its process ended ({status})"),
            ),
            Err(error) => (
                FunctionFailureKind::Ended,
                format!("its process ended: {error}"),
            ),
        };
        WorkerFailure { kind, reason, told }
    }
}

/// A process of an interpreter, with pipes, in no folder and with an environment of its own.
pub(super) fn command(interpreter: &Path, script: &str) -> Command {
    let mut command = Command::new(interpreter);
    command
        .args(["-s", "-c", script])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // One thread, one order of hashes, one zone: for equal bits.
    command.envs([
        ("PYTHONHASHSEED", "0"),
        ("PYTHONUTF8", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("OMP_NUM_THREADS", "1"),
        ("OPENBLAS_NUM_THREADS", "1"),
        ("MKL_NUM_THREADS", "1"),
    ]);
    command
}

/// A process that ends with this.
#[derive(Debug)]
struct Process {
    child: Child,
    told: Arc<Mutex<Vec<u8>>>,
    /// Closed when it says nothing any more.
    silent: Receiver<()>,
}

impl Process {
    /// Ends it, if it has not ended; how, and what it said last.
    fn end(&mut self) -> (io::Result<ExitStatus>, String) {
        // It may be gone already, and keeps the status that it went with.
        let _ = self.child.kill();
        let status = self.child.wait();
        let _ = self.silent.recv_timeout(GRACE);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (status, String::from_utf8_lossy(&told).trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The signal of a timer that ran out.
const ALARM: i32 = 14;

/// What a process that cannot go on said.
fn refused(reply: Reply) -> WorkerFailure {
    let kind = match reply.kind {
        ReplyKind::Memory => FunctionFailureKind::Memory,
        _ => FunctionFailureKind::Start,
    };
    let (reason, told) = match reply.kind {
        ReplyKind::Memory => ("it wanted more than its `MEMORY`".to_owned(), reply.reason),
        ReplyKind::Raised => ("its module does not load".to_owned(), reply.reason),
        _ => (reply.reason, String::new()),
    };
    WorkerFailure { kind, reason, told }
}

fn no_answer(reason: &str) -> WorkerFailure {
    WorkerFailure {
        kind: FunctionFailureKind::Answer,
        reason: format!("what it answered cannot be read: {reason}"),
        told: String::new(),
    }
}

/// `a/b.py` as Python names it.
fn module_of(file: &str) -> String {
    let name = file.strip_suffix(".py").unwrap_or(file).replace('/', ".");
    match name.strip_suffix(".__init__") {
        Some(package) => package.to_owned(),
        None => name,
    }
}

/// Columns as an Arrow IPC stream.
fn message(columns: impl IntoIterator<Item = (Field, Column)>) -> Result<Vec<u8>, WorkerFailure> {
    let table = Table::from_columns(columns).and_then(|table| table.to_stream());
    table.map_err(|error| no_answer(&error.to_string()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pipe is written and read beside whoever waits with a limit"
)]
fn on_thread(work: impl FnOnce() + Send + 'static) {
    // It ends with the pipe that it has.
    drop(thread::spawn(work));
}

fn write_all(mut input: ChildStdin, waiting: &Receiver<Vec<u8>>) {
    for bytes in waiting {
        if input.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read_all(mut output: ChildStdout, answers: &SyncSender<io::Result<Frame>>) {
    loop {
        let frame = read_frame(&mut output);
        let is_last = frame.is_err();
        if answers.send(frame).is_err() || is_last {
            return;
        }
    }
}

fn read_frame(output: &mut ChildStdout) -> io::Result<Frame> {
    let mut lengths = [0; 8];
    output.read_exact(&mut lengths)?;
    let [h0, h1, h2, h3, p0, p1, p2, p3] = lengths;
    let header = u32::from_le_bytes([h0, h1, h2, h3]);
    let payload = u32::from_le_bytes([p0, p1, p2, p3]);
    if header > HEADER_BYTES_MAX || payload > PAYLOAD_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut read = |length: u32| {
        // What is announced is not believed: no room is made before it is there.
        let mut bytes = Vec::new();
        output.take(u64::from(length)).read_to_end(&mut bytes)?;
        match bytes.len() == length as usize {
            true => Ok(bytes),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    Ok(Frame {
        header: read(header)?,
        payload: read(payload)?,
    })
}

/// Keeps the end of what a process says.
fn keep_tail(mut errors: ChildStderr, told: &Mutex<Vec<u8>>, _silent: SyncSender<()>) {
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = errors.read(&mut part) {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend_from_slice(&part[..length]);
        let more = told.len().saturating_sub(TOLD_BYTES_MAX);
        told.drain(..more);
    }
}
