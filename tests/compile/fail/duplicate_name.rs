use qdjobs::prelude::*;

#[task("send_email")]
fn send_email() {}

mod other {
    #[qdjobs::task("send_email")]
    fn send_mail() {}
}

fn main() {}
