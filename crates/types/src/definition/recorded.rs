//! Calls of functions that do not give equal bits, in a derived stream: what they give is recorded in its
//! emissions, and what they would be asked is evaluated in place of them
//! (`docs/decisions/0047-values-that-are-recorded.md`).
//!
//! Owns what a query has where such a call stands; who calls, and when, is somebody else's. Invariant: a
//! query never calls such a function, so it gives the same bits wherever it is evaluated.

use std::sync::Arc;

use crate::codec::{decode_values, encode_value};
use crate::column::Column;
use crate::data_type::DataType;
use crate::external::{ColumnFunction, External, FunctionSignature};
use crate::value::Value;

/// Separates the digests of what is asked from those of functions.
const DOMAIN: &[u8] = b"evenkeel what a function is asked 1";

/// A selected column that is a call whose values are recorded. The query has in its place what the function
/// is asked ([`RecordedCall::asked`]): BYTES, or the ERROR among the arguments, which is the value then.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    /// The column, among those that are selected.
    pub column: usize,
    /// The function.
    pub function: External,
}

impl RecordedCall {
    /// What stands in a query in place of the function: of the same arguments, their encoding.
    pub fn asked(&self) -> External {
        let of = self.function.signature();
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        hasher.update(&of.digest);
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        External::new(Arc::new(Asked(FunctionSignature {
            digest,
            result: DataType::Bytes,
            ..of.clone()
        })))
    }

    /// The arguments that a query evaluated; none if what it has there is the value already.
    ///
    /// # Panics
    /// If the bytes are not what [`RecordedCall::asked`] gave.
    pub fn arguments(&self, asked: &Value) -> Option<Vec<Value>> {
        let Value::Bytes(bytes) = asked else {
            return None;
        };
        let parameters = self.function.signature().parameters.iter();
        let types: Vec<DataType> = parameters.map(|p| p.data_type.clone()).collect();
        Some(decode_values(bytes, &types).expect("they were encoded from these types"))
    }
}

/// See [`RecordedCall::asked`].
struct Asked(FunctionSignature);

impl ColumnFunction for Asked {
    fn signature(&self) -> &FunctionSignature {
        &self.0
    }

    fn evaluate(&self, arguments: &[Column], rows: usize) -> Column {
        let mut asked = Column::new(&DataType::Bytes);
        for row in 0..rows {
            let mut bytes = Vec::new();
            for argument in arguments {
                encode_value(&argument.get(row), &mut bytes);
            }
            asked.push(&Value::Bytes(bytes.into()));
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_type::Field;

    struct Never(FunctionSignature);

    impl ColumnFunction for Never {
        fn signature(&self) -> &FunctionSignature {
            &self.0
        }

        fn evaluate(&self, _: &[Column], _: usize) -> Column {
            unreachable!("a query does not call it")
        }
    }

    #[test]
    fn what_a_function_is_asked_are_its_arguments() {
        let parameters = [("x", DataType::Double), ("name", DataType::String)];
        let fields = parameters.iter();
        let call = RecordedCall {
            column: 0,
            function: External::new(Arc::new(Never(FunctionSignature {
                name: "never".to_owned(),
                digest: [7; 16],
                parameters: fields
                    .map(|(name, data_type)| Field::new(*name, data_type.clone()))
                    .collect(),
                result: DataType::Double,
            }))),
        };
        let asked = call.asked();
        assert_ne!(asked, call.function);
        assert_eq!(asked.signature().result, DataType::Bytes);
        let mut found = Vec::new();
        for arguments in [
            [Value::Double(1.5), Value::from("a")],
            [Value::Double(1.5), Value::Null],
            [Value::Null, Value::Null],
        ] {
            let bytes = asked.evaluate_row(&[&arguments[0], &arguments[1]]);
            assert_eq!(call.arguments(&bytes), Some(arguments.to_vec()));
            assert!(!found.contains(&bytes));
            found.push(bytes);
        }
        assert_eq!(call.arguments(&Value::Null), None);
    }
}
