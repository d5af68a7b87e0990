//! `larder push`: every key of a store, or of a server, into Redis or a Redis Cluster.
//!
//! Not here: connections, windows, redirections (`remote`).

use crate::failure::{Exit, Failure, Outcome};
use crate::origin::{Opened, Origin};
use crate::output::Output;
use crate::place::Format;
use crate::progress::Progress;
use crate::remote::sender::{Sender, Tally};
use crate::remote::source::Dumped;
use crate::remote::{Address, Security};
use clap::Args;
use indicatif::{BinaryBytes, HumanCount};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  larder push --dir pantry redis://localhost:6379                 keys that are there already are refused, and stay
  larder push --dir pantry --replace unix:/run/redis.sock
  larder push --dir pantry --password-file pass redis+cluster://10.0.0.1:7000,10.0.0.2:7000
  larder push --dir pantry --tls-ca ca.pem rediss://cache.example:6380
  larder push --from unix:/run/larder.sock redis://localhost      of a store that is being served";

/// Send every key with its value and expiry to a Redis server or a Redis Cluster.
///
/// Keys go by RESTORE, many at a time. One that the server refuses is counted and the first ones are told; the exit code is
/// then 1. When a connection is lost, what had been stored is told, and --replace lets the same command be run again. With
/// --from keys are read from a server instead: larder serve, or Redis, of which every type is sent.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Push {
    /// redis://[user:password@]host:port[/database], redis+cluster://[user:password@]host:port,… or unix:/path; with rediss for TLS.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Take the place of keys that the target has already.
    #[arg(long)]
    replace: bool,
    /// A file whose first line is the target's password. Other processes can see one in an address.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Speak TLS to the target, as with rediss:// for redis:// and rediss+cluster:// for redis+cluster://.
    #[arg(long)]
    tls: bool,
    /// Who signs the target's certificate (PEM), instead of those whom the system believes.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// A certificate for a target that asks for one (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    origin: Origin,
}

#[derive(Serialize)]
struct Report<'a> {
    stored: u64,
    bytes: u64,
    refused: u64,
    refusals: &'a BTreeMap<String, u64>,
    first_refusals: &'a [String],
}

impl Push {
    fn security(&self) -> Security<'_> {
        let own = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        Security { is_asked_for: self.tls, ca: self.tls_ca.as_ref(), own }
    }

    pub fn run(self) -> Outcome {
        let target = Address::parse(&self.target, self.password_file.as_deref(), self.security())?;
        let mut opened = self.origin.open()?;
        let sender = Sender::open(&target, self.origin.time_max(), self.replace)?;
        let outcome = self.send(&mut opened, sender);
        let closed = opened.close();
        let exit = outcome?;
        closed?;
        Ok(exit)
    }

    fn send(&self, opened: &mut Opened, mut sender: Sender) -> Outcome {
        let progress = Progress::of_count("sending", opened.counts()?.0);
        let sent = opened.each(|found| {
            let payload = found.content.into_payload();
            sender.push(Dumped { key: found.key, payload, expires_at_ms: found.expires_at_ms })?;
            progress.advance(1);
            Ok(())
        });
        let sent = sent.and_then(|()| sender.finish());
        drop(progress);
        let waiting_count = if sent.is_err() { sender.abandon() } else { 0 };
        let tally = sender.tally;
        let told = self.tell(&tally, sent.is_ok());
        sent.map_err(|failure| stopped(failure, &tally, waiting_count))?;
        told?;
        Ok(if tally.refused == 0 { Exit::Done } else { Exit::No })
    }

    /// Refusals to people on standard error, for they are no result; the counts only if that was all.
    fn tell(&self, tally: &Tally, is_whole: bool) -> Result<(), Failure> {
        let mut output = Output::new(self.format.json);
        if !output.is_json() && tally.refused > 0 {
            let by_code = tally.refusals.iter().map(|(code, count)| format!("{} {code}", HumanCount(*count)));
            eprintln!(
                "larder: refused {} keys ({}):",
                HumanCount(tally.refused),
                by_code.collect::<Vec<_>>().join(", ")
            );
            for sentence in &tally.named {
                eprintln!("  {sentence}");
            }
            if tally.refused > tally.named.len() as u64 {
                eprintln!("  …");
            }
        }
        if is_whole {
            let report = Report {
                stored: tally.stored,
                bytes: tally.stored_bytes,
                refused: tally.refused,
                refusals: &tally.refusals,
                first_refusals: &tally.named,
            };
            let (keys, bytes) = (HumanCount(tally.stored), BinaryBytes(tally.stored_bytes));
            output.either(&report, format_args!("sent {keys} keys, {bytes}"))?;
        }
        output.flush()
    }
}

/// What went wrong, and how far it had come.
fn stopped(failure: Failure, tally: &Tally, waiting_count: usize) -> Failure {
    let stored = tally.stored;
    let so_far = format!("{stored} keys are known to be stored, {waiting_count} more were sent without an answer");
    let sentence = failure.sentence.unwrap_or_default();
    Failure::new(failure.exit, format!("{sentence}; {so_far}"))
}
