//! Progress bars on stderr, drawn only where a person watches.

use std::fmt;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// A bar of things done out of all.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl fmt::Debug for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bar").finish_non_exhaustive()
    }
}

impl Bar {
    /// A bar of counts.
    pub(crate) fn counts(output: Output) -> Self {
        Bar::new(
            output,
            "  {msg:28} {wide_bar} {human_pos}/{human_len} {eta:>4}",
        )
    }

    /// A bar of bytes.
    pub(crate) fn bytes(output: Output) -> Self {
        Bar::new(
            output,
            "  {msg:28} {wide_bar} {bytes}/{total_bytes} {eta:>4}",
        )
    }

    /// A line of words.
    pub(crate) fn words(output: Output) -> Self {
        Bar::new(output, "  {wide_msg}")
    }

    /// Shows words.
    pub(crate) fn say(&self, words: String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(words);
        }
    }

    fn new(output: Output, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), output.progress_target());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Bar { bar }
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, what: &str, done: u64, all: u64) {
        if self.bar.is_hidden() {
            return;
        }
        if self.bar.message() != what {
            self.bar.set_message(what.to_owned());
        }
        self.bar.set_length(all);
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
