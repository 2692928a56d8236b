//! The only sort of the page, by means of a binary heap.
//!
//! The standard library's sort takes three kilobytes of code for each type, a heap a few hundred bytes.

use std::collections::BinaryHeap;

/// Sorts `items` by `rank`, lowest first and NaN last. The sort is stable.
pub fn sort_by_rank<T>(items: &mut Vec<T>, rank: impl Fn(&T) -> f32) {
    let order: BinaryHeap<u64> = (0u32..)
        .zip(&*items)
        .map(|(place, item)| u64::from(ordered_bits(rank(item))) << 32 | u64::from(place))
        .collect();
    let mut unsorted: Vec<_> = items.drain(..).map(Some).collect();
    let order = order.into_sorted_vec().into_iter();
    items.extend(order.filter_map(|place| unsorted[place as u32 as usize].take()));
}

/// Returns the bits of `value`, changed so that they compare as integers in the order of [`f32::total_cmp`].
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
