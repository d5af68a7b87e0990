//! Larder, through its C ABI as `include/larder.h` declares it; a test below compares the two.
//!
//! What a C program would write: statuses are looked at, and no error text is asked for.

use super::{Durability, Engine, Figures};
use crate::data::{Key, VALUE_LEN};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;

/// Opaque, as in C.
pub enum Db {}
pub enum Options {}
pub enum Error {}

/// As far as it is read here; `struct_size` says so.
#[repr(C)]
#[derive(Default)]
pub struct Stats {
    struct_size: u32,
    reserved: u32,
    keys: u64,
    live_bytes: u64,
    dead_bytes: u64,
    file_bytes: u64,
    segments: u64,
    mapped_bytes: u64,
    index_bytes: u64,
}

#[repr(C)]
pub struct View {
    data: *const c_void,
    len: usize,
    version: u64,
    expires_at_ms: i64,
    pin: *mut c_void,
}

unsafe extern "C" {
    fn larder_options_new() -> *mut Options;
    fn larder_options_set(options: *mut Options, name: *const c_char, value: *const c_char, err: *mut Error) -> i32;
    fn larder_options_free(options: *mut Options);
    fn larder_open(location: *const c_char, options: *const Options, out: *mut *mut Db, err: *mut Error) -> i32;
    fn larder_close(db: *mut Db, err: *mut Error) -> i32;
    fn larder_set(
        db: *mut Db,
        key: *const c_void,
        key_len: usize,
        value: *const c_void,
        value_len: usize,
        err: *mut Error,
    ) -> i32;
    fn larder_get_into(
        db: *mut Db,
        key: *const c_void,
        key_len: usize,
        buffer: *mut c_void,
        capacity: usize,
        need: *mut usize,
        err: *mut Error,
    ) -> i32;
    fn larder_del(db: *mut Db, key: *const c_void, key_len: usize, err: *mut Error) -> i32;
    fn larder_write_packed(
        db: *mut Db,
        ops: *const c_void,
        len: usize,
        flags: u32,
        bad_offset: *mut usize,
        err: *mut Error,
    ) -> i32;
    fn larder_get_many_packed(
        db: *mut Db,
        keys: *const c_void,
        len: usize,
        out: *mut c_void,
        capacity: usize,
        used: *mut usize,
        answered: *mut usize,
        err: *mut Error,
    ) -> i32;
    fn larder_get_view(db: *mut Db, key: *const c_void, key_len: usize, out: *mut View, err: *mut Error) -> i32;
    fn larder_view_release(view: *mut View);
    fn larder_stats_get(db: *mut Db, stats: *mut Stats, err: *mut Error) -> i32;
    fn larder_version_string() -> *const c_char;
    fn larder_abi_version() -> u32;
}

/// The ABI that is declared above.
const ABI_VERSION: u32 = 0;
const NOT_FOUND: i32 = 1;
const BUFFER_TOO_SMALL: i32 = 6;
const PACKED_SET: u32 = 1;
/// Of an answer in a packed buffer, before the value.
const ANSWER_HEAD_LEN: usize = 16;
/// The default, of which the bound on disk use allows two beyond a multiple of the live bytes.
const SEGMENT_BYTES: u64 = 64 << 20;

pub fn about() -> String {
    // SAFETY: a static string, terminated.
    let version = unsafe { CStr::from_ptr(larder_version_string()) };
    format!(
        "Larder {}, liblarder.so through the C ABI; unsynced rows: sync=none; durable rows: sync=always; all else as by default: a copy checks its record's checksum, compaction runs by itself",
        version.to_string_lossy()
    )
}

pub struct Larder {
    db: *mut Db,
}

// SAFETY: the handle is for any thread at any time, as the header says.
unsafe impl Sync for Larder {}

impl Larder {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let location = CString::new(directory.to_str().unwrap()).unwrap();
        let sync = if durability == Durability::Power { c"always" } else { c"none" };
        let mut db = ptr::null_mut();
        // SAFETY: terminated strings, options that are freed once, a writable output, no error wanted.
        unsafe {
            assert_eq!(larder_abi_version(), ABI_VERSION, "another liblarder than this program was written for");
            let options = larder_options_new();
            assert_eq!(larder_options_set(options, c"sync".as_ptr(), sync.as_ptr(), ptr::null_mut()), 0);
            assert_eq!(larder_open(location.as_ptr(), options, &mut db, ptr::null_mut()), 0);
            larder_options_free(options);
        }
        Self { db }
    }
}

