//! The program `larder`: a store served to other processes, and looked after from a shell.
//!
//! One file per subcommand, each with its arguments and a `run`; what works on an open store is an `Operation`
//! (`place`), which the shell has too. All of it goes through the crate's public API, as any other program would.
//!
//! Not here: anything that a store promises.

// Files, clocks and sockets of the program are its own; `storage` is for what is stored.
#![allow(clippy::disallowed_methods)]

mod backup;
mod bench;
mod bytes;
mod compact;
mod completions;
mod copy;
mod del;
mod duration;
mod export;
mod failure;
mod get;
mod import;
mod interchange;
mod man;
mod origin;
mod output;
mod pem;
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
mod shell;
mod stats;
mod ttl;
mod verify;
mod words;

use clap::{CommandFactory, Parser, Subcommand};
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
    Shell(shell::Shell),
    Serve(serve::Serve),
    Bench(bench::Bench),
    Completions(completions::Completions),
    Man(man::Manual),
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
            Command::Shell(shell) => shell.run(),
            Command::Serve(serve) => serve.run(),
            Command::Bench(bench) => bench.run(),
            Command::Completions(completions) => completions.run(CommandLine::command()),
            Command::Man(manual) => manual.run(CommandLine::command()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        CommandLine::command().debug_assert();
    }

    /// Of every command's help the examples: what stands there is a command line that is taken.
    #[test]
    fn every_example_of_the_help_is_a_command_line() {
        let mut example_count = 0;
        for command in CommandLine::command().get_subcommands() {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n"), "{}: no examples", command.get_name());
            for line in help.lines().filter(|line| line.contains("larder ")) {
                for example in line.split(['|', '&']).filter(|part| part.trim_start().starts_with("larder ")) {
                    // What stands behind several blanks explains it; a file that is redirected is none of its business.
                    let typed = example.trim().split("  ").next().unwrap_or_default();
                    let typed = typed.split(['<', '>']).next().unwrap_or_default();
                    let words = words::words(typed.as_bytes()).unwrap();
                    let parsed = CommandLine::try_parse_from(words);
                    assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
                    example_count += 1;
                }
            }
        }
        assert!(example_count > 25, "{example_count}");
    }
}
