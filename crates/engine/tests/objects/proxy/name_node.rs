//! The requests of a name node: frames of a connection that stays, of which each is answered before the next is looked at.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::{Fate, Shared};

/// A file gets its name.
pub(super) const RENAME: &str = "rename2";
/// Of these requests each is of a kind of its own for who looks at kinds.
pub(super) const OF_NOTE: [&str; 3] = ["getListing", "getBlockLocations", RENAME];
/// What a connection begins with: a word, a version, a class of service, how it is told who asks.
const GREETING_BYTES: usize = 7;

/// Whether a method is one of a name node: those of HTTP are in capitals.
pub(super) fn is_method(method: &str) -> bool {
    method.starts_with(|letter: char| letter.is_ascii_lowercase())
}

/// The requests of a connection, until one of them ends it.
pub(super) fn serve(shared: &Shared, client: TcpStream) -> io::Result<()> {
    let mut store = TcpStream::connect(("127.0.0.1", shared.store))?;
    let ended = until_one_ends_it(shared, &client, &mut store);
    client.shutdown(Shutdown::Both)?;
    ended
}

fn until_one_ends_it(
    shared: &Shared,
    mut client: &TcpStream,
    store: &mut TcpStream,
) -> io::Result<()> {
    let mut requests = BufReader::new(client);
    let mut answers = BufReader::new(store.try_clone()?);
    let mut greeting = [0; GREETING_BYTES];
    requests.read_exact(&mut greeting)?;
    store.write_all(&greeting)?;
    loop {
        let request = frame(&mut requests)?;
        let Some((method, path)) = read(&request) else {
            // Who asks. There is no answer to it.
            store.write_all(&request)?;
            continue;
        };
        let fate = shared.fate(method, path);
        match fate {
            Fate::Answered => {}
            Fate::AnswerLost => {
                store.write_all(&request)?;
                return frame(&mut answers).map(drop);
            }
            Fate::TooSlow => {
                // Until the other side ends the connection.
                while requests.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
                store.write_all(&request)?;
                return frame(&mut answers).map(drop);
            }
            Fate::Busy | Fate::Unconditional => return Ok(()),
        }
        store.write_all(&request)?;
        client.write_all(&frame(&mut answers)?)?;
    }
}

/// A length and as many bytes.
fn frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = length.to_vec();
    frame.resize(4 + u32::from_be_bytes(length) as usize, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// The method that a request names, and what it says to it; none of what is no request.
fn read(frame: &[u8]) -> Option<(String, String)> {
    let (_of_request, rest) = delimited(&frame[4..])?;
    let (of_method, rest) = delimited(rest)?;
    // The first field, a text.
    let (method, _) = delimited(of_method.strip_prefix(b"\x0a")?)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(method), text(rest)))
}

/// A number of bytes, seven bits at a time, and as many bytes; then what is behind them.
fn delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let digit = |(at, byte): (usize, &u8)| usize::from(byte & 0x7f) << (7 * at);
    let length = bytes[..digits].iter().enumerate().map(digit).sum();
    bytes[digits..].split_at_checked(length)
}
