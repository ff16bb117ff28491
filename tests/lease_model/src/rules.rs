//! The rules under which the protocol is explored: those of the product, and ways to break them.
//!
//! Depends on nothing. The effect of each rule is implemented beside the step of the product that it breaks.

/// One way to build the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// As the product is.
    Sound,
    /// A write by a worker shows its job and its worker number, but not the attempt.
    NoAttemptInFence,
    /// A write by a worker shows its job and the attempt, but not the worker number.
    NoWorkerInFence,
    /// A worker is dead when, by the wall clock, its last heartbeat was a lease ago.
    WallClock,
    /// A worker is dead when its last heartbeat was a lease ago, even if the observer was away meanwhile.
    NoOwnObservation,
    /// A rescue frees the jobs but leaves the worker registered.
    RowStays,
    /// A rescue frees, by their ids, the jobs that were running when it looked.
    RescueById,
    /// A rescue for silence does not check again that the worker is still silent.
    RescueUnchecked,
    /// A monitor judges what it has read, however long the answer took.
    LateAnswers,
    /// A worker that drains sends no more heartbeats.
    NoHeartbeatInDrain,
    /// A repeated finish does not check under which claim the job has ended.
    NoEndedUnder,
    /// Jobs claimed in a commit whose answer was lost are not given back.
    ClaimsForgotten,
    /// A worker claims again before it has repeated a finish whose answer was lost.
    ClaimBeforeRepeat,
}
