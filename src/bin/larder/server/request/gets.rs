//! GETs that a client has sent one behind the other: where their keys lie, without looking at each as a request.
//!
//! Only requests in the plainest form are taken (an array of two, in canonical lengths, whole); whatever looks different, or
//! wrong, is left to the parser, which reads the same in what is taken.
//!
//! Not here: answering them (`together`).

/// As many as the store looks up in one go.
const RUN_MAX: usize = 32;
const HEAD: &[u8] = b"*2\r\n$3\r\n";
/// Longer keys are no keys of the store.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// The GETs that stand at the front of some bytes.
pub struct Gets<'a> {
    keys: [&'a [u8]; RUN_MAX],
    ends: [usize; RUN_MAX],
    count: usize,
}

/// Whether there may be one at the front: a glance that the other commands can afford.
#[inline]
pub fn may_begin(bytes: &[u8]) -> bool {
    bytes.starts_with(HEAD) && bytes.get(HEAD.len()).is_some_and(|first| first.eq_ignore_ascii_case(&b'g'))
}

impl<'a> Gets<'a> {
    #[inline]
    pub fn at_front_of(bytes: &'a [u8]) -> Self {
        let mut gets = Self { keys: [&[]; RUN_MAX], ends: [0; RUN_MAX], count: 0 };
        let mut at = 0;
        while gets.count < RUN_MAX
            && let Some((key, end)) = one(bytes, at)
        {
            (gets.keys[gets.count], gets.ends[gets.count]) = (key, end);
            gets.count += 1;
            at = end;
        }
        gets
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub fn keys(&self) -> &[&'a [u8]] {
        &self.keys[..self.count]
    }

    /// Where each request ends.
    #[inline]
    pub fn ends(&self) -> &[usize] {
        &self.ends[..self.count]
    }
}

/// The key of the GET that begins at `at`, and where that ends.
#[inline]
fn one(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?.strip_prefix(HEAD)?;
    let (name, rest) = rest.split_at_checked(3)?;
    if !name.eq_ignore_ascii_case(b"get") {
        return None;
    }
    let digits = rest.strip_prefix(b"\r\n$")?;
    let mut len = 0;
    let mut place = 0;
    while let Some(digit @ b'0'..=b'9') = digits.get(place) {
        len = len * 10 + usize::from(digit - b'0');
        place += 1;
        if place > 5 {
            return None;
        }
    }
    // A length that begins with a zero is another one's to judge.
    if place == 0 || (digits[0] == b'0' && place > 1) || len > KEY_BYTES_MAX {
        return None;
    }
    let (key, rest) = digits[place..].strip_prefix(b"\r\n")?.split_at_checked(len)?;
    let rest = rest.strip_prefix(b"\r\n")?;
    Some((key, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gets_are_found_up_to_the_first_thing_that_is_none() {
        let get = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\ngEt\r\n$0\r\n\r\n";
        for end in [&b""[..], b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\n", b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"]
        {
            let bytes = [get, end].concat();
            let gets = Gets::at_front_of(&bytes);
            assert_eq!(gets.count, 2);
            assert_eq!(gets.keys[..2], [&b"a"[..], b""]);
            assert_eq!(gets.ends[1], get.len());
        }
    }

    #[test]
    fn what_is_cut_or_written_in_another_way_is_left_alone() {
        let get = b"*2\r\n$3\r\nGET\r\n$2\r\nab\r\n";
        for len in 0..get.len() {
            assert!(Gets::at_front_of(&get[..len]).is_empty(), "{len}");
        }
        for other in [
            &b"*2\r\n$3\r\nGET\r\n$02\r\nab\r\n"[..],
            b"*2\r\n$3\r\nGET\r\n$-1\r\nab\r\n",
            b"*2\r\n$3\r\nGET\r\n$2\r\nabcd",
            b"*2\r\n$3\r\nGET\r\n$\r\nab\r\n",
            b"*2\r\n$3\r\nGET\r\n$100000\r\nab\r\n",
            b"*02\r\n$3\r\nGET\r\n$2\r\nab\r\n",
            b"GET ab\r\n",
        ] {
            assert!(Gets::at_front_of(other).is_empty());
        }
    }

    #[test]
    fn a_run_is_no_longer_than_the_store_takes_at_once() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(RUN_MAX + 5);
        let gets = Gets::at_front_of(&bytes);
        assert_eq!((gets.count, gets.ends[RUN_MAX - 1]), (RUN_MAX, bytes.len() / (RUN_MAX + 5) * RUN_MAX));
    }
}
