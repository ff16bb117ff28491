use qdjobs::prelude::*;

#[task("send")]
fn send_it<T: Into<String>>(to: T) {
    let _ = to.into();
}

fn main() {}
