//! The [`Chaos`]: what is done to which process, and when. Every choice comes from the seed.
//!
//! Leans on the herd. Knows nothing of what the queue promises.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::Result;
use crate::child::Orders;
use crate::herd::Herd;
use crate::history::{Role, Signal};
use crate::site::Site;

/// Leases are short, so that a process can stand still for longer; each worker has one of its own.
const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=2_000;

/// How long a process stands still at most: less than the busy timeout of the others, should it hold the write lock.
const STILL_MS_MAX: u64 = 3_500;

/// What happens next, drawn by its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    KillOne,
    KillTwo,
    KillAll,
    /// Kills a process in its first milliseconds: while it opens the file.
    KillInOpening,
    /// Asks for a good end, and kills in the middle of it.
    KillInStop,
    Stop,
    StopBeyondLease,
    Term,
    TermTwice,
    KillEnqueuer,
    StopEnqueuer,
    TermEnqueuer,
}

const DEEDS: &[(Deed, u32)] = &[
    (Deed::KillOne, 30),
    (Deed::KillTwo, 5),
    (Deed::KillAll, 1),
    (Deed::KillInOpening, 6),
    (Deed::KillInStop, 5),
    (Deed::Stop, 8),
    (Deed::StopBeyondLease, 7),
    (Deed::Term, 12),
    (Deed::TermTwice, 2),
    (Deed::KillEnqueuer, 8),
    (Deed::StopEnqueuer, 4),
    (Deed::TermEnqueuer, 3),
];

/// Something that is to happen at its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plan {
    Deed,
    Signal(u32, Signal),
    /// A new process in the place of one that is gone.
    Start(usize),
}

/// A place in the herd: who stands there, one after the other.
#[derive(Clone, Copy, Debug)]
struct Stall {
    role: Role,
    process: Option<u32>,
    /// Killed only together with all others, so that something lives long enough to leak.
    elder: bool,
    /// The next one is killed in its first milliseconds.
    die_young: bool,
}

/// How much of everything.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    pub(crate) workers: usize,
    /// Jobs a second, of each of the two enqueuers.
    pub(crate) rate: u64,
    /// Between two deeds, on average.
    pub(crate) pause: Duration,
}

/// The plans for a herd.
#[derive(Debug)]
pub(crate) struct Chaos {
    rng: Rng,
    size: Size,
    stalls: Vec<Stall>,
    plans: BinaryHeap<Reverse<(Instant, Plan)>>,
    /// Faults are over: of those who end, only workers are started again.
    healed: bool,
}

impl Chaos {
    pub(crate) fn new(seed: u64, size: Size) -> Chaos {
        let stall = |role, elder| Stall { role, process: None, elder, die_young: false };
        let mut stalls: Vec<Stall> = (0..size.workers).map(|place| stall(Role::Worker, place == 0)).collect();
        stalls.extend([stall(Role::Enqueuer, false), stall(Role::Inserter, false)]);
        let mut plans = BinaryHeap::new();
        let now = Instant::now();
        for place in 0..stalls.len() {
            plans.push(Reverse((now, Plan::Start(place))));
        }
        plans.push(Reverse((now + Duration::from_millis(700), Plan::Deed)));
        Chaos { rng: Rng::with_seed(seed), size, stalls, plans, healed: false }
    }

    /// One that does nothing and starts nobody by itself.
    pub(crate) fn calm(seed: u64, size: Size) -> Chaos {
        let mut chaos = Chaos::new(seed, size);
        chaos.stalls.clear();
        chaos.plans.clear();
        chaos
    }

    /// Does what is due, and puts somebody in the place of the dead.
    pub(crate) fn go_on(&mut self, herd: &mut Herd<'_>) -> Result<()> {
        for dead in herd.reap()? {
            let place = self.stalls.iter().position(|stall| stall.process == Some(dead.process));
            if let Some(place) = place {
                self.stalls[place].process = None;
                if self.healed && dead.role != Role::Worker {
                    continue;
                }
                let wait = self.millis(0..=400);
                self.at(wait, Plan::Start(place));
            }
        }
        while let Some(Reverse((at, _))) = self.plans.peek() {
            if *at > Instant::now() {
                break;
            }
            let Some(Reverse((_, plan))) = self.plans.pop() else { break };
            match plan {
                Plan::Deed => self.act(herd),
                Plan::Signal(process, signal) => herd.signal(process, signal),
                Plan::Start(place) => self.start(place, herd)?,
            }
        }
        Ok(())
    }

    /// No more faults: who stands still goes on, who is missing is started, nobody enqueues any more. Those who are on their way
    /// out may go.
    pub(crate) fn heal(&mut self, herd: &mut Herd<'_>) -> Result<()> {
        self.healed = true;
        self.plans.clear();
        let still: Vec<u32> =
            herd.beasts.iter().filter(|beast| beast.stopped).map(|beast| beast.process).collect();
        still.into_iter().for_each(|process| herd.signal(process, Signal::Cont));
        for beast in herd.beasts.iter_mut().filter(|beast| beast.role != Role::Worker) {
            beast.ask_to_end();
        }
        for place in 0..self.stalls.len() {
            let stall = &mut self.stalls[place];
            stall.die_young = false;
            if stall.role == Role::Worker && stall.process.is_none_or(|process| herd.find(process).is_none())
            {
                self.start(place, herd)?;
            }
        }
        Ok(())
    }

