//! Inputs on disk: `corpus/<target>.hex` has those that are kept for ever, one in hexadecimal on a line, with a comment
//! behind `#` where it once broke something; `found/<target>` has the files that broke something here.
//!
//! libFuzzer wants a file per input: [`unpack`] makes them, [`pack`] puts those that are new back.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{target}.hex"))
}

/// The inputs of a target that are replayed on every run, in the order of their lines.
pub fn seeds(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let malformed = |number: usize| io::Error::other(format!("corpus/{target}.hex:{number}: no hexadecimal"));
    let text = fs::read_to_string(corpus(target))?;
    let inputs = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let inputs = inputs.enumerate().filter(|(_, digits)| !digits.is_empty());
    inputs.map(|(number, digits)| decode(digits).ok_or_else(|| malformed(number + 1))).collect()
}

fn decode(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// Writes each input as a file of `directory`, for libFuzzer.
pub fn unpack(target: &str, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (number, seed) in seeds(target)?.iter().enumerate() {
        fs::write(directory.join(format!("{number:04}")), seed)?;
    }
    Ok(())
}

/// Adds the files of `directory` to the corpus, as far as they are not in it; how many.
pub fn pack(target: &str, directory: &Path) -> io::Result<usize> {
    let path = corpus(target);
    let mut text = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
    let known = if path.exists() { seeds(target)? } else { Vec::new() };
    let mut new = Vec::new();
    for entry in fs::read_dir(directory)? {
        let input = fs::read(entry?.path())?;
        if !input.is_empty() && !known.contains(&input) {
            new.push(input);
        }
    }
    new.sort_by_key(|input| (input.len(), input.clone()));
    for input in &new {
        input.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes all"));
        text.push('\n');
    }
    fs::write(path, text)?;
    Ok(new.len())
}

/// Keeps an input that broke something, under a name made of its bytes.
pub fn keep(target: &str, input: &[u8]) -> io::Result<PathBuf> {
    // FNV-1a: any hash would do.
    let hash = input
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3));
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(target);
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{hash:016x}"));
    fs::write(&path, input)?;
    Ok(path)
}
