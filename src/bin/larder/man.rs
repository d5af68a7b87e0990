//! `larder man`: the manual page larder(1), made from the commands' definitions.
//!
//! One page for all commands: each has a section with its synopsis, what it says of itself, its options and examples.

use crate::failure::{EXIT_CODES, Exit, Failure, Outcome};
use crate::output::Output;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

const EXAMPLES: &str = "\
Examples:
  larder man | man -l -";

/// Print the manual page, larder(1).
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Manual {}

impl Manual {
    pub fn run(&self, command: Command) -> Outcome {
        let page = page(command).map_err(|error| Failure::io("the manual page", &error))?;
        let mut output = Output::new(false);
        output.raw(page.as_bytes())?;
        output.flush()?;
        Ok(Exit::Done)
    }
}

fn page(mut command: Command) -> io::Result<String> {
    command.build();
    let subcommands: Vec<Command> = command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
    let mut page = Vec::new();
    // The codes have a section of their own.
    let man = Man::new(command.after_help("")).manual("Larder").date("");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for subcommand in &subcommands {
        roff.control("TP", []);
        roff.text([bold(subcommand.get_name().to_owned())]);
        roff.text([roman(subcommand.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
    for subcommand in subcommands {
        roff.to_writer(&mut page)?;
        roff = Roff::new();
        section(subcommand, &mut page)?;
    }
    verbatim("EXIT STATUS", EXIT_CODES.trim_start_matches("Exit codes:\n"), &mut roff);
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, what) in [
        ("LARDER_DIR", "The store's directory, where --dir does not say it."),
        ("LARDER_HISTORY", "The file of the shell's history; empty for none."),
    ] {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(what)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("larder"), roman("(3)")]);
    roff.to_writer(&mut page)?;
    String::from_utf8(page).map_err(io::Error::other)
}

/// A command's own page, as a section of this one.
fn section(subcommand: Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = subcommand.get_name().to_uppercase();
    let examples =
        subcommand.get_after_long_help().map(|text| text.to_string().replace("Examples:\n", "")).unwrap_or_default();
    let man = Man::new(subcommand.after_long_help("").mut_arg("help", |help| help.hide(true)));
    let mut parts = Vec::new();
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    let text = String::from_utf8(parts).map_err(io::Error::other)?;
    let mut roff = Roff::new();
    roff.control("SH", [name.as_str()]);
    roff.to_writer(page)?;
    page.extend_from_slice(text.replace(".SH DESCRIPTION\n", ".PP\n").replace(".SH ", ".SS ").as_bytes());
    let mut roff = Roff::new();
    if !examples.is_empty() {
        roff.control("SS", ["EXAMPLES"]);
        lines(&examples, &mut roff);
    }
    roff.to_writer(page)
}

fn verbatim(title: &str, text: &str, roff: &mut Roff) {
    roff.control("SH", [title]);
    lines(text, roff);
}

/// Line by line, as it stands.
fn lines(text: &str, roff: &mut Roff) {
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line.trim_start().to_owned())]);
    }
    roff.control("fi", []);
}
