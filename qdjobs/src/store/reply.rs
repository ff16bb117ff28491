//! An answer that is not there yet, for a thread or an async executor: [`Pending`], given by a [`Reply`].
//!
//! Does not decide when an answer is given: see `engine/after_commit.rs`.
//!
//! Depends on the standard library alone, so that a thread and any executor can wait for the same answer. A
//! `Pending` is a `Future` and has [`wait`](Pending::wait). It costs the same as a runtime's channel, or
//! less.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::panic::caught;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The future answer to a request. The request is already submitted, so dropping this does not cancel it.
#[must_use = "the answer is not there yet: `.wait()` or `.await` it"]
pub struct Pending<T>(Arc<Slot<T>>);

/// Sends the answer of a [`Pending`]. If it is dropped without an answer, it answers [`ErrorKind::Closed`],
/// so that no wait is endless.
#[derive(Debug)]
pub struct Reply<T>(Option<Arc<Slot<T>>>);

#[derive(Debug)]
struct Slot<T> {
    /// The mutex with its condition variable is for threads; the waker inside is for executors.
    state: Mutex<State<T>>,
    answered: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Waiting(Option<Waker>),
    Answered(Result<T>),
    Taken,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of a caller runs under this lock, so the state is consistent even if the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Pending<T> {
    /// A reply, and the future answer that it sends.
    pub fn new() -> (Reply<T>, Pending<T>) {
        let slot = Arc::new(Slot { state: Mutex::new(State::Waiting(None)), answered: Condvar::new() });
        (Reply(Some(slot.clone())), Pending(slot))
    }

    /// An answer that is already known.
    pub fn ready(answer: Result<T>) -> Pending<T> {
        let (reply, pending) = Pending::new();
        reply.send(answer);
        pending
    }

    /// Blocks the thread until the answer has arrived.
    ///
    /// In async code, use `.await`: this would block the executor's thread.
    pub fn wait(self) -> Result<T> {
        let mut state = self.0.lock();
        loop {
            match take(&mut state) {
                Some(answer) => return answer,
                None => state = self.0.answered.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Blocks the thread until the answer has arrived, at most for `limit`. Returns itself if there is no
    /// answer.
    pub fn wait_timeout(self, limit: Duration) -> std::result::Result<Result<T>, Pending<T>> {
        let state = self.0.lock();
        let waiting = |state: &mut State<T>| matches!(state, State::Waiting(_));
        let (mut state, _) =
            self.0.answered.wait_timeout_while(state, limit, waiting).unwrap_or_else(PoisonError::into_inner);
        let answer = take(&mut state);
        drop(state);
        answer.ok_or(self)
    }

    /// The answer, if it has arrived.
    pub fn try_take(&self) -> Option<Result<T>> {
        take(&mut self.0.lock())
    }
}

/// Takes the answer. Only the first call gets it.
fn take<T>(state: &mut State<T>) -> Option<Result<T>> {
    match state {
        State::Waiting(_) => None,
        State::Answered(_) | State::Taken => match std::mem::replace(state, State::Taken) {
            State::Answered(answer) => Some(answer),
            _ => Some(Err(Error::new(ErrorKind::Closed, "this answer was already taken")
                .help("take the answer of each `Pending` once"))),
        },
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        // A waker runs code of a foreign executor, so it is cloned and dropped outside of the lock.
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        if let Some(answer) = take(&mut state) {
            return Poll::Ready(answer);
        }
        let before = std::mem::replace(&mut *state, State::Waiting(Some(waker)));
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl<T> Reply<T> {
    /// Sends the answer.
    pub fn send(mut self, answer: Result<T>) {
        if let Some(slot) = self.0.take() {
            deliver(&slot, answer);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            let unanswered = if std::thread::panicking() {
                // It is unknown whether the thread panicked before or after the commit.
                Error::new(
                    ErrorKind::Indeterminate,
                    "a thread panicked before this call was answered; if the call was a write, it may or may not be stored",
                )
                .help("report the panic, and restart the program; before you repeat a write, check whether it is stored")
            } else {
                Error::new(ErrorKind::Closed, "the queue was closed before it could answer")
                    .help("keep the `JobQueue` until every answer has arrived; if you did, look for the message of a panic, and report it")
            };
            deliver(&slot, Err(unanswered));
        }
    }
}

fn deliver<T>(slot: &Slot<T>, answer: Result<T>) {
    let before = std::mem::replace(&mut *slot.lock(), State::Answered(answer));
    slot.answered.notify_all();
    if let State::Waiting(Some(waker)) = before {
        // A waker runs code of a foreign executor. If it panics, this thread must still answer the other
        // calls.
        let _ = caught(|| waker.wake());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[test]
    fn an_answer_reaches_a_thread_that_waits() {
        let (reply, pending) = Pending::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pending.wait());
            reply.send(Ok(7));
            assert_eq!(waiting.join().unwrap().unwrap(), 7);
        });
    }

    #[test]
    fn an_answer_wakes_the_task_that_polled_last() {
        #[derive(Default)]
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let (reply, mut pending) = Pending::new();
        assert!(Pin::new(&mut pending).poll(&mut cx).is_pending());
        reply.send(Ok("done"));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(matches!(Pin::new(&mut pending).poll(&mut cx), Poll::Ready(Ok("done"))));
    }

    #[test]
    fn a_dropped_reply_is_an_answer_too() {
        let (reply, pending) = Pending::<()>::new();
        drop(reply);
        assert_eq!(pending.wait().unwrap_err().kind(), ErrorKind::Closed);
    }

    #[test]
    fn a_reply_lost_in_a_panic_does_not_say_that_nothing_was_stored() {
        let (reply, pending) = Pending::<()>::new();
        std::thread::spawn(move || {
            let _reply = reply;
            panic!("in the middle of something");
        })
        .join()
        .unwrap_err();
        assert!(pending.wait().unwrap_err().may_be_stored());
    }

    #[test]
    fn a_waker_that_panics_does_not_harm_whoever_answers() {
        struct Grenade;
        impl Wake for Grenade {
            fn wake(self: Arc<Self>) {
                panic!("a waker of somebody else's");
            }
        }
        let waker = Waker::from(Arc::new(Grenade));
        let (reply, mut pending) = Pending::new();
        assert!(Pin::new(&mut pending).poll(&mut Context::from_waker(&waker)).is_pending());
        reply.send(Ok(7));
        assert_eq!(pending.wait().unwrap(), 7);
    }

    #[test]
    fn a_wait_with_a_limit_gives_the_pending_back() {
        let (reply, pending) = Pending::new();
        let pending = pending.wait_timeout(Duration::ZERO).unwrap_err();
        reply.send(Ok(1));
        assert_eq!(pending.wait_timeout(Duration::ZERO).unwrap().unwrap(), 1);
    }
}
