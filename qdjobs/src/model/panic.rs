//! Calls code of the user that may panic: [`caught`].
//!
//! What a panic means for a job, a store or a wake-up is decided by the caller.
//!
//! Depends on std alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls code of the user. After a panic, returns its message.
///
/// The payload of a panic is a value of the user, whose drop may panic again. Such a panic ends here, too.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = message(&*payload).to_owned();
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // Its drop could panic as well, without an end.
            std::mem::forget(another);
        }
        message
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(the panic has no message)")
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    /// Panics when it is dropped, with a payload that does so again.
    struct Bomb(u8);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Bomb(self.0 - 1));
            }
        }
    }

    #[test]
    fn a_panic_is_caught_with_its_message_even_if_the_drop_of_its_payload_panics() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("a text")), Err::<(), _>("a text".into()));
        assert_eq!(caught(|| panic!("number {}", 7)), Err::<(), _>("number 7".into()));
        for depth in [0, 1, 2, 9] {
            let none = "(the panic has no message)".to_owned();
            assert_eq!(caught(|| panic_any(Bomb(depth))), Err::<(), _>(none));
        }
    }
}
