//! Open-loop load over HTTP: `http_load PORT SECONDS < STREAMS`, with one stream of requests per
//! line of stdin, as JSON. Prints one JSON object per stream.
//!
//! A request is due when its turn in the stream's rate comes, whether earlier ones are answered or
//! not; its latency counts from then on, so that a server that stands still is not asked less
//! (Tene's "coordinated omission"). Only a thread that was idle and woken late by its own timer
//! counts from when it woke: that is not the server's doing, and is told by itself as `late`. Linux lets
//! timers be late by 50 µs to wake several at once; threads of this load forgo that (`timerslack_ns`).
//!
//! | field | means |
//! | --- | --- |
//! | `name` | of the stream |
//! | `path` | what is posted to |
//! | `rate` | requests per second |
//! | `connections` | each has a thread; a request waits for its turn on one of them |
//! | `before`, `row`, `after`, `rows` | the body: `row` so often, with commas, between the others |
//! | `keys` | `$K` in the texts is a random number below it; `$N` is another one for each row, `$T` the time, `$S` the sequence of a request's first row |
//! | `then` | path and body of a read that is repeated after each answer until it shows the last row's `$N`: how long that takes is `fresh` |

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock, starts threads, sleeps and prints"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use evenkeel_types::time::format_timestamp;
use serde_json::{Value as Json, json};

type Failure = Box<dyn Error + Send + Sync>;

struct Stream {
    name: String,
    path: String,
    rate: f64,
    connections: u64,
    before: String,
    row: String,
    after: String,
    rows: u64,
    keys: u64,
    then: Option<(String, String)>,
    /// The rows so far.
    next_row: AtomicU64,
}

/// What a thread saw.
#[derive(Default)]
struct Seen {
    statuses: BTreeMap<u16, u64>,
    micros: Vec<u64>,
    late_micros: Vec<u64>,
    fresh_micros: Vec<u64>,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(seconds)) = (arguments.next(), arguments.next()) else {
        return Err("http_load PORT SECONDS < STREAMS".into());
    };
    let (port, seconds): (u16, f64) = (port.parse()?, seconds.parse()?);
    // Threads that are made have what the one that makes them has. Elsewhere than on Linux there is no such
    // file, and nothing to forgo.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let mut streams = Vec::new();
    for line in std::io::stdin().lines() {
        streams.push(Arc::new(stream(&serde_json::from_str(&line?)?)?));
    }
    let start = Instant::now() + Duration::from_millis(100);
    let mut threads = Vec::new();
    for stream in &streams {
        let mut of_stream = Vec::new();
        for number in 0..stream.connections {
            let stream = Arc::clone(stream);
            let work = move || connection(port, &stream, number, start, seconds);
            of_stream.push(std::thread::spawn(work));
        }
        threads.push(of_stream);
    }
    for (stream, threads) in streams.iter().zip(threads) {
        let mut all = Seen::default();
        for thread in threads {
            let seen = thread.join().map_err(|_| "a thread gave up")??;
            for (status, count) in seen.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
            all.micros.extend(seen.micros);
            all.late_micros.extend(seen.late_micros);
            all.fresh_micros.extend(seen.fresh_micros);
        }
        println!("{}", report(stream, all, seconds));
    }
    Ok(())
}

fn stream(json: &Json) -> Result<Stream, Failure> {
    let text = |name: &str| -> String { json[name].as_str().unwrap_or_default().to_owned() };
    let number = |name: &str, default: u64| json[name].as_u64().unwrap_or(default);
    Ok(Stream {
        name: text("name"),
        path: text("path"),
        rate: json["rate"].as_f64().ok_or("a stream has a `rate`")?,
        connections: number("connections", 1),
        before: text("before"),
        row: text("row"),
        after: text("after"),
        rows: number("rows", 1),
        keys: number("keys", 1),
        then: json["then"].as_array().map(|then| {
            let part = |i: usize| then.get(i).and_then(Json::as_str).unwrap_or_default();
            (part(0).to_owned(), part(1).to_owned())
        }),
        next_row: AtomicU64::new(number("first", 0)),
    })
}

