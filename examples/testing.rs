//! How to test tasks: the function itself, the job that is enqueued, and a delayed job with a manual clock.
//!
//! `cargo test --example testing`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use qdjobs::prelude::*;

/// Reminds a user.
#[task("remind")]
fn remind(user: &str) -> Result<String, String> {
    if user.is_empty() { Err("the user has no name".into()) } else { Ok(format!("We miss you, {user}!")) }
}

/// The code under test: a user signs up, and is reminded after a week.
fn sign_up(user: &str, queue: &JobQueue) -> qdjobs::Result<JobHandle<String>> {
    Remind::new(user).delay(std::time::Duration::from_secs(7 * 86_400)).enqueue(queue)
}

fn main() -> qdjobs::Result<()> {
    let queue = JobQueue::in_memory();
    println!("{:?}", sign_up("Ann", &queue)?.job()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use qdjobs::{Clock, Status, Timestamp};
    use std::time::Duration;

    #[test]
    fn a_task_is_a_function() {
        assert_eq!(remind("Ann").unwrap(), "We miss you, Ann!");
        assert!(remind("").is_err());
    }

    #[test]
    fn signing_up_enqueues_a_reminder_in_a_week() {
        let queue = JobQueue::in_memory();
        let job = sign_up("Ann", &queue).unwrap().job().unwrap();
        assert_eq!((job.task_name.as_str(), job.status), ("remind", Status::Pending));
        assert_eq!(job.params, r#"{"user":"Ann"}"#);
        assert_eq!(job.scheduled_at.duration_since(job.created_at).as_secs(), 7 * 86_400);
    }

    #[test]
    fn the_reminder_runs_when_the_manual_clock_has_moved_by_a_week() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let queue = JobQueue::options().clock(clock.clone()).in_memory();
        let worker = Worker::new(&queue).start().unwrap();
        let reminder = sign_up("Ann", &queue).unwrap();
        clock.advance(Duration::from_secs(7 * 86_400));
        assert_eq!(reminder.wait().unwrap(), "We miss you, Ann!");
        worker.stop().unwrap();
    }
}
