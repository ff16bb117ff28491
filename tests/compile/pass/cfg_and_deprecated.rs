//! A task that is configured out leaves nothing behind; a deprecated one warns where it is used and nowhere else.
#![deny(warnings)]
use qdjobs::prelude::*;

#[task("gone")]
#[cfg(any())]
fn gone(missing: DoesNotExist) {}

#[cfg(any())]
#[task("gone_too")]
fn gone_too(missing: DoesNotExist) {}

#[task("here")]
#[cfg(all())]
fn here() {}

#[task("old")]
#[deprecated(note = "use `here`")]
fn old(n: u8) {
    let _ = n;
}

#[test]
fn unused() {}

fn main() {
    here();
    let _ = Here::new();
    #[expect(deprecated)]
    let _ = Old::new(1);
    #[expect(deprecated)]
    old(1);
    assert_eq!(qdjobs::Registry::linked().len(), 2);
}
