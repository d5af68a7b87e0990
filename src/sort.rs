//! Sorting by a number. Each type that the standard library sorts is another copy of its algorithm, 5 to 10 KB of the
//! shared library; what is sorted rarely or is short goes through this one.

/// Sorts `pairs`. The one copy.
#[inline(never)]
pub fn pairs(pairs: &mut [(u64, u64)]) {
    pairs.sort_unstable();
}

/// Sorts `items` by `key`; equal ones stay in order.
pub fn by_key<T>(items: Vec<T>, key: impl Fn(&T) -> u64) -> Vec<T> {
    let mut order: Vec<(u64, u64)> = items.iter().map(key).zip(0..).collect();
    pairs(&mut order);
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, place)| items[place as usize].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_sorted_and_equal_ones_stay_in_order() {
        let items: Vec<(u64, usize)> = [5, 3, 5, 0, u64::MAX, 3, 5].into_iter().zip(0..).collect();
        let mut sorted = items.clone();
        sorted.sort_by_key(|item| item.0);
        assert_eq!(by_key(items, |item| item.0), sorted);
        assert_eq!(by_key(Vec::<u8>::new(), |_| 0), Vec::<u8>::new());
    }
}
