//! A line of the shell as words: blanks between them, quotes around what has blanks, escapes for any byte.
//!
//! What is printed in double quotes (`bytes::Shown`) is read back here. Between single quotes everything means itself.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The line's words; a word that begins with `#` begins a remark. The sentence says what is wrong.
pub fn words(line: &[u8]) -> Result<Vec<OsString>, String> {
    let (mut words, mut word, mut at) = (Vec::new(), None::<Vec<u8>>, 0);
    while let Some(&byte) = line.get(at) {
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => words.extend(word.take().map(OsString::from_vec)),
            b'#' if word.is_none() => break,
            b'\'' => {
                let rest = &line[at..];
                let len = rest.iter().position(|b| *b == b'\'').ok_or("a single quote is not closed")?;
                word.get_or_insert_default().extend_from_slice(&rest[..len]);
                at += len + 1;
            }
            b'"' => at = quoted(line, at, word.get_or_insert_default())?,
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    Ok(words)
}

/// Behind an opening double quote: adds what stands there, and returns the place behind the closing one.
fn quoted(line: &[u8], mut at: usize, word: &mut Vec<u8>) -> Result<usize, String> {
    loop {
        let byte = *line.get(at).ok_or("a double quote is not closed")?;
        at += 1;
        match byte {
            b'"' => return Ok(at),
            b'\\' => {
                let escape = *line.get(at).ok_or("a double quote is not closed")?;
                at += 1;
                word.push(match escape {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'"' | b'\\' => escape,
                    b'x' => {
                        let digits = line.get(at..at + 2).and_then(|digits| std::str::from_utf8(digits).ok());
                        at += 2;
                        digits
                            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                            .ok_or("behind \\x two hexadecimal digits are wanted")?
                    }
                    other => return Err(format!("\\{} means nothing in double quotes", char::from(other))),
                });
            }
            byte => word.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Shown;

    fn of(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        words(line).map(|words| words.into_iter().map(OsString::into_vec).collect())
    }

    #[test]
    fn words_quotes_and_escapes_are_taken_apart() {
        assert_eq!(of(b"set jam  quince\n"), Ok(vec![b"set".to_vec(), b"jam".to_vec(), b"quince".to_vec()]));
        assert_eq!(of(b"get \"a b\" 'c\\n\"' # why"), Ok(vec![b"get".to_vec(), b"a b".to_vec(), b"c\\n\"".to_vec()]));
        assert_eq!(of(b"a\"b\\xff\\x00\"c ''"), Ok(vec![b"ab\xff\x00c".to_vec(), vec![]]));
        assert_eq!(of(b"a#b"), Ok(vec![b"a#b".to_vec()]));
        assert_eq!(of(b"  # nothing"), Ok(vec![]));
        for line in [&b"'open"[..], b"\"open", b"\"open\\", b"\"\\xg0\"", b"\"\\x+1\"", b"\"\\x1\"", b"\"\\q\""] {
            assert!(of(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn any_bytes_that_are_shown_are_read_back_as_they_were() {
        let mut state = 7u64;
        for len in 0..600 {
            let bytes: Vec<u8> = (0..len % 40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Half of them from where escapes and quotes are.
                    let byte = (state >> 56) as u8;
                    if state >> 32 & 1 == 0 { byte } else { b" \"\\'#\n\t\rx\xc2\xa0a"[usize::from(byte) % 12] }
                })
                .collect();
            let shown = Shown(&bytes).to_string();
            assert!(!shown.contains(['\n', '\t', '\r']), "{shown:?}");
            let is_quoted = shown.starts_with('"');
            // What is plain for people may have blanks and single quotes, which a line of the shell wants quoted.
            let line =
                if is_quoted { shown } else { format!("\"{}\"", shown.replace('\\', "\\\\").replace('"', "\\\"")) };
            assert_eq!(of(line.as_bytes()), Ok(vec![bytes]), "{line}");
        }
    }
}
