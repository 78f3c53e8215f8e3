//! What happened, as one number: two runs of one seed have the same.

use std::fmt;

use xxhash_rust::xxh3::Xxh3Default;

/// See the module.
#[derive(Default)]
pub(crate) struct Trace {
    hasher: Xxh3Default,
    /// Told as it happens, where somebody looks for why.
    pub(crate) aloud: bool,
}

impl Trace {
    /// Takes down what happens.
    pub(crate) fn tell(&mut self, what: fmt::Arguments<'_>) {
        let what = what.to_string();
        if self.aloud {
            println!("{what}");
        }
        self.hasher.update(what.as_bytes());
        self.hasher.update(b"\n");
    }

    pub(crate) fn digest(&self) -> u64 {
        self.hasher.digest()
    }
}
