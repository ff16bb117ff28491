//! The promises of *progress*.

use crate::bench::*;

pub(crate) fn the_latest_progress_of_a_running_job_is_shown(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let slot = Arc::new(ProgressSlot::new(claim));
    slot.set(Progress::new(0.1, None));
    slot.set(Progress::new(0.2, Some("half way to half".into())));
    bench.store.report_progress(slot.clone());
    bench.settle();
    let shown = bench.job(claim.id).progress;
    assert_eq!(shown, Some(Progress::new(0.2, Some("half way to half".into()))));
    assert!(slot.set(Progress::new(0.7, None)), "a slot that was written may be submitted again");
    bench.store.report_progress(slot);
    bench.settle();
    assert_eq!(bench.job(claim.id).progress, Some(Progress::new(0.7, None)));
}

pub(crate) fn progress_under_a_lost_claim_is_not_shown(bench: &Bench) {
    let claim = bench.held_job(ANN);
    for stale in
        [Claim { attempt: 2, ..claim }, Claim { worker: BOB, ..claim }, Claim { id: JobId(99), ..claim }]
    {
        bench.report(stale, 0.5, "stale");
    }
    assert_eq!(bench.job(claim.id).progress, None);
    bench.finish(claim, fail());
    bench.report(claim, 0.5, "late");
    assert_eq!(bench.job(claim.id).progress, None);
}

pub(crate) fn progress_begins_anew_with_each_claim(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.report(claim, 0.5, "first try");
    bench.finish(claim, retry(Duration::ZERO));
    let again = bench.claim_one(ANN);
    assert_eq!(bench.job(claim.id).progress, None);
    bench.report(claim, 0.9, "from the attempt before");
    assert_eq!(bench.job(claim.id).progress, None);
    assert_eq!(bench.finish(again, complete()).progress, None, "nothing reported, nothing completed");
}

pub(crate) fn nul_in_a_progress_message_is_replaced(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.report(claim, 0.5, "a\0b");
    assert_eq!(bench.job(claim.id).progress, Some(Progress::new(0.5, Some("a\u{fffd}b".into()))));
}

pub(crate) fn of_many_values_the_latest_is_stored(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let slot = Arc::new(ProgressSlot::new(claim));
    for percent in 1..=100 {
        if slot.set(Progress::new(f64::from(percent) / 100.0, None)) {
            bench.store.report_progress(slot.clone());
        }
    }
    // A value that came while another was written is submitted by the store itself, behind the first barrier.
    bench.settle();
    bench.settle();
    assert_eq!(bench.job(claim.id).progress, Some(Progress::new(1.0, None)));
    assert_eq!(slot.peek(), None);
}
