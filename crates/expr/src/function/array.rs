//! Lists and structs. Elements count from 1; what is not there is NULL.

use evenkeel_types::{DataType, ErrorReason, Expr, Value};

use super::{Binding, Function, Group, argument_type, call, check_count, expect, literal_text};
use crate::coerce::{convert, join, unify};
use crate::error::BuildError;
use crate::kernel::{BigInt, Missing, Nested, general, general_lenient, unary};
use crate::limits::ARRAY_ELEMENTS_MAX;

const INVALID_ARGUMENT: Missing = Missing::Error(ErrorReason::InvalidArgument);

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "array",
        aliases: &["list_value", "array_construct"],
        group: Group::Array,
        rule: "The arguments as an array of their common type: `[a, b]`.",
        nulls: "NULLs are elements; never NULL",
        errors: "",
        binding: Binding::Special {
            signatures: &["array(a, ...): ARRAY of the common type"],
            bind: bind_array,
            kernel: |s| {
                general_lenient(s.result, |v| {
                    if v.len() > ARRAY_ELEMENTS_MAX {
                        return Err(ErrorReason::Limit.into());
                    }
                    Ok(Value::Array(v.iter().map(|v| (*v).clone()).collect()))
                })
            },
        },
    },
    Function {
        name: "array_length",
        aliases: &["cardinality", "array_size", "list_length"],
        group: Group::Array,
        rule: "The number of elements, NULL ones included.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["array_length(ARRAY) -> BIGINT"],
            bind: |name, args| {
                check_count(name, &args, 1, Some(1))?;
                element(name, &args[0])?;
                Ok(call(name, args, DataType::BigInt))
            },
            kernel: |_| {
                unary::<Nested, BigInt>(|v| match v {
                    Value::Array(values) => Ok(values.len() as i64),
                    _ => Err(INVALID_ARGUMENT),
                })
            },
        },
    },
    Function {
        name: "element_at",
        aliases: &["[]", "list_extract", "list_element", "array_extract"],
        group: Group::Array,
        rule: "`list[i]`: the ith element, from 1.",
        nulls: "NULL where there is no such element",
        errors: "",
        binding: Binding::Special {
            signatures: &["list[BIGINT]: the element type"],
            bind: |name, args| {
                check_count(name, &args, 2, Some(2))?;
                let result = element(name, &args[0])?;
                let [list, index] = pair(args);
                let index = expect(name, 1, index, &DataType::BigInt)?;
                Ok(call(name, vec![list, index], result))
            },
            kernel: |s| {
                general(s.result, |v| match (v[0], v[1]) {
                    (Value::Array(values), Value::BigInt(i)) => usize::try_from(*i)
                        .ok()
                        .and_then(|i| values.get(i.checked_sub(1)?))
                        .cloned()
                        .ok_or(Missing::Null),
                    _ => Err(INVALID_ARGUMENT),
                })
            },
        },
    },
    Function {
        name: "array_contains",
        aliases: &["list_contains", "array_has", "list_has"],
        group: Group::Array,
        rule: "Whether an element equals x.",
        nulls: "NULL elements equal nothing; NULL if the list or x is",
        errors: "",
        binding: Binding::Special {
            signatures: &["array_contains(ARRAY, x) -> BOOLEAN"],
            bind: |name, args| bind_search(name, args, DataType::Boolean),
            kernel: |s| {
                general(s.result, |v| {
                    Ok(Value::Boolean(position(v[0], v[1]).is_some()))
                })
            },
        },
    },
    Function {
        name: "array_position",
        aliases: &["list_position", "list_indexof"],
        group: Group::Array,
        rule: "The number, from 1, of the first element that equals x.",
        nulls: "NULL if there is none",
        errors: "",
        binding: Binding::Special {
            signatures: &["array_position(ARRAY, x) -> BIGINT"],
            bind: |name, args| bind_search(name, args, DataType::BigInt),
            kernel: |s| {
                general(s.result, |v| {
                    position(v[0], v[1])
                        .map(|at| Value::BigInt(at as i64 + 1))
                        .ok_or(Missing::Null)
                })
            },
        },
    },
    Function {
        name: "struct_field",
        aliases: &["struct_extract"],
        group: Group::Array,
        rule: "`x.name`: the field of a struct.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["x.name: the field's type"],
            bind: bind_field,
            kernel: |s| {
                let at = match (&s.arguments[0], s.constant_text(1)) {
                    (DataType::Struct(fields), Some(name)) => {
                        fields.iter().position(|f| f.name == name)
                    }
                    _ => None,
                };
                general(s.result, move |v| match (v[0], at) {
                    (Value::Struct(values), Some(at)) => {
                        values.get(at).cloned().ok_or(Missing::Null)
                    }
                    _ => Err(INVALID_ARGUMENT),
                })
            },
        },
    },
];

/// The type of a list's elements.
pub(super) fn element_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Array(element) | DataType::Vector { element, .. } => Some(element),
        _ => None,
    }
}

fn element(name: &str, list: &Expr) -> Result<DataType, BuildError> {
    element_type(&list.data_type)
        .cloned()
        .ok_or_else(|| argument_type(name, 0, "an array", list))
}

fn pair(args: Vec<Expr>) -> [Expr; 2] {
    <[Expr; 2]>::try_from(args).expect("two arguments were counted")
}

fn bind_array(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, None)?;
    if let Some(at) = args
        .iter()
        .position(|e| !e.data_type.is_scalar() && e.data_type != DataType::Null)
    {
        return Err(argument_type(name, at, "a single value", &args[at]));
    }
    let (args, common) = unify(name, args)?;
    Ok(call(name, args, DataType::Array(Box::new(common))))
}

fn bind_search(name: &'static str, args: Vec<Expr>, result: DataType) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    let own = element(name, &args[0])?;
    let [list, x] = pair(args);
    let common = join(&own, &x.data_type).ok_or_else(|| BuildError::NoCommonType {
        function: name.to_owned(),
        argument: 1,
        found: x.data_type.clone(),
        other: own.clone(),
    })?;
    let list = if common == own {
        list
    } else {
        convert(list, &DataType::Array(Box::new(common.clone())))
    };
    Ok(call(name, vec![list, convert(x, &common)], result))
}

fn position(list: &Value, x: &Value) -> Option<usize> {
    match list {
        Value::Array(values) => values
            .iter()
            .position(|value| !value.is_null() && value.total_cmp(x).is_eq()),
        _ => None,
    }
}

fn bind_field(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    let DataType::Struct(fields) = &args[0].data_type else {
        return Err(argument_type(name, 0, "a struct", &args[0]));
    };
    let wanted = literal_text(name, 1, &args[1], "the field's name")?;
    let found = fields.iter().find(|f| f.name == wanted);
    let result = found.map(|f| f.data_type.clone()).ok_or_else(|| {
        let names: Vec<String> = fields.iter().map(|f| format!("`{}`", f.name)).collect();
        BuildError::BadConstant {
            function: name.to_owned(),
            argument: 1,
            value: wanted.to_owned(),
            reason: "the struct has no such field".to_owned(),
            hint: Some(format!("it has {}", names.join(", "))),
        }
    })?;
    Ok(call(name, args, result))
}
