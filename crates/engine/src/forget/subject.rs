//! Whom a store is to forget: a key, what stands in its place, and how either is found in values and words.
//!
//! Invariant: a value is the key's if it is the same value, whatever the width of its integer; a text names the
//! key if it has its words, with neither a letter nor a digit beside them: `savanna` does not name `anna`.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::EntityDef;
use evenkeel_types::{Field, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::error::ForgetError;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The parts of the key.
    pub(super) key: Vec<Value>,
    /// What takes their place; none: their events are removed.
    pub(super) pseudonym: Option<Vec<Value>>,
}

impl Subject {
    /// Whether these values are the key.
    pub(super) fn is(&self, row: &[Value], slots: &[usize]) -> bool {
        is_key(&self.key, row, slots)
    }

    /// Whether these values are what takes the key's place.
    pub(super) fn is_taken(&self, row: &[Value], slots: &[usize]) -> bool {
        let pseudonym = self.pseudonym.as_ref();
        pseudonym.is_some_and(|pseudonym| is_key(pseudonym, row, slots))
    }

    /// Whether a record in words, of which the columns are not known, may be about the key: every part
    /// of it is in there.
    pub(super) fn is_in_words(&self, bytes: &[u8]) -> bool {
        self.key.iter().all(|part| match part {
            Value::String(text) => contains_text(bytes, text),
            other => words_of(other).is_some_and(|words| contains_word(bytes, words.as_bytes())),
        })
    }

    /// Whether all of the key is text.
    pub(super) fn has_texts(&self) -> bool {
        self.key.iter().all(|part| matches!(part, Value::String(_)))
    }

    /// Whether a text names any part of the key that is a text itself.
    pub(super) fn is_named(&self, text: &str) -> bool {
        let mut texts = self.texts();
        texts.any(|(key, _)| contains_word(text.as_bytes(), key.as_bytes()))
    }

    /// Whether an event names the key in any of its texts.
    pub(super) fn is_named_in(&self, row: &[Value]) -> bool {
        row.iter().any(|value| match value {
            Value::String(text) => self.is_named(text),
            Value::Array(values) | Value::Struct(values) => self.is_named_in(values),
            _ => false,
        })
    }

    /// Puts the pseudonym in the place of the key: in the columns of each of these roles that has it,
    /// and in every text that names it, but in columns that say something else: which event it is, or
    /// whose else.
    pub(super) fn replace(
        &self,
        row: &mut [Value],
        roles: &[Vec<usize>],
        others: &BTreeSet<usize>,
    ) {
        let Some(pseudonym) = &self.pseudonym else {
            return;
        };
        let held: Vec<&Vec<usize>> = roles.iter().filter(|slots| self.is(row, slots)).collect();
        for slots in held {
            for (&slot, new) in slots.iter().zip(pseudonym) {
                if let Some(value) = row.get_mut(slot) {
                    *value = as_wide_as(value, new);
                }
            }
        }
        for (slot, value) in row.iter_mut().enumerate() {
            if let Some(new) = self.renamed(value).filter(|_| !others.contains(&slot)) {
                *value = new;
            }
        }
    }

    /// A value whose texts named the key; none if none does.
    fn renamed(&self, value: &Value) -> Option<Value> {
        let list = |values: &Arc<[Value]>| {
            let new: Vec<Option<Value>> = values.iter().map(|v| self.renamed(v)).collect();
            let is_new = new.iter().any(Option::is_some);
            let old = values.iter().cloned();
            is_new.then(|| old.zip(new).map(|(old, new)| new.unwrap_or(old)).collect())
        };
        match value {
            Value::String(text) if self.is_named(text) => {
                let text = self.texts().fold(text.to_string(), |text, (key, new)| {
                    with_word(&text, key, new)
                });
                Some(Value::String(text.into()))
            }
            Value::Array(values) => list(values).map(Value::Array),
            Value::Struct(values) => list(values).map(Value::Struct),
            _ => None,
        }
    }

