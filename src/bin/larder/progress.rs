//! How far a long command is: a bar on standard error, if that is a terminal, and nothing at all if not.
//!
//! Gone when the command ends, so that what stays on the screen is the command's result.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

pub struct Progress(ProgressBar);

impl Progress {
    /// Of so many bytes.
    pub fn of_bytes(what: &'static str, total_bytes: u64) -> Self {
        Self::bar(what, total_bytes, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left")
    }

    /// Of so many keys, or other things.
    pub fn of_count(what: &'static str, total_count: u64) -> Self {
        Self::bar(what, total_count, "{msg} {wide_bar} {human_pos}/{human_len}, {eta} left")
    }

    /// Of something whose end nobody can tell.
    pub fn endless(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    fn bar(what: &'static str, total: u64, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(total).with_style(style).with_message(what))
    }

    pub fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// So far of so much; for work whose whole is known only when it has begun.
    pub fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
