//! The server: HTTP requests in, answers out.
//!
//! Owns the writer thread, limits, tokens and the shape of answers. Computes no value: the
//! engine does. Invariant: an acknowledged event is durable and applied.
