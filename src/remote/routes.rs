//! Which server has a key: the one there is, or the node of a cluster that owns the key's slot.
//!
//! The slot of a key and how nodes redirect are those of the Redis Cluster specification: 16384 slots, CRC16 (XMODEM) of
//! the key or of what stands between its first braces.
//!
//! Not here: sending (`asking`).
//!
//! Locks: `map` and `nodes`, each for a few instructions and never both; `refreshing` while the nodes are asked who owns
//! what, and the others are taken under it.

use super::address::Place;
use super::node::{Failure, Node};
use super::replies::{host_or, only, unexpected};
use super::wire::Settings;
use crate::error::{Error, Result, Status};
use parking_lot::{Mutex, RwLock};
use redis::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const SLOT_COUNT: u16 = 16384;

/// Whom to ask.
pub(super) enum Routes {
    One(Arc<Node>),
    Cluster(Cluster),
}

impl Routes {
    /// The server for a slot.
    pub(super) fn node_of(&self, slot: u16) -> Result<Arc<Node>> {
        match self {
            Routes::One(node) => Ok(Arc::clone(node)),
            Routes::Cluster(cluster) => cluster.owner(slot),
        }
    }

    /// The servers that between them have every key, freshly asked for.
    pub(super) fn all(&self) -> Result<Vec<Arc<Node>>> {
        match self {
            Routes::One(node) => Ok(vec![Arc::clone(node)]),
            Routes::Cluster(cluster) => {
                cluster.refresh()?;
                Ok(cluster.owners())
            }
        }
    }

    pub(super) fn let_go(&self) {
        match self {
            Routes::One(node) => node.let_go(),
            Routes::Cluster(cluster) => cluster.nodes.lock().values().for_each(|node| node.let_go()),
        }
    }
}

/// The nodes of a cluster that are known, and what each owns.
pub(super) struct Cluster {
    seeds: Vec<Place>,
    settings: Arc<Settings>,
    /// Owner of each slot.
    map: RwLock<Vec<Option<Arc<Node>>>>,
    nodes: Mutex<HashMap<Place, Arc<Node>>>,
    /// How often the map was made anew: of several threads that want it newer, one asks.
    generation: AtomicU64,
    refreshing: Mutex<()>,
}

impl Cluster {
    /// Asks one of the nodes for the others.
    pub(super) fn open(seeds: Vec<Place>, settings: &Arc<Settings>) -> Result<Self> {
        let cluster = Self {
            seeds,
            settings: Arc::clone(settings),
            map: RwLock::new(vec![None; usize::from(SLOT_COUNT)]),
            nodes: Mutex::default(),
            generation: AtomicU64::new(0),
            refreshing: Mutex::new(()),
        };
        cluster.refresh()?;
        Ok(cluster)
    }

    fn owner(&self, slot: u16) -> Result<Arc<Node>> {
        if let Some(node) = &self.map.read()[usize::from(slot)] {
            return Ok(Arc::clone(node));
        }
        // Nobody, when it was last asked for. Anybody redirects or says that the cluster is down.
        let known = self.nodes.lock().values().next().map(Arc::clone);
        known.ok_or_else(|| Error::new(Status::Io, format!("no node of the cluster owns slot {slot}")))
    }

    /// Everybody who owns a slot.
    fn owners(&self) -> Vec<Arc<Node>> {
        let mut owners: Vec<Arc<Node>> = Vec::new();
        for node in self.map.read().iter().flatten() {
            if !owners.iter().any(|owner| Arc::ptr_eq(owner, node)) {
                owners.push(Arc::clone(node));
            }
        }
        owners
    }

