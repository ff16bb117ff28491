//! Clocks, and the arithmetic of rounds.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{Result, workspace::Workspace};

/// Time since the machine started: the same in all processes, so a job can carry an instant.
pub(crate) fn now() -> Duration {
    read(ClockId::Monotonic)
}

/// CPU time that all threads of this process have used so far.
pub(crate) fn cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Lets the machine become idle; no code here waits for an event by sleeping.
#[expect(clippy::disallowed_methods, reason = "an idle machine is what is measured")]
pub(crate) fn idle(time: Duration) {
    std::thread::sleep(time);
}

/// Runs `work` on `jobs` jobs and measures it.
pub(crate) fn timed(jobs: u64, work: impl FnOnce() -> Result<()>) -> Result<Run> {
    let (time, used) = (now(), cpu());
    work()?;
    let (time, used) = (now() - time, cpu() - used);
    let jobs = jobs as f64;
    Ok(Run { rate: jobs / time.as_secs_f64(), cpu: used.as_secs_f64() * 1e6 / jobs, ..Run::default() })
}

/// One engine in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Jobs a second.
    pub(crate) rate: f64,
    /// CPU microseconds a job, of the whole process: the engine, its callers and its handlers.
    pub(crate) cpu: f64,
    /// Latencies in milliseconds, where the figure has one.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Run {
    /// Adds the latencies of its samples.
    pub(crate) fn with(self, samples: Vec<Duration>) -> Run {
        let samples = Samples::new(samples);
        Run { p50: samples.at(0.50), p99: samples.at(0.99), ..self }
    }
}

/// Both engines, round by round.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) ours: Vec<Run>,
    pub(crate) bare: Vec<Run>,
}

impl Rounds {
    /// Alternates: ours, bare, ours, bare. The first round of each warms up the machine and is discarded.
    pub(crate) fn interleave(
        workspace: &Workspace,
        ours: impl Fn() -> Result<Run>,
        bare: impl Fn() -> Result<Run>,
    ) -> Result<Rounds> {
        ours()?;
        bare()?;
        let mut rounds = Rounds::default();
        for _ in 0..workspace.rounds {
            rounds.ours.push(ours()?);
            rounds.bare.push(bare()?);
        }
        Ok(rounds)
    }

    /// One quantity of qdjobs.
    pub(crate) fn ours(&self, of: impl Fn(&Run) -> f64) -> Spread {
        Spread::new(self.ours.iter().map(of))
    }

    /// One quantity of the bare engine.
    pub(crate) fn bare(&self, of: impl Fn(&Run) -> f64) -> Spread {
        Spread::new(self.bare.iter().map(of))
    }

    /// Ours as a multiple of bare, for each pair that ran one after the other, so that a slow minute of
    /// the machine affects both.
    pub(crate) fn ratio(&self, of: impl Fn(&Run) -> f64) -> Spread {
        Spread::new(self.ours.iter().zip(&self.bare).map(|(ours, bare)| of(ours) / of(bare)))
    }
}

/// The median of some rounds, between the least and the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Spread { median: f64::NAN, min: f64::NAN, max: f64::NAN };
        };
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Spread { median, min, max }
    }
}

/// Latencies, sorted.
#[derive(Debug)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn new(mut samples: Vec<Duration>) -> Samples {
        samples.sort_unstable();
        Samples(samples)
    }

    /// The latency that this fraction of the samples does not exceed, in milliseconds.
    pub(crate) fn at(&self, fraction: f64) -> f64 {
        let rank = (self.0.len() as f64 * fraction).ceil() as usize;
        let sample = self.0.get(rank.saturating_sub(1)).or(self.0.last());
        sample.map_or(f64::NAN, |sample| sample.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_and_a_percentile_is_a_sample() {
        let spread = Spread::new([3.0, 1.0, 2.0]);
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.0, 3.0));
        assert_eq!(Spread::new([1.0, 2.0]).median, 1.5);
        let samples = Samples::new((1..=100).map(Duration::from_millis).collect());
        assert_eq!((samples.at(0.5), samples.at(0.99), samples.at(1.0)), (50.0, 99.0, 100.0));
        assert!(Samples::new(Vec::new()).at(0.5).is_nan());
    }
}