    /// What a new process at `role` is to do.
    pub(crate) fn orders(&mut self, role: Role, site: &Site) -> Orders {
        Orders {
            role,
            process: 0,
            dir: site.dir().to_owned(),
            seed: self.rng.u64(..),
            lease_ms: self.rng.u64(LEASE_MS),
            grace_ms: self.rng.u64(100..2_000),
            concurrency: self.rng.usize(2..5),
            rate: self.size.rate,
            task: None,
        }
    }

    fn start(&mut self, place: usize, herd: &mut Herd<'_>) -> Result<()> {
        let orders = self.orders(self.stalls[place].role, herd.site);
        let process = herd.spawn(&orders)?;
        self.stalls[place].process = Some(process);
        if std::mem::take(&mut self.stalls[place].die_young) {
            let wait = self.millis(0..=60);
            self.at(wait, Plan::Signal(process, Signal::Kill));
        }
        Ok(())
    }

    fn act(&mut self, herd: &mut Herd<'_>) {
        let pause = self.size.pause.as_millis() as u64;
        let wait = self.millis(0..=2 * pause);
        self.at(wait, Plan::Deed);
        let mut drawn = self.rng.u32(0..DEEDS.iter().map(|(_, weight)| weight).sum());
        let mut deed = Deed::KillOne;
        for (candidate, weight) in DEEDS {
            deed = *candidate;
            if drawn < *weight {
                break;
            }
            drawn -= weight;
        }
        let worker = |stall: &Stall| stall.role == Role::Worker;
        let young = |stall: &Stall| stall.role == Role::Worker && !stall.elder;
        let other = |stall: &Stall| stall.role != Role::Worker;
        let drawn = match deed {
            Deed::Stop | Deed::StopBeyondLease => self.draw(worker),
            Deed::KillEnqueuer | Deed::StopEnqueuer | Deed::TermEnqueuer => self.draw(other),
            Deed::KillInOpening => self.draw(|stall| !stall.elder),
            _ => self.draw(young),
        };
        // Between its end and its next beginning nobody stands in that place: then this deed is left out.
        let Some(process) = drawn else { return };
        match deed {
            Deed::KillOne | Deed::KillEnqueuer => herd.signal(process, Signal::Kill),
            Deed::KillTwo => {
                herd.signal(process, Signal::Kill);
                if let Some(second) = self.draw(young) {
                    herd.signal(second, Signal::Kill);
                }
            }
            Deed::KillAll => {
                let all: Vec<u32> = herd.beasts.iter().map(|beast| beast.process).collect();
                all.into_iter().for_each(|process| herd.signal(process, Signal::Kill));
            }
            Deed::KillInOpening => {
                let stall = self.stalls.iter_mut().find(|stall| stall.process == Some(process));
                stall.into_iter().for_each(|stall| stall.die_young = true);
                herd.signal(process, Signal::Kill);
            }
            Deed::KillInStop => {
                herd.signal(process, Signal::Term);
                let wait = self.millis(0..=600);
                self.at(wait, Plan::Signal(process, Signal::Kill));
            }
            Deed::Stop => self.stand_still(process, 20..=700, herd),
            Deed::StopBeyondLease => self.stand_still(process, 1_500..=STILL_MS_MAX, herd),
            Deed::StopEnqueuer => self.stand_still(process, 20..=STILL_MS_MAX, herd),
            Deed::Term | Deed::TermEnqueuer => herd.signal(process, Signal::Term),
            Deed::TermTwice => {
                herd.signal(process, Signal::Term);
                let wait = self.millis(5..=100);
                self.at(wait, Plan::Signal(process, Signal::Term));
            }
        }
    }

    /// One at a time: two that stand still one after the other, each with the write lock in its hands, would outlast the busy
    /// timeout, and nothing is to be learned from that.
    fn stand_still(&mut self, process: u32, millis: std::ops::RangeInclusive<u64>, herd: &mut Herd<'_>) {
        if herd.beasts.iter().any(|beast| beast.stopped) {
            return;
        }
        herd.signal(process, Signal::Stop);
        let wait = self.millis(millis);
        self.at(wait, Plan::Signal(process, Signal::Cont));
    }

    fn draw(&mut self, wanted: impl Fn(&Stall) -> bool) -> Option<u32> {
        let there: Vec<u32> =
            self.stalls.iter().filter(|it| wanted(it)).filter_map(|it| it.process).collect();
        (!there.is_empty()).then(|| there[self.rng.usize(0..there.len())])
    }

    fn millis(&mut self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range))
    }

    fn at(&mut self, wait: Duration, plan: Plan) {
        self.plans.push(Reverse((Instant::now() + wait, plan)));
    }
}
