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

/// A line that is still being typed.
#[derive(Debug, PartialEq)]
pub struct Unfinished {
    /// The words before the last.
    pub before: Vec<OsString>,
    /// The last one, which may be nothing yet.
    pub word: Vec<u8>,
    /// Where it begins.
    pub begin: usize,
    /// It begins with a quote.
    pub is_quoted: bool,
}

/// The last word of a line as far as it is typed, also if its quotes are still open; `None` in a remark or an escape.
pub fn unfinished(line: &[u8]) -> Option<Unfinished> {
    let is_edge = |at: &usize| *at == 0 || matches!(line[at - 1], b' ' | b'\t');
    let begin = (0..=line.len()).rev().filter(is_edge).find(|at| words(&line[..*at]).is_ok())?;
    let before = words(&line[..begin]).ok()?;
    let is_remark = words(&[&line[..begin], b"x"].concat()).ok()?.len() == before.len();
    let tail = &line[begin..];
    if is_remark || tail.starts_with(b"#") {
        return None;
    }
    let closed = [&b""[..], b"\"", b"'"].iter().find_map(|closing| words(&[tail, closing].concat()).ok())?;
    let word = closed.into_iter().next().unwrap_or_default().into_vec();
    Some(Unfinished { before, word, begin, is_quoted: tail.starts_with(b"\"") || tail.starts_with(b"'") })
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
    fn the_last_word_is_known_before_it_is_ended() {
        let last = |line: &[u8]| unfinished(line).map(|found| (found.before.len(), found.word, found.begin));
        let is = |before, word: &[u8], begin| Some((before, word.to_vec(), begin));
        assert_eq!(last(b""), is(0, b"", 0));
        assert_eq!(last(b"ge"), is(0, b"ge", 0));
        assert_eq!(last(b"get "), is(1, b"", 4));
        assert_eq!(last(b"get  ja"), is(1, b"ja", 5));
        assert_eq!(last(b"get \"a b"), is(1, b"a b", 4));
        assert_eq!(last(b"get 'a \"b c"), is(1, b"a \"b c", 4));
        assert_eq!(last(b"del \"a b\" \"\\x41\\n"), is(2, b"A\n", 10));
        assert_eq!(last(b"get a\"b c"), is(1, b"ab c", 4));
        for none in [&b"get # "[..], b"get #a", b"# a", b"get \"\\x4", b"get \"\\"] {
            assert_eq!(last(none), None, "{}", none.escape_ascii());
        }
        assert!(unfinished(b"get \"a").is_some_and(|found| found.is_quoted));
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
