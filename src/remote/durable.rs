//! Whether what a server has answered outlives a power cut.
//!
//! There is no command that makes earlier writes durable and costs what they cost. But a server can be asked how it
//! keeps its log: one that syncs before it answers owes nothing, and `larder serve` takes SAVE as a sync. Others are
//! not believed to be able to.

use super::Inner;
use super::asking::{Kind, Request};
use super::replies::only;
use super::routes::Routes;
use crate::error::{Error, Result, Status};
use redis::{Value, cmd};

/// What a server promises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Every answer is durable.
    OfAnswers,
    /// SAVE is a sync of the log.
    OnSave,
}

impl Inner {
    /// What the server promises now; it may be told otherwise at any time.
    pub(super) fn durability(&self) -> Result<Durability> {
        let Routes::One(node) = &self.routes else {
            let why =
                "a cluster may lose what it has answered when a replica takes over: it cannot promise to be durable";
            return Err(Error::new(Status::Unsupported, why));
        };
        let mut request = Request::of(cmd("CONFIG").arg("GET").arg("appendonly"));
        request.add(cmd("CONFIG").arg("GET").arg("appendfsync"));
        request.add(cmd("INFO").arg("server"));
        let replies = self.ask_node(Kind::Reads, node, &request)?;
        let [has_log, syncs, about] = replies.as_slice() else { return Err(super::unexpected(node.place())) };
        if is_set(has_log, b"yes") && is_set(syncs, b"always") {
            return Ok(Durability::OfAnswers);
        }
        let names_larder =
            |text: &[u8]| text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"larder_version:"));
        if matches!(about, Value::BulkString(text) if names_larder(text)) {
            return Ok(Durability::OnSave);
        }
        let why = format!(
            "{} does not say that it syncs its log before it answers (appendonly yes, appendfsync always): it cannot promise to be durable",
            node.place()
        );
        Err(Error::new(Status::Unsupported, why))
    }

    /// Makes durable what was answered before.
    pub(super) fn make_durable(&self, durability: Durability) -> Result<()> {
        let (Durability::OnSave, Routes::One(node)) = (durability, &self.routes) else { return Ok(()) };
        // Twice is as good as once.
        let replies = self.ask_node(Kind::Reads, node, &Request::of(&cmd("SAVE")))?;
        only(node.place(), replies).map(|_| ())
    }
}

/// Whether CONFIG GET answers with this value.
fn is_set(reply: &Value, wanted: &[u8]) -> bool {
    let Value::Array(pair) = reply else { return false };
    matches!(pair.as_slice(), [_, Value::BulkString(value)] if value == wanted)
}
