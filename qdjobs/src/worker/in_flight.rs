//! A claim request on its way to the store and back: [`InFlight`].
//!
//! Does not decide when a request is sent or what a response means: see `dispatcher/claims.rs`.
//!
//! Depends on the store's contract. It never waits: a waker is woken when the response arrives.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::model::error::Result;
use crate::store::{ClaimRequest, ClaimResponse, Pending};

use super::execution::EndedAttempt;

/// The state of one claim request.
#[derive(Default)]
pub(super) enum InFlight {
    /// No request is in flight.
    #[default]
    Idle,
    /// The call that passes the request to the store has not returned. The response may arrive before it
    /// returns.
    Sending { limit: usize },
    /// The store has the request.
    Sent(Sent),
}

/// A request that the store has.
pub(super) struct Sent {
    pub(super) pending: Pending<ClaimResponse>,
    pub(super) request: ClaimRequest,
    /// One for each finished job in the request, for the event that follows the commit.
    pub(super) ended: Vec<EndedAttempt>,
}

impl InFlight {
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, InFlight::Idle)
    }

    /// The number of jobs that the request asks for.
    pub(super) fn limit(&self) -> usize {
        match self {
            InFlight::Idle => 0,
            InFlight::Sending { limit } => *limit,
            InFlight::Sent(sent) => sent.request.limit,
        }
    }

    /// Takes the response if it has arrived; otherwise `waker` is woken when it does.
    pub(super) fn poll(&mut self, waker: &Waker) -> Option<(Sent, Result<ClaimResponse>)> {
        let InFlight::Sent(sent) = self else { return None };
        let Poll::Ready(response) = Pin::new(&mut sent.pending).poll(&mut Context::from_waker(waker)) else {
            return None;
        };
        match std::mem::take(self) {
            InFlight::Sent(sent) => Some((sent, response)),
            _ => None,
        }
    }
}
