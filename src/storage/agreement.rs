//! The simulated directory and the real one, side by side: the same calls, the same answers.
//!
//! Not here: power cuts and failures, which the real one cannot be asked for.

// Looks at the real files behind the back of what is tested.
#![allow(clippy::disallowed_methods)]

use super::disk::tests::Scratch;
use super::{AppendMap, File, MapAccess, SimulatedStorage, Storage};
use std::io;

/// The handles of one file on either side.
struct Pair {
    simulated: Box<dyn File>,
    real: Box<dyn File>,
    /// A map of either side, if there is one: such a file is not grown.
    maps: Option<(AppendMap, AppendMap)>,
}

struct Drawn(u64);

impl Drawn {
    /// Knuth's MMIX generator; the low bits are the poor ones.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What of an answer has to agree: the value, or the errno, or the kind where there is no errno.
fn shown<T: std::fmt::Debug>(answer: io::Result<T>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.raw_os_error().map_or_else(|| format!("{:?}", error.kind()), |errno| errno.to_string()),
    }
}

#[test]
#[cfg_attr(miri, ignore = "the real directory is out of its reach")]
fn the_simulated_directory_answers_like_the_real_one() {
    for seed in 0..12 {
        let scratch = Scratch::new();
        let (simulated, real) = (SimulatedStorage::new(seed), scratch.storage());
        let mut drawn = Drawn(seed);
        let mut pairs: Vec<Pair> = Vec::new();
        for step in 0..200 {
            one_call(&simulated, &real, &mut pairs, &mut drawn, &format!("seed {seed}, step {step}"));
        }
        let mut names = real.list().unwrap();
        names.sort();
        assert_eq!(simulated.list().unwrap(), names, "seed {seed}");
        for name in names {
            assert!(simulated.read_file(&name) == std::fs::read(scratch.path().join(&name)).unwrap(), "{seed} {name}");
        }
    }
}

fn one_call(simulated: &SimulatedStorage, real: &dyn Storage, pairs: &mut Vec<Pair>, drawn: &mut Drawn, at: &str) {
    let name = format!("{}", drawn.below(4));
    let other = format!("{}", drawn.below(4));
    match drawn.below(16) {
        0 | 1 => match (simulated.create(&name), real.create(&name)) {
            (Ok(simulated), Ok(real)) => pairs.push(Pair { simulated, real, maps: None }),
            (simulated, real) => assert_eq!(shown(simulated.map(drop)), shown(real.map(drop)), "{at}: create"),
        },
        2 => {
            let access = [MapAccess::ReadOnly, MapAccess::ReadWrite][drawn.below(2) as usize];
            match (simulated.open(&name, access), real.open(&name, access)) {
                (Ok(simulated), Ok(real)) => {
                    assert_eq!(shown(simulated.len()), shown(real.len()), "{at}: len");
                    let answers = (simulated.write_at(b"x", 0), real.write_at(b"x", 0));
                    assert_eq!(shown(answers.0), shown(answers.1), "{at}: write of one byte");
                    let answers = (simulated.map(1, access), real.map(1, access));
                    assert_eq!(shown(answers.0.map(drop)), shown(answers.1.map(drop)), "{at}: map");
                }
                (simulated, real) => assert_eq!(shown(simulated.map(drop)), shown(real.map(drop)), "{at}: open"),
            }
        }
        3 => assert_eq!(shown(simulated.remove(&name)), shown(real.remove(&name)), "{at}: remove"),
        4 => assert_eq!(shown(simulated.rename(&name, &other)), shown(real.rename(&name, &other)), "{at}: rename"),
        5 => assert_eq!(shown(simulated.sync_directory()), shown(real.sync_directory()), "{at}: sync-directory"),
        _ if pairs.is_empty() => {}
        6 => {
            let nth = drawn.below(pairs.len() as u64) as usize;
            pairs.swap_remove(nth);
        }
        call => {
            let nth = drawn.below(pairs.len() as u64) as usize;
            one_file_call(&mut pairs[nth], call, drawn, at);
        }
    }
}

fn one_file_call(pair: &mut Pair, call: u64, drawn: &mut Drawn, at: &str) {
    let Pair { simulated, real, maps } = pair;
    let file_len = real.len().unwrap();
    assert_eq!(simulated.len().unwrap(), file_len, "{at}: len");
    let offset = drawn.below(20_000);
    let len = drawn.below(9_000);
    match call {
        7..=9 if maps.is_none() || offset + len <= file_len => {
            let bytes = vec![drawn.below(256) as u8; len as usize];
            assert_eq!(shown(simulated.write_at(&bytes, offset)), shown(real.write_at(&bytes, offset)), "{at}: write");
        }
        10 | 11 => {
            let (mut left, mut right) = (vec![0; len as usize], vec![0; len as usize]);
            let answers = (simulated.read_at(&mut left, offset), real.read_at(&mut right, offset));
            let is_read = answers.1.is_ok();
            assert_eq!(shown(answers.0), shown(answers.1), "{at}: read {offset}+{len}");
            assert!(!is_read || left == right, "{at}: read {offset}+{len}");
        }
        12 if maps.is_none() => {
            assert_eq!(shown(simulated.reserve(offset)), shown(real.reserve(offset)), "{at}: reserve {offset}");
        }
        13 => {
            let answers = (simulated.punch_hole(offset, len), real.punch_hole(offset, len));
            assert_eq!(shown(answers.0), shown(answers.1), "{at}: punch {offset}+{len}");
        }
        14 => assert_eq!(shown(simulated.sync()), shown(real.sync()), "{at}: sync"),
        15 if maps.is_none() => {
            let too_long = file_len as usize + 1;
            let refused = (simulated.map(too_long, MapAccess::ReadOnly), real.map(too_long, MapAccess::ReadOnly));
            assert_eq!(shown(refused.0.map(drop)), shown(refused.1.map(drop)), "{at}: map too much");
            if file_len > 0 {
                simulated.reserve(file_len).unwrap();
                real.reserve(file_len).unwrap();
                let map = |file: &dyn File| {
                    AppendMap::new(file.map(file_len as usize, MapAccess::ReadWrite).unwrap(), 0, 0..0, 0)
                };
                *maps = Some((map(&**simulated), map(&**real)));
            }
        }
        _ => {}
    }
    if let Some((left, right)) = maps {
        for map in [&*left, &*right] {
            if let Some(mut claim) = map.claim(len as usize / 8) {
                claim.bytes().fill(at.len() as u8 ^ len as u8);
                assert!(claim.publish());
            }
        }
        let published = 0..left.published();
        assert!(left.read(published.clone()) == right.read(published), "{at}: the maps");
    }
}
