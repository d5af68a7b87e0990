//! How often which time was taken: buckets whose width is a 32nd of what they hold, as in HdrHistogram.

use std::time::Duration;

const SUB_BITS: u32 = 5;
const BUCKET_COUNT: usize = 64 << SUB_BITS;

pub struct Latencies {
    counts: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKET_COUNT], count: 0, max: Duration::ZERO }
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < 1 << SUB_BITS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - SUB_BITS;
    (((shift + 1) as usize) << SUB_BITS) + (nanos >> shift) as usize - (1 << SUB_BITS)
}

fn upper_end(bucket: usize) -> u64 {
    if bucket < 1 << SUB_BITS {
        return bucket as u64;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    (((bucket & ((1 << SUB_BITS) - 1)) as u64 + (1 << SUB_BITS) + 1) << shift) - 1
}

impl Latencies {
    pub fn add(&mut self, time: Duration) {
        self.counts[bucket(time.as_nanos() as u64)] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// The time within which this share of all was done.
    pub fn at(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return Duration::from_nanos(upper_end(bucket)).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_found_within_a_32nd() {
        let mut latencies = Latencies::default();
        (1..=100_000_u64).for_each(|n| latencies.add(Duration::from_nanos(n * 10)));
        for (share, nanos) in [(0.5, 500_000.0), (0.99, 990_000.0), (0.9999, 999_900.0), (1.0, 1_000_000.0)] {
            let found = latencies.at(share).as_nanos() as f64;
            assert!((found / nanos - 1.0).abs() < 1.0 / 32.0, "{share}: {found}");
        }
    }

    #[test]
    fn buckets_are_in_order_and_hold_what_they_end_with() {
        for nanos in (0..5_000).chain([1 << 20, (1 << 33) + 12_345]) {
            assert!(upper_end(bucket(nanos)) >= nanos && bucket(upper_end(bucket(nanos))) == bucket(nanos));
        }
    }
}
