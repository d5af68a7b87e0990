//! Inputs out of other inputs: what the driver does without knowing what the bytes mean.

/// A pseudo-random sequence (splitmix64), the same for the same seed.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }
}

/// Longer inputs find nothing that shorter ones do not, only later.
pub const INPUT_LEN_MAX: usize = 4096;

const ODD: [u64; 10] = [0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, u64::MAX];

/// A new input: one of `seeds` changed in a few places, joined with another, or made of nothing.
pub fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut Random| match seeds.len() {
        0 => Vec::new(),
        count => seeds[random.below(count)].clone(),
    };
    let mut input = if random.below(8) == 0 { made_up(random) } else { pick(random) };
    for _ in 0..1 + random.below(8) {
        change(random, &mut input, &pick);
    }
    input.truncate(INPUT_LEN_MAX);
    input
}

fn made_up(random: &mut Random) -> Vec<u8> {
    let len = 1 << random.below(10);
    (0..random.below(len) + 1).map(|_| random.number() as u8).collect()
}

fn change(random: &mut Random, input: &mut Vec<u8>, pick: &impl Fn(&mut Random) -> Vec<u8>) {
    if input.is_empty() {
        *input = made_up(random);
        return;
    }
    let at = random.below(input.len());
    let len = 1 + random.below(16.min(input.len() - at));
    match random.below(9) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.number() as u8,
        2 => input[at] = input[at].wrapping_add(1 + random.below(4) as u8).wrapping_sub(2),
        3 => drop(input.drain(at..at + len)),
        4 => drop(input.splice(at..at, made_up(random))),
        5 => {
            let copy = input[at..at + len].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        6 => {
            let odd = ODD[random.below(ODD.len())].to_le_bytes();
            let len = 8.min(input.len() - at);
            input[at..at + len].copy_from_slice(&odd[..len]);
        }
        7 => input.truncate(at + 1),
        _ => {
            let other = pick(random);
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
