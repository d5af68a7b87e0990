//! Which store a command works on and how it opens it; what a command on a store is.
//!
//! A command that only reads opens read-only, so that it works on media that cannot be written and leaves no
//! trace; only what puts keys into a store makes one. A store that is open in another process is busy for all of them.
//!
//! Not here: what commands do (a file each), several of them on one open store (`shell`).

use crate::failure::{Failure, Outcome};
use crate::output::Output;
use clap::{Args, ValueHint};
use larder::{Options, Store};
use std::path::{Path, PathBuf};

// No doc comments on structs that are flattened into commands: clap would make them the command's description.

#[derive(Args, Debug)]
pub struct Place {
    /// The store's directory.
    #[arg(long, short = 'd', value_name = "DIR", env = "LARDER_DIR", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// An option of the store, as verify_reads=all, max_size=1GiB or segment_size=16MiB; may be given several times.
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<String>,
}

#[derive(Args, Debug)]
pub struct Format {
    /// Print one JSON object per line. Bytes are strings if they are UTF-8, else {"base64": "…"}.
    #[arg(long)]
    pub json: bool,
}

/// What a command does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it. No file of it changes.
    Read,
    /// Changes what is there.
    Write,
    /// Changes it, and makes it if it is not there.
    Create,
}

impl Place {
    pub fn open(&self, access: Access) -> Result<Store, Failure> {
        Store::open(&self.dir, &self.options(access)?).map_err(|error| self.failure(error))
    }

    /// A failure with the store's name.
    pub fn failure(&self, error: larder::Error) -> Failure {
        Failure::from(error).about(self.dir.display())
    }

    /// The options with which the store is opened, or made.
    pub fn options(&self, access: Access) -> Result<Options, Failure> {
        let mut options =
            Options { read_only: access == Access::Read, create: access == Access::Create, ..Options::default() };
        for option in &self.options {
            let (name, value) =
                option.split_once('=').ok_or_else(|| Failure::usage(format!("--option {option} is not NAME=VALUE")))?;
            if matches!(name, "read_only" | "create") {
                return Err(Failure::usage(format!("--option {name}: each command decides that itself")));
            }
            options.set(name, value)?;
        }
        Ok(options)
    }
}

/// A command on an open store: the same from the command line and in the shell.
pub trait Operation {
    fn access(&self) -> Access;

    /// What is to be done before the store is opened.
    fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome;

    /// What it has to say of a store that does not open, if that is more than the failure.
    fn could_not_open(&self, _error: &larder::Error, _output: &mut Output) -> Option<Outcome> {
        None
    }
}

// A subcommand: an operation, whose description it takes, with the store that it is to be carried out on.
#[derive(Args, Debug)]
pub struct On<T: Args> {
    #[command(flatten)]
    operation: T,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

impl<T: Args + Operation> On<T> {
    pub fn run(mut self) -> Outcome {
        self.operation.prepare()?;
        let mut output = Output::new(self.format.json);
        let options = self.place.options(self.operation.access())?;
        let store = match Store::open(&self.place.dir, &options) {
            Ok(store) => store,
            Err(error) => {
                let outcome = self.operation.could_not_open(&error, &mut output);
                output.flush()?;
                return outcome.unwrap_or_else(|| Err(self.place.failure(error)));
            }
        };
        let outcome = self.operation.carry_out(&store, &mut output);
        // What was found is shown before a failure is told.
        let shown = output.flush();
        let closed = close(&store, &self.place.dir);
        let exit = outcome?;
        shown?;
        closed?;
        Ok(exit)
    }
}

/// Closes explicitly: what fails only here has to be told too.
pub fn close(store: &Store, dir: &Path) -> Result<(), Failure> {
    store.close().map_err(|error| Failure::from(error).about(dir.display()))
}
