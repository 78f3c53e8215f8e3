//! Whom a store is to forget: a key, what stands in its place, and how either is found in values and words.
//!
//! Invariant: a value is the key's if it is the same value, whatever the width of its integer; words are
//! the key's if they contain its text, an integer's only between other signs than digits and letters.

use std::sync::Arc;

use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::EntityDef;
use evenkeel_types::{Field, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::error::ForgetError;

/// Shorter texts are found as values, not in other texts: they would be found everywhere.
const TEXT_BYTES_MIN: usize = 4;

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

    /// Whether a text of any record names the key: only what is a text itself, and long enough, can.
    pub(super) fn is_named(&self, text: &str) -> bool {
        self.texts().any(|(key, _)| text.contains(&**key))
    }

    /// Puts the pseudonym in the place of the key: in the columns of each of these roles that has it,
    /// and in every text that names it.
    pub(super) fn replace(&self, row: &mut [Value], roles: &[Vec<usize>]) {
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
        for value in row {
            if let Some(new) = self.renamed(value) {
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
                    text.replace(&**key, new)
                });
                Some(Value::String(text.into()))
            }
            Value::Array(values) => list(values).map(Value::Array),
            Value::Struct(values) => list(values).map(Value::Struct),
            _ => None,
        }
    }

    /// The texts of the key that can be looked for in others, and what takes their places.
    fn texts(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        let pseudonym = self.pseudonym.as_deref().unwrap_or_default();
        self.key.iter().enumerate().filter_map(|(number, part)| {
            let new = match pseudonym.get(number) {
                Some(Value::String(new)) => new,
                _ => "",
            };
            match part {
                Value::String(text) if text.len() >= TEXT_BYTES_MIN => Some((text, new)),
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
    match text.len() < TEXT_BYTES_MIN {
        true => contains_word(bytes, text.as_bytes()),
        false => contains(bytes, text.as_bytes()) || contains(bytes, escaped.as_bytes()),
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

/// Whether some bytes are among others, and no letter or digit is beside them.
fn contains_word(bytes: &[u8], word: &[u8]) -> bool {
    if word.is_empty() {
        return false;
    }
    let is_open = |at: Option<usize>| {
        let beside = at.and_then(|at| bytes.get(at));
        !beside.is_some_and(u8::is_ascii_alphanumeric)
    };
    let mut places = bytes.windows(word.len()).enumerate();
    places.any(|(at, window)| {
        window == word && is_open(at.checked_sub(1)) && is_open(Some(at + word.len()))
    })
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
        let short = subject(vec![Value::from("AB")], None);
        assert!(short.is_in_words(b"1,AB,3") && !short.is_in_words(b"1,ABC,3"));
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
        ];
        subject.replace(&mut row, &[vec![0]]);
        assert!(row[0].same_bits(&Value::from("forgotten-1")));
        assert!(row[1].same_bits(&Value::from("to forgotten-1, from bob")));
        let list: Arc<[Value]> = vec![Value::from("forgotten-1"), Value::Null].into();
        assert!(row[2].same_bits(&Value::Array(list)));
        assert!(row[3].same_bits(&Value::BigInt(5)));
    }

    #[test]
    fn integers_are_the_same_in_any_width() {
        let subject = subject(
            vec![Value::BigInt(7)],
            Some(vec![Value::BigInt(1 << 52 | 9)]),
        );
        let mut row = vec![Value::Int(7), Value::Int(8), Value::BigInt(7)];
        assert!(subject.is(&row, &[0]) && !subject.is(&row, &[1]) && subject.is(&row, &[2]));
        subject.replace(&mut row, &[vec![0], vec![2]]);
        assert!(row[0].same_bits(&Value::Int(1 << 30 | 9)));
        assert!(row[2].same_bits(&Value::BigInt(1 << 52 | 9)));
    }
}
