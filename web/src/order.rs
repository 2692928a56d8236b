//! One sort for everything that is sorted, and that by a heap: the standard library's sort is three kilobytes of code
//! for every type, a heap a few hundred bytes.

use std::collections::BinaryHeap;

/// Sorts by `rank`, least first; NaN last. Equal ranks stay in their order.
pub fn sort_by_rank<T>(items: &mut Vec<T>, rank: impl Fn(&T) -> f32) {
    let order: BinaryHeap<u64> = (0u32..)
        .zip(&*items)
        .map(|(place, item)| u64::from(ordered_bits(rank(item))) << 32 | u64::from(place))
        .collect();
    let mut unsorted: Vec<_> = items.drain(..).map(Some).collect();
    let order = order.into_sorted_vec().into_iter();
    items.extend(order.filter_map(|place| unsorted[place as u32 as usize].take()));
}

/// Bits that are in order as numbers where the floats are, as in [`f32::total_cmp`].
fn ordered_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_the_standard_sort(ranks in prop::collection::vec(any::<f32>(), 0..50)) {
            let mut items: Vec<_> = ranks.iter().map(|rank| rank.to_bits()).enumerate().collect();
            let mut expected = items.clone();
            expected.sort_by(|a, b| f32::from_bits(a.1).total_cmp(&f32::from_bits(b.1)));
            sort_by_rank(&mut items, |item| f32::from_bits(item.1));
            prop_assert_eq!(items, expected);
        }
    }
}
