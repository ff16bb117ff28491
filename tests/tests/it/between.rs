//! [`Between`], a store that stands between a worker and the real one: it tells the test what the worker asks, and can keep
//! the answers to its beats back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qdjobs::store::{
    Answer, Beat, Control, EnqueueStatement, Note, Pending, Query, Reply, Rescued, Store, TaskCard, Turn,
    Turned, WorkerCard,
};
use qdjobs::{Job, JobId, NewJob, Result, WorkerId};

use crate::support::PATIENCE;

#[derive(Debug)]
pub(crate) struct Between {
    real: Arc<dyn Store>,
    asked: Sender<Asked>,
    /// Beats whose answers are kept back; `None` while they are not.
    kept: Mutex<Option<Vec<Unanswered>>>,
}

/// A beat, and the duty to answer it.
type Unanswered = (WorkerId, Reply<Beat>);

/// What a worker has asked of its store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked {
    Recall(WorkerId),
    Beat(WorkerId),
}

/// What has been asked, in order.
pub(crate) struct Questions(Receiver<Asked>);

impl Between {
    pub(crate) fn new(real: Arc<dyn Store>) -> (Arc<Between>, Questions) {
        let (asked, questions) = channel();
        (Arc::new(Between { real, asked, kept: Mutex::default() }), Questions(questions))
    }

    /// From now on no beat is answered.
    pub(crate) fn keep_beats(&self) {
        self.kept.lock().unwrap().get_or_insert_default();
    }

    /// Answers every beat that was kept back as the real store does now, and those to come at once.
    pub(crate) fn let_beats_go(&self) {
        for (worker, reply) in self.kept.lock().unwrap().take().into_iter().flatten() {
            reply.send(self.real.beat(worker).wait());
        }
    }

    fn tell(&self, asked: Asked) {
        // A test that has heard enough no longer listens.
        let _ = self.asked.send(asked);
    }
}

impl Questions {
    /// Waits until exactly this has been asked; passes over the rest.
    pub(crate) fn expect(&self, asked: Asked) {
        while self.next() != asked {}
    }

    pub(crate) fn next(&self) -> Asked {
        self.try_next(PATIENCE).expect("the worker asks no more")
    }

    pub(crate) fn try_next(&self, wait: Duration) -> Option<Asked> {
        self.0.recv_timeout(wait).ok()
    }
}

impl Store for Between {
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        self.real.insert(jobs)
    }

    fn publish(&self, tasks: Vec<TaskCard>) -> Pending<()> {
        self.real.publish(tasks)
    }

    fn enlist(&self, worker: WorkerCard) -> Pending<()> {
        self.real.enlist(worker)
    }

    fn turn(&self, turn: Turn) -> Pending<Turned> {
        self.real.turn(turn)
    }

    fn recall(&self, worker: WorkerId) {
        self.real.recall(worker);
        self.tell(Asked::Recall(worker));
    }

    fn beat(&self, worker: WorkerId) -> Pending<Beat> {
        let answer = match &mut *self.kept.lock().unwrap() {
            None => self.real.beat(worker),
            Some(kept) => {
                let (reply, pending) = Pending::new();
                kept.push((worker, reply));
                pending
            }
        };
        self.tell(Asked::Beat(worker));
        answer
    }

    fn checkpoint(&self, note: Arc<Note>) {
        self.real.checkpoint(note);
    }

    fn is_proven_dead(&self, worker: WorkerId) -> bool {
        self.real.is_proven_dead(worker)
    }

    fn rescue(&self, dead: WorkerId) -> Pending<Rescued> {
        self.real.rescue(dead)
    }

    fn rescue_silent(&self, silent: WorkerId, beats: u64) -> Pending<Rescued> {
        self.real.rescue_silent(silent, beats)
    }

    fn leave(&self, worker: WorkerId) -> Pending<usize> {
        self.real.leave(worker)
    }

    fn control(&self, commands: Vec<Control>) -> Pending<Vec<Result<Job>>> {
        self.real.control(commands)
    }

    fn ended(&self, id: JobId) -> Pending<Job> {
        self.real.ended(id)
    }

    fn inspect(&self, query: Query) -> Pending<Answer> {
        self.real.inspect(query)
    }

    fn poke(&self) {
        self.real.poke();
    }

    fn statement(&self, jobs: &[NewJob]) -> Result<EnqueueStatement> {
        self.real.statement(jobs)
    }

    fn survives_power_loss(&self) -> bool {
        self.real.survives_power_loss()
    }

    fn name(&self) -> &str {
        self.real.name()
    }

    fn close(&self) {
        self.real.close();
    }
}
