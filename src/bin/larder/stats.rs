//! `larder stats`: the figures of a store.

use crate::failure::{Exit, Outcome};
use crate::output::Output;
use crate::place::{Access, Operation};
use clap::Args;
use indicatif::{BinaryBytes, HumanCount};
use larder::Store;
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  larder stats --dir pantry
  larder stats --dir pantry --json | jq .live_bytes";

/// Show a store's figures: keys, bytes, files, memory.
///
/// What it counts since it was opened (gets, sets, syncs, …) is shown in the shell and with --json. A server tells its own by
/// the command INFO.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Stats {}

#[derive(Serialize)]
struct Figures {
    keys: u64,
    expiring_keys: u64,
    live_bytes: u64,
    dead_bytes: u64,
    file_bytes: u64,
    segments: u64,
    mapped_bytes: u64,
    index_bytes: u64,
    gets: u64,
    hits: u64,
    sets: u64,
    dels: u64,
    expired: u64,
    syncs: u64,
    compactions: u64,
    compacted_bytes: u64,
}

impl Operation for Stats {
    fn access(&self) -> Access {
        Access::Read
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let stats = store.stats()?;
        if output.is_json() {
            output.object(&Figures {
                keys: stats.keys,
                expiring_keys: store.expiring_len()?,
                live_bytes: stats.live_bytes,
                dead_bytes: stats.dead_bytes,
                file_bytes: stats.file_bytes,
                segments: stats.segments,
                mapped_bytes: stats.mapped_bytes,
                index_bytes: stats.index_bytes,
                gets: stats.gets,
                hits: stats.hits,
                sets: stats.sets,
                dels: stats.dels,
                expired: stats.expired,
                syncs: stats.syncs,
                compactions: stats.compactions,
                compacted_bytes: stats.compacted_bytes,
            })?;
            return Ok(Exit::Done);
        }
        let count = |count| HumanCount(count).to_string();
        let bytes = |bytes| BinaryBytes(bytes).to_string();
        let mut lines = vec![
            ("keys", count(stats.keys)),
            ("of them expiring", count(store.expiring_len()?)),
            ("live records", bytes(stats.live_bytes)),
            ("dead records", bytes(stats.dead_bytes)),
            ("files", bytes(stats.file_bytes)),
            ("segments", count(stats.segments)),
            ("index in memory", bytes(stats.index_bytes)),
        ];
        if output.is_shell() {
            lines.extend([
                ("gets", count(stats.gets)),
                ("of them hits", count(stats.hits)),
                ("sets", count(stats.sets)),
                ("dels", count(stats.dels)),
                ("expired", count(stats.expired)),
                ("syncs", count(stats.syncs)),
                ("compactions", count(stats.compactions)),
                ("copied by them", bytes(stats.compacted_bytes)),
            ]);
        }
        for (what, figure) in lines {
            output.line(format_args!("{what:<17} {figure}"))?;
        }
        Ok(Exit::Done)
    }
}