    /// The parts of the key that are texts, and what takes their places.
    fn texts(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        let pseudonym = self.pseudonym.as_deref().unwrap_or_default();
        self.key.iter().enumerate().filter_map(|(number, part)| {
            let new = match pseudonym.get(number) {
                Some(Value::String(new)) => new,
                _ => "",
            };
            match part {
                Value::String(text) => Some((text, new)),
                _ => None,
            }
        })
    }
}

/// A keyed hash of each part of a key, of the part's type; whoever has not the secret cannot make it again.
///
/// # Errors
/// If a part has a type in which there are too few values.
pub(super) fn pseudonym_of(
    entity: &EntityDef,
    key: &[Value],
    secret: &[u8; 32],
) -> Result<Vec<Value>, ForgetError> {
    let parts = entity.keys.iter().zip(key).enumerate();
    parts
        .map(|(number, (field, value))| part_of(entity, field, (number, value), secret))
        .collect()
}

fn part_of(
    entity: &EntityDef,
    field: &Field,
    (number, value): (usize, &Value),
    secret: &[u8; 32],
) -> Result<Value, ForgetError> {
    let mut bytes = number.to_le_bytes().to_vec();
    encode_value(value, &mut bytes);
    let hash = blake3::keyed_hash(secret, &bytes);
    let wide = hash
        .as_bytes()
        .first_chunk()
        .map_or(0, |b| u64::from_le_bytes(*b));
    Ok(match value {
        Value::String(_) => Value::string(format!("forgotten-{}", &hash.to_hex()[..24])),
        Value::Bytes(_) => Value::Bytes(hash.as_bytes()[..16].into()),
        // Numbers that JSON keeps whole, and that few keys are.
        Value::BigInt(_) => Value::BigInt(((wide & ((1 << 52) - 1)) | (1 << 52)).cast_signed()),
        Value::Int(_) => {
            let narrow = u32::try_from(wide & ((1 << 30) - 1)).unwrap_or_default();
            Value::Int((narrow | (1 << 30)).cast_signed())
        }
        _ => {
            return Err(ForgetError::Pseudonym {
                reason: format!(
                    "`{}` of `{}` is {}, which has no room for one",
                    field.name, entity.name, field.data_type
                ),
            });
        }
    })
}

/// A digest of values, to count how many there are.
pub(super) fn digest_of(row: &[Value], slots: &[usize]) -> u128 {
    let mut bytes = Vec::with_capacity(32);
    for &slot in slots {
        encode_value(&row[slot], &mut bytes);
    }
    xxh3_128(&bytes)
}

fn is_key(key: &[Value], row: &[Value], slots: &[usize]) -> bool {
    let mut parts = slots.iter().zip(key);
    parts.all(|(&slot, part)| row.get(slot).is_some_and(|value| is_part(value, part)))
}

fn is_part(value: &Value, part: &Value) -> bool {
    let wide = |value: &Value| match value {
        Value::Int(x) => Some(i64::from(*x)),
        Value::BigInt(x) => Some(*x),
        _ => None,
    };
    match (wide(value), wide(part)) {
        (Some(a), Some(b)) => a == b,
        _ => value.same_bits(part),
    }
}

/// A value as wide as the one that it takes the place of.
fn as_wide_as(old: &Value, new: &Value) -> Value {
    match (old, new) {
        // Of a column that was an INT when the event came: less than 2^30 are told apart.
        (Value::Int(_), Value::BigInt(x)) => {
            let narrow = u32::try_from(x & ((1 << 30) - 1)).unwrap_or_default();
            Value::Int((narrow | (1 << 30)).cast_signed())
        }
        _ => new.clone(),
    }
}

fn words_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::Int(x) => x.to_string(),
        Value::BigInt(x) => x.to_string(),
        Value::Boolean(x) => x.to_string(),
        // Written in too many ways to be sure of any.
        _ => return None,
    })
}

fn contains_text(bytes: &[u8], text: &str) -> bool {
    let escaped = serde_json::Value::from(text).to_string();
    let escaped = escaped.trim_matches('"');
    contains_word(bytes, text.as_bytes()) || contains_word(bytes, escaped.as_bytes())
}

