//! A turn on its way to the store and back: [`InFlight`].
//!
//! Leans on the store's contract. Waits for nothing: whoever looks is woken when there is an answer.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::model::error::Result;
use crate::store::{ClaimRequest, ClaimResponse, Pending};

/// A turn on its way to the store and back.
#[derive(Default)]
pub(super) enum InFlight {
    /// None.
    #[default]
    Grounded,
    /// It is being submitted: its answer may come before this is over.
    Boarding { limit: usize },
    /// Its answer is to come.
    Away(Sent),
}

pub(super) struct Sent {
    pub(super) pending: Pending<ClaimResponse>,
    pub(super) turn: ClaimRequest,
    /// Of each finish, what is told about it once it is written.
    pub(super) told: Vec<(&'static str, Duration)>,
}

impl InFlight {
    pub(super) fn is_grounded(&self) -> bool {
        matches!(self, InFlight::Grounded)
    }

    /// The jobs asked for.
    pub(super) fn limit(&self) -> usize {
        match self {
            InFlight::Grounded => 0,
            InFlight::Boarding { limit } => *limit,
            InFlight::Away(leg) => leg.turn.limit,
        }
    }

    /// The answer, if it is there; else `waker` will tell of it.
    pub(super) fn poll(&mut self, waker: &Waker) -> Option<(Sent, Result<ClaimResponse>)> {
        let InFlight::Away(leg) = self else { return None };
        let Poll::Ready(answer) = Pin::new(&mut leg.pending).poll(&mut Context::from_waker(waker)) else {
            return None;
        };
        match std::mem::take(self) {
            InFlight::Away(leg) => Some((leg, answer)),
            _ => None,
        }
    }
}
