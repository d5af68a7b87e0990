//! What a storage or a file of a test leaves to the one behind it: the methods that are named are passed on as they are.

/// `passes_on_storage!(disk: list rename …)` within `impl Storage`, for what `self.disk` does.
macro_rules! passes_on_storage {
    ($to:ident: $($method:ident)*) => { $($crate::passing::passes_on_storage!(@$method $to);)* };
    (@describe $to:ident) => { fn describe(&self) -> String { self.$to.describe() } };
    (@list $to:ident) => { fn list(&self) -> std::io::Result<Vec<String>> { self.$to.list() } };
    (@create $to:ident) => {
        fn create(&self, name: &str) -> std::io::Result<Box<dyn larder::storage::File>> { self.$to.create(name) }
    };
    (@open $to:ident) => {
        fn open(&self, name: &str, access: larder::storage::MapAccess) -> std::io::Result<Box<dyn larder::storage::File>> {
            self.$to.open(name, access)
        }
    };
    (@rename $to:ident) => {
        fn rename(&self, source: &str, target: &str) -> std::io::Result<()> { self.$to.rename(source, target) }
    };
    (@remove $to:ident) => { fn remove(&self, name: &str) -> std::io::Result<()> { self.$to.remove(name) } };
    (@sync_directory $to:ident) => { fn sync_directory(&self) -> std::io::Result<()> { self.$to.sync_directory() } };
    (@lock $to:ident) => {
        fn lock(&self) -> Result<Box<dyn larder::storage::LockGuard>, larder::storage::LockError> { self.$to.lock() }
    };
    (@probe_lock $to:ident) => {
        fn probe_lock(&self) -> Result<(), larder::storage::LockError> { self.$to.probe_lock() }
    };
    (@now_ms $to:ident) => { fn now_ms(&self) -> u64 { self.$to.now_ms() } };
    (@random_u64 $to:ident) => { fn random_u64(&self) -> u64 { self.$to.random_u64() } };
}

/// The same within `impl File`.
macro_rules! passes_on_file {
    ($to:ident: $($method:ident)*) => { $($crate::passing::passes_on_file!(@$method $to);)* };
    (@len $to:ident) => { fn len(&self) -> std::io::Result<u64> { self.$to.len() } };
    (@read_at $to:ident) => {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> { self.$to.read_at(buffer, offset) }
    };
    (@write_at $to:ident) => {
        fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> { self.$to.write_at(bytes, offset) }
    };
    (@reserve $to:ident) => { fn reserve(&self, len: u64) -> std::io::Result<()> { self.$to.reserve(len) } };
    (@write_zeros $to:ident) => { fn write_zeros(&self, len: u64) -> std::io::Result<()> { self.$to.write_zeros(len) } };
    (@punch_hole $to:ident) => {
        fn punch_hole(&self, offset: u64, len: u64) -> std::io::Result<()> { self.$to.punch_hole(offset, len) }
    };
    (@sync $to:ident) => { fn sync(&self) -> std::io::Result<()> { self.$to.sync() } };
    (@sync_range $to:ident) => {
        fn sync_range(&self, map: &larder::storage::AppendMap, range: std::ops::Range<usize>) -> std::io::Result<()> {
            self.$to.sync_range(map, range)
        }
    };
    (@map $to:ident) => {
        fn map(&self, len: usize, access: larder::storage::MapAccess) -> std::io::Result<larder::storage::Map> {
            self.$to.map(len, access)
        }
    };
    (@map_staged $to:ident) => {
        fn map_staged(&self, len: usize) -> std::io::Result<larder::storage::Map> { self.$to.map_staged(len) }
    };
}

pub(crate) use {passes_on_file, passes_on_storage};
