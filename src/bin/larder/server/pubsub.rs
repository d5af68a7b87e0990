//! Channels and patterns, who listens to them, and events of keys, which are messages too.

use super::Server;
use super::glob;
use super::keyspace::event;
use super::reply::Reply;
use super::request::Args;
use std::collections::HashMap;

/// Who listens to what, in the order in which they began.
#[derive(Default)]
pub struct PubSub {
    pub channels: HashMap<Vec<u8>, Vec<usize>>,
    pub patterns: HashMap<Vec<u8>, Vec<usize>>,
}

impl PubSub {
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    pub fn add(map: &mut HashMap<Vec<u8>, Vec<usize>>, name: &[u8], client: usize) {
        map.entry(name.to_vec()).or_default().push(client);
    }

    pub fn remove(map: &mut HashMap<Vec<u8>, Vec<usize>>, name: &[u8], client: usize) {
        if let Some(clients) = map.get_mut(name) {
            clients.retain(|other| *other != client);
            if clients.is_empty() {
                map.remove(name);
            }
        }
    }
}

impl Server {
    /// Sends the message to everybody who listens; how often it was sent.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        if self.pubsub.is_empty() {
            return 0;
        }
        let mut count = 0;
        let direct = self.pubsub.channels.get(channel).cloned().unwrap_or_default();
        for client in direct {
            count += 1;
            self.deliver(client, |reply| {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(channel);
                reply.bulk(message);
            });
        }
        let matching = self.pubsub.patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel));
        let matching: Vec<_> = matching.map(|(pattern, clients)| (pattern.clone(), clients.clone())).collect();
        for (pattern, clients) in matching {
            for client in clients {
                count += 1;
                self.deliver(client, |reply| {
                    reply.push(4);
                    reply.bulk(b"pmessage");
                    reply.bulk(&pattern);
                    reply.bulk(channel);
                    reply.bulk(message);
                });
            }
        }
        count
    }

    /// Tells those who listen that `what` happened to `key`.
    #[inline]
    pub fn notify(&mut self, class: u32, what: &str, key: &[u8]) {
        if self.settings.events & class != 0 && !self.pubsub.is_empty() {
            self.notify_listeners(what, key);
        }
    }

    #[cold]
    fn notify_listeners(&mut self, what: &str, key: &[u8]) {
        if self.settings.events & event::KEYSPACE != 0 {
            let channel = [b"__keyspace@0__:", key].concat();
            self.publish(&channel, what.as_bytes());
        }
        if self.settings.events & event::KEYEVENT != 0 {
            let channel = format!("__keyevent@0__:{what}");
            self.publish(channel.as_bytes(), key);
        }
    }

    /// Adds to what a client is sent without having asked.
    pub fn deliver(&mut self, client: usize, write: impl FnOnce(&mut Reply)) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        write(&mut session.reply);
        self.touched.push(client);
    }

    /// Shows a command to the clients that monitor; `None` for one that a script calls.
    pub fn feed_monitors(&mut self, client: Option<usize>, args: Args<'_>) {
        let now_us = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros());
        let from = match client.and_then(|client| self.sessions.get(client)) {
            Some(session) => session.addr.clone(),
            None => "lua".into(),
        };
        let mut line = format!("+{}.{:06} [0 {from}]", now_us / 1_000_000, now_us % 1_000_000).into_bytes();
        for arg in args.iter() {
            line.push(b' ');
            quote(arg, &mut line);
        }
        line.extend_from_slice(b"\r\n");
        for monitor in self.monitors.clone() {
            self.deliver(monitor, |reply| reply.bytes.extend_from_slice(&line));
        }
    }
}

/// Writes `text` in double quotes, with what cannot be printed as escapes.
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for b in text {
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', *b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x20..=0x7E => out.push(*b),
            _ => out.extend_from_slice(format!("\\x{b:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}
