//! How much work a round holds, and in which order the rows run.

use std::collections::{BTreeMap, BTreeSet};

use qdjobs_peers_common::{Figure, Way};

use crate::Result;
use crate::args::Args;
use crate::drain_size;
use crate::peer::{Peer, Run};

/// A figure and its amount of work; 0 if the amount could not be found.
type Work = (Figure, u64);
/// The runs, round by round, or why there are none.
pub(crate) type Outcome = std::result::Result<Vec<Run>, String>;

/// Jobs in the first run, which measures how fast a peer is.
const FIRST: u64 = 64;
/// A run shorter than this does not show how much work fits into a round.
const TELLING: f64 = 0.4;
/// The part of the work that a quick run does.
const QUICK: u64 = 20;

/// A peer in one of its ways, with all its runs.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) peer: Peer,
    pub(crate) way: Way<String>,
    pub(crate) runs: BTreeMap<Work, Outcome>,
}

impl Row {
    /// All ways of a peer.
    pub(crate) fn all_of(peer: Peer) -> Vec<Row> {
        let row = |way: &Way<String>| Row { peer: peer.clone(), way: way.clone(), runs: BTreeMap::new() };
        peer.ways.iter().map(row).collect()
    }

    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.peer.name, self.way.name)
    }

    /// Whether it is qdjobs, to which the peers are compared.
    pub(crate) fn is_ours(&self) -> bool {
        self.peer.name == "qdjobs"
    }

    /// The outcomes of a figure, by amount of work.
    pub(crate) fn outcomes(&self, figure: Figure) -> impl Iterator<Item = (u64, &Outcome)> {
        let of_it = self.runs.range((figure, 0)..=(figure, u64::MAX));
        of_it.map(|((_, amount), outcome)| (*amount, outcome))
    }

    /// The drains of this many jobs; empty if they have failed.
    pub(crate) fn drains(&self, jobs: u64) -> &[Run] {
        let runs = self.runs.get(&(Figure::Drain, jobs));
        runs.and_then(|runs| runs.as_deref().ok()).unwrap_or_default()
    }

    fn run(&self, figure: Figure, amount: u64, args: &Args) -> std::result::Result<Run, String> {
        self.peer.run(&self.way, figure, amount, &args.dir).map_err(|error| error.to_string())
    }

    /// The amount of work for a round of this figure.
    fn amount(&self, figure: Figure, args: &Args) -> std::result::Result<u64, String> {
        let part = if args.quick { QUICK } else { 1 };
        let most = match figure {
            Figure::Pickup | Figure::Idle => return Ok(if args.quick { 1 } else { 5 }),
            Figure::Drain => {
                return drain_size::choose(self.rate(figure, drain_size::most(part), args)?, part);
            }
            Figure::Bulk if self.way.bulk == 0 => return Err("it has no bulk call".into()),
            Figure::Bulk => 300_000 / part,
            Figure::Enqueue1 | Figure::Enqueue8 => 50_000 / part,
        };
        let seconds = if args.quick { 0.4 } else { 2.0 };
        let fits = self.rate(figure, most, args)? * seconds;
        Ok((fits as u64).clamp(FIRST, most))
    }

    /// Jobs a second, measured by runs of growing size until one is long enough.
    fn rate(&self, figure: Figure, most: u64, args: &Args) -> std::result::Result<f64, String> {
        let mut amount = if figure == Figure::Bulk { FIRST.max(self.way.bulk) } else { FIRST };
        loop {
            let report = self.run(figure, amount, args)?.report;
            if amount >= most || report.seconds >= TELLING {
                return Ok(report.jobs as f64 / report.seconds);
            }
            amount = (amount * 8).min(most);
        }
    }
}

/// All rows, after all rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) rows: Vec<Row>,
}

impl Rounds {
    /// Each row does its work once a round, one row after the other, so that a slow minute affects all
    /// rows.
    pub(crate) fn run(mut rows: Vec<Row>, args: &Args) -> Result<Rounds> {
        let plan = plan(&mut rows, args);
        for round in 1..=args.rounds {
            for &(figure, amount, nth) in &plan {
                let row = &mut rows[nth];
                if row.runs.get(&(figure, amount)).is_some_and(|runs| runs.is_err()) {
                    continue;
                }
                eprintln!("round {round}: {}, {} {amount} …", row.label(), figure.name());
                let run = row.run(figure, amount, args);
                let runs = row.runs.entry((figure, amount)).or_insert_with(|| Ok(Vec::new()));
                match (runs.as_mut(), run) {
                    (Ok(runs), Ok(run)) => runs.push(run),
                    (_, Err(why)) => *runs = Err(why),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
        Ok(Rounds { rows })
    }
}

/// The work of a round and the rows that do it, ordered so that rows that are compared run one after the
/// other.
fn plan(rows: &mut [Row], args: &Args) -> BTreeSet<(Figure, u64, usize)> {
    let mut plan = BTreeSet::new();
    for (nth, row) in rows.iter_mut().enumerate() {
        eprintln!("how much work fits: {} …", row.label());
        for figure in Figure::ALL {
            match row.amount(figure, args) {
                Ok(amount) => drop(plan.insert((figure, amount, nth))),
                Err(why) => drop(row.runs.insert((figure, 0), Err(why))),
            }
        }
    }
    // qdjobs has to drain as many jobs as each peer, besides its own number.
    let drains: Vec<_> = plan.iter().copied().filter(|(figure, ..)| *figure == Figure::Drain).collect();
    for (_, jobs, _) in drains {
        let ours = (0..rows.len()).filter(|nth| rows[*nth].is_ours());
        plan.extend(ours.map(|nth| (Figure::Drain, jobs, nth)));
    }
    plan
}
