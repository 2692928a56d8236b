//! The set of revocations. Without I/O.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::SystemTime,
};

use super::super::Session;

/// The sessions that a revocation is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SessionScope {
    /// The session with this id.
    Session(String),
    /// All sessions of this subject that were issued up to the time of the revocation.
    Subject(String),
}

/// A revocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Revocation {
    pub(super) scope: SessionScope,
    /// The time of the revocation. A subject's sessions that were issued up to then are revoked.
    pub(super) at: SystemTime,
    /// The time at which all these sessions have expired, so that the revocation can be deleted.
    pub(super) until: SystemTime,
}

/// The revocations by the sessions that they are for.
#[derive(Default, Debug)]
pub(super) struct RevocationSet(HashMap<SessionScope, Revocation>);

impl RevocationSet {
    /// Returns `true` if `session` is revoked.
    pub(super) fn is_revoked(&self, session: &Session) -> bool {
        let [one, all] = scopes_of(session).map(|name| self.0.get(&name));
        one.is_some() || all.is_some_and(|revoked| session.issued_at <= revoked.at)
    }

    /// Returns the time up to which all sessions of a subject are revoked, if they are.
    pub(super) fn subject_revoked_at(&self, subject: &str) -> Option<SystemTime> {
        self.0.get(&SessionScope::Subject(subject.to_owned())).map(|revoked| revoked.at)
    }

    /// Adds a revocation, and returns `true` if the set has changed. An older revocation never shortens one that is
    /// there.
    pub(super) fn add(&mut self, revoked: &Revocation) -> bool {
        let Revocation { scope: whose, at, until } = revoked;
        match self.0.entry(whose.clone()) {
            Entry::Vacant(free) => {
                free.insert(revoked.clone());
                true
            }
            Entry::Occupied(mut taken) => {
                let known = taken.get_mut();
                let is_news = known.at < *at || known.until < *until;
                (known.at, known.until) = (known.at.max(*at), known.until.max(*until));
                is_news
            }
        }
    }

    pub(super) fn forget_before(&mut self, now: SystemTime) {
        self.0.retain(|_, revoked| revoked.until > now);
    }

    pub(super) fn all(&self) -> Vec<Revocation> {
        self.0.values().cloned().collect()
    }

    /// Removes a revocation, unless a later one has extended it.
    pub(super) fn remove(&mut self, revoked: &Revocation) {
        if self.0.get(&revoked.scope) == Some(revoked) {
            self.0.remove(&revoked.scope);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Returns the two keys under which a session can be revoked.
pub(super) fn scopes_of(session: &Session) -> [SessionScope; 2] {
    [SessionScope::Session(session.id.clone()), SessionScope::Subject(session.subject.clone())]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sessions::Role;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn issued(subject: &str, seconds: u64) -> Session {
        Session { issued_at: at(seconds), ..Session::new(Role::Rider, subject, at(1_000)) }
    }

    #[test]
    fn one_session_is_over_and_no_other_of_the_same_subject() {
        let (lost, kept) = (issued("ada", 10), issued("ada", 10));
        let mut list = RevocationSet::default();
        let revoked =
            Revocation { scope: SessionScope::Session(lost.id.clone()), at: at(20), until: at(1_000) };
        assert!(list.add(&revoked) && !list.add(&revoked));
        assert!(list.is_revoked(&lost) && !list.is_revoked(&kept));
        let renewed = Session { issued_at: at(30), ..lost };
        assert!(list.is_revoked(&renewed), "a renewed session is the same session");
    }

    #[test]
    fn a_subjects_sessions_are_over_and_the_next_is_not() {
        let mut list = RevocationSet::default();
        list.add(&Revocation { scope: SessionScope::Subject("ada".into()), at: at(20), until: at(1_000) });
        assert!(list.is_revoked(&issued("ada", 10)) && list.is_revoked(&issued("ada", 20)));
        assert!(!list.is_revoked(&issued("ada", 21)) && !list.is_revoked(&issued("bob", 10)));
    }

    /// A revocation by another process is read up to a second late.
    #[test]
    fn an_older_revocation_that_comes_later_takes_nothing_back() {
        let mut list = RevocationSet::default();
        let revoked = |second, until| Revocation {
            scope: SessionScope::Subject("ada".into()),
            at: at(second),
            until: at(until),
        };
        assert!(list.add(&revoked(20, 900)));
        assert!(!list.add(&revoked(10, 800)), "the set does not change");
        assert!(list.is_revoked(&issued("ada", 20)));
        assert!(list.add(&revoked(5, 1_000)));
        list.forget_before(at(950));
        assert!(list.is_revoked(&issued("ada", 20)), "the latest `at` and the latest `until` count");
    }

    #[test]
    fn what_is_over_by_itself_is_forgotten() {
        let mut list = RevocationSet::default();
        for (name, until) in [("a", 10), ("b", 20)] {
            list.add(&Revocation { scope: SessionScope::Subject(name.into()), at: at(5), until: at(until) });
        }
        list.forget_before(at(10));
        assert_eq!(list.len(), 1);
        assert!(list.is_revoked(&issued("b", 1)));
    }
}
