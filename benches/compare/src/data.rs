//! Keys, values and which key is asked for: the same for every engine.

/// A key of the comparison: 16 hashed bytes.
pub type Key = [u8; 16];

pub const VALUE_LEN: usize = 100;
pub const LARGE_LEN: usize = 64 << 10;

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): one-to-one, so keys are distinct.
pub fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

pub fn key(n: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(n).to_le_bytes());
    key[8..].copy_from_slice(&mixed(n + 1).to_le_bytes());
    key
}

/// A value that names itself: of key `n % key count`, from its first bytes and its last.
pub fn value(n: u64) -> [u8; VALUE_LEN] {
    let mut value = [n as u8; VALUE_LEN];
    value[..8].copy_from_slice(&n.to_le_bytes());
    value[VALUE_LEN - 8..].copy_from_slice(&n.to_le_bytes());
    value
}

/// The number that a value was made from, if it is whole.
pub fn number_of(value: &[u8]) -> Option<u64> {
    let first = u64::from_le_bytes(value.first_chunk().copied()?);
    let last = u64::from_le_bytes(value.last_chunk().copied()?);
    (value.len() == VALUE_LEN && first == last).then_some(first)
}

/// Ranks that are chosen as Zipf's law says, by rejection inversion (Hörmann, Derflinger 1996), for exponents below 1.
pub struct Zipf {
    count: f64,
    exponent: f64,
    at_first: f64,
    at_last: f64,
}

impl Zipf {
    pub fn new(count: u64, exponent: f64) -> Self {
        let mut this = Self { count: count as f64, exponent, at_first: 0.0, at_last: 0.0 };
        this.at_first = this.integral(1.5) - 1.0;
        this.at_last = this.integral(this.count + 0.5);
        this
    }

    fn integral(&self, x: f64) -> f64 {
        (x.powf(1.0 - self.exponent) - 1.0) / (1.0 - self.exponent)
    }

    fn inverse(&self, y: f64) -> f64 {
        (1.0 + y * (1.0 - self.exponent)).powf(1.0 / (1.0 - self.exponent))
    }

    /// The rank below `count` that `random` stands for.
    pub fn rank(&self, mut random: u64) -> u64 {
        loop {
            random = mixed(random.wrapping_add(0x9E37_79B9_7F4A_7C15));
            let u = self.at_last + (random >> 11) as f64 / (1_u64 << 53) as f64 * (self.at_first - self.at_last);
            let x = self.inverse(u);
            let rank = (x + 0.5).floor().clamp(1.0, self.count);
            if u >= self.integral(rank + 0.5) - rank.powf(-self.exponent) {
                return rank as u64 - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_prefers_low_ranks_as_the_law_says() {
        let zipf = Zipf::new(1_000, 0.99);
        let mut counts = vec![0_u32; 1_000];
        (0..200_000).for_each(|n| counts[zipf.rank(n) as usize] += 1);
        let expected: f64 = 200_000.0 / (1..=1_000).map(|rank| f64::from(rank).powf(-0.99)).sum::<f64>();
        assert!((f64::from(counts[0]) / expected - 1.0).abs() < 0.05, "{} {expected}", counts[0]);
        assert!((f64::from(counts[9]) / (expected * 10_f64.powf(-0.99)) - 1.0).abs() < 0.1);
    }

    #[test]
    fn a_value_names_its_number_only_when_it_is_whole() {
        assert_eq!(number_of(&value(77)), Some(77));
        let mut torn = value(77);
        torn[VALUE_LEN - 1] ^= 1;
        assert_eq!(number_of(&torn), None);
        assert_eq!(number_of(&value(77)[..50]), None);
    }
}