thread_local! {
    /// What packed calls are made of, kept as a C program would keep it.
    static PACKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

/// How many of the packed answers have a value; panics where reading one has failed.
fn found_count(mut answers: &[u8]) -> usize {
    let mut count = 0;
    while let Some((head, rest)) = answers.split_first_chunk::<ANSWER_HEAD_LEN>() {
        let status = i32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        assert!(status == 0 || status == NOT_FOUND, "an answer has status {status}");
        count += usize::from(status == 0);
        let value_len = u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15].map(|at: usize| head[at])) as usize;
        answers = &rest[value_len.next_multiple_of(8)..];
    }
    count
}

impl Engine for Larder {
    fn set(&self, key: &[u8], value: &[u8]) {
        // SAFETY: the handle is open; both slices are readable.
        let status = unsafe {
            larder_set(self.db, key.as_ptr().cast(), key.len(), value.as_ptr().cast(), value.len(), ptr::null_mut())
        };
        assert_eq!(status, 0);
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let mut need = 0;
        loop {
            let room = out.spare_capacity_mut();
            let (buffer, capacity) = (room.as_mut_ptr().cast(), room.len());
            // SAFETY: the spare room is writable for its length.
            let status = unsafe {
                larder_get_into(self.db, key.as_ptr().cast(), key.len(), buffer, capacity, &mut need, ptr::null_mut())
            };
            match status {
                0 => {
                    // SAFETY: so many bytes were written behind the present end.
                    unsafe { out.set_len(out.len() + need) };
                    return true;
                }
                BUFFER_TOO_SMALL => out.reserve(need),
                NOT_FOUND => return false,
                other => panic!("larder_get_into: {other}"),
            }
        }
    }

    fn del(&self, key: &[u8]) -> bool {
        // SAFETY: the handle is open; the slice is readable.
        match unsafe { larder_del(self.db, key.as_ptr().cast(), key.len(), ptr::null_mut()) } {
            0 => true,
            NOT_FOUND => false,
            other => panic!("larder_del: {other}"),
        }
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        // { u32 op, u32 key_len, u64 value_len, i64 ttl_ms, key, value, zeros to 8 }*, as larder_write_packed says.
        PACKED.with_borrow_mut(|ops| {
            ops.clear();
            for (key, value) in pairs {
                ops.extend_from_slice(&PACKED_SET.to_le_bytes());
                ops.extend_from_slice(&(key.len() as u32).to_le_bytes());
                ops.extend_from_slice(&(value.len() as u64).to_le_bytes());
                ops.extend_from_slice(&0_i64.to_le_bytes());
                ops.extend_from_slice(key);
                ops.extend_from_slice(value);
                pad(ops);
            }
            // SAFETY: the handle is open; the buffer is readable.
            let status = unsafe {
                larder_write_packed(self.db, ops.as_ptr().cast(), ops.len(), 0, ptr::null_mut(), ptr::null_mut())
            };
            assert_eq!(status, 0);
        });
    }

    fn get_many(&self, keys: &[Key], out: &mut Vec<u8>) -> usize {
        PACKED.with_borrow_mut(|packed| {
            packed.clear();
            for key in keys {
                packed.extend_from_slice(&(key.len() as u32).to_le_bytes());
                packed.extend_from_slice(key);
                pad(packed);
            }
            let (mut used, mut answered) = (0, 0);
            out.reserve(keys.len() * (ANSWER_HEAD_LEN + VALUE_LEN.next_multiple_of(8)));
            let room = out.spare_capacity_mut();
            let (asked, len) = (packed.as_ptr().cast(), packed.len());
            let (to, capacity) = (room.as_mut_ptr().cast(), room.len());
            // SAFETY: keys are readable, the room is writable, the outputs are ours.
            let status = unsafe {
                larder_get_many_packed(self.db, asked, len, to, capacity, &mut used, &mut answered, ptr::null_mut())
            };
            assert_eq!((status, answered), (0, keys.len()));
            let before = out.len();
            // SAFETY: so many bytes were written behind the present end.
            unsafe { out.set_len(before + used) };
            found_count(&out[before..])
        })
    }

    fn view(&self, key: &[u8]) -> Option<usize> {
        let mut view = View { data: ptr::null(), len: 0, version: 0, expires_at_ms: 0, pin: ptr::null_mut() };
        // SAFETY: the handle is open, the view is ours and released once.
        unsafe {
            assert_eq!(larder_get_view(self.db, key.as_ptr().cast(), key.len(), &mut view, ptr::null_mut()), 0);
            let first = *view.data.cast::<u8>();
            std::hint::black_box(first);
            let len = view.len;
            larder_view_release(&mut view);
            Some(len)
        }
    }

