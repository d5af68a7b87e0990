//! Patterns as KEYS, SCAN and PSUBSCRIBE take them: `*`, `?`, `[a-c]`, `[^a]`, and `\` before a character that
//! means itself. What is not closed goes as far as it can, as in Redis.

/// Whether all of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_folded(pattern, text, false)
}

/// As [`matches`], letters of both cases being the same if `is_folded`.
pub fn matches_folded(pattern: &[u8], text: &[u8], is_folded: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last star does not match: behind the star, one character later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if t < text.len() {
            if let Some(next) = match_one(pattern, p, text[t], is_folded) {
                p = next;
                t += 1;
                continue;
            }
        } else if p >= pattern.len() {
            return true;
        }
        match retry {
            Some((star, from)) if from < text.len() => {
                p = star;
                t = from + 1;
                retry = Some((star, t));
            }
            _ => return false,
        }
    }
}

fn fold(b: u8, is_folded: bool) -> u8 {
    if is_folded { b.to_ascii_lowercase() } else { b }
}

/// Matches one character; where the pattern goes on.
fn match_one(pattern: &[u8], p: usize, c: u8, is_folded: bool) -> Option<usize> {
    let same = |a: u8| fold(a, is_folded) == fold(c, is_folded);
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => match_class(pattern, p + 1, c, is_folded),
        b'\\' if p + 1 < pattern.len() => same(pattern[p + 1]).then_some(p + 2),
        other => same(other).then_some(p + 1),
    }
}

fn match_class(pattern: &[u8], mut p: usize, c: u8, is_folded: bool) -> Option<usize> {
    let is_negated = pattern.get(p) == Some(&b'^');
    p += usize::from(is_negated);
    let c = fold(c, is_folded);
    let mut is_found = false;
    loop {
        match pattern.get(p) {
            Some(b'\\') if p + 1 < pattern.len() => {
                p += 1;
                is_found |= pattern[p] == c;
            }
            Some(b']') => {
                p += 1;
                break;
            }
            // Not closed: as if it were.
            None => break,
            Some(first) if p + 2 < pattern.len() && pattern[p + 1] == b'-' => {
                let (a, b) = (fold(*first, is_folded), fold(pattern[p + 2], is_folded));
                is_found |= (a.min(b)..=a.max(b)).contains(&c);
                p += 2;
            }
            Some(b) => is_found |= fold(*b, is_folded) == c,
        }
        p += 1;
    }
    (is_found != is_negated).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[c-a]", "b", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[abc", "c", true),
            ("a\\", "a\\", true),
            ("**a**b", "xxaxxb", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = [b"*a".repeat(200), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(5_000)));
    }
}
