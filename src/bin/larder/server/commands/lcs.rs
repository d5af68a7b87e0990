//! The longest common subsequence of two values, by the textbook table (Wagner and Fischer, 1974), walked from its
//! end as Redis walks it, so that of several longest ones the same is found.

use super::super::execute::{Call, Done, SYNTAX_ERROR, failure};
use super::super::request::Args;
use super::{integer, is};

/// A stretch that both values share: where it begins and ends in each.
struct Match {
    a: (usize, usize),
    b: (usize, usize),
}

impl Match {
    fn len(&self) -> usize {
        self.a.1 - self.a.0 + 1
    }
}

pub fn lcs(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (mut wants_len, mut wants_index, mut shows_len, mut len_min) = (false, false, false, 0);
    let mut i = 3;
    while i < args.len() {
        if is(args.get(i), "IDX") {
            wants_index = true;
        } else if is(args.get(i), "LEN") {
            wants_len = true;
        } else if is(args.get(i), "WITHMATCHLEN") {
            shows_len = true;
        } else if is(args.get(i), "MINMATCHLEN") && i + 1 < args.len() {
            i += 1;
            len_min = integer(args.get(i))?.max(0).unsigned_abs();
        } else {
            return Err(SYNTAX_ERROR);
        }
        i += 1;
    }
    if wants_index && wants_len {
        return Err(failure("ERR If you want both the length and indexes, please just use IDX."));
    }
    let a = call.server.find(args.get(1), <[u8]>::to_vec)?.unwrap_or_default();
    let b = call.server.find(args.get(2), <[u8]>::to_vec)?.unwrap_or_default();
    let table_bytes = (a.len() as u128 + 1) * (b.len() as u128 + 1) * 4;
    if table_bytes > call.server.settings.bulk_bytes_max.unsigned_abs().into() {
        return Err(failure("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"));
    }
    let (common, matches) = longest(&a, &b);
    if wants_len {
        call.reply.integer(common.len() as i64);
    } else if wants_index {
        let shown: Vec<&Match> = matches.iter().filter(|found| found.len() as u64 >= len_min).collect();
        call.reply.map(2);
        call.reply.bulk(b"matches");
        call.reply.array(shown.len());
        for found in shown {
            call.reply.array(if shows_len { 3 } else { 2 });
            for (from, to) in [found.a, found.b] {
                call.reply.array(2);
                call.reply.integer(from as i64);
                call.reply.integer(to as i64);
            }
            if shows_len {
                call.reply.integer(found.len() as i64);
            }
        }
        call.reply.bulk(b"len");
        call.reply.integer(common.len() as i64);
    } else {
        call.reply.bulk(&common);
    }
    Ok(())
}

/// The subsequence, and the stretches it consists of, from the last to the first.
fn longest(a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
    let width = b.len() + 1;
    let mut table = vec![0_u32; (a.len() + 1) * width];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            table[i * width + j] = if a[i - 1] == b[j - 1] {
                table[(i - 1) * width + j - 1] + 1
            } else {
                table[(i - 1) * width + j].max(table[i * width + j - 1])
            };
        }
    }
    let (mut i, mut j) = (a.len(), b.len());
    let (mut common, mut matches) = (Vec::new(), Vec::new());
    let mut open: Option<Match> = None;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            common.push(a[i - 1]);
            match &mut open {
                Some(found) if found.a.0 == i && found.b.0 == j => {
                    found.a.0 = i - 1;
                    found.b.0 = j - 1;
                }
                _ => {
                    matches.extend(open.take());
                    open = Some(Match { a: (i - 1, i - 1), b: (j - 1, j - 1) });
                }
            }
            i -= 1;
            j -= 1;
        } else {
            if table[(i - 1) * width + j] > table[i * width + j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
            matches.extend(open.take());
        }
    }
    matches.extend(open);
    common.reverse();
    (common, matches)
}
