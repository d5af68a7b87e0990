//! What the commands do, one file per family.
//!
//! A handler gets the call and its arguments, the name first, as many as the table says. What it returns as an error
//! is its whole reply.

pub mod about;
pub mod bits;
pub mod client;
pub mod config;
pub mod connection;
pub mod counters;
pub mod dump;
pub mod expiry;
pub mod info;
pub mod keys;
pub mod lcs;
pub mod object;
pub mod pubsub;
pub mod ranges;
pub mod scan;
pub mod scripts;
pub mod server;
pub mod strings;
pub mod transactions;
pub mod watching;
pub mod whole;

use super::execute::{Call, Done, Failure, NOT_AN_INTEGER, SYNTAX_ERROR};
use super::numbers;

/// A 64-bit integer, or Redis's sentence.
pub fn integer(arg: &[u8]) -> Result<i64, Failure> {
    numbers::parse_i64(arg).ok_or(NOT_AN_INTEGER)
}

/// A 32-bit integer, or Redis's sentence.
pub fn int(arg: &[u8]) -> Result<i32, Failure> {
    let out_of_range = "ERR value is out of range, value must between -2147483648 and 2147483647";
    i32::try_from(integer(arg)?).map_err(|_| super::execute::failure(out_of_range))
}

/// Whether `arg` is `word`, in any case.
pub fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The lines of a HELP subcommand: what the command says of itself, then how its form is.
fn help(call: &mut Call<'_>, name: &str, lines: &[&str]) -> Done {
    let head = format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    let all: Vec<&str> =
        [head.as_str()].into_iter().chain(lines.iter().copied()).chain(["HELP", "    Print this help."]).collect();
    call.reply.array(all.len());
    for line in all {
        call.reply.simple(line);
    }
    Ok(())
}
