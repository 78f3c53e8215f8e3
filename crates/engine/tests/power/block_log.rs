//! A disk that remembers: a file system of a single file, served from memory over `/dev/fuse`,
//! that records every write and every flush of whoever uses the file: a loop device with a
//! real file system on it. So a power cut can be had at any point, as often as wanted.
//!
//! It speaks the few requests of the kernel's protocol (`linux/fuse.h`, version 7) that a
//! loop device makes. One thread answers them, one after the other: whatever was answered
//! before a flush is durable after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::pages::Pages;

/// What the disk was told.
#[derive(Clone)]
pub(crate) enum Record {
    /// Bytes at a place.
    Write { offset: u64, bytes: Vec<u8> },
    /// What was written before must be durable.
    Flush,
}

#[derive(Default)]
struct Recorded {
    pages: Pages,
    records: Vec<Record>,
}

/// A disk under a file's name, until it is dropped.
pub(crate) struct BlockLog {
    path: PathBuf,
    recorded: Arc<Mutex<Recorded>>,
    server: Option<JoinHandle<()>>,
}

/// The most bytes of one write.
const WRITE_BYTES_MAX: u32 = 128 << 10;
const REQUEST_BYTES_MAX: usize = WRITE_BYTES_MAX as usize + 64 * 1024;
const HEADER_BYTES: usize = 40;
/// `FUSE_BIG_WRITES`, `FUSE_MAX_PAGES`.
const INIT_FLAGS: u32 = 1 << 5 | 1 << 22;
const ENOSYS: i32 = 38;

/// Runs a command of the machine; its words if it fails.
pub(crate) fn run(program: &str, arguments: &[&str], input: Stdio) -> Result<String, String> {
    let failed = |reason: String| format!("`{program} {}`: {reason}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .stdin(input)
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(failed(words.trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl BlockLog {
    /// Puts a disk of so many bytes at a path.
    pub(crate) fn mount(path: &Path, length: u64) -> Result<Self, String> {
        fs::write(path, []).map_err(|e| e.to_string())?;
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .map_err(|e| format!("cannot open /dev/fuse: {e}"))?;
        let theirs = device.try_clone().map_err(|e| e.to_string())?;
        // The mounting process has the device as its standard input.
        let options = "fd=0,rootmode=100600,user_id=0,group_id=0";
        let place = path.to_string_lossy().into_owned();
        let arguments = ["-i", "-t", "fuse", "-o", options, "block-log", &place];
        run("mount", &arguments, Stdio::from(theirs))?;
        let recorded = Arc::new(Mutex::new(Recorded::default()));
        let shared = Arc::clone(&recorded);
        #[expect(
            clippy::disallowed_methods,
            reason = "the disk answers while the test waits for it"
        )]
        let server = std::thread::spawn(move || serve(device, length, &shared));
        Ok(BlockLog {
            path: path.to_owned(),
            recorded,
            server: Some(server),
        })
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.records.len()
    }

    /// Every record up to now.
    pub(crate) fn records(&self) -> Vec<Record> {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.records.clone()
    }
}

impl Drop for BlockLog {
    fn drop(&mut self) {
        let place = self.path.to_string_lossy().into_owned();
        // Lazily: if something still holds it, its requests are answered until it lets go.
        if run("umount", &["-l", &place], Stdio::null()).is_ok()
            && let Some(server) = self.server.take()
        {
            let _ = server.join();
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Answers requests until the file is unmounted.
fn serve(mut device: File, length: u64, recorded: &Mutex<Recorded>) {
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    loop {
        let request = match device.read(&mut buffer) {
            Ok(read) => &buffer[..read],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            // A request that was taken back.
            Err(e) if e.raw_os_error() == Some(2) => continue,
            Err(_) => return,
        };
        let opcode = u32_at(request, 4);
        let Some(answer) = answer(opcode, &request[HEADER_BYTES..], length, recorded) else {
            continue;
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let mut reply = ((16 + body.len()) as u32).to_le_bytes().to_vec();
        reply.extend(error.to_le_bytes());
        reply.extend(&request[8..16]);
        reply.extend(body);
        // Who asked may be gone.
        let _ = device.write_all(&reply);
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The file's attributes, valid for an hour: nobody else changes them.
fn attributes(length: u64) -> Vec<u8> {
    let mut bytes = 3600u64.to_le_bytes().to_vec();
    bytes.extend([0; 8]);
    for word in [1, length, length / 512, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    // Parts of times, then mode, links, owner, group, device, block size, flags.
    bytes.extend(words(&[0, 0, 0, 0o100_600, 1, 0, 0, 0, 4096, 0]));
    bytes
}

/// The answer to a request; none if none is due.
fn answer(
    opcode: u32,
    body: &[u8],
    length: u64,
    recorded: &Mutex<Recorded>,
) -> Option<Result<Vec<u8>, i32>> {
    let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
    Some(match opcode {
        // FORGET, INTERRUPT
        2 | 36 => return None,
        // GETATTR, SETATTR
        3 | 4 => Ok(attributes(length)),
        // OPEN
        14 => Ok(vec![0; 16]),
        // READ
        15 => {
            let offset = u64_at(body, 8).min(length);
            let wanted = u64::from(u32_at(body, 16)).min(length - offset);
            let mut bytes = vec![0; wanted as usize];
            recorded.pages.read(offset, &mut bytes);
            Ok(bytes)
        }
        // WRITE
        16 => {
            let (offset, size) = (u64_at(body, 8), u32_at(body, 16));
            let bytes = body[40..40 + size as usize].to_vec();
            recorded.pages.write(offset, &bytes);
            recorded.records.push(Record::Write { offset, bytes });
            Ok(words(&[size, 0]))
        }
        // FSYNC
        20 => {
            recorded.records.push(Record::Flush);
            Ok(Vec::new())
        }
        // STATFS
        17 => Ok(vec![0; 80]),
        // RELEASE, FLUSH, ACCESS, DESTROY
        18 | 25 | 34 | 38 => Ok(Vec::new()),
        // INIT: version, read ahead, flags, requests in the background, bytes of a write,
        // times of one nanosecond, pages of a request.
        26 => {
            let mut reply = words(&[7, 31, WRITE_BYTES_MAX, INIT_FLAGS]);
            reply.extend([16, 0, 12, 0]);
            reply.extend(words(&[WRITE_BYTES_MAX, 1, WRITE_BYTES_MAX / 4096]));
            reply.resize(64, 0);
            Ok(reply)
        }
        _ => Err(ENOSYS),
    })
}
