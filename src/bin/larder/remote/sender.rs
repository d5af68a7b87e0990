//! Keys to a server or a cluster, by RESTORE with an absolute expiry.
//!
//! Commands go out in packets, replies are read when so much is under way to a node that more would only wait: the window.
//! A node of a cluster may send a key elsewhere (MOVED, ASK), or have it come again later (TRYAGAIN, CLUSTERDOWN, LOADING);
//! any other refusal is counted, and the first ones are named.
//!
//! Invariants:
//!   P1. What is under way to a node is bounded by count and bytes, and one value more.
//!   P2. Each key is counted once: as stored, or as refused.

use super::Address;
use super::cluster::{self, Range, SLOT_COUNT};
use super::link::Link;
use super::security::{elsewhere, host_and_port};
use super::source::Dumped;
use crate::bytes::Shown;
use crate::failure::{Exit, Failure};
use redis::{ConnectionInfo, ServerError, Value, cmd};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const WINDOW_COUNT: usize = 1000;
const WINDOW_BYTES: usize = 8 << 20;
const PACKET_BYTES: usize = 64 << 10;

/// Longest argument that Redis takes unless it is told otherwise (`proto-max-bulk-len`). It closes the connection on a
/// longer one, so that is not sent.
const PAYLOAD_BYTES_MAX: usize = 512 << 20;

/// How often one key is sent elsewhere, or once more.
const ATTEMPTS_MAX: u32 = 12;
const TRYAGAIN_PAUSE: Duration = Duration::from_millis(5);

/// How often, one after the other, keys are sent again to nodes that can take none now, and the wait before each: 10 s in all.
const PAUSES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// The rest of a CLUSTERDOWN that is about one slot only, and will not pass by waiting.
const SLOT_UNSERVED: &str = "not served";

/// Refusals that are named, of all that are counted.
const NAMED_MAX: usize = 10;

const NO_NODE: u16 = u16::MAX;

/// What became of the keys.
#[derive(Debug, Default)]
pub struct Tally {
    pub stored: u64,
    pub stored_bytes: u64,
    pub refused: u64,
    /// Refusals by the first word of what the server said.
    pub refusals: BTreeMap<String, u64>,
    /// The first refusals, as sentences.
    pub named: Vec<String>,
}

pub struct Sender {
    nodes: Vec<Node>,
    /// For each slot the node that has it; empty for a server that is no cluster.
    slots: Vec<u16>,
    /// To be sent once more, and to which node if that is not for the slots to say.
    again: VecDeque<(Sent, Option<u16>)>,
    /// Rounds, one after the other, in which a node could take nothing.
    pauses: u32,
    is_pause_due: bool,
    /// What connections to other nodes are made with.
    template: ConnectionInfo,
    time_max: Duration,
    replaces: bool,
    pub tally: Tally,
}

struct Node {
    host: String,
    port: u16,
    link: Link,
    /// Not sent yet.
    packet: Vec<u8>,
    /// Sent or in the packet, and not answered.
    waiting: VecDeque<Expected>,
    waiting_bytes: usize,
}

enum Expected {
    Asking,
    Key(Sent),
}

struct Sent {
    dumped: Dumped,
    attempts: u32,
}

impl Sent {
    fn bytes(&self) -> usize {
        self.dumped.key.len() + self.dumped.payload.len()
    }
}

impl Sender {
    pub fn open(address: &Address, time_max: Duration, replaces: bool) -> Result<Self, Failure> {
        let (infos, is_cluster) = match address {
            Address::Server(info) => (std::slice::from_ref(&**info), false),
            Address::Cluster(infos) => (infos.as_slice(), true),
        };
        let mut failures = Vec::new();
        for info in infos {
            match Link::open(info, time_max) {
                Ok(link) => {
                    let slots = if is_cluster { vec![NO_NODE; usize::from(SLOT_COUNT)] } else { Vec::new() };
                    let (template, tally) = (info.clone(), Tally::default());
                    let (nodes, again) = (Vec::new(), VecDeque::new());
                    let mut sender = Self {
                        nodes,
                        slots,
                        again,
                        pauses: 0,
                        is_pause_due: false,
                        template,
                        time_max,
                        replaces,
                        tally,
                    };
                    sender.add(info, link);
                    if is_cluster {
                        sender.learn_slots()?;
                    }
                    return Ok(sender);
                }
                Err(failure) => failures.extend(failure.sentence),
            }
        }
        Err(Failure::new(Exit::Io, failures.join("; ")))
    }

