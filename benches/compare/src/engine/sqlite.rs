//! SQLite, through `sqlite3.h`: a table without row ids, prepared statements, a connection for each thread.

use super::{Durability, Engine, Get};
use crate::data::{Key, VALUE_LEN};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

unsafe extern "C" {
    fn sqlite3_libversion() -> *const c_char;
    fn sqlite3_open_v2(path: *const c_char, db: *mut *mut c_void, flags: c_int, vfs: *const c_char) -> c_int;
    fn sqlite3_close_v2(db: *mut c_void) -> c_int;
    fn sqlite3_exec(
        db: *mut c_void,
        sql: *const c_char,
        each: *const c_void,
        with: *mut c_void,
        error: *mut *mut c_char,
    ) -> c_int;
    fn sqlite3_busy_timeout(db: *mut c_void, ms: c_int) -> c_int;
    fn sqlite3_prepare_v2(
        db: *mut c_void,
        sql: *const c_char,
        len: c_int,
        statement: *mut *mut c_void,
        tail: *mut *const c_char,
    ) -> c_int;
    fn sqlite3_bind_blob(
        statement: *mut c_void,
        at: c_int,
        bytes: *const c_void,
        len: c_int,
        free: *const c_void,
    ) -> c_int;
    fn sqlite3_step(statement: *mut c_void) -> c_int;
    fn sqlite3_reset(statement: *mut c_void) -> c_int;
    fn sqlite3_finalize(statement: *mut c_void) -> c_int;
    fn sqlite3_column_blob(statement: *mut c_void, at: c_int) -> *const c_void;
    fn sqlite3_column_bytes(statement: *mut c_void, at: c_int) -> c_int;
    fn sqlite3_changes(db: *mut c_void) -> c_int;
}

const OK: c_int = 0;
const ROW: c_int = 100;
const DONE: c_int = 101;
const BUSY: c_int = 5;

pub fn about() -> String {
    // SAFETY: a static string, terminated.
    let version = unsafe { CStr::from_ptr(sqlite3_libversion()) };
    format!(
        "SQLite {}; WAL, a table WITHOUT ROWID, prepared statements, 1 GiB of cache, mmap_size 8 GiB (a build may allow less), wal_autocheckpoint 10000, a connection a thread; unsynced rows: synchronous=OFF; durable rows: synchronous=FULL",
        version.to_string_lossy()
    )
}

/// One thread's connection.
struct Connection {
    db: *mut c_void,
    get: *mut c_void,
    set: *mut c_void,
    del: *mut c_void,
}

