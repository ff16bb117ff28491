//! A turn on its way to the store and back: [`Flight`].
//!
//! Leans on the store's contract. Waits for nothing: whoever looks is woken when there is an answer.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::error::Result;
use crate::store::{Pending, Turn, Turned};

/// A turn on its way to the store and back.
#[derive(Default)]
pub(super) enum Flight {
    /// None.
    #[default]
    Grounded,
    /// It is being submitted: its answer may come before this is over.
    Boarding { limit: usize },
    /// Its answer is to come.
    Away(Leg),
}

pub(super) struct Leg {
    pub(super) pending: Pending<Turned>,
    pub(super) turn: Turn,
    /// Of each finish, what is told about it once it is written.
    pub(super) told: Vec<(&'static str, Duration)>,
}

impl Flight {
    pub(super) fn is_grounded(&self) -> bool {
        matches!(self, Flight::Grounded)
    }

    /// The jobs asked for.
    pub(super) fn limit(&self) -> usize {
        match self {
            Flight::Grounded => 0,
            Flight::Boarding { limit } => *limit,
            Flight::Away(leg) => leg.turn.want.limit,
        }
    }

    /// The answer, if it is there; else `waker` will tell of it.
    pub(super) fn land(&mut self, waker: &Waker) -> Option<(Leg, Result<Turned>)> {
        let Flight::Away(leg) = self else { return None };
        let Poll::Ready(answer) = Pin::new(&mut leg.pending).poll(&mut Context::from_waker(waker)) else {
            return None;
        };
        match std::mem::take(self) {
            Flight::Away(leg) => Some((leg, answer)),
            _ => None,
        }
    }
}
