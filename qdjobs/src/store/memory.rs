//! Stub.
#![allow(missing_docs)]
use std::sync::Arc;
use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Job, JobId, NewJob, WorkerId};
use crate::time::Clock;

#[derive(Debug)]
pub struct MemoryStore;
fn closed<T>() -> Pending<T> { Pending::ready(Err(Error::new(ErrorKind::Closed, "stub"))) }
impl Store for MemoryStore {
    fn insert(&self, _: Vec<NewJob>) -> Pending<Vec<JobId>> { closed() }
    fn enlist(&self, _: WorkerCard) -> Pending<()> { closed() }
    fn turn(&self, _: Turn) -> Pending<Turned> { closed() }
    fn recall(&self, _: WorkerId) {}
    fn beat(&self, _: WorkerId) -> Pending<Beat> { closed() }
    fn checkpoint(&self, _: Arc<Note>) {}
    fn rescue(&self, _: WorkerId) -> Pending<usize> { closed() }
    fn leave(&self, _: WorkerId) -> Pending<usize> { closed() }
    fn control(&self, _: Vec<Control>) -> Pending<Vec<Result<Job>>> { closed() }
    fn ended(&self, _: JobId) -> Pending<Job> { closed() }
    fn inspect(&self, _: Query) -> Pending<Answer> { closed() }
    fn poke(&self) {}
    fn statement(&self, _: &[NewJob]) -> Result<EnqueueStatement> { Err(Error::new(ErrorKind::Closed, "stub")) }
    fn name(&self) -> &str { "stub" }
    fn close(&self) {}
}
impl MemoryStore { pub fn new(_: Clock) -> Arc<Self> { Arc::new(Self) } }
