//! Names the crate of its tasks.
use link_tasks as _;

fn main() {
    link_worker::say();
}
