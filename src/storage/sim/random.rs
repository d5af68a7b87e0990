//! Where the simulation's choices come from: SplitMix64 (Steele, Lea and Flood, 2014), small and
//! the same everywhere.

/// A stream of numbers drawn from a seed.
#[derive(Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..end`; 0 if that is empty. The bias of the remainder does not matter here.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    /// True in `of_256` of 256 cases.
    pub(super) fn chance(&mut self, of_256: u32) -> bool {
        (self.next() >> 56) < u64::from(of_256)
    }
}
