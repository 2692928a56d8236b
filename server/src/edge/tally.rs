//! A limit on the number of permits that each holder has, for example connections per address.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A limit per holder. Cheap to clone; all clones count together.
#[derive(Clone)]
pub(super) struct Tally<K> {
    limit: usize,
    held: Arc<Mutex<HashMap<K, usize>>>,
}

/// A permit of one holder. It is released when this is dropped.
pub(super) struct Held<K: Hash + Eq> {
    tally: Tally<K>,
    holder: K,
}

impl<K: Hash + Eq + Clone> Tally<K> {
    /// Allows up to `limit` permits for each holder.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: Arc::default() }
    }

    /// Takes a permit for `holder`. Returns `None` if the holder has `limit` permits already.
    pub(super) fn take(&self, holder: K) -> Option<Held<K>> {
        let mut held = self.lock();
        let count = held.entry(holder.clone()).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Held { tally: self.clone(), holder })
    }
}

impl<K> Tally<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Held<K> {
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
        let tally = Tally::new(2);
        let first = tally.take('a').unwrap();
        let second = tally.take('a').unwrap();
        assert!(tally.take('a').is_none());
        assert!(tally.take('b').is_some(), "each holder has its own limit");
        drop(first);
        drop(tally.take('a').unwrap());
        drop(second);
        assert!(tally.lock().is_empty());
    }
}
