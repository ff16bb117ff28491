//! `Pending`: every way of waiting for an answer gets it, once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use qdjobs::ErrorKind;
use qdjobs::store::Pending;
use shuttle::{future, thread};

use crate::explore::explore;

/// Many, since an order of so few steps takes microseconds.
const ORDERS: usize = 2_000;

#[test]
fn a_thread_that_waits_gets_the_answer_whenever_it_arrives() {
    explore(ORDERS, || {
        let (reply, pending) = Pending::new();
        let waits = thread::spawn(move || pending.wait().unwrap());
        reply.send(Ok(7));
        assert_eq!(waits.join().unwrap(), 7);
    });
}

#[test]
fn a_dropped_reply_answers_with_an_error() {
    explore(ORDERS, || {
        let (reply, pending) = Pending::<()>::new();
        let waits = thread::spawn(move || pending.wait().unwrap_err().kind());
        drop(reply);
        assert_eq!(waits.join().unwrap(), ErrorKind::Closed);
    });
}

#[test]
fn a_task_that_awaits_is_woken_whenever_the_answer_arrives() {
    explore(ORDERS, || {
        let (reply, pending) = Pending::new();
        let answers = thread::spawn(move || reply.send(Ok(7)));
        assert_eq!(future::block_on(pending).unwrap(), 7);
        answers.join().unwrap();
    });
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn of_two_wakers_the_last_is_woken_once_unless_its_poll_had_the_answer() {
    explore(ORDERS, || {
        let (reply, mut pending) = Pending::new();
        let answers = thread::spawn(move || reply.send(Ok(7)));
        let wakers = [Arc::new(Count::default()), Arc::new(Count::default())];
        let mut poll = |count: &Arc<Count>| {
            let waker = Waker::from(count.clone());
            Pin::new(&mut pending).poll(&mut Context::from_waker(&waker))
        };
        let polls = [poll(&wakers[0]), poll(&wakers[1])];
        answers.join().unwrap();
        let woken = wakers.map(|count| count.0.load(Ordering::SeqCst));
        match polls {
            // Once taken, the answer is gone.
            [Poll::Ready(first), Poll::Ready(second)] => {
                assert_eq!((first.unwrap(), woken), (7, [0, 0]));
                assert_eq!(second.unwrap_err().kind(), ErrorKind::Closed);
            }
            [Poll::Pending, Poll::Ready(answer)] => {
                assert_eq!(answer.unwrap(), 7);
                assert!(woken == [1, 0] || woken == [0, 0], "{woken:?}");
            }
            [Poll::Pending, Poll::Pending] => assert_eq!(woken, [0, 1]),
            [Poll::Ready(_), Poll::Pending] => panic!("an answer that was taken is pending again"),
        }
    });
}

#[test]
fn a_try_take_takes_the_answer_or_leaves_it_to_the_wait() {
    explore(ORDERS, || {
        let (reply, pending) = Pending::new();
        let answers = thread::spawn(move || reply.send(Ok(7)));
        let looked = pending.try_take();
        let answer = looked.unwrap_or_else(|| pending.wait());
        assert_eq!(answer.unwrap(), 7);
        answers.join().unwrap();
    });
}
