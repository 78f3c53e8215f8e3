//! One digest over every answer of the demo, the same on every run and machine.
//!
//! Canonical bytes: texts with their length before them (`u64`, little-endian), times as
//! `i64`, values in the encoding of `evenkeel_types::codec`; the moments in their order, then
//! the digest of the training set's values, then that of all verified answers.

use evenkeel_engine::api::GetAnswer;
use evenkeel_types::codec::encode_value;

pub(super) struct AnswersDigest {
    hasher: blake3::Hasher,
}

impl AnswersDigest {
    pub(super) fn new() -> Self {
        AnswersDigest {
            hasher: blake3::Hasher::new(),
        }
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    /// Adds every value of an answer with its name, status and times.
    pub(super) fn answer(&mut self, answer: &GetAnswer) {
        self.hasher.update(&answer.as_of.0.to_le_bytes());
        for row in &answer.rows {
            for (field, value) in answer.features.iter().zip(row) {
                self.text(&field.name);
                self.text(&value.status.to_string());
                self.hasher.update(&[u8::from(value.event_time.is_some())]);
                let time = value.event_time.map_or(0, |t| t.0);
                self.hasher.update(&time.to_le_bytes());
                let mut bytes = Vec::new();
                encode_value(&value.value, &mut bytes);
                self.bytes(&bytes);
            }
        }
    }

    /// The digest in hexadecimal digits.
    pub(super) fn finish(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}
