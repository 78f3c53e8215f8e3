//! How long single reads take: `read_speed FOLDER SERVICE`, with a line per read on stdin, the
//! time in microseconds and the service's inputs as whole numbers. Prints a line per read, its
//! seconds, and last the sum of all BIGINT answers, to compare with another system.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::error::Error;
use std::time::Instant;

use evenkeel_engine::api::GetRequest;
use evenkeel_engine::{Engine, Project};
use evenkeel_types::{EventTime, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(service)) = (arguments.next(), arguments.next()) else {
        return Err("read_speed FOLDER SERVICE < READS".into());
    };
    let engine = Engine::open_read_only(&Project::open(folder.as_ref(), None)?)?;
    let service = engine.service(&service)?;
    let mut requests = Vec::new();
    for line in std::io::stdin().lines() {
        let mut numbers = Vec::new();
        for word in line?.split_whitespace() {
            numbers.push(word.parse()?);
        }
        let (time, key) = numbers.split_first().ok_or("an empty line")?;
        requests.push(GetRequest {
            service: service.clone(),
            rows: vec![key.iter().copied().map(Value::BigInt).collect()],
            as_of: EventTime(*time),
            cut: None,
            known_at: None,
        });
    }
    let mut seconds = Vec::with_capacity(requests.len());
    let mut sum = 0;
    for request in &requests {
        let start = Instant::now();
        let answer = engine.get(request)?;
        seconds.push(start.elapsed().as_secs_f64());
        for answer in answer.rows.iter().flatten() {
            if let Value::BigInt(number) = answer.value {
                sum += number;
            }
        }
    }
    for seconds in seconds {
        println!("{seconds}");
    }
    println!("{sum}");
    Ok(())
}
