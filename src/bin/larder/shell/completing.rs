//! What the tabulator key offers in `larder shell`: commands, their options, and keys of the store.
//!
//! Keys are looked for by a walk, because a store has them in no order. A walk that takes longer than a moment is given up, and
//! nothing is offered: of a part of the keys the letters that all have in common would be wrong.
//!
//! Not here: taking lines apart (`words`).

use crate::bytes::Shown;
use crate::words::{self, Unfinished};
use clap::{Arg, Command};
use larder::Store;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use std::time::{Duration, Instant};

/// Longer than this nobody waits for an answer to a key.
const WALK_MAX: Duration = Duration::from_millis(200);
/// Keys between two looks at the clock.
const CLOCK_EVERY: usize = 1024;

pub struct Completing<'a> {
    store: &'a Store,
    command: Command,
}

/// What a word is to be.
enum Wanted<'a> {
    Command,
    Option(&'a Command),
    /// `is_any`: also one that begins with a dash.
    Key {
        is_any: bool,
    },
}

impl<'a> Completing<'a> {
    pub fn new(store: &'a Store, mut command: Command) -> Self {
        command.build();
        Self { store, command }
    }

    /// What may stand for the word, as it is typed; nothing if that cannot be known.
    fn candidates(&self, unfinished: &Unfinished) -> Vec<String> {
        let Some(wanted) = self.wanted(unfinished) else { return Vec::new() };
        let mut found = match wanted {
            Wanted::Command => names(self.command.get_subcommands().map(Command::get_name), unfinished),
            Wanted::Option(command) => {
                let longs: Vec<String> =
                    command.get_arguments().filter_map(Arg::get_long).map(|long| format!("--{long}")).collect();
                names(longs.iter().map(String::as_str), unfinished)
            }
            Wanted::Key { is_any } => {
                let mut keys = self.keys(&unfinished.word);
                // What begins with a dash is taken for an option, in quotes too, unless it stands behind `--`.
                keys.retain(|key| is_any || !key.starts_with(b"-"));
                typed(&keys, unfinished.is_quoted)
            }
        };
        found.sort_unstable();
        if let [only] = found.as_mut_slice() {
            only.push(' ');
        }
        found
    }

    fn wanted(&self, unfinished: &Unfinished) -> Option<Wanted<'_>> {
        let Some((name, others)) = unfinished.before.split_first() else { return Some(Wanted::Command) };
        let command = self.command.find_subcommand(name)?;
        let has_ended_options = others.iter().any(|word| word == "--");
        if unfinished.word.starts_with(b"-") && !unfinished.is_quoted && !has_ended_options {
            return Some(Wanted::Option(command));
        }
        // Which of them are values of options is the options' to say.
        let (mut place, mut awaited, mut is_behind) = (0, None, false);
        for word in others {
            let word = word.to_str().unwrap_or_default();
            match (awaited.take(), word.strip_prefix("--").filter(|_| !is_behind)) {
                (Some(_), _) => {}
                (None, Some("")) => is_behind = true,
                (None, Some("base64")) => return None,
                (None, Some(long)) => {
                    let takes = |arg: &&Arg| arg.get_long() == Some(long) && arg.get_action().takes_values();
                    awaited = command.get_arguments().find(takes).and_then(Arg::get_long);
                }
                (None, None) => place += 1,
            }
        }
        let is_key = match (command.get_name(), awaited) {
            ("scan", Some("prefix")) => true,
            ("get" | "set" | "ttl", None) => place == 0,
            ("del", None) => true,
            _ => false,
        };
        is_key.then_some(Wanted::Key { is_any: is_behind })
    }

    /// The keys that begin like this; none if it takes too long to know.
    fn keys(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let (begin, mut keys) = (Instant::now(), Vec::new());
        // All keys are stepped through here, so that the clock is looked at though none begins like this.
        let Ok(mut cursor) = self.store.cursor(b"") else { return keys };
        for count in 1_usize.. {
            match cursor.next() {
                Ok(Some((key, _))) if key.starts_with(prefix) => keys.push(key.to_vec()),
                Ok(None) => return keys,
                // What is damaged is told by whoever asks for it.
                _ => {}
            }
            if count.is_multiple_of(CLOCK_EVERY) && begin.elapsed() > WALK_MAX {
                break;
            }
        }
        Vec::new()
    }
}

fn names<'n>(names: impl Iterator<Item = &'n str>, unfinished: &Unfinished) -> Vec<String> {
    names.filter(|name| name.as_bytes().starts_with(&unfinished.word)).map(str::to_owned).collect()
}

/// Keys as they are typed: all in quotes if one needs them, so that what they have in common is.
fn typed(keys: &[Vec<u8>], is_quoted: bool) -> Vec<String> {
    let shown: Vec<String> = keys.iter().map(|key| Shown(key).to_string()).collect();
    let is_word = |text: &String| !text.contains([' ', '"', '\'', '\u{a0}']) && !text.starts_with(['#', '-']);
    if !is_quoted && shown.iter().all(is_word) {
        return shown;
    }
    let quote = |(text, key): (String, &Vec<u8>)| match text.as_bytes() == key.as_slice() {
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        false => text,
    };
    shown.into_iter().zip(keys).map(quote).collect()
}

impl Completer for Completing<'_> {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let unfinished = words::unfinished(&line.as_bytes()[..pos]);
        Ok(unfinished.map_or((pos, Vec::new()), |unfinished| (unfinished.begin, self.candidates(&unfinished))))
    }
}

impl Hinter for Completing<'_> {
    type Hint = String;
}

impl Highlighter for Completing<'_> {}
impl Validator for Completing<'_> {}
impl Helper for Completing<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn keys_are_offered_as_a_line_of_the_shell_reads_them() {
        let keys: Vec<Vec<u8>> = [
            &b"jam"[..],
            b"a b",
            b"\"",
            b"'",
            b"#x",
            b"-x",
            b"\\",
            b"\xff",
            b"",
            b"tab\t",
            b"\\x41",
            "ü\u{a0}".as_bytes(),
        ]
        .iter()
        .map(|key| key.to_vec())
        .collect();
        for key in &keys {
            for is_quoted in [false, true] {
                let offered = typed(std::slice::from_ref(key), is_quoted);
                let read = words::words(offered[0].as_bytes()).unwrap();
                assert_eq!(read, [OsString::from_vec(key.clone())], "{offered:?}");
            }
        }
        assert_eq!(typed(&keys[..1], false), ["jam"]);
        assert_eq!(typed(&keys[..2], false), ["\"jam\"", "\"a b\""]);
    }
}
