use std::cell::RefCell;

use qdjobs::prelude::*;

#[task("count")]
fn count(#[state] n: &RefCell<u32>) {
    *n.borrow_mut() += 1;
}

fn main() {}
