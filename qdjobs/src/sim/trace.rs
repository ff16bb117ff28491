//! What happened in a run: [`Trace`], its lines, their hash, and how often each thing was seen.
//!
//! Leans on std. A run is told by its lines alone: two runs with one hash did the same in the same order.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Lines kept for the report of a failure.
const KEPT: usize = 120;

/// Shared by all who do something in a run.
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
    /// One that keeps every line.
    pub(super) fn whole() -> Trace {
        Trace(RefCell::new(State { kept: Some(usize::MAX), ..State::default() }))
    }

    /// Notes what is done.
    pub(super) fn line(&self, what: fmt::Arguments<'_>) {
        let mut state = self.0.borrow_mut();
        let line = what.to_string();
        line.hash(&mut state.hash);
        if state.lines.len() >= state.kept.unwrap_or(KEPT) {
            state.lines.pop_front();
        }
        state.lines.push_back(line);
    }

    /// Counts what was seen.
    pub(super) fn saw(&self, what: &'static str) {
        *self.0.borrow_mut().seen.entry(what).or_default() += 1;
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

/// Notes one line: `note!(trace, "what {it} is")`.
macro_rules! note {
    ($trace:expr, $($what:tt)*) => { $trace.line(format_args!($($what)*)) };
}
pub(super) use note;
