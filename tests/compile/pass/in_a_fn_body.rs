//! A task may stand inside a function, next to types that only live there, and its function may be shadowed.
use qdjobs::prelude::*;

fn main() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Local(u8);

    #[task("local")]
    fn take_local(value: &Local) -> u8 {
        value.0
    }

    assert_eq!(take_local(&Local(1)), 1);
    assert_eq!(TakeLocal::new(Local(2)), TakeLocal { value: Local(2) });

    let take_local = 3;
    assert_eq!(take_local, 3);
}
