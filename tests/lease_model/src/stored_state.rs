//! The tables: jobs and registered workers, with the verbs that change them, each one transaction.
//!
//! Mirrors the statements and verbs in `store/sqlite/queries`. Depends on `rules` alone; processes and time
//! never come in.

use super::rules::Rule;

/// The number of a worker: a bit in the set of registered workers.
pub(crate) type Number = u8;

/// How many numbers exist: two workers, each with as many registrations as it may need.
pub(crate) const NUMBERS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Pending,
    Running,
    Completed,
    Failed,
}

impl Status {
    pub(crate) fn is_ended(self) -> bool {
        matches!(self, Status::Completed | Status::Failed)
    }
}

/// What a worker presents with every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) job: u8,
    pub(crate) attempt: u8,
    pub(crate) worker: Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Complete,
    Retry,
    Fail,
    Release { begun: bool },
}

/// The effect of writing a verdict, as `FinishResult` in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishResult {
    Lost,
    /// Written now.
    Written,
    /// Written before, under this same claim.
    Before,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) status: Status,
    pub(crate) attempt: u8,
    pub(crate) worker: Option<Number>,
    pub(crate) retries: u8,
    pub(crate) crashes: u8,
    /// Rows that the task itself wrote, in the transaction of `complete_in`.
    pub(crate) effects: u8,
    /// Whether that transaction is what completed the job.
    pub(crate) completed_in: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoredState {
    pub(crate) rows: Vec<Row>,
    /// The table of workers, one bit a number.
    pub(crate) listed: u8,
}

impl StoredState {
    pub(crate) fn new(jobs: usize) -> StoredState {
        let row = Row {
            status: Status::Pending,
            attempt: 0,
            worker: None,
            retries: 0,
            crashes: 0,
            effects: 0,
            completed_in: false,
        };
        StoredState { rows: vec![row; jobs], listed: 0 }
    }

    fn row(&mut self, claim: Claim) -> &mut Row {
        &mut self.rows[usize::from(claim.job)]
    }

    /// `sql::REGISTER_WORKER`.
    pub(crate) fn register_worker(&mut self, worker: Number) {
        self.listed |= 1 << worker;
    }

    /// `sql::IS_REGISTERED`.
    pub(crate) fn is_registered(&self, worker: Number) -> bool {
        self.listed & (1 << worker) != 0
    }

    /// `sql::CLAIM_ONE`.
    pub(crate) fn claim(&mut self, job: u8, worker: Number) -> Claim {
        let row = &mut self.rows[usize::from(job)];
        row.status = Status::Running;
        row.attempt += 1;
        row.worker = Some(worker);
        Claim { job, attempt: row.attempt, worker }
    }

    /// The condition of every write by a worker: `WHERE id = ?1 AND status = 'running' AND attempt = ?2
    /// AND worker_id = ?3`.
    fn holds(&self, rule: Rule, claim: Claim) -> bool {
        let row = self.rows[usize::from(claim.job)];
        row.status == Status::Running
            && (row.attempt == claim.attempt || rule == Rule::NoAttemptInFence)
            && (row.worker == Some(claim.worker) || rule == Rule::NoWorkerInFence)
    }

    /// Writes a verdict: `sql::COMPLETE`, `END`, `RETRY` or `RELEASE`, and `sql::ENDED_UNDER` if none
    /// changes a row.
    pub(crate) fn finish(&mut self, rule: Rule, claim: Claim, verdict: Verdict) -> FinishResult {
        if !self.holds(rule, claim) {
            let row = *self.row(claim);
            let ended =
                row.status.is_ended() && row.attempt == claim.attempt && row.worker == Some(claim.worker);
            return if ended && rule != Rule::NoEndedUnder {
                FinishResult::Before
            } else {
                FinishResult::Lost
            };
        }
        let row = self.row(claim);
        match verdict {
            Verdict::Complete => row.status = Status::Completed,
            Verdict::Fail => row.status = Status::Failed,
            Verdict::Retry => {
                row.retries += 1;
                (row.status, row.worker) = (Status::Pending, None);
            }
            Verdict::Release { begun } => {
                row.attempt -= u8::from(!begun);
                (row.status, row.worker) = (Status::Pending, None);
            }
        }
        FinishResult::Written
    }

    /// `complete_in`, with the row that the task writes in the same transaction. If it is refused, both
    /// are rolled back.
    pub(crate) fn complete_in(&mut self, rule: Rule, claim: Claim) -> FinishResult {
        let finished = self.finish(rule, claim, Verdict::Complete);
        if finished == FinishResult::Written {
            let row = self.row(claim);
            row.effects += 1;
            row.completed_in = true;
        }
        finished
    }

    /// Releases a worker: `sql::FORGET_WORKER` first, and only if that has deleted a row, the jobs it
    /// holds: `sql::RESCUE_HELD` or `RELEASE_HELD`. Returns the freed jobs.
    pub(crate) fn free(&mut self, rule: Rule, worker: Number, crashed: bool) -> Vec<u8> {
        if !self.is_registered(worker) {
            return Vec::new();
        }
        if rule != Rule::RowStays || !crashed {
            self.listed &= !(1 << worker);
        }
        let held = |row: &Row| row.status == Status::Running && row.worker == Some(worker);
        let freed: Vec<u8> = (0..).zip(&self.rows).filter(|(_, row)| held(row)).map(|(job, _)| job).collect();
        freed.iter().for_each(|&job| self.free_row(job, crashed));
        freed
    }

    /// Frees a job whatever its status and its worker: no statement of the product does this.
    pub(crate) fn free_row(&mut self, job: u8, crashed: bool) {
        let row = &mut self.rows[usize::from(job)];
        row.crashes += u8::from(crashed);
        (row.status, row.worker) = (Status::Pending, None);
    }
}
