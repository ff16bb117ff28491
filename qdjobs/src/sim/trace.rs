//! What happened in a run: [`Trace`], with its lines, their hash, and the number of times each case was seen.
//!
//! Depends on std alone. The lines identify a run: two runs with the same hash did the same in the same
//! order.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Lines kept for the report of a failure.
const KEPT: usize = 120;

/// The trace of one run, shared by all parts of the simulation.
#[derive(Default)]
pub(super) struct Trace(RefCell<State>);

#[derive(Default)]
struct State {
    hash: DefaultHasher,
    lines: VecDeque<String>,
    kept: Option<usize>,
    seen: BTreeMap<&'static str, u64>,
}

impl Trace {
    /// A trace that keeps every line.
    pub(super) fn whole() -> Trace {
        Trace(RefCell::new(State { kept: Some(usize::MAX), ..State::default() }))
    }

    /// Adds a line.
    pub(super) fn line(&self, text: fmt::Arguments<'_>) {
        let mut state = self.0.borrow_mut();
        let line = text.to_string();
        line.hash(&mut state.hash);
        if state.lines.len() >= state.kept.unwrap_or(KEPT) {
            state.lines.pop_front();
        }
        state.lines.push_back(line);
    }

    /// Counts a case that was seen.
    pub(super) fn saw(&self, case: &'static str) {
        *self.0.borrow_mut().seen.entry(case).or_default() += 1;
    }

    pub(super) fn hash(&self) -> u64 {
        self.0.borrow().hash.finish()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.borrow().lines.iter().cloned().collect()
    }

    pub(super) fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.0.borrow().seen.clone()
    }
}

/// Adds a line: `note!(trace, "job {id} begins")`.
macro_rules! note {
    ($trace:expr, $($text:tt)*) => { $trace.line(format_args!($($text)*)) };
}
pub(super) use note;
