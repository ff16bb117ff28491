use qdjobs::prelude::*;

#[task("send")]
fn send_it(to: Vec<&str>) {
    let _ = to;
}

fn main() {}
