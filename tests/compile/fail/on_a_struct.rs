use qdjobs::prelude::*;

#[task("send_email")]
struct SendEmail {
    to: String,
}

fn main() {}