impl Connection {
    fn open(path: &Path, durability: Durability) -> Self {
        let name = CString::new(path.to_str().unwrap()).unwrap();
        let mut db = ptr::null_mut();
        // SAFETY: as sqlite3.h asks: read, write, create, no mutex.
        unsafe {
            assert_eq!(sqlite3_open_v2(name.as_ptr(), &mut db, 0x2 | 0x4 | 0x8000, ptr::null()), OK);
            sqlite3_busy_timeout(db, 60_000);
        }
        let synchronous = if durability == Durability::Power { "FULL" } else { "OFF" };
        let this = |db| Connection { db, get: ptr::null_mut(), set: ptr::null_mut(), del: ptr::null_mut() };
        let mut connection = this(db);
        connection.run(&format!(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; PRAGMA cache_size=-1048576; PRAGMA mmap_size=8589934592; PRAGMA wal_autocheckpoint=10000;
             CREATE TABLE IF NOT EXISTS pairs(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
        ));
        connection.get = connection.prepare("SELECT value FROM pairs WHERE key = ?1");
        connection.set = connection
            .prepare("INSERT INTO pairs VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value");
        connection.del = connection.prepare("DELETE FROM pairs WHERE key = ?1");
        connection
    }

    fn run(&self, sql: &str) {
        let sql = CString::new(sql).unwrap();
        loop {
            // SAFETY: a terminated string; no callback.
            match unsafe { sqlite3_exec(self.db, sql.as_ptr(), ptr::null(), ptr::null_mut(), ptr::null_mut()) } {
                OK => return,
                BUSY => std::thread::yield_now(),
                other => panic!("SQLite says {other} to {sql:?}"),
            }
        }
    }

    fn prepare(&self, sql: &str) -> *mut c_void {
        let sql = CString::new(sql).unwrap();
        let mut statement = ptr::null_mut();
        // SAFETY: a terminated string.
        assert_eq!(unsafe { sqlite3_prepare_v2(self.db, sql.as_ptr(), -1, &mut statement, ptr::null_mut()) }, OK);
        statement
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        loop {
            // SAFETY: what is bound lives until the statement is reset.
            let outcome = unsafe {
                sqlite3_bind_blob(self.set, 1, key.as_ptr().cast(), key.len() as c_int, ptr::null());
                sqlite3_bind_blob(self.set, 2, value.as_ptr().cast(), value.len() as c_int, ptr::null());
                let outcome = sqlite3_step(self.set);
                sqlite3_reset(self.set);
                outcome
            };
            match outcome {
                DONE => return,
                BUSY => std::thread::yield_now(),
                other => panic!("SQLite says {other} to a set"),
            }
        }
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        // SAFETY: the column is copied before the statement is reset.
        unsafe {
            sqlite3_bind_blob(self.get, 1, key.as_ptr().cast(), key.len() as c_int, ptr::null());
            let found = sqlite3_step(self.get) == ROW;
            if found {
                let len = sqlite3_column_bytes(self.get, 0) as usize;
                out.extend_from_slice(std::slice::from_raw_parts(sqlite3_column_blob(self.get, 0).cast(), len));
            }
            sqlite3_reset(self.get);
            found
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: nothing uses the connection any more.
        unsafe {
            [self.get, self.set, self.del].into_iter().for_each(|statement| {
                sqlite3_finalize(statement);
            });
            sqlite3_close_v2(self.db);
        }
    }
}

thread_local! {
    static CONNECTIONS: RefCell<HashMap<PathBuf, Connection>> = RefCell::default();
}

pub struct Sqlite {
    path: PathBuf,
    durability: Durability,
}

impl Sqlite {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let this = Self { path: directory.join("pairs.db"), durability };
        this.with(|_| ());
        this
    }

    fn with<R>(&self, run: impl FnOnce(&Connection) -> R) -> R {
        CONNECTIONS.with_borrow_mut(|all| {
            if !all.contains_key(&self.path) {
                all.insert(self.path.clone(), Connection::open(&self.path, self.durability));
            }
            run(&all[&self.path])
        })
    }
}

impl Engine for Sqlite {
    fn set(&self, key: &[u8], value: &[u8]) {
        self.with(|connection| connection.set(key, value));
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.with(|connection| connection.get(key, out))
    }

    fn del(&self, key: &[u8]) -> bool {
        // SAFETY: what is bound lives until the statement is reset.
        self.with(|connection| unsafe {
            sqlite3_bind_blob(connection.del, 1, key.as_ptr().cast(), key.len() as c_int, ptr::null());
            assert_eq!(sqlite3_step(connection.del), DONE);
            sqlite3_reset(connection.del);
            sqlite3_changes(connection.db) > 0
        })
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        self.with(|connection| {
            connection.run("BEGIN IMMEDIATE");
            pairs.iter().for_each(|(key, value)| connection.set(key, value));
            connection.run("COMMIT");
        });
    }

    fn with_snapshot(&self, run: &mut dyn FnMut(&mut Get)) -> bool {
        self.with(|connection| {
            connection.run("BEGIN");
            run(&mut |key, out| connection.get(key, out));
            connection.run("COMMIT");
        });
        true
    }

    fn close(self: Box<Self>) {
        CONNECTIONS.with_borrow_mut(|all| all.remove(&self.path));
    }
}
