use std::borrow::Cow;

use qdjobs::prelude::*;

#[task("send")]
fn send_it(to: Cow<'_, str>) {
    let _ = to;
}

fn main() {}
