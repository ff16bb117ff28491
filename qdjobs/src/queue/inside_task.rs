//! Whether the current thread runs a task of a queue: [`run`] notes it, [`is_inside`] answers it.
//!
//! What a wait does then is decided in `handle.rs`. A thread that the task starts is not inside of it.
//!
//! Depends on the contract of a store.

use std::cell::RefCell;
use std::sync::Arc;

use crate::store::Store;
use crate::sync::thread_local;

thread_local! {
    /// The store of the job whose task runs.
    static STORE: RefCell<Option<Arc<dyn Store>>> = const { RefCell::new(None) };
}

/// Runs a task, or polls its future, for a job of `store`.
pub(crate) fn run<T>(store: &Arc<dyn Store>, task: impl FnOnce() -> T) -> T {
    /// Restores what was noted before, also after a panic.
    struct Before(Option<Arc<dyn Store>>);
    impl Drop for Before {
        fn drop(&mut self) {
            let before = self.0.take();
            STORE.with(|noted| noted.replace(before));
        }
    }
    let before = STORE.with(|noted| noted.replace(Some(store.clone())));
    let _before = Before(before);
    task()
}

/// Whether this thread runs a task of a job in `store`, or in the same file opened once more.
pub(super) fn is_inside(store: &Arc<dyn Store>) -> bool {
    // All stores in memory have the same name, and no other process can store a job in them.
    let is_file = store.caps().poll.is_some();
    STORE.with(|noted| {
        noted
            .borrow()
            .as_ref()
            .is_some_and(|noted| Arc::ptr_eq(noted, store) || is_file && noted.name() == store.name())
    })
}
