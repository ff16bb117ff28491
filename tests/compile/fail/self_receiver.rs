use qdjobs::prelude::*;

struct Mailer;

impl Mailer {
    #[task("send")]
    fn send_it(&self, to: &str) {
        let _ = to;
    }
}

fn main() {}
