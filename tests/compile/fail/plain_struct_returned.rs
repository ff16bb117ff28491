use qdjobs::prelude::*;

#[derive(serde::Serialize)]
struct Sent;

#[task("send")]
fn send_it() -> Sent {
    Sent
}

fn main() {}
