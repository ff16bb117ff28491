//! Signals a running task to stop, with the reason: [`StopSignal`], [`StopReason`] and the future
//! [`Stopped`].
//!
//! Only transports the reason. The worker decides when and why a task should stop: `worker/supervisor/` and
//! `worker/stop.rs`.
//!
//! Depends on std alone.

use crate::model::panic::caught;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Why a running task should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The task has run for longer than its timeout. The attempt already counts as failed.
    TimedOut,
    /// The worker is stopping and its shutdown timeout has passed. The job is released and loses no retry.
    WorkerStopping,
    /// The lease of the worker may have expired. If it has, another worker may run the job, and the result of
    /// this attempt is discarded.
    LeaseLost,
    /// The store has halted, so the result of this attempt cannot be stored. The job runs again after a
    /// restart.
    StoreHalted,
}

/// Asks one execution to stop. Only the first reason is kept.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    reason: AtomicU8,
    /// The verdict on the job is final: the outcome of the task no longer matters.
    decided: AtomicBool,
    /// Guards only the wakers. Tasks may read the reason in their innermost loop, so reading it takes no
    /// lock.
    listeners: Mutex<Listeners>,
}

/// The wakers of all futures that wait for one signal, by the id of their [`Listener`].
#[derive(Debug, Default)]
struct Listeners {
    wakers: BTreeMap<u64, Waker>,
    last_id: u64,
}

/// One future that waits for a signal. Its drop removes its waker, because a task may create thousands of
/// such futures in one attempt.
#[derive(Debug)]
struct Listener {
    stop: Arc<StopSignal>,
    /// Assigned by the first poll.
    id: Option<u64>,
}

impl Listener {
    fn new(stop: &Arc<StopSignal>) -> Listener {
        Listener { stop: stop.clone(), id: None }
    }

    /// Ready with what `read` returns; until then, keeps the waker of the latest poll.
    fn poll<T>(&mut self, cx: &Context<'_>, read: impl Fn(&StopSignal) -> Option<T>) -> Poll<T> {
        if let Some(value) = read(&self.stop) {
            return Poll::Ready(value);
        }
        // A waker runs code of a foreign executor. So clone it before the lock is taken, and drop the
        // previous one after the lock is released.
        let waker = cx.waker().clone();
        let previous = {
            let mut listeners = self.stop.listeners();
            let id = *self.id.get_or_insert_with(|| {
                listeners.last_id += 1;
                listeners.last_id
            });
            listeners.wakers.insert(id, waker)
        };
        drop(previous);
        // The signal may have been set between the first read and the registration of the waker.
        read(&self.stop).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = self.stop.listeners().wakers.remove(&id);
            drop(waker);
        }
    }
}

impl StopSignal {
    pub(crate) fn set(&self, reason: StopReason) {
        let code = match reason {
            StopReason::TimedOut => 1,
            StopReason::WorkerStopping => 2,
            StopReason::LeaseLost => 3,
            StopReason::StoreHalted => 4,
        };
        if self.reason.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.wake();
        }
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::Acquire) {
            1 => Some(StopReason::TimedOut),
            2 => Some(StopReason::WorkerStopping),
            3 => Some(StopReason::LeaseLost),
            4 => Some(StopReason::StoreHalted),
            _ => None,
        }
    }

    /// Marks the verdict as final: the thread that polls the task may then drop it.
    pub(crate) fn set_decided(&self) {
        self.decided.store(true, Ordering::Release);
        self.wake();
    }

    /// Resolves when the verdict on the job is final. The return value of the task then has no effect.
    #[cfg(feature = "tokio")]
    pub(super) fn decided(self: &Arc<StopSignal>) -> impl Future<Output = ()> + use<> {
        let mut listener = Listener::new(self);
        std::future::poll_fn(move |cx| {
            listener.poll(cx, |stop| stop.decided.load(Ordering::Acquire).then_some(()))
        })
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut self.listeners().wakers);
        for waker in wakers.into_values() {
            // A waker runs code of a foreign executor. If it panics, the remaining wakers must still be
            // woken.
            let _ = caught(|| waker.wake());
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of [`JobContext::stopped`](crate::JobContext::stopped).
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Stopped(Listener);

impl Stopped {
    pub(super) fn new(stop: &Arc<StopSignal>) -> Stopped {
        Stopped(Listener::new(stop))
    }
}

impl Future for Stopped {
    type Output = StopReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<StopReason> {
        self.0.poll(cx, StopSignal::reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls `future` with a waker of its own and returns the count of its wakes.
    fn poll_once(future: &mut Stopped) -> Arc<WakeCount> {
        let count = Arc::new(WakeCount::default());
        let waker = Waker::from(count.clone());
        assert!(Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending());
        count
    }

    #[test]
    fn a_future_that_is_dropped_leaves_no_waker_behind() {
        let stop = Arc::new(StopSignal::default());
        let mut kept = Stopped::new(&stop);
        let dropped: Vec<Arc<WakeCount>> = (0..100).map(|_| poll_once(&mut Stopped::new(&stop))).collect();
        let replaced = poll_once(&mut kept);
        let latest = poll_once(&mut kept);
        assert!(dropped.iter().chain([&replaced]).all(|count| Arc::strong_count(count) == 1));
        stop.set(StopReason::TimedOut);
        assert_eq!(latest.0.load(Ordering::SeqCst), 1);
        assert_eq!(dropped.iter().map(|count| count.0.load(Ordering::SeqCst)).sum::<usize>(), 0);
        assert!(Pin::new(&mut kept).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[test]
    fn a_waker_that_panics_keeps_no_other_future_from_being_woken() {
        struct PanicOnWake;
        impl Wake for PanicOnWake {
            fn wake(self: Arc<Self>) {
                panic!("this waker panics");
            }
        }
        let stop = Arc::new(StopSignal::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| Stopped::new(&stop));
        let before = poll_once(&mut first);
        let waker = Waker::from(Arc::new(PanicOnWake));
        assert!(Pin::new(&mut second).poll(&mut Context::from_waker(&waker)).is_pending());
        let after = poll_once(&mut third);
        stop.set(StopReason::WorkerStopping);
        assert_eq!([before.0.load(Ordering::SeqCst), after.0.load(Ordering::SeqCst)], [1, 1]);
    }
}
