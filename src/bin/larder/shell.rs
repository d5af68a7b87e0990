//! `larder shell`: commands on one open store, line by line.
//!
//! The same operations as from the command line. On a terminal with line editing, a history and completion (`completing`); from a pipe
//! line by line, without a prompt.
//!
//! Not here: what commands do, how a line is taken apart (`words`).

mod completing;

use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::place::{self, Access, Format, Operation, Place};
use crate::{compact, del, get, scan, set, stats, ttl, verify, words};
use clap::builder::OsStringValueParser;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser};
use completing::Completing;
use larder::Store;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  larder shell --dir pantry
  printf 'set jam quince\\nget jam\\n' | larder shell --dir pantry
  larder shell --dir pantry --json < commands > answers

In the shell: get, set, del, scan, ttl, stats, verify, compact, help, exit. A word with blanks stands in quotes; between
double quotes \\n, \\t, \\\", \\\\ and \\xNN are any byte. # begins a remark.";

/// Work on one open store, line by line.
///
/// The store stays open until the shell ends, so other processes are told that it is busy. On a terminal, lines can be
/// edited and found again: the history is a file that only its owner can read. The tabulator key completes commands, options and
/// keys. From a pipe, the shell goes on after a
/// line that fails, and ends with the exit code of the first that did.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Shell {
    /// Make the store if it is not there.
    #[arg(long)]
    create: bool,
    /// Refuse what would change the store, and open it read-only.
    #[arg(long, conflicts_with = "create")]
    read_only: bool,
    /// Keep the history of lines here; an empty name keeps none.
    #[arg(long, value_name = "FILE", env = "LARDER_HISTORY", hide_env_values = true, value_parser = OsStringValueParser::new())]
    history: Option<OsString>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// A line of the shell is one of these, with its options.
#[derive(Parser, Debug)]
#[command(name = "", no_binary_name = true)]
enum Line {
    Get(get::Get),
    Set(set::Set),
    Del(del::Del),
    Scan(scan::Scan),
    Ttl(ttl::Ttl),
    Stats(stats::Stats),
    Verify(verify::Verify),
    Compact(compact::Compact),
    /// End the shell; so does the end of the input.
    #[command(visible_alias = "quit")]
    Exit,
}

/// What a line leads to.
enum Next {
    Line(Exit),
    End,
}

impl Shell {
    pub fn run(&self) -> Outcome {
        let access = match (self.create, self.read_only) {
            (true, _) => Access::Create,
            (_, true) => Access::Read,
            _ => Access::Write,
        };
        let store = self.place.open(access)?;
        let mut output = Output::of_shell(self.format.json);
        let outcome =
            if io::stdin().is_terminal() { self.converse(&store, &mut output) } else { obey(&store, &mut output) };
        let closed = place::close(&store, &self.place.dir);
        let exit = outcome?;
        closed?;
        Ok(exit)
    }

    /// On a terminal.
    fn converse(&self, store: &Store, output: &mut Output) -> Outcome {
        let failure = |error: ReadlineError| Failure::new(Exit::Io, format!("the terminal: {error}"));
        let config = Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
        let mut editor: Editor<Completing<'_>, FileHistory> = Editor::with_config(config).map_err(failure)?;
        let mut command = Line::command();
        editor.set_helper(Some(Completing::new(store, command.clone())));
        let history = self.history_path();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        let version = env!("CARGO_PKG_VERSION");
        let dir = self.place.dir.display();
        output.note(format_args!("larder {version}: {dir}. help lists the commands, exit ends the shell."))?;
        output.flush()?;
        loop {
            match editor.readline("larder> ") {
                Ok(line) => {
                    if let Next::End = carry_out(&mut command, line.as_bytes(), store, output)? {
                        break;
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(failure(error)),
            }
        }
        if let Some(path) = &history {
            let saved = make_private_dir(path).map_err(ReadlineError::Io).and_then(|()| editor.save_history(path));
            if let Err(error) = saved {
                eprintln!("larder: the history is not kept: {}: {error}", path.display());
            }
        }
        Ok(Exit::Done)
    }

    /// Where programs keep what they remember (the XDG base directories).
    fn history_path(&self) -> Option<PathBuf> {
        if let Some(path) = &self.history {
            return (!path.is_empty()).then(|| PathBuf::from(path));
        }
        let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = named("XDG_STATE_HOME").or_else(|| named("HOME").map(|home| home.join(".local/state")))?;
        Some(state.join("larder/history"))
    }
}

/// From a pipe or a file.
fn obey(store: &Store, output: &mut Output) -> Outcome {
    // Made once: making it takes longer than most commands.
    let mut command = Line::command();
    let mut first_failure = Exit::Done;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(first_failure),
            Ok(_) => {}
            Err(error) => return Err(Failure::io("standard input", &error)),
        }
        match carry_out(&mut command, &line, store, output)? {
            Next::Line(exit) if first_failure == Exit::Done => first_failure = exit,
            Next::Line(_) => {}
            Next::End => return Ok(first_failure),
        }
    }
}

/// A failure of the line is told here; one that is returned ends the shell: nobody reads what it prints any more.
fn carry_out(command: &mut Command, line: &[u8], store: &Store, output: &mut Output) -> Result<Next, Failure> {
    let outcome = match parse(command, line, output) {
        Ok(None) => return Ok(Next::Line(Exit::Done)),
        Ok(Some(Line::Exit)) => return Ok(Next::End),
        Ok(Some(line)) => line.carry_out(store, output),
        Err(failure) => Err(failure),
    };
    output.flush()?;
    match outcome {
        Ok(exit) => Ok(Next::Line(exit)),
        Err(Failure { exit, sentence: Some(sentence) }) => {
            eprintln!("{sentence}");
            Ok(Next::Line(exit))
        }
        Err(silent) => Err(silent),
    }
}

/// `None` for an empty line, and for help, which is printed here.
fn parse(command: &mut Command, line: &[u8], output: &mut Output) -> Result<Option<Line>, Failure> {
    let words: Vec<OsString> = words::words(line).map_err(Failure::usage)?;
    if words.is_empty() {
        return Ok(None);
    }
    match command.try_get_matches_from_mut(words).and_then(|mut matches| Line::from_arg_matches_mut(&mut matches)) {
        Ok(Line::Set(set)) if !set.has_value() => Err(Failure::usage("set KEY VALUE: the value is missing")),
        Ok(line) => Ok(Some(line)),
        Err(error) if error.exit_code() == 0 => {
            output.raw(error.render().to_string().as_bytes())?;
            output.flush()?;
            Ok(None)
        }
        Err(error) => {
            // Its first paragraph: what is wrong, without the usage that `help` shows.
            let text = error.render().to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            Err(Failure::usage(first.split_whitespace().collect::<Vec<_>>().join(" ")))
        }
    }
}

impl Line {
    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        match self {
            Line::Get(get) => get.carry_out(store, output),
            Line::Set(set) => set.carry_out(store, output),
            Line::Del(del) => del.carry_out(store, output),
            Line::Scan(scan) => scan.carry_out(store, output),
            Line::Ttl(ttl) => ttl.carry_out(store, output),
            Line::Stats(stats) => stats.carry_out(store, output),
            Line::Verify(verify) => verify.carry_out(store, output),
            Line::Compact(compact) => compact.carry_out(store, output),
            Line::Exit => Ok(Exit::Done),
        }
    }
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_the_shell_are_well_made() {
        Line::command().debug_assert();
    }
}
