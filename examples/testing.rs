//! Tests of code that has tasks: the function as a function, the job it enqueues, and the whole with the time in hand.
//!
//! `cargo test --example testing`
#![expect(clippy::print_stdout, reason = "an example is there to be seen")]

use qdjobs::prelude::*;

/// Reminds a user, after a week.
#[task("remind")]
fn remind(user: &str) -> Result<String, String> {
    if user.is_empty() { Err("whom?".into()) } else { Ok(format!("We miss you, {user}!")) }
}

/// The code under test: what a service does when somebody signs up.
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
    fn the_reminder_comes_after_a_week_in_no_time() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let queue = JobQueue::options().clock(clock.clone()).in_memory();
        let worker = Worker::new(&queue).start().unwrap();
        let reminder = sign_up("Ann", &queue).unwrap();
        clock.advance(Duration::from_secs(7 * 86_400));
        assert_eq!(reminder.wait().unwrap(), "We miss you, Ann!");
        worker.stop().unwrap();
    }
}
