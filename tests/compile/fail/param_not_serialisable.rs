use qdjobs::prelude::*;

struct Address;

#[task("send")]
fn send_it(to: Address) {
    let _ = to;
}

fn main() {}
