//! The rules under which the protocol is explored: those of the product, and ways to break it.
//!
//! Leans on nothing. What each rule does stands where the product's own does.

/// One way in which the protocol may be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// As the product is.
    Sound,
    /// A write by a worker shows its job and its number, and not which attempt it is.
    NoAttemptInFence,
    /// A write by a worker shows its job and the attempt, and not who it is.
    NoWorkerInFence,
    /// A worker is dead when the wall clock says that its last heartbeat was a lease ago.
    WallClock,
    /// A worker is dead when its last heartbeat was a lease ago, for whoever looks, wherever he was meanwhile.
    NoOwnObservation,
    /// A rescue frees the jobs and leaves the worker on the list.
    RowStays,
    /// A rescue frees the jobs that it saw running when it looked, by their ids.
    RescueById,
    /// A rescue for silence does not ask whether the worker is silent still.
    RescueUnasked,
    /// An monitor judges by what it has read however long ago it asked.
    LateAnswers,
    /// A worker that stops heartbeats no more while its last jobs run.
    NoBeatInDrain,
    /// What a job ended under is not looked up when its finish comes again.
    NoEndedUnder,
    /// Jobs that were claimed in a commit whose answer got lost are left to themselves.
    ClaimsForgotten,
    /// A worker claims again before a finish whose answer got lost is repeated.
    ClaimBeforeRepeat,
}
