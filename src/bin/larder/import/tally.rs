//! What an import did, counted; and what it left out, by name where that is asked for.

use crate::bytes::{Json, Shown};
use crate::failure::Failure;
use crate::output::Output;
use crate::rdb::read::{Content, Item};
use indicatif::HumanCount;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// In the store now.
    pub imported: u64,
    /// Of these, how many the store had before.
    pub replaced: u64,
    /// The store had them, and has kept its own.
    pub kept: u64,
    pub expired: u64,
    /// Longer than a store takes.
    pub too_long: u64,
    pub other_databases: u64,
    /// By the name of the type.
    pub other_types: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn tell(&self, output: &mut Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.object(self);
        }
        let replaced =
            if self.replaced == 0 { String::new() } else { format!(" ({} replaced)", HumanCount(self.replaced)) };
        output.line(format_args!("imported {} keys{replaced}", HumanCount(self.imported)))?;
        let left_out = [
            ("that the store has already", self.kept),
            ("that have expired", self.expired),
            ("that are too long", self.too_long),
            ("of other databases", self.other_databases),
        ];
        for (what, count) in left_out.into_iter().filter(|(_, count)| *count > 0) {
            output.line(format_args!("left out {} {what}", HumanCount(count)))?;
        }
        for (name, count) in &self.other_types {
            output.line(format_args!("left out {} of type {name}", HumanCount(*count)))?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Skipped<'a> {
    skipped: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Json<'a>>,
    database: u64,
    offset: u64,
}

/// A line about a key that is left out for what it is.
pub fn name_skipped(item: &Item, database: u64, output: &mut Output) -> Result<(), Failure> {
    let what = match &item.content {
        Content::Other(name) => name,
        Content::TooLong => "too long",
        Content::Text(_) if item.key.is_none() => "too long",
        Content::Text(_) if item.database != database => "string",
        Content::Text(_) => return Ok(()),
    };
    let key = item.key.as_deref();
    let skipped = Skipped { skipped: what, key: key.map(Json), database: item.database, offset: item.offset };
    match key {
        Some(key) => output.either(&skipped, format_args!("{what}\t{}\tdatabase {}", Shown(key), item.database)),
        None => output.either(&skipped, format_args!("{what}\tat offset {}\tdatabase {}", item.offset, item.database)),
    }
}
