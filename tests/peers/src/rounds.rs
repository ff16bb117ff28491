//! How much work a round holds, and who is next.

use std::collections::{BTreeMap, BTreeSet};

use qdjobs_peers_common::{Figure, Way};

use crate::Result;
use crate::args::Args;
use crate::contender::{Contender, Run};
use crate::rung;

/// A figure, and the amount of work for it; 0 where none was found out.
type Work = (Figure, u64);
/// The runs round by round, or why there are none.
pub(crate) type Outcome = std::result::Result<Vec<Run>, String>;

/// Jobs in the first run, which finds out how fast a contestant is.
const FIRST: u64 = 64;
/// A run shorter than this says little about how much work fits into a round.
const TELLING: f64 = 0.4;
/// The part of the work that a quick run does.
const QUICK: u64 = 20;

/// A contestant in one of its ways, with all that it has done.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) contender: Contender,
    pub(crate) way: Way<String>,
    pub(crate) runs: BTreeMap<Work, Outcome>,
}

impl Row {
    /// All ways of a contestant.
    pub(crate) fn all_of(contender: Contender) -> Vec<Row> {
        let row =
            |way: &Way<String>| Row { contender: contender.clone(), way: way.clone(), runs: BTreeMap::new() };
        contender.ways.iter().map(row).collect()
    }

    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.contender.name, self.way.name)
    }

    /// Not one of the peers, but whom they are compared with.
    pub(crate) fn is_ours(&self) -> bool {
        self.contender.name == "qdjobs"
    }

    /// What came of a figure, by amount of work.
    pub(crate) fn outcomes(&self, figure: Figure) -> impl Iterator<Item = (u64, &Outcome)> {
        let of_it = self.runs.range((figure, 0)..=(figure, u64::MAX));
        of_it.map(|((_, amount), outcome)| (*amount, outcome))
    }

    /// The drains of so many jobs; none if they have failed.
    pub(crate) fn drains(&self, jobs: u64) -> &[Run] {
        let runs = self.runs.get(&(Figure::Drain, jobs));
        runs.and_then(|runs| runs.as_deref().ok()).unwrap_or_default()
    }

    fn run(&self, figure: Figure, amount: u64, args: &Args) -> std::result::Result<Run, String> {
        self.contender.run(&self.way, figure, amount, &args.dir).map_err(|error| error.to_string())
    }

    /// The amount of work for a round of this figure.
    fn amount(&self, figure: Figure, args: &Args) -> std::result::Result<u64, String> {
        let part = if args.quick { QUICK } else { 1 };
        let most = match figure {
            Figure::Pickup | Figure::Idle => return Ok(if args.quick { 1 } else { 5 }),
            Figure::Drain => return rung::choose(self.rate(figure, rung::most(part), args)?, part),
            Figure::Bulk if self.way.bulk == 0 => return Err("it has no bulk call".into()),
            Figure::Bulk => 300_000 / part,
            Figure::Enqueue1 | Figure::Enqueue8 => 50_000 / part,
        };
        let seconds = if args.quick { 0.4 } else { 2.0 };
        let fits = self.rate(figure, most, args)? * seconds;
        Ok((fits as u64).clamp(FIRST, most))
    }

    /// Jobs a second, by runs of growing size until one takes long enough to tell.
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
    /// Each row does each of its works once a round, one row after the other, so that a slow minute strikes all.
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

/// The works of a round and the rows that do them, in an order that puts those side by side which are compared.
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
    // Whom the others are compared with has to drain as many jobs as each of them, besides its own number.
    let drains: Vec<_> = plan.iter().copied().filter(|(figure, ..)| *figure == Figure::Drain).collect();
    for (_, jobs, _) in drains {
        let ours = (0..rows.len()).filter(|nth| rows[*nth].is_ours());
        plan.extend(ours.map(|nth| (Figure::Drain, jobs, nth)));
    }
    plan
}
