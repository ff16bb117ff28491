//! Producers: callers that each store one job after the other.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::{Params, Peer, Result};

/// `producers` callers share `jobs` evenly, each waiting until its job is stored before it hands in the next.
pub(crate) fn enqueue<P: Peer>(peer: &Arc<P>, producers: u64, jobs: u64, on: &Handle) -> Result<()> {
    let each = |nth: u64| jobs / producers + u64::from(nth < jobs % producers);
    if P::BLOCKING {
        return std::thread::scope(|scope| {
            let threads: Vec<_> = (0..producers)
                .map(|nth| scope.spawn(move || on.block_on(produce(peer.as_ref(), each(nth)))))
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a producer has panicked")?)
        });
    }
    let tasks: Vec<_> = (0..producers)
        .map(|nth| {
            let (peer, jobs) = (peer.clone(), each(nth));
            on.spawn(async move { produce(peer.as_ref(), jobs).await })
        })
        .collect();
    tasks.into_iter().try_for_each(|task| on.block_on(task)?)
}

async fn produce<P: Peer>(peer: &P, jobs: u64) -> Result<()> {
    for _ in 0..jobs {
        peer.enqueue(Params::untimed()).await?;
    }
    Ok(())
}

/// One caller, `many` jobs a call.
pub(crate) async fn bulk<P: Peer>(peer: &P, jobs: u64, many: u64) -> Result<()> {
    let mut left = jobs;
    while left > 0 {
        let some = left.min(many);
        peer.bulk((0..some).map(|_| Params::untimed()).collect()).await?;
        left -= some;
    }
    Ok(())
}
