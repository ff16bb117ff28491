use qdjobs::prelude::*;

#[task("send")]
fn send_it(to: &'static str) {
    let _ = to;
}

fn main() {}