    /// The node at a place that another node has named.
    pub(super) fn node_at(&self, place: Place) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        Arc::clone(nodes.entry(place).or_insert_with_key(|place| Arc::new(Node::new(place.clone(), &self.settings))))
    }

    /// Notes that a slot has moved.
    pub(super) fn moved(&self, slot: u16, node: &Arc<Node>) {
        if let Some(owner) = self.map.write().get_mut(usize::from(slot)) {
            *owner = Some(Arc::clone(node));
        }
    }

    /// Asks who owns what: the nodes that are known, then those that the location names, until one answers.
    pub(super) fn refresh(&self) -> Result<()> {
        let seen = self.generation.load(Ordering::Acquire);
        let _refreshing = self.refreshing.lock();
        if self.generation.load(Ordering::Acquire) != seen {
            return Ok(());
        }
        let mut places: Vec<Place> = self.nodes.lock().keys().cloned().collect();
        places.extend(self.seeds.iter().filter(|seed| !places.contains(seed)).cloned().collect::<Vec<_>>());
        let mut failure = None;
        for place in places {
            match self.ask_for_map(&place) {
                Ok(map) => {
                    *self.map.write() = map;
                    self.forget_idle_strangers();
                    self.generation.fetch_add(1, Ordering::AcqRel);
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::new(Status::Io, "the location names no node")))
    }

    /// Nodes that own nothing any more keep no connections.
    fn forget_idle_strangers(&self) {
        let owners = self.owners();
        self.nodes.lock().retain(|_, node| owners.iter().any(|owner| Arc::ptr_eq(owner, node)));
    }

    fn ask_for_map(&self, place: &Place) -> Result<Vec<Option<Arc<Node>>>> {
        let known = self.nodes.lock().get(place).map(Arc::clone);
        let node = known.unwrap_or_else(|| Arc::new(Node::new(place.clone(), &self.settings)));
        let mut request = Vec::new();
        redis::cmd("CLUSTER").arg("SLOTS").write_packed_command(&mut request);
        let replies =
            node.exchange(&request, 1).map_err(|(Failure::Unsent(error) | Failure::Unanswered { error, .. })| error)?;
        let Value::Array(ranges) = only(place, replies).map_err(|error| not_a_cluster(place, error))? else {
            return Err(unexpected(place));
        };
        let mut map = vec![None; usize::from(SLOT_COUNT)];
        for range in &ranges {
            let (first, last, owner) = parsed(place, range).ok_or_else(|| unexpected(place))?;
            let owner = self.node_at(owner);
            map[first..=last].fill(Some(owner));
        }
        if ranges.is_empty() {
            return Err(Error::new(Status::Io, format!("{place} is in a cluster whose slots nobody owns")));
        }
        Ok(map)
    }
}

fn not_a_cluster(place: &Place, error: Error) -> Error {
    if error.message().contains("cluster support disabled") || error.message().contains("unknown command") {
        return Error::new(
            Status::Unsupported,
            format!("{place} is not a node of a cluster: open it as redis://{place}"),
        );
    }
    error
}

/// First slot, last slot and owner of a range of CLUSTER SLOTS.
fn parsed(asked: &Place, range: &Value) -> Option<(usize, usize, Place)> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = parts.as_slice() else { return None };
    let (host, port) = match owner.as_slice() {
        [Value::BulkString(host), Value::Int(port), ..] => (std::str::from_utf8(host).ok()?, port),
        [Value::Nil, Value::Int(port), ..] => ("", port),
        _ => return None,
    };
    let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
    let is_range = first <= last && last < usize::from(SLOT_COUNT);
    let place = Place::Tcp { host: host_or(asked, host), port: u16::try_from(*port).ok()? };
    is_range.then_some((first, last, place))
}

/// The slot of a key.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let inner = &key[open + 1..];
        let len = inner.iter().position(|byte| *byte == b'}')?;
        (len > 0).then(|| &inner[..len])
    });
    crc16(tag.unwrap_or(key)) % SLOT_COUNT
}

/// CRC16 of the kind XMODEM: polynomial 0x1021, nothing reflected, begun with 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b""), 0);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOT_COUNT);
        assert_eq!(slot_of(b"foo{{bar}}zap"), crc16(b"{bar") % SLOT_COUNT);
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"foo{bar"), crc16(b"foo{bar") % SLOT_COUNT);
    }

    #[test]
    fn a_range_out_of_bounds_is_refused() {
        let asked = Place::Tcp { host: "near".into(), port: 1 };
        let range = |first, last, host| {
            Value::Array(vec![Value::Int(first), Value::Int(last), Value::Array(vec![host, Value::Int(7)])])
        };
        let host = || Value::BulkString(b"far".to_vec());
        assert_eq!(parsed(&asked, &range(0, 16383, host())).map(|range| range.1), Some(16383));
        let (.., place) = parsed(&asked, &range(0, 1, Value::Nil)).expect("a host of its own");
        assert_eq!(place, Place::Tcp { host: "near".into(), port: 7 });
        for (first, last) in [(0, 16384), (2, 1), (-1, 1), (0, i64::MAX)] {
            assert!(parsed(&asked, &range(first, last, host())).is_none(), "{first} {last}");
        }
    }
}
