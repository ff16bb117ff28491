//! Two crates with a task of one name.
use {link_tasks as _, link_twin as _};

fn main() {
    link_worker::say();
}
