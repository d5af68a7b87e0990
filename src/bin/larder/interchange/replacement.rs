//! A file that takes another's place only when all of it is on the disk.
//!
//! It is written beside the place under another name, synced, and renamed; then the directory is synced. Whatever fails
//! leaves what was there, and no other file.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

const BUFFER_BYTES: usize = 256 << 10;

pub struct Replacement {
    file: BufWriter<File>,
    place: PathBuf,
    /// Empty once the file has its own name.
    temporary: PathBuf,
}

impl Replacement {
    pub fn create(place: &Path) -> io::Result<Self> {
        // A link stays a link, and the file it leads to is replaced.
        let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
        if place.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "there is something that is not a file"));
        }
        let name = place.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file's name"))?;
        let mut number = std::process::id();
        loop {
            let mut temporary_name = OsString::from(".");
            temporary_name.push(name);
            temporary_name.push(format!(".{number}.part"));
            let temporary = place.with_file_name(temporary_name);
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => return Ok(Self { file: BufWriter::with_capacity(BUFFER_BYTES, file), place, temporary }),
                // Left by a process of the same number that was killed.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number = number.wrapping_add(1),
                Err(error) => return Err(error),
            }
        }
    }

    /// All of it is written: puts it in its place.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.temporary, &self.place)?;
        self.temporary = PathBuf::new();
        let directory = match self.place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(directory)?.sync_all()
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