    fn figures(&self) -> Option<Figures> {
        let mut stats = Stats { struct_size: size_of::<Stats>() as u32, ..Stats::default() };
        // SAFETY: the struct says how long it is.
        assert_eq!(unsafe { larder_stats_get(self.db, &mut stats, ptr::null_mut()) }, 0);
        let (index_bytes, live_bytes) = (stats.index_bytes, stats.live_bytes);
        Some(Figures { index_bytes, live_bytes, slack_bytes: 2 * SEGMENT_BYTES })
    }

    fn close(self: Box<Self>) {
        // SAFETY: closed once.
        assert_eq!(unsafe { larder_close(self.db, ptr::null_mut()) }, 0);
    }
}

#[cfg(test)]
mod tests {
    //! The declarations above against the header, so that a changed signature is noticed before it is called.

    const HEADER: &str = include_str!("../../../../include/larder.h");
    const SOURCE: &str = include_str!("larder.rs");

    fn without_comments(text: &str) -> String {
        let parts = text.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, rest)| rest));
        parts.collect::<Vec<_>>().join(" ")
    }

    fn rust_type(c: &str) -> String {
        let stars = c.matches('*').count();
        let name = c.replace(['*'], " ").replace("const ", "").replace("struct ", "");
        let name = match name.trim() {
            "void" if stars == 0 => return String::new(),
            "void" => "c_void",
            "char" => "c_char",
            "size_t" => "usize",
            "uint32_t" => "u32",
            "uint64_t" => "u64",
            "int64_t" => "i64",
            "larder_status" => "i32",
            "larder" => "Db",
            "larder_options" => "Options",
            "larder_error" => "Error",
            "larder_stats" => "Stats",
            "larder_view" => "View",
            other => panic!("{other} has no counterpart here"),
        };
        match (c.contains("const "), stars) {
            (true, 1) => format!("*const {name}"),
            (_, stars) => "*mut ".repeat(stars) + name,
        }
    }

    /// `type name` as in C to a name and a Rust type.
    fn parts(declaration: &str) -> (String, String) {
        let declaration = declaration.trim();
        let start = declaration.rfind([' ', '*']).unwrap() + 1;
        (declaration[start..].to_owned(), rust_type(&declaration[..start]))
    }

    fn declared_in_c(name: &str) -> String {
        let header = without_comments(HEADER);
        let at = header.find(&format!("{name}(")).unwrap_or_else(|| panic!("{name} is not in the header"));
        let (returned, _) = (header[..at].rsplit([';', '}', '\n']).next().unwrap(), ());
        let arguments = header[at..].split_once('(').unwrap().1.split_once(')').unwrap().0;
        let arguments: Vec<_> = arguments.split(',').map(str::trim).filter(|argument| *argument != "void").collect();
        let arguments: Vec<_> =
            arguments.into_iter().map(parts).map(|(name, kind)| format!("{name}: {kind}")).collect();
        let returned = rust_type(returned.trim());
        let arrow = if returned.is_empty() { String::new() } else { format!(" -> {returned}") };
        format!("fn {name}({}){arrow};", arguments.join(", "))
    }

    #[test]
    fn the_declarations_are_those_of_the_header() {
        let block = SOURCE.split_once("unsafe extern \"C\" {").unwrap().1.split_once("\n}").unwrap().0;
        let block = block.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(", )", ")");
        let declarations: Vec<_> = block.split_inclusive(';').map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(declarations.len(), 15);
        for declaration in declarations {
            let name = declaration.strip_prefix("fn ").unwrap().split('(').next().unwrap();
            assert_eq!(declaration, declared_in_c(name));
        }
    }

    #[test]
    fn the_structs_begin_as_those_of_the_header() {
        for (ours, theirs) in [("Stats", "larder_stats"), ("View", "larder_view")] {
            let header = without_comments(HEADER);
            let fields = |text: &str, open: String| -> Vec<String> {
                let body = text.split_once(&open).unwrap_or_else(|| panic!("no {open}")).1.split_once('}').unwrap().0;
                body.split([';', ',']).map(|field| field.trim().to_owned()).filter(|field| !field.is_empty()).collect()
            };
            let in_c = fields(&header, format!("typedef struct {theirs} {{"));
            let in_rust = fields(SOURCE, format!("pub struct {ours} {{"));
            assert!(in_rust.len() >= 5 && in_rust.len() <= in_c.len());
            for (rust, c) in in_rust.iter().zip(in_c) {
                let (name, kind) = parts(&c);
                assert_eq!(*rust, format!("{name}: {kind}"));
            }
        }
    }
}
