//! The figures: what is done, and which part of it is measured.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::{Params, Peer, Place, Report, Result, Tally, Way, clock, producers};

/// Slots of every worker.
const SLOTS: usize = 8;
/// A drain that takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// Jobs stored by one producer; the amount is how many.
    Enqueue1,
    /// Jobs stored by eight producers.
    Enqueue8,
    /// Jobs stored in bulk by one caller.
    Bulk,
    /// Stored jobs done by eight slots.
    Drain,
    /// From the call that stores a job to its handler, with an idle worker; the amount is the seconds to
    /// spend.
    Pickup,
    /// CPU time of a worker that has nothing to do; the amount is the seconds to measure.
    Idle,
}

impl Figure {
    /// All of them, in the order of the tables.
    pub const ALL: [Figure; 6] =
        [Figure::Enqueue1, Figure::Enqueue8, Figure::Bulk, Figure::Drain, Figure::Pickup, Figure::Idle];

    /// On the command line.
    pub fn name(self) -> &'static str {
        match self {
            Figure::Enqueue1 => "enqueue1",
            Figure::Enqueue8 => "enqueue8",
            Figure::Bulk => "bulk",
            Figure::Drain => "drain",
            Figure::Pickup => "pickup",
            Figure::Idle => "idle",
        }
    }
}

impl FromStr for Figure {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Figure, String> {
        let found = Figure::ALL.into_iter().find(|figure| figure.name() == name);
        found.ok_or_else(|| format!("there is no figure `{name}`"))
    }
}

/// A peer at work on an empty database.
struct MeasuredRun<'a, P> {
    peer: Arc<P>,
    tally: Arc<Tally>,
    way: &'a Way<&'static str>,
    on: &'a Handle,
}

pub(crate) fn run<P: Peer>(
    figure: Figure,
    amount: u64,
    place: &Place,
    way: &Way<&'static str>,
    on: &Handle,
) -> Result<Report> {
    let peer = Arc::new(on.block_on(P::open(place))?);
    let stage = MeasuredRun { peer, tally: Arc::default(), way, on };
    let report = match figure {
        Figure::Enqueue1 => stage.timed(amount, || producers::enqueue(&stage.peer, 1, amount, on)),
        Figure::Enqueue8 => stage.timed(amount, || producers::enqueue(&stage.peer, 8, amount, on)),
        Figure::Bulk => stage.timed(amount, || on.block_on(producers::bulk(&*stage.peer, amount, way.bulk))),
        Figure::Drain => stage.drain(amount),
        Figure::Pickup => stage.pickup(Duration::from_secs(amount)),
        Figure::Idle => stage.idle(Duration::from_secs(amount)),
    }?;
    // Only now, when the pool has opened all of its connections.
    let durability = on.block_on(stage.peer.durability())?;
    Ok(Report { durability, file: P::file(place), calls: stage.tally.calls(), ..report })
}

impl<P: Peer> MeasuredRun<'_, P> {
    fn timed(&self, jobs: u64, work: impl FnOnce() -> Result<()>) -> Result<Report> {
        let (begun, used) = (clock::now(), clock::cpu());
        work()?;
        let (time, used) = (clock::now() - begun, clock::cpu() - used);
        let (seconds, cpu) = (time.as_secs_f64(), used.as_secs_f64());
        Ok(Report {
            jobs,
            seconds,
            cpu,
            p50: None,
            calls: 0,
            file: PathBuf::new(),
            durability: String::new(),
        })
    }

    fn start_worker(&self) -> Result<()> {
        self.on.block_on(self.peer.work(SLOTS, &self.tally))
    }

    /// The time ends when the peer reports that no job waits or runs: the last finish is stored then.
    fn drain(&self, jobs: u64) -> Result<Report> {
        match self.way.bulk {
            0 => producers::enqueue(&self.peer, SLOTS as u64, jobs, self.on)?,
            many => self.on.block_on(producers::bulk(&*self.peer, jobs, many))?,
        }
        self.timed(jobs, || {
            self.start_worker()?;
            self.tally.wait(jobs, DEADLINE)?;
            self.settle()
        })
    }

    fn settle(&self) -> Result<()> {
        let begun = clock::now();
        loop {
            let left = self.on.block_on(self.peer.left())?;
            if left == 0 {
                return Ok(());
            }
            if clock::now() - begun > DEADLINE {
                return Err(format!("every job has begun, {left} were never finished").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// One job at a time, each after the one before has begun and a pause has passed.
    fn pickup(&self, time: Duration) -> Result<Report> {
        self.start_worker()?;
        std::thread::sleep(Duration::from_millis(500));
        let mut jobs = 0;
        let report = self.timed(0, || {
            let begun = clock::now();
            while clock::now() - begun < time {
                // Pauses of changing length, so that they match no polling interval.
                std::thread::sleep(Duration::from_micros(10_000 + jobs * 7_919_113 % 90_000));
                self.on.block_on(self.peer.enqueue(Params::timed()))?;
                jobs += 1;
                self.tally.wait(jobs, DEADLINE)?;
            }
            self.settle()
        })?;
        let latencies = self.tally.latencies();
        let p50 = latencies.get(latencies.len() / 2).map(|latency| latency.as_secs_f64() * 1e3);
        Ok(Report { jobs, p50, ..report })
    }

    fn idle(&self, time: Duration) -> Result<Report> {
        self.start_worker()?;
        std::thread::sleep(Duration::from_secs(1));
        self.timed(0, || {
            std::thread::sleep(time);
            Ok(())
        })
    }
}
