use qdjobs::prelude::*;

#[task("send")]
fn send_it(to: impl Into<String>) {
    let _ = to.into();
}

fn main() {}
