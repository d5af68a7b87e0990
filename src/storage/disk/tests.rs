//! The real directory, on whatever file system the temporary directory is.

use super::*;
use crate::storage::AppendMap;
use std::path::Path;

/// A directory of its own for one test, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let template = std::env::temp_dir().join("larder-test-XXXXXX");
        let mut template = CString::new(template.as_os_str().as_bytes()).unwrap().into_bytes_with_nul();
        // SAFETY: the template is writable and NUL-terminated.
        let made = unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) };
        assert!(!made.is_null(), "{}", io::Error::last_os_error());
        template.pop();
        Self(PathBuf::from(String::from_utf8(template).unwrap()))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_appended_through_a_map_is_read_from_the_file_and_the_other_way_round() {
    let scratch = Scratch::new();
    let storage = DiskStorage::open(scratch.path().join("store"), true, false).unwrap();
    let file = storage.create("a").unwrap();
    file.reserve(8192).unwrap();
    let map = AppendMap::new(file.map(8192, MapAccess::ReadWrite).unwrap(), 0, 0..0, 0);
    let mut claim = map.claim(15).unwrap();
    claim.bytes().copy_from_slice(b"through the map");
    assert!(claim.publish());
    let mut read = [0; 15];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"through the map");
    file.write_at(b"X", 8).unwrap();
    assert_eq!(map.read(0..15).unwrap(), b"through Xhe map");
    file.sync().unwrap();
    storage.sync_directory().unwrap();
    assert_eq!(storage.list().unwrap(), ["a"]);
}
