//! What a command prints: lines for people, or one JSON object per line.
//!
//! All of it goes to standard output through one buffer; sentences about failures go to standard error.
//!
//! Not here: how bytes are shown (`bytes`), progress (`progress`).

use crate::failure::Failure;
use indicatif::HumanCount;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

pub struct Output {
    is_json: bool,
    is_shell: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub fn new(is_json: bool) -> Self {
        Self { is_json, is_shell: false, out: BufWriter::with_capacity(64 << 10, io::stdout()) }
    }

    pub fn of_shell(is_json: bool) -> Self {
        Self { is_shell: true, ..Self::new(is_json) }
    }

    /// Whether somebody talks to the program line by line.
    pub fn is_shell(&self) -> bool {
        self.is_shell
    }

    /// Whether somebody looks at it.
    pub fn is_terminal(&self) -> bool {
        self.out.get_ref().is_terminal()
    }

    /// What a command that did as it was told says only to somebody who is in a conversation with it.
    pub fn note(&mut self, text: impl Display) -> Result<(), Failure> {
        if self.is_shell && !self.is_json { self.line(text) } else { Ok(()) }
    }

    /// Whether each line is to be a JSON object.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// A line for people.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(|error| Failure::of_output(&error))
    }

    /// A line for programs.
    pub fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, object).map_err(|error| Failure::of_output(&error.into()))?;
        self.raw(b"\n")
    }

    /// The one or the other, as was asked for.
    pub fn either(&mut self, object: &impl Serialize, text: impl Display) -> Result<(), Failure> {
        if self.is_json { self.object(object) } else { self.line(text) }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|error| Failure::of_output(&error))
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::of_output(&error))
    }
}

/// `1 key`, `1,000 keys`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}