fn report(stream: &Stream, mut seen: Seen, seconds: f64) -> Json {
    let answered = seen.statuses.get(&200).copied().unwrap_or(0);
    let mut report = json!({
        "name": stream.name,
        "asked_per_second": stream.rate,
        "answered_per_second": answered as f64 / seconds,
        "rows_per_second": (answered * stream.rows) as f64 / seconds,
        "statuses": seen.statuses,
    });
    for (name, micros) in [
        ("", &mut seen.micros),
        ("late_", &mut seen.late_micros),
        ("fresh_", &mut seen.fresh_micros),
    ] {
        if micros.is_empty() {
            continue;
        }
        micros.sort_unstable();
        let at =
            |share: f64| micros[((micros.len() as f64 * share) as usize).min(micros.len() - 1)];
        for (percent, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            report[format!("{name}{percent}_us")] = json!(at(share));
        }
    }
    report
}

/// Asks what is due of one connection.
fn connection(
    port: u16,
    stream: &Stream,
    number: u64,
    start: Instant,
    seconds: f64,
) -> Result<Seen, Failure> {
    let mut http = Http::connect(port)?;
    let mut random = Random(number + 1);
    let mut seen = Seen::default();
    let (mut head, mut body) = (String::new(), String::new());
    for turn in 0.. {
        let due = (turn * stream.connections + number) as f64 / stream.rate;
        if due >= seconds {
            break;
        }
        let mut due = start + Duration::from_secs_f64(due);
        let now = Instant::now();
        if now >= start + Duration::from_secs_f64(seconds) {
            // So far behind that the rest is not asked for at all.
            break;
        }
        if now < due {
            std::thread::sleep(due - now);
            let woken = Instant::now();
            seen.late_micros.push(micros(woken - due));
            due = woken;
        }
        let (key, row) = write_body(stream, &mut random, &mut body);
        let status = http.post(&stream.path, &body, &mut head)?;
        seen.micros.push(micros(due.elapsed()));
        *seen.statuses.entry(status).or_default() += 1;
        if let (200, Some((path, question))) = (status, &stream.then) {
            let answered = Instant::now();
            let question = question.replace("$K", &key.to_string());
            let shown = format!("{row}");
            loop {
                http.post(path, &question, &mut head)?;
                if http.answer_shows(&shown) {
                    break;
                }
            }
            seen.fresh_micros.push(micros(answered.elapsed()));
        }
    }
    Ok(seen)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A body; the key and the number of its last row.
fn write_body(stream: &Stream, random: &mut Random, body: &mut String) -> (u64, u64) {
    let first = stream.next_row.fetch_add(stream.rows, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_micros() as i64);
    let time = format_timestamp(now);
    body.clear();
    body.push_str(&stream.before.replace("$S", &first.to_string()));
    let mut key = 0;
    for row in 0..stream.rows {
        if row > 0 {
            body.push(',');
        }
        key = random.below(stream.keys);
        let text = stream.row.replace("$K", &key.to_string());
        let text = text.replace("$N", &(first + row).to_string());
        body.push_str(&text.replace("$T", &time));
    }
    body.push_str(&stream.after);
    (key, first + stream.rows - 1)
}

/// A connection that is kept.
struct Http {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    answer: Vec<u8>,
}

impl Http {
    fn connect(port: u16) -> Result<Http, Failure> {
        let writer = TcpStream::connect(("127.0.0.1", port))?;
        writer.set_nodelay(true)?;
        Ok(Http {
            reader: BufReader::new(writer.try_clone()?),
            writer,
            answer: Vec::new(),
        })
    }

    fn answer_shows(&self, number: &str) -> bool {
        let text = String::from_utf8_lossy(&self.answer);
        let is_part = |c: char| c.is_ascii_digit() || c == '.';
        text.split(|c| !is_part(c))
            .any(|word| word == number || word.strip_suffix(".0") == Some(number))
    }

    fn post(&mut self, path: &str, body: &str, head: &mut String) -> Result<u16, Failure> {
        head.clear();
        head.push_str(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        self.writer.write_all(head.as_bytes())?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("the server hung up")?;
        let status = status.parse()?;
        let mut length = None;
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        self.answer
            .resize(length.ok_or("an answer has a length")?, 0);
        self.reader.read_exact(&mut self.answer)?;
        Ok(status)
    }
}
