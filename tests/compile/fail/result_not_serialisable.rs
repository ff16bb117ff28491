use qdjobs::prelude::*;

struct Sent;

#[task("send")]
fn send_it() -> Result<Sent, std::io::Error> {
    Ok(Sent)
}

fn main() {}
