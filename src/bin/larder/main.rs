//! The program `larder`: a store served to other processes, and looked after from a shell.
//!
//! One file per subcommand, each with its arguments and a `run`. All of it goes through the crate's
//! public API, as any other program would.
//!
//! Not here: anything that a store promises. Exit codes: 0 done, 1 failed, 2 wrong usage.

// Files, clocks and sockets of the program are its own; `storage` is for what is stored.
#![allow(clippy::disallowed_methods)]

mod serve;
mod server;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A persistent key-value store: served to other processes, and looked after.
#[derive(Parser)]
#[command(name = "larder", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Serve(serve) => serve.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("larder: {message}");
            ExitCode::FAILURE
        }
    }
}
