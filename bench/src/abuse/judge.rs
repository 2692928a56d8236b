//! Whether a server stands an attack. Pure.

use std::{collections::BTreeMap, time::Duration};

use super::{attackers::Taken, pages::Sight};
use crate::stats::percentile;

/// What is seen in an attack must stay below so many times what is seen in peace.
pub(super) const TIMES: f64 = 2.0;
/// Memory is back when there is at most so much more than before, …
pub(super) const MORE_SHARE: f64 = 0.1;
/// … or so many bytes: rides that the pages booked meanwhile are remembered.
pub(super) const MORE_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// What the pages saw, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Figures {
    /// Of calls.
    pub(super) p50: f64,
    /// Of calls.
    pub(super) p99: f64,
    /// Of calls.
    pub(super) max: f64,
    /// Of newcomers.
    pub(super) arrival_p50: f64,
    /// Of newcomers.
    pub(super) arrival_max: f64,
    /// Between frames.
    pub(super) gap_p99: f64,
    /// Of the pages' own thread.
    pub(super) own_p99: f64,
}

impl Figures {
    /// `None`: they saw nothing.
    pub(super) fn of(sight: &mut Sight) -> Option<Self> {
        let calls = &mut sight.calls_ms;
        let (p50, p99, max) = (percentile(calls, 0.5)?, percentile(calls, 0.99)?, percentile(calls, 1.0)?);
        let arrivals = &mut sight.arrivals_ms;
        // Where nobody came in, that took for ever.
        let [arrival_p50, arrival_max] =
            [0.5, 1.0].map(|part| percentile(arrivals, part).unwrap_or(f64::INFINITY));
        let gap_p99 = percentile(&mut sight.gaps_ms, 0.99)?;
        let own_p99 = percentile(&mut sight.own_delays_ms, 0.99).unwrap_or_default();
        Some(Self { p50, p99, max, arrival_p50, arrival_max, gap_p99, own_p99 })
    }
}

/// Resident memory of the server in bytes.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Memory {
    pub(super) before: u64,
    pub(super) peak: u64,
    pub(super) after: u64,
}

impl Memory {
    /// Whether what the attack took has been given back.
    pub(super) fn is_back(&self) -> bool {
        let before = self.before as f64;
        self.after as f64 <= before + MORE_BYTES.max(MORE_SHARE * before)
    }
}

/// All that was found out about one attack.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub(super) quiet: Figures,
    pub(super) during: Figures,
    /// What went wrong for the pages, from the beginning of the attack.
    pub(super) errors: Vec<String>,
    /// Of its core, the server used so much: in peace, and in the attack.
    pub(super) cpu_share: [f64; 2],
    pub(super) memory: Memory,
    /// So much more memory than before it may take. `None`: nobody has said how much.
    pub(super) budget: Option<u64>,
    /// After the attack, until connections and calls were as many as before. `None`: they never were.
    pub(super) places_back: Option<Duration>,
    /// After the attack, until memory was back. `None`: it never was.
    pub(super) memory_back: Option<Duration>,
    pub(super) taken: Taken,
    /// Calls that did not end well, by status. None of them are the pages', if there are no errors.
    pub(super) failed: BTreeMap<String, u64>,
}

impl Findings {
    /// What is not as it must be. Nothing: it holds.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let Self { quiet, during, memory, .. } = self;
        for (what, quiet, during) in
            [("calls", quiet.p99, during.p99), ("gaps between frames", quiet.gap_p99, during.gap_p99)]
        {
            if during >= TIMES * quiet {
                faults.push(format!("p99 of {what}: {during:.2} ms, and {quiet:.2} ms in peace"));
            }
        }
        if let Some(error) = self.errors.first() {
            faults.push(format!("{} errors, the first: {error}", self.errors.len()));
        }
        if self.places_back.is_none() {
            faults.push("connections or calls are not as few as before".into());
        }
        let mib = |bytes: u64| bytes / 1024 / 1024;
        let taken = memory.peak.saturating_sub(memory.before);
        if let Some(budget) = self.budget.filter(|budget| taken > *budget) {
            faults.push(format!("it took {} MiB, of {} MiB that it may", mib(taken), mib(budget)));
        }
        if !memory.is_back() {
            faults.push(format!("memory: {} MiB, and {} MiB before", mib(memory.after), mib(memory.before)));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn figures(p99: f64, gap_p99: f64) -> Figures {
        Figures { p50: 0.2, p99, max: 10.0, arrival_p50: 1.0, arrival_max: 2.0, gap_p99, own_p99: 0.1 }
    }

    fn findings(during: Figures, after: u64) -> Findings {
        Findings {
            quiet: figures(1.0, 260.0),
            during,
            errors: Vec::new(),
            cpu_share: [0.1, 0.2],
            memory: Memory { before: 100 * MIB, peak: 300 * MIB, after },
            budget: Some(200 * MIB),
            places_back: Some(Duration::ZERO),
            memory_back: Some(Duration::ZERO),
            taken: Taken::default(),
            failed: BTreeMap::new(),
        }
    }

    #[test]
    fn figures_are_percentiles() {
        let mut sight = Sight {
            calls_ms: (1..=200).map(f64::from).collect(),
            arrivals_ms: vec![3.0, 1.0, 2.0],
            gaps_ms: vec![250.0, 260.0],
            ..Sight::default()
        };
        let expected = Figures {
            p50: 100.0,
            p99: 198.0,
            max: 200.0,
            arrival_p50: 2.0,
            arrival_max: 3.0,
            gap_p99: 260.0,
            own_p99: 0.0,
        };
        assert_eq!(Figures::of(&mut sight), Some(expected));
        assert_eq!(Figures::of(&mut Sight::default()), None);
    }

    #[test]
    fn under_twice_the_quiet_value_holds() {
        assert!(findings(figures(1.99, 519.0), 110 * MIB).faults().is_empty());
        assert_eq!(findings(figures(2.0, 519.0), 110 * MIB).faults().len(), 1);
        assert_eq!(findings(figures(2.0, 520.0), 110 * MIB).faults().len(), 2);
    }

    #[test]
    fn memory_is_back_within_its_margin() {
        let memory = |before, after| Memory { before: before * MIB, peak: 0, after: after * MIB };
        assert!(memory(100, 110).is_back());
        assert!(!memory(100, 111).is_back());
        assert!(memory(20, 28).is_back());
        assert!(!memory(20, 29).is_back());
        assert_eq!(
            findings(figures(1.0, 260.0), 120 * MIB).faults(),
            ["memory: 120 MiB, and 100 MiB before"]
        );
    }

    #[test]
    fn more_than_the_budget_is_a_fault() {
        let mut findings = findings(figures(1.0, 260.0), 100 * MIB);
        assert!(findings.faults().is_empty());
        findings.memory.peak += MIB;
        assert_eq!(findings.faults(), ["it took 201 MiB, of 200 MiB that it may"]);
        findings.budget = None;
        assert!(findings.faults().is_empty());
    }

    #[test]
    fn an_error_of_a_page_is_a_fault_and_so_is_a_place_that_stays_taken() {
        let mut findings = findings(figures(1.0, 260.0), 100 * MIB);
        findings.errors = vec!["Get: it was refused".into(), "Book: gone".into()];
        findings.places_back = None;
        let faults = findings.faults();
        assert_eq!(faults[0], "2 errors, the first: Get: it was refused");
        assert_eq!(faults.len(), 2);
    }
}
