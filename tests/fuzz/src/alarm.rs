//! Hears panics on threads that nobody joins: [`calm`].
//!
//! Leans on std alone. A panic of a queue's own thread closes its replies, which looks like any closed queue from outside.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Begins to listen; later calls change nothing.
pub(crate) fn listen() {
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
pub(crate) fn calm() {
    assert_eq!(
        PANICS.load(Ordering::Relaxed),
        0,
        "a thread of the queue or its worker has panicked; see above"
    );
}
