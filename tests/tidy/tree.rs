//! The files of the tree, as text.

use std::fs;
use std::path::Path;

/// A text file; `path` is relative to the root of the tree, with `/` between its parts.
pub struct TextFile {
    pub path: String,
    pub text: String,
}

impl TextFile {
    /// For the self-tests of the rules.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    pub fn is_below(&self, directory: &str) -> bool {
        self.path.starts_with(directory)
    }
}

/// What is built, and what belongs to other programs.
const SKIPPED_DIRECTORIES: [&str; 5] = [".git", "target", "build", "__pycache__", "node_modules"];

/// All text files of the tree, ordered by path.
pub fn files() -> Vec<TextFile> {
    let mut files = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the walk has missed the sources");
    files
}

/// One file's text; a sentence if it is not there.
pub fn text_of(path: &str) -> Result<String, String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).map_err(|error| format!("{path}: {error}"))
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<TextFile>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if !SKIPPED_DIRECTORIES.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{path}/"), files);
            }
        } else if kind.is_file() {
            // Corpora and images are not text: no rule is about them.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(TextFile { path, text });
            }
        }
    }
}
