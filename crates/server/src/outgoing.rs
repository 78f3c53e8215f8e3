//! What goes out on a connection: answers, or only what the protocol makes a server say.
//!
//! Of HTTP/2 (RFC 9113, 4.1) every frame says in its head how long it is and what it carries; a
//! client that sends PINGs gets as many bytes back as it likes, and none of them is an answer. Of
//! HTTP/1.1 all bytes are answers. Invariant: however the bytes are cut into writes, the same
//! bytes have the same meaning.

/// The head of a frame: length (3 bytes), kind, flags, stream (4).
const HEAD_BYTES: usize = 9;
/// The kinds that are parts of answers: DATA, HEADERS, PUSH_PROMISE, CONTINUATION.
const ANSWERS: [u8; 4] = [0, 1, 5, 9];

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing went out.
    #[default]
    Nothing,
    /// The first byte was no frame's: HTTP/1.1.
    Plain,
    /// So many bytes of a frame's head went out, which are these.
    Head([u8; HEAD_BYTES], usize),
    /// So many bytes of a frame are to come; whether they are an answer's.
    Body(usize, bool),
}

impl Outgoing {
    /// Whether some of these bytes, which went out behind those before, are an answer's.
    pub(crate) fn carries_answer(&mut self, mut bytes: &[u8]) -> bool {
        let mut carries = false;
        while let Some(&first) = bytes.first() {
            match &mut self.state {
                // A server's first frame is SETTINGS, of few bytes: its length begins with 0. A
                // status line begins with a letter.
                State::Nothing if first == 0 => self.state = State::Head([0; HEAD_BYTES], 0),
                State::Nothing => self.state = State::Plain,
                State::Plain => return true,
                State::Head(head, there) => {
                    head[*there] = first;
                    *there += 1;
                    bytes = &bytes[1..];
                    if *there == HEAD_BYTES {
                        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                        let is_answer = ANSWERS.contains(&head[3]);
                        carries |= is_answer;
                        self.state = State::Body(length as usize, is_answer);
                    }
                }
                State::Body(0, _) => self.state = State::Head([0; HEAD_BYTES], 0),
                State::Body(left, is_answer) => {
                    let taken = bytes.len().min(*left);
                    carries |= *is_answer;
                    *left -= taken;
                    bytes = &bytes[taken..];
                }
            }
        }
        carries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, 1, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + bytes, 0xff);
        frame
    }

    const SETTINGS: u8 = 4;
    const PING: u8 = 6;

    /// Whether each of some writes carries an answer.
    fn seen(writes: &[&[u8]]) -> Vec<bool> {
        let mut outgoing = Outgoing::default();
        writes.iter().map(|w| outgoing.carries_answer(w)).collect()
    }

    #[test]
    fn pongs_are_no_answers_and_data_is() {
        let (settings, pong, data) = (frame(SETTINGS, 6), frame(PING, 8), frame(0, 70_000));
        let (head, rest) = data.split_at(20);
        assert_eq!(
            seen(&[&settings, &pong, &pong, head, rest, &pong]),
            [false, false, false, true, true, false]
        );
        let together = [pong.clone(), data.clone(), pong].concat();
        assert_eq!(seen(&[&settings, &together]), [false, true]);
        assert_eq!(seen(&[b"HTTP/1.1 200 OK", b"", b"x"]), [true, false, true]);
    }

    #[test]
    fn writes_may_end_anywhere() {
        let frames = [
            frame(SETTINGS, 0),
            frame(PING, 8),
            frame(1, 30),
            frame(0, 0),
            frame(8, 4),
        ];
        let bytes = frames.concat();
        // The last byte of a head says it, and every byte of what follows.
        let mut wanted = Vec::new();
        for frame in &frames {
            let is_answer = ANSWERS.contains(&frame[3]);
            let of_byte = |at| is_answer && at + 1 >= HEAD_BYTES;
            wanted.extend((0..frame.len()).map(of_byte));
        }
        for size in 1..20 {
            let mut outgoing = Outgoing::default();
            for (at, piece) in bytes.chunks(size).enumerate() {
                let place = at * size..at * size + piece.len();
                let answers = wanted[place].contains(&true);
                assert_eq!(outgoing.carries_answer(piece), answers, "{size}, {at}");
            }
        }
    }
}
