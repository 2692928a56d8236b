//! The joining of lines end to end: the rings of multipolygons and the coastlines come in pieces.

use std::collections::{HashMap, HashSet};

/// Joins lines of node ids at shared ends, each line once. A ring has its first id repeated at the end. A line that
/// does not close is returned open.
///
/// With `turn`, lines may be reversed to fit. Without it, only a head joins a tail.
pub(super) fn join(lines: Vec<Vec<i64>>, turn: bool) -> Vec<Vec<i64>> {
    let mut ends: HashMap<i64, Vec<usize>> = HashMap::new();
    let mut lines: Vec<_> = lines.into_iter().map(|line| Some(line).filter(|line| line.len() >= 2)).collect();
    for (i, line) in lines.iter().enumerate() {
        let Some([first, .., last]) = line.as_deref() else { continue };
        ends.entry(*first).or_default().push(i);
        if turn {
            ends.entry(*last).or_default().push(i);
        }
    }
    // Without `turn`, a chain must begin at its head: first come the lines with no predecessor.
    let tails: HashSet<i64> = lines.iter().flatten().map(|line| line[line.len() - 1]).collect();
    let mut order: Vec<_> = (0..lines.len()).collect();
    order.sort_by_key(|i| lines[*i].as_ref().is_some_and(|line| tails.contains(&line[0])));

    let mut joined = vec![];
    for i in order {
        let Some(mut chain) = lines[i].take() else { continue };
        extend_chain(&mut chain, &mut lines, &ends);
        if turn && chain.first() != chain.last() {
            chain.reverse();
            extend_chain(&mut chain, &mut lines, &ends);
        }
        joined.push(chain);
    }
    joined
}

/// Appends lines to `chain` until it closes or no line fits.
fn extend_chain(chain: &mut Vec<i64>, lines: &mut [Option<Vec<i64>>], ends: &HashMap<i64, Vec<usize>>) {
    while chain.first() != chain.last() {
        let Some(end) = chain.last().copied() else { return };
        let fitting = ends.get(&end).into_iter().flatten().find_map(|i| lines[*i].take());
        let Some(mut next) = fitting else { return };
        if next[0] != end {
            next.reverse();
        }
        chain.extend(&next[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_ring_close_whichever_way_they_run() {
        let rings = join(vec![vec![1, 2, 3], vec![5, 4, 3], vec![5, 1]], true);
        assert_eq!(rings, [vec![5, 4, 3, 2, 1, 5]]);
    }

    #[test]
    fn rings_stay_rings_and_gaps_stay_open() {
        let lines = vec![vec![1, 2, 3, 1], vec![7, 8], vec![9, 8], vec![4], vec![]];
        let joined = join(lines, true);
        assert_eq!(joined.len(), 2);
        assert!(joined.contains(&vec![1, 2, 3, 1]) && joined.contains(&vec![9, 8, 7]), "{joined:?}");
    }

    #[test]
    fn shores_keep_their_direction() {
        let joined = join(vec![vec![3, 4], vec![1, 2, 3], vec![9, 3]], false);
        assert_eq!(joined.len(), 2, "{joined:?}");
        assert!(joined.contains(&vec![1, 2, 3, 4]) && joined.contains(&vec![9, 3]), "{joined:?}");
    }
}
