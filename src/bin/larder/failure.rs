//! How a command ends: an exit code that means something, and at most one sentence.
//!
//! Not here: printing it (`main`).

use larder::{Error, Status};
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// What exit codes mean; `EXIT_CODES` says it to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no: a key is not there, a condition did not hold.
    No = 1,
    /// The command line makes no sense, or asks for what cannot be; clap's own code for that.
    Usage = 2,
    /// The store is open in another process.
    Busy = 3,
    /// Stored bytes fail their check.
    Damaged = 4,
    /// There is no such store or file, no room, or the operating system said no.
    Io = 5,
    /// Anything else.
    Other = 6,
}

/// For the end of every command's long help, and for the manual page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the answer is no: a key is not there, a condition does not hold
  2  wrong usage: what was asked makes no sense, or is over a limit
  3  busy: the store is open in another process
  4  damaged: stored bytes fail their check, or a file to read is not whole
  5  input or output: no such store or file, no room, no permission
  6  anything else: a format that is newer than this program, no memory, interrupted";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What a command that did its work says: `Done` or `No`, or the code that its report stands for.
pub type Outcome = Result<Exit, Failure>;

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// One sentence that names what was wrong; `None` where nobody is left to read it.
    pub sentence: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: Some(sentence.into()) }
    }

    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Usage, sentence)
    }

    /// A call of the operating system that failed: `about` is the file, or what was tried with it.
    pub fn io(about: impl Display, error: &io::Error) -> Self {
        Self::new(Exit::Io, format!("{about}: {error}"))
    }

    /// Names what the sentence is about, as a file, unless it does so itself.
    pub fn about(self, what: impl Display) -> Self {
        let what = what.to_string();
        let named = |sentence: String| if sentence.contains(&what) { sentence } else { format!("{what}: {sentence}") };
        Self { exit: self.exit, sentence: self.sentence.map(named) }
    }

    /// Of a write to standard output. Whoever read it has had enough (`larder scan | head`): quiet, and no failure.
    pub fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::Done, sentence: None },
            _ => Self::io("standard output", error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.status() {
            Status::InvalidArgument | Status::TooLarge | Status::BufferTooSmall => Exit::Usage,
            Status::Busy => Exit::Busy,
            Status::Corrupt => Exit::Damaged,
            Status::NotFound | Status::Io | Status::NoSpace | Status::ReadOnly => Exit::Io,
            _ => Exit::Other,
        };
        Self::new(exit, error.message())
    }
}
