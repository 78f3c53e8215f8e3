//! The limits of an expression and the versions of what its results depend on.

/// The version of the expression language: part of every definition's digest. It grows when
/// any function's result changes on any input.
pub const LANGUAGE_VERSION: u32 = 1;

/// The version of the Unicode tables behind `lower`, `upper` and `ilike`, as (major, minor,
/// update): part of every definition's digest.
pub const UNICODE_VERSION: (u8, u8, u8) = char::UNICODE_VERSION;

/// The greatest depth of an expression, inserted conversions counted. Deeper ones are
/// refused when built, so that no recursion over an expression can exhaust the stack.
pub const EXPRESSION_DEPTH_MAX: usize = 256;

/// The greatest number of nodes of an expression.
pub const EXPRESSION_NODES_MAX: usize = 100_000;

/// The longest text or byte string that a function makes, in bytes; beyond it the value is
/// `ERROR(LIMIT)`.
pub const STRING_BYTES_MAX: usize = 1 << 20;

/// The most elements of an array that a function makes; beyond it the value is
/// `ERROR(LIMIT)`.
pub const ARRAY_ELEMENTS_MAX: usize = 1 << 16;
