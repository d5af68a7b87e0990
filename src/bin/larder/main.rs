//! The program `larder`: a store served to other processes, and looked after from a shell.
//!
//! One file per subcommand, each with its arguments and a `run`; what works on an open store is an `Operation`
//! (`place`), which the shell has too. All of it goes through the crate's public API, as any other program would.
//!
//! Not here: anything that a store promises.

// Files, clocks and sockets of the program are its own; `storage` is for what is stored.
#![allow(clippy::disallowed_methods)]

mod backup;
mod bytes;
mod compact;
mod copy;
mod del;
mod duration;
mod export;
mod failure;
mod get;
mod import;
mod interchange;
mod origin;
mod output;
mod place;
mod progress;
mod push;
mod rdb;
mod remote;
mod restore;
mod salvage;
mod scan;
mod serve;
mod server;
mod set;
mod stats;
mod ttl;
mod verify;

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
    Set(On<set::Set>),
    Del(On<del::Del>),
    Scan(On<scan::Scan>),
    Ttl(On<ttl::Ttl>),
    Stats(On<stats::Stats>),
    Verify(On<verify::Verify>),
    Salvage(salvage::Salvage),
    Compact(On<compact::Compact>),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Export(export::Export),
    Import(import::Import),
    Push(push::Push),
    Serve(serve::Serve),
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Command::Get(get) => get.run(),
            Command::Set(set) => set.run(),
            Command::Del(del) => del.run(),
            Command::Scan(scan) => scan.run(),
            Command::Ttl(ttl) => ttl.run(),
            Command::Stats(stats) => stats.run(),
            Command::Verify(verify) => verify.run(),
            Command::Salvage(salvage) => salvage.run(),
            Command::Compact(compact) => compact.run(),
            Command::Backup(backup) => backup.run(),
            Command::Restore(restore) => restore.run(),
            Command::Export(export) => export.run(),
            Command::Import(import) => import.run(),
            Command::Push(push) => push.run(),
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
