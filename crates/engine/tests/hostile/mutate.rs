//! Inputs that are nearly right: samples with bytes changed, parts repeated, cut, swapped with
//! parts of other samples, and numbers and brackets where they hurt.

use crate::ticks::mix;

/// A source of numbers that a seed decides.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) as usize % end.max(1)
    }
}

const WORDS: [&[u8]; 18] = [
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"1e999",
    b"0.1e-400",
    b"((((((((((((((((",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"'",
    b"\"",
    b"NULL",
    b"\xff\xfe",
    b"\0",
    b"\xf0\x9f\xa6\x80",
    b"\n",
    b"--",
    b"/*",
    b"9999-12-31T23:59:60.999999999+24:00",
];

/// A mutation of one of the samples.
pub(crate) fn mutated(samples: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = samples[dice.below(samples.len())].clone();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(64)).min(bytes.len());
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let part = bytes[at..end].repeat(1 + dice.below(40));
                drop(bytes.splice(at..at, part));
            }
            5 => {
                let other = &samples[dice.below(samples.len())];
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(200)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            // A length or a count that says too much.
            6 if at + 4 <= bytes.len() => bytes[at..at + 4].fill(0xff),
            _ => {
                let word = WORDS[dice.below(WORDS.len())];
                drop(bytes.splice(at..end, word.iter().copied()));
            }
        }
    }
    bytes
}
