//! The program `larder`: a store served to other processes, and looked after from a shell.
//!
//! One file per subcommand, each with its arguments and a `run`; what works on an open store is an `Operation`
//! (`place`), which the shell has too. All of it goes through the crate's public API, as any other program would.
//!
//! Not here: anything that a store promises.

// Files, clocks and sockets of the program are its own; `storage` is for what is stored.
#![allow(clippy::disallowed_methods)]

mod bytes;
mod failure;
mod get;
mod output;
mod place;
mod progress;
mod rdb;
mod serve;
mod server;

use clap::{Parser, Subcommand};
use failure::{EXIT_CODES, Outcome};
use place::On;
use std::process::ExitCode;

/// A persistent key-value store: keys and values from the command line, served to other processes, and looked after.
#[derive(Parser)]
#[command(name = "larder", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Get(On<get::Get>),
    Serve(serve::Serve),
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Command::Get(get) => get.run(),
            Command::Serve(serve) => serve.run(),
        }
    }
}

fn main() -> ExitCode {
    match CommandLine::parse().command.run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if let Some(sentence) = failure.sentence {
                eprintln!("larder: {sentence}");
            }
            failure.exit.into()
        }
    }
}
