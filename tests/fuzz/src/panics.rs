//! Detects panics on threads that no test joins: [`assert_none`].
//!
//! Depends on std alone. From outside, a panic of a queue's own thread looks like a closed queue, since it
//! closes its replies.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Installs the panic hook; later calls change nothing.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name().is_some_and(|name| name.starts_with("qdjobs-")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(panic);
        }));
    });
}

/// Fails if a thread of a queue or a worker has panicked so far.
pub(crate) fn assert_none() {
    assert_eq!(
        PANICS.load(Ordering::Relaxed),
        0,
        "a thread of the queue or its worker has panicked: see the output above"
    );
}
