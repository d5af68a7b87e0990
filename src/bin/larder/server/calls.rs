//! How often each command was called and how long it took (INFO commandstats), and which errors were said (errorstats).
//!
//! Counting happens with every command, so it is a look into a small table by where the command's name lies in memory.
//! Should the same name lie in two places it has two entries, which are added up where they are shown.

use std::collections::BTreeMap;
use std::time::Duration;

/// Places in the table: some times as many as there are commands with their subcommands.
const PLACES: usize = 1024;
/// Codes that are counted apart; they are the server's own or a script's, which may invent some.
const CODES_MAX: usize = 64;
const CODE_BYTES_MAX: usize = 32;

/// What is known of one command.
#[derive(Clone, Copy, Default)]
pub struct Calls {
    pub count: u64,
    pub took: Duration,
    /// Asked for in a way in which it could not run.
    pub rejected: u64,
    /// Ran, and replied with an error.
    pub failed: u64,
}

/// All commands' calls.
pub struct CallTable {
    places: Box<[(&'static str, Calls)]>,
}

impl Default for CallTable {
    fn default() -> Self {
        Self { places: vec![("", Calls::default()); PLACES].into_boxed_slice() }
    }
}

impl CallTable {
    #[inline]
    fn place(&mut self, name: &'static str) -> &mut Calls {
        // Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4); names lie close to each other.
        let hash = (name.as_ptr().addr() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut at = (hash >> 54) as usize;
        while !self.places[at].0.is_empty() && !std::ptr::eq(self.places[at].0, name) {
            at = (at + 1) % PLACES;
        }
        self.places[at].0 = name;
        &mut self.places[at].1
    }

    /// The command ran `count` times, `failed` times to an error.
    #[inline]
    pub fn note(&mut self, name: &'static str, count: u64, took: Duration, failed: u64) {
        let calls = self.place(name);
        calls.count += count;
        calls.took += took;
        calls.failed += failed;
    }

    /// The command was asked for and could not run.
    pub fn reject(&mut self, name: &'static str) {
        self.place(name).rejected += 1;
    }

    /// Every command that was asked for, by name.
    pub fn all(&self) -> BTreeMap<&'static str, Calls> {
        let mut all: BTreeMap<&'static str, Calls> = BTreeMap::new();
        for (name, calls) in self.places.iter().filter(|(name, _)| !name.is_empty()) {
            let sum = all.entry(name).or_default();
            sum.count += calls.count;
            sum.took += calls.took;
            sum.rejected += calls.rejected;
            sum.failed += calls.failed;
        }
        all
    }
}

/// How often each error was said, by its code (`ERR`, `WRONGTYPE`, …).
#[derive(Default)]
pub struct ErrorTable {
    codes: BTreeMap<String, u64>,
}

impl ErrorTable {
    /// An error was said.
    #[cold]
    pub fn note(&mut self, text: &[u8]) {
        let code = text.split(|b| *b == b' ').next().unwrap_or_default();
        let code: String = String::from_utf8_lossy(&code[..code.len().min(CODE_BYTES_MAX)])
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
            .collect();
        if self.codes.len() < CODES_MAX || self.codes.contains_key(&code) {
            *self.codes.entry(code).or_default() += 1;
        }
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, u64)> {
        self.codes.iter().map(|(code, count)| (code.as_str(), *count))
    }

    pub fn count(&self) -> u64 {
        self.codes.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name() {
        let mut table = CallTable::default();
        for _ in 0..3 {
            table.note("get", 2, Duration::from_micros(5), 1);
        }
        table.note("set", 1, Duration::ZERO, 0);
        table.reject("set");
        let all = table.all();
        assert_eq!(all.len(), 2);
        assert_eq!((all["get"].count, all["get"].took.as_micros(), all["get"].failed), (6, 15, 3));
        assert_eq!((all["set"].count, all["set"].rejected), (1, 1));
    }

    #[test]
    fn as_many_names_as_there_are_commands_do_not_get_into_each_others_way() {
        let mut table = CallTable::default();
        for (_, specs) in crate::server::table::GROUPS {
            for spec in specs.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)) {
                table.note(spec.name, 1, Duration::ZERO, 0);
            }
        }
        assert!(table.all().len() > 100 && table.all().values().all(|calls| calls.count == 1));
    }

    #[test]
    fn errors_are_counted_by_code_and_codes_are_bounded() {
        let mut errors = ErrorTable::default();
        errors.note(b"ERR syntax error");
        errors.note(b"ERR no such key");
        errors.note(b"NOAUTH Authentication required.");
        assert_eq!(errors.all().collect::<Vec<_>>(), [("ERR", 2), ("NOAUTH", 1)]);
        (0..1000).for_each(|i| errors.note(format!("X{i} y").as_bytes()));
        assert!(errors.all().count() <= CODES_MAX);
    }
}