    /// Sends a key, now or with the next ones.
    pub fn push(&mut self, dumped: Dumped) -> Result<(), Failure> {
        if dumped.payload.len() > PAYLOAD_BYTES_MAX {
            let what = format!("a value of {} bytes, more than Redis takes in a command", dumped.payload.len());
            self.refuse(&dumped.key, "too-large", &what);
            return Ok(());
        }
        self.send(Sent { dumped, attempts: 0 })?;
        self.send_again()
    }

    /// Waits for what is under way.
    pub fn finish(&mut self) -> Result<(), Failure> {
        while let Some(busy) = self.nodes.iter().position(|node| !node.waiting.is_empty()) {
            for node in &mut self.nodes {
                node.flush()?;
            }
            self.receive(busy)?;
            self.send_again()?;
        }
        Ok(())
    }

    /// After a failure: counts what nodes have answered besides, without waiting much for it. How many keys were sent
    /// and are not known to be stored or refused.
    pub fn abandon(&mut self) -> usize {
        let mut unanswered_count = self.again.len();
        for node in &mut self.nodes {
            node.link.hurry();
            while let (Some(expected), Ok(reply)) = (node.waiting.front(), node.link.receive()) {
                if let (Expected::Key(sent), Value::Okay) = (expected, &reply) {
                    self.tally.stored += 1;
                    self.tally.stored_bytes += sent.bytes() as u64;
                } else if let Expected::Key(_) = expected {
                    unanswered_count += 1;
                }
                node.waiting.pop_front();
            }
            let is_key = |expected: &&Expected| matches!(expected, Expected::Key(_));
            unanswered_count += node.waiting.iter().filter(is_key).count();
        }
        unanswered_count
    }

