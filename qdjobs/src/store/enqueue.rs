//! What a job can be enqueued on: the trait [`Enqueue`], and [`InTransaction`], a transaction with the clock
//! of a queue.
//!
//! Stores nothing: a target implements the trait beside its own type, the queues in `queue/enqueue.rs`, the
//! transactions of rusqlite in `sqlite/external_tx.rs`.
//!
//! Depends on the model. No driver is named here.

use crate::model::clock::{Clock, Timestamp};
use crate::model::error::Result;
use crate::model::job::NewJob;

/// A target that a job can be enqueued on.
///
/// **Begin a transaction of your own with IMMEDIATE** (rusqlite: `TransactionBehavior::Immediate`). A deferred
/// transaction, the default of rusqlite, cannot enqueue if it has read before and another connection has written
/// since: `enqueue` then fails with [`ErrorKind::Busy`](crate::ErrorKind::Busy), whatever the busy timeout is.
///
/// The target determines what `enqueue` returns:
///
/// | target | `enqueue` returns |
/// |---|---|
/// | [`&JobQueue`](crate::JobQueue) | `Result<JobHandle<R>>`, after the job is durable; blocks for one commit |
/// | [`&AsyncQueue`](crate::AsyncQueue) | a future of the same |
/// | `&rusqlite::Transaction`, `&Savepoint` or `&Connection` on the same file | `Result<JobId>`; the job exists when *you* commit |
/// | [`queue.on(&tx)`](crate::JobQueue::on) | as `&tx`, with the instants of the queue's clock |
///
/// For transactions of other drivers, see
/// [`JobQueue::insert_statement`](crate::JobQueue::insert_statement).
///
/// An enqueue in your own transaction does not notice that the database was removed, renamed or replaced while your
/// connection had it open: the job is then stored in the old file, which no other program sees. An enqueue on a
/// queue fails in that case.
///
/// A target is passed by value. So a driver that uses transactions by `&mut` can implement it. A reference to
/// a target, or to an `Arc`, `Rc`, `Box` or `LazyLock` of it, is a target, too: write `&queue` for `queue:
/// &JobQueue` and for `queue: Arc<JobQueue>`. For other pointers, such as the guard of a lock or the connection of
/// a pool, write `&*guard`. If you have `tx: &mut rusqlite::Transaction`, pass `&tx` or `&*tx`.
#[diagnostic::on_unimplemented(
    message = "cannot enqueue a job on `{Self}`",
    label = "expected `&JobQueue`, `&AsyncQueue`, `&rusqlite::Transaction` or `&rusqlite::Connection`",
    note = "pass a reference to the queue or to the transaction: `job.enqueue(&queue)`, `job.enqueue(&tx)`",
    note = "a `&mut Transaction`, the guard of a lock, or the connection of a pool, named `tx`, is passed as `&*tx`",
    note = "inside a task pass `ctx.queue()`"
)]
pub trait Enqueue: Sized {
    /// What `enqueue` returns for a job whose result is `R`.
    type Answer<R>;

    #[doc(hidden)]
    fn accept<R>(self, job: Result<NewJob>) -> Self::Answer<R>;
}

/// A transaction of a driver, in which a job is stored with the caller's current instant.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transaction of a supported driver",
    label = "expected `&rusqlite::Transaction`, `&Savepoint` or `&Connection`",
    note = "a `&mut Transaction` named `tx` is passed as `&*tx`"
)]
pub trait EnqueueAt: Enqueue {
    #[doc(hidden)]
    fn accept_at<R>(self, job: Result<NewJob>, now: Timestamp) -> Self::Answer<R>;
}

/// Makes a reference to a reference, or to a smart pointer, to these types the target to which it leads. So
/// `&queue` is right for `queue: JobQueue`, for `queue: &JobQueue`, for `queue: Arc<JobQueue>`, and for a static.
///
/// One implementation for all targets would make the compiler look for a target behind any number of `&`.
macro_rules! enqueue_through_references {
    ($($target:ty => $answer:ty),*) => {$(
        $crate::store::enqueue::enqueue_through_references!(
            @ $target => $answer:
            &$target, &mut $target, std::sync::Arc<$target>, std::rc::Rc<$target>, Box<$target>,
            std::sync::LazyLock<$target>
        );
    )*};
    (@ $target:ty => $answer:ty: $($pointer:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl $crate::store::Enqueue for &$pointer {
            type Answer<R> = $answer;

            fn accept<R>(self, job: Result<NewJob>) -> Self::Answer<R> {
                let target: &$target = self;
                target.accept::<R>(job)
            }
        }
    )*};
}
pub(crate) use enqueue_through_references;

/// A transaction of a driver, with the clock of a queue. Made by [`JobQueue::on`](crate::JobQueue::on).
#[derive(Clone, Debug)]
#[must_use = "pass it to `enqueue`"]
pub struct InTransaction<T> {
    transaction: T,
    clock: Clock,
}

impl<T: EnqueueAt> InTransaction<T> {
    pub(crate) fn new(transaction: T, clock: Clock) -> InTransaction<T> {
        InTransaction { transaction, clock }
    }
}

impl<T: EnqueueAt> Enqueue for InTransaction<T> {
    type Answer<R> = T::Answer<R>;

    fn accept<R>(self, job: Result<NewJob>) -> Self::Answer<R> {
        self.transaction.accept_at(job, self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::RunAt;

    /// A transaction of a driver that is used by `&mut`.
    #[derive(Default)]
    struct Driver {
        stored: Vec<(NewJob, Timestamp)>,
    }

    impl Enqueue for &mut Driver {
        type Answer<R> = usize;

        fn accept<R>(self, job: Result<NewJob>) -> usize {
            self.accept_at::<R>(job, Timestamp::MAX)
        }
    }

    impl EnqueueAt for &mut Driver {
        fn accept_at<R>(self, job: Result<NewJob>, now: Timestamp) -> usize {
            self.stored.push((job.unwrap(), now));
            self.stored.len()
        }
    }

    #[test]
    fn a_mutable_reference_can_be_a_target_and_gets_the_instant_of_the_queue() {
        let queue = crate::JobQueue::options().clock(Clock::manual(Timestamp::UNIX_EPOCH)).in_memory();
        let mut driver = Driver::default();
        let job = || crate::JobRequest::<()>::by_name("tests.enqueue.noop", &serde_json::json!({})).unwrap();
        assert_eq!(job().enqueue(&mut driver), 1);
        assert_eq!(job().enqueue(queue.on(&mut driver)), 2);
        let stored = driver.stored.iter().map(|(job, now)| (job.run_at, *now));
        assert!(stored.eq([(RunAt::Now, Timestamp::MAX), (RunAt::Now, Timestamp::UNIX_EPOCH)]));
    }

    #[crate::task("tests.enqueue.noop")]
    fn noop() {}
}
