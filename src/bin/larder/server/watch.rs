//! Which clients watch which keys (WATCH), and telling them of a change.

use super::session::Session;
use slab::Slab;
use std::collections::HashMap;

#[derive(Default)]
pub struct Watches {
    clients: HashMap<Vec<u8>, Vec<usize>>,
}

impl Watches {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.clients.keys()
    }

    pub fn add(&mut self, key: &[u8], client: usize) {
        self.clients.entry(key.to_vec()).or_default().push(client);
    }

    /// The transactions that watch `key` will fail.
    pub fn touch(&self, key: &[u8], sessions: &mut Slab<Session>) {
        for client in self.clients.get(key).into_iter().flatten() {
            if let Some(session) = sessions.get_mut(*client) {
                session.is_dirty = true;
            }
        }
    }

    /// The client watches nothing any more.
    pub fn forget(&mut self, client: usize, session: &mut Session) {
        for watched in session.watched.drain(..) {
            if let Some(clients) = self.clients.get_mut(&watched.key) {
                clients.retain(|other| *other != client);
                if clients.is_empty() {
                    self.clients.remove(&watched.key);
                }
            }
        }
        session.is_dirty = false;
    }
}
