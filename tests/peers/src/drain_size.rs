//! How many jobs a drain has: one of a few numbers, so that runs of the same size can be compared.

use qdjobs_peers_common::DEADLINE;

const DRAIN_SIZES: [u64; 3] = [1_000, 10_000, 100_000];
/// A peer takes the largest size that it finishes within this.
const SECONDS: f64 = 10.0;

/// The most jobs a drain can have. A quick run does one `part`th of it, such as a twentieth.
pub(crate) fn most(part: u64) -> u64 {
    DRAIN_SIZES[DRAIN_SIZES.len() - 1] / part
}

/// The size for a peer that drains this many jobs a second; for a slow one the least, if that fits its
/// deadline.
pub(crate) fn choose(rate: f64, part: u64) -> Result<u64, String> {
    let rungs = DRAIN_SIZES.map(|jobs| jobs / part);
    let seconds = |jobs: u64| jobs as f64 / rate;
    let fits = |jobs: &u64| seconds(*jobs) <= SECONDS / part as f64;
    let (least, patience) = (rungs[0], DEADLINE.as_secs());
    match rungs.into_iter().rev().find(fits) {
        Some(jobs) => Ok(jobs),
        None if seconds(least) <= patience as f64 => Ok(least),
        None => Err(format!("{least} jobs would take {:.0} s, more than {patience} s", seconds(least))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_size_that_fits_is_chosen() {
        for (rate, jobs) in [(1e6, 100_000), (10_000.0, 100_000), (9_999.0, 10_000), (1_000.0, 10_000)] {
            assert_eq!(choose(rate, 1), Ok(jobs), "{rate} jobs a second");
        }
        assert_eq!(choose(999.0, 1), Ok(1_000));
    }

    #[test]
    fn a_slow_peer_gets_the_least_size_if_that_fits_its_deadline() {
        assert_eq!(choose(8.4, 1), Ok(1_000));
        assert_eq!(choose(5.0, 1), Err("1000 jobs would take 200 s, more than 120 s".into()));
    }

    #[test]
    fn a_quick_run_divides_the_sizes() {
        assert_eq!(most(20), 5_000);
        assert_eq!((choose(1e6, 20), choose(1_000.0, 20), choose(10.0, 20)), (Ok(5_000), Ok(500), Ok(50)));
    }
}