    fn send_again(&mut self) -> Result<(), Failure> {
        while let Some((sent, target)) = self.again.pop_front() {
            if std::mem::take(&mut self.is_pause_due) {
                self.pauses += 1;
                std::thread::sleep(PAUSE);
            }
            match target {
                Some(node) => self.send_to(usize::from(node), sent, true)?,
                None => self.send(sent)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, sent: Sent) -> Result<(), Failure> {
        let node = match self.slots.as_slice() {
            [] => 0,
            slots => slots[usize::from(cluster::slot(&sent.dumped.key))],
        };
        if node == NO_NODE {
            self.refuse(&sent.dumped.key, "CLUSTERDOWN", "no node has this key's slot");
            return Ok(());
        }
        self.send_to(usize::from(node), sent, false)
    }

    fn send_to(&mut self, at: usize, sent: Sent, asks: bool) -> Result<(), Failure> {
        let node = &mut self.nodes[at];
        if asks {
            cmd("ASKING").write_packed_command(&mut node.packet);
            node.waiting.push_back(Expected::Asking);
        }
        let mut restore = cmd("RESTORE");
        restore.arg(&sent.dumped.key).arg(sent.dumped.expires_at_ms).arg(&sent.dumped.payload);
        if self.replaces {
            restore.arg("REPLACE");
        }
        restore.arg("ABSTTL").write_packed_command(&mut node.packet);
        node.waiting_bytes += sent.bytes();
        node.waiting.push_back(Expected::Key(sent));
        if node.packet.len() >= PACKET_BYTES {
            node.flush()?;
        }
        if self.nodes[at].is_full() {
            // Down to half, so that what is sent next goes in packets again.
            self.nodes[at].flush()?;
            while self.nodes[at].is_half_full() {
                self.receive(at)?;
            }
        }
        Ok(())
    }

    /// Reads one reply of a node and does what it says.
    fn receive(&mut self, at: usize) -> Result<(), Failure> {
        let node = &mut self.nodes[at];
        let reply = node.link.receive()?;
        let mut sent = match node.waiting.pop_front() {
            // If it was refused, so will be the command behind it, and that one knows what to do.
            Some(Expected::Asking) => return Ok(()),
            Some(Expected::Key(sent)) => sent,
            None => return Err(node.link.unexpected("nothing", &reply)),
        };
        node.waiting_bytes -= sent.bytes();
        let error = match &reply {
            Value::Okay => {
                self.tally.stored += 1;
                self.tally.stored_bytes += sent.bytes() as u64;
                self.pauses = 0;
                return Ok(());
            }
            Value::ServerError(error) => error,
            other => return Err(node.link.unexpected("RESTORE", other)),
        };
        sent.attempts += 1;
        let (code, said) = (error.code(), error.details().unwrap_or_default());
        match code {
            "MOVED" | "ASK" if self.slots.is_empty() => {
                let what = "is a node of a cluster: give its address as redis+cluster://";
                Err(Failure::new(Exit::Usage, format!("{} {what}", self.nodes[at].link.name)))
            }
            // The node, not the key, is what cannot: so nor can the next key.
            "CLUSTERDOWN" | "LOADING" | "BUSY" | "MASTERDOWN" if !said.contains(SLOT_UNSERVED) => {
                if self.pauses >= PAUSES_MAX {
                    return Err(self.nodes[at].link.unexpected("RESTORE", &reply));
                }
                self.is_pause_due = true;
                self.again.push_back((sent, None));
                Ok(())
            }
            "NOAUTH" => Err(self.nodes[at].link.unexpected("RESTORE", &reply)),
            _ if sent.attempts >= ATTEMPTS_MAX => {
                self.refuse(&sent.dumped.key, code, &told(error));
                Ok(())
            }
            "MOVED" | "ASK" => {
                let Some(range) = cluster::parse_redirection(said, &self.nodes[at].link.host) else {
                    return Err(self.nodes[at].link.unexpected("RESTORE", &reply));
                };
                let target = self.node(&range)?;
                if code == "ASK" {
                    self.again.push_back((sent, Some(target)));
                } else {
                    self.slots[usize::from(range.first)] = target;
                    self.again.push_back((sent, None));
                }
                Ok(())
            }
            "TRYAGAIN" => {
                std::thread::sleep(TRYAGAIN_PAUSE);
                self.again.push_back((sent, None));
                Ok(())
            }
            _ => {
                self.refuse(&sent.dumped.key, code, &told(error));
                Ok(())
            }
        }
    }

    fn refuse(&mut self, key: &[u8], code: &str, what: &str) {
        self.tally.refused += 1;
        *self.tally.refusals.entry(code.to_owned()).or_default() += 1;
        if self.tally.named.len() < NAMED_MAX {
            self.tally.named.push(format!("{}: {what}", Shown(key)));
        }
    }

    fn learn_slots(&mut self) -> Result<(), Failure> {
        let reply = self.nodes[0].link.ask(cmd("CLUSTER").arg("SLOTS"))?;
        let ranges = cluster::parse_slots(&reply, &self.nodes[0].link.host);
        for range in ranges.ok_or_else(|| self.nodes[0].link.unexpected("CLUSTER SLOTS", &reply))? {
            let node = self.node(&range)?;
            if range.first <= range.last {
                self.slots[usize::from(range.first)..=usize::from(range.last)].fill(node);
            }
        }
        Ok(())
    }

    /// The node at an address, connected to if it was not.
    fn node(&mut self, range: &Range) -> Result<u16, Failure> {
        let known = self.nodes.iter().position(|node| node.host == range.host && node.port == range.port);
        let at = match known {
            Some(at) => at,
            None => {
                let info = self.template.clone().set_addr(elsewhere(self.template.addr(), &range.host, range.port));
                let link = Link::open(&info, self.time_max)?;
                self.add(&info, link);
                self.nodes.len() - 1
            }
        };
        u16::try_from(at).map_err(|_| Failure::new(Exit::Other, "a cluster of more nodes than there are slots"))
    }

    fn add(&mut self, info: &ConnectionInfo, link: Link) {
        let (host, port) = host_and_port(info.addr());
        self.nodes.push(Node {
            host: host.to_owned(),
            port,
            link,
            packet: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        });
    }
}

impl Node {
    fn is_full(&self) -> bool {
        self.waiting.len() >= WINDOW_COUNT || self.waiting_bytes >= WINDOW_BYTES
    }

    fn is_half_full(&self) -> bool {
        self.waiting.len() > WINDOW_COUNT / 2 || self.waiting_bytes > WINDOW_BYTES / 2
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if !self.packet.is_empty() {
            self.link.send(&self.packet)?;
            self.packet.clear();
            // One huge value must not keep its room for ever.
            self.packet.shrink_to(2 * PACKET_BYTES);
        }
        Ok(())
    }
}

fn told(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default())
}
