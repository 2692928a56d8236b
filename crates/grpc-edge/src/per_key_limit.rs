//! A limit on the number of permits that each holder has, for example connections per address.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A limit per holder. Cheap to clone; all clones count together.
#[derive(Clone)]
pub(super) struct PerKeyLimit<K> {
    limit: usize,
    held: Arc<Mutex<HashMap<K, usize>>>,
}

/// A permit of one holder. It is released when this is dropped.
pub(super) struct Permit<K: Hash + Eq> {
    tally: PerKeyLimit<K>,
    holder: K,
}

impl<K: Hash + Eq + Clone> PerKeyLimit<K> {
    /// Allows up to `limit` permits for each holder.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: Arc::default() }
    }

    /// Takes a permit for `holder`. Returns `None` if the holder has `limit` permits already.
    pub(super) fn acquire(&self, holder: K) -> Option<Permit<K>> {
        let mut held = self.lock();
        let count = held.entry(holder.clone()).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Permit { tally: self.clone(), holder })
    }
}

impl<K> PerKeyLimit<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut held = self.tally.lock();
        if let Some(count) = held.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_had_again_and_leaves_nothing() {
        let tally = PerKeyLimit::new(2);
        let first = tally.acquire('a').unwrap();
        let second = tally.acquire('a').unwrap();
        assert!(tally.acquire('a').is_none());
        assert!(tally.acquire('b').is_some(), "each holder has its own limit");
        drop(first);
        drop(tally.acquire('a').unwrap());
        drop(second);
        assert!(tally.lock().is_empty());
    }
}
