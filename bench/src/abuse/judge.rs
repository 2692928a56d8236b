//! The verdict on a server after an attack. Pure.

use std::{collections::BTreeMap, time::Duration};

use super::{attackers::AttackCounts, pages::PageMeasurements};
use crate::stats::percentile;

/// A latency in the attack must stay below this multiple of the baseline.
pub(super) const MAX_LATENCY_RATIO: f64 = 2.0;
/// Memory counts as released when it is at most this share above the memory before the attack, …
pub(super) const MORE_SHARE: f64 = 0.1;
/// … or at most this many bytes: the server keeps the rides that the pages booked meanwhile.
pub(super) const MORE_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// The percentiles of what the pages measured, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct PagePercentiles {
    /// The median latency of calls.
    pub(super) p50: f64,
    /// The 99th percentile of the latency of calls.
    pub(super) p99: f64,
    /// The highest latency of calls.
    pub(super) max: f64,
    /// The median latency of new connections.
    pub(super) arrival_p50: f64,
    /// The highest latency of new connections.
    pub(super) arrival_max: f64,
    /// The 99th percentile of the gaps between frames.
    pub(super) gap_p99: f64,
    /// The 99th percentile of the delays of the pages' own thread.
    pub(super) own_p99: f64,
}

impl PagePercentiles {
    /// Returns the percentiles, or `None` if there are no calls or no gaps.
    pub(super) fn of(sight: &mut PageMeasurements) -> Option<Self> {
        let calls = &mut sight.calls_ms;
        let (p50, p99, max) = (percentile(calls, 0.5)?, percentile(calls, 0.99)?, percentile(calls, 1.0)?);
        let arrivals = &mut sight.arrivals_ms;
        // Without any successful new connection their latency is infinite.
        let [arrival_p50, arrival_max] =
            [0.5, 1.0].map(|part| percentile(arrivals, part).unwrap_or(f64::INFINITY));
        let gap_p99 = percentile(&mut sight.gaps_ms, 0.99)?;
        let own_p99 = percentile(&mut sight.own_delays_ms, 0.99).unwrap_or_default();
        Some(Self { p50, p99, max, arrival_p50, arrival_max, gap_p99, own_p99 })
    }
}

/// The resident memory of the server in bytes: before the attack, at its peak, and after it.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Memory {
    pub(super) before: u64,
    pub(super) peak: u64,
    pub(super) after: u64,
}

impl Memory {
    /// Reports whether the server has released the memory that the attack took.
    pub(super) fn is_back(&self) -> bool {
        let before = self.before as f64;
        self.after as f64 <= before + MORE_BYTES.max(MORE_SHARE * before)
    }
}

/// The measurements of one attack.
#[derive(Clone, Debug)]
pub(super) struct AttackResult {
    pub(super) quiet: PagePercentiles,
    pub(super) during: PagePercentiles,
    /// The errors of the pages since the beginning of the attack.
    pub(super) errors: Vec<String>,
    /// The share of its core that the server used: in the baseline, and in the attack.
    pub(super) cpu_share: [f64; 2],
    pub(super) memory: Memory,
    /// The bytes of memory that the attack may take, if it has a budget.
    pub(super) budget: Option<u64>,
    /// The time after the attack until there were no more connections and calls than before it. `None` if that never
    /// happened.
    pub(super) recovery_of_calls: Option<Duration>,
    /// The time after the attack until memory was released. `None` if that never happened.
    pub(super) recovery_of_memory: Option<Duration>,
    pub(super) taken: AttackCounts,
    /// Calls that ended with a status other than OK, by status. If there are no errors, none of them are of the
    /// pages.
    pub(super) failed: BTreeMap<String, u64>,
}

impl AttackResult {
    /// Returns a description of each failure. The server passes if the list is empty.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let Self { quiet, during, memory, .. } = self;
        for (what, quiet, during) in
            [("calls", quiet.p99, during.p99), ("gaps between frames", quiet.gap_p99, during.gap_p99)]
        {
            if during >= MAX_LATENCY_RATIO * quiet {
                faults.push(format!("p99 of {what}: {during:.2} ms, baseline {quiet:.2} ms"));
            }
        }
        if let Some(error) = self.errors.first() {
            faults.push(format!("{} errors, the first: {error}", self.errors.len()));
        }
        if self.recovery_of_calls.is_none() {
            faults.push("connections or calls did not return to the number before the attack".into());
        }
        let mib = |bytes: u64| bytes / 1024 / 1024;
        let taken = memory.peak.saturating_sub(memory.before);
        if let Some(budget) = self.budget.filter(|budget| taken > *budget) {
            faults.push(format!(
                "memory: the attack took {} MiB, the budget is {} MiB",
                mib(taken),
                mib(budget)
            ));
        }
        if !memory.is_back() {
            faults.push(format!(
                "memory: {} MiB after the attack, {} MiB before",
                mib(memory.after),
                mib(memory.before)
            ));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn figures(p99: f64, gap_p99: f64) -> PagePercentiles {
        PagePercentiles {
            p50: 0.2,
            p99,
            max: 10.0,
            arrival_p50: 1.0,
            arrival_max: 2.0,
            gap_p99,
            own_p99: 0.1,
        }
    }

    fn findings(during: PagePercentiles, after: u64) -> AttackResult {
        AttackResult {
            quiet: figures(1.0, 260.0),
            during,
            errors: Vec::new(),
            cpu_share: [0.1, 0.2],
            memory: Memory { before: 100 * MIB, peak: 300 * MIB, after },
            budget: Some(200 * MIB),
            recovery_of_calls: Some(Duration::ZERO),
            recovery_of_memory: Some(Duration::ZERO),
            taken: AttackCounts::default(),
            failed: BTreeMap::new(),
        }
    }

    #[test]
    fn figures_are_percentiles() {
        let mut sight = PageMeasurements {
            calls_ms: (1..=200).map(f64::from).collect(),
            arrivals_ms: vec![3.0, 1.0, 2.0],
            gaps_ms: vec![250.0, 260.0],
            ..PageMeasurements::default()
        };
        let expected = PagePercentiles {
            p50: 100.0,
            p99: 198.0,
            max: 200.0,
            arrival_p50: 2.0,
            arrival_max: 3.0,
            gap_p99: 260.0,
            own_p99: 0.0,
        };
        assert_eq!(PagePercentiles::of(&mut sight), Some(expected));
        assert_eq!(PagePercentiles::of(&mut PageMeasurements::default()), None);
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
            ["memory: 120 MiB after the attack, 100 MiB before"]
        );
    }

    #[test]
    fn more_than_the_budget_is_a_fault() {
        let mut findings = findings(figures(1.0, 260.0), 100 * MIB);
        assert!(findings.faults().is_empty());
        findings.memory.peak += MIB;
        assert_eq!(findings.faults(), ["memory: the attack took 201 MiB, the budget is 200 MiB"]);
        findings.budget = None;
        assert!(findings.faults().is_empty());
    }

    #[test]
    fn an_error_of_a_page_is_a_fault_and_so_is_a_place_that_stays_taken() {
        let mut findings = findings(figures(1.0, 260.0), 100 * MIB);
        findings.errors = vec!["Get: it was refused".into(), "Book: gone".into()];
        findings.recovery_of_calls = None;
        let faults = findings.faults();
        assert_eq!(faults[0], "2 errors, the first: Get: it was refused");
        assert_eq!(faults.len(), 2);
    }
}