/// Whether some bytes are among others, and no letter or digit is beside them.
fn contains_word(bytes: &[u8], word: &[u8]) -> bool {
    word_from(bytes, word, 0).is_some()
}

/// Where a word stands in some bytes, from a place on.
fn word_from(bytes: &[u8], word: &[u8], from: usize) -> Option<usize> {
    if word.is_empty() {
        return None;
    }
    // Other bytes than those of ASCII are parts of letters.
    let is_open = |at: Option<usize>| {
        let beside = at.and_then(|at| bytes.get(at));
        !beside.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
    };
    let mut places = bytes.windows(word.len()).enumerate().skip(from);
    let found = places.find(|(at, window)| {
        *window == word && is_open(at.checked_sub(1)) && is_open(Some(at + word.len()))
    });
    found.map(|(at, _)| at)
}

/// A text with another word in the place of one.
fn with_word(text: &str, word: &str, new: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = word_from(text.as_bytes(), word.as_bytes(), from) {
        written.push_str(&text[from..at]);
        written.push_str(new);
        from = at + word.len();
    }
    written.push_str(&text[from..]);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(key: Vec<Value>, pseudonym: Option<Vec<Value>>) -> Subject {
        Subject { key, pseudonym }
    }

    #[test]
    fn words_are_whole() {
        let of = |n| subject(vec![Value::BigInt(n)], None);
        assert!(of(17).is_in_words(br#"{"customer":17}"#));
        assert!(!of(17).is_in_words(br#"{"customer":170}"#));
        assert!(!of(17).is_in_words(b"a17,b"));
        let text = subject(vec![Value::from("C-ÜX9")], None);
        assert!(text.is_in_words("1,C-ÜX9,3".as_bytes()));
        assert!(!text.is_in_words("1,C-ÜX,3".as_bytes()));
        let short = subject(vec![Value::from("anna")], None);
        assert!(short.is_in_words(b"1,anna,3") && !short.is_in_words(b"1,savanna,3"));
        assert!(!short.is_in_words("1,ännanna,3".as_bytes()));
        assert!(short.is_named("for anna.") && !short.is_named("for annabel"));
    }

    #[test]
    fn a_pseudonym_takes_every_place_of_a_key() {
        let subject = subject(
            vec![Value::from("alice@x")],
            Some(vec![Value::from("forgotten-1")]),
        );
        let list: Arc<[Value]> = vec![Value::from("alice@x"), Value::Null].into();
        let mut row = vec![
            Value::from("alice@x"),
            Value::from("to alice@x, from bob"),
            Value::Array(list),
            Value::BigInt(5),
            Value::from("order alice@x-1"),
        ];
        subject.replace(&mut row, &[vec![0]], &BTreeSet::from([4]));
        assert!(row[0].same_bits(&Value::from("forgotten-1")));
        assert!(row[1].same_bits(&Value::from("to forgotten-1, from bob")));
        let list: Arc<[Value]> = vec![Value::from("forgotten-1"), Value::Null].into();
        assert!(row[2].same_bits(&Value::Array(list)));
        assert!(row[3].same_bits(&Value::BigInt(5)));
        // It says which event it is.
        assert!(row[4].same_bits(&Value::from("order alice@x-1")));
    }

    #[test]
    fn integers_are_the_same_in_any_width() {
        let subject = subject(
            vec![Value::BigInt(7)],
            Some(vec![Value::BigInt(1 << 52 | 9)]),
        );
        let mut row = vec![Value::Int(7), Value::Int(8), Value::BigInt(7)];
        assert!(subject.is(&row, &[0]) && !subject.is(&row, &[1]) && subject.is(&row, &[2]));
        subject.replace(&mut row, &[vec![0], vec![2]], &BTreeSet::new());
        assert!(row[0].same_bits(&Value::Int(1 << 30 | 9)));
        assert!(row[2].same_bits(&Value::BigInt(1 << 52 | 9)));
    }
}
