//! How much work a round holds, and who is next.

use std::collections::BTreeMap;

use qdjobs_peers_common::{Figure, Way};

use crate::Result;
use crate::args::Args;
use crate::contender::{Contender, Run};

/// Jobs in the first run, which finds out how fast a contestant is.
const FIRST: u64 = 64;
/// A run shorter than this says little about how much work fits into a round.
const TELLING: f64 = 0.4;

/// A contestant in one of its ways, with all that it has done.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) contender: Contender,
    pub(crate) way: Way<String>,
    /// The runs of each figure, round by round, or why there are none.
    pub(crate) runs: BTreeMap<Figure, std::result::Result<Vec<Run>, String>>,
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

    /// The measured runs of a figure; none if it has failed.
    pub(crate) fn measured(&self, figure: Figure) -> &[Run] {
        self.runs.get(&figure).and_then(|runs| runs.as_deref().ok()).unwrap_or_default()
    }

    fn run(&self, figure: Figure, amount: u64, args: &Args) -> std::result::Result<Run, String> {
        self.contender.run(&self.way, figure, amount, &args.dir).map_err(|error| error.to_string())
    }

    /// The amount of work for a round of this figure.
    fn amount(&self, figure: Figure, args: &Args) -> std::result::Result<u64, String> {
        let quick = args.quick;
        let (seconds, most) = match figure {
            Figure::Pickup | Figure::Idle => return Ok(if quick { 1 } else { 5 }),
            Figure::Bulk if self.way.bulk == 0 => return Err("it has no bulk call".into()),
            Figure::Enqueue1 | Figure::Enqueue8 => (2.0, 50_000),
            Figure::Bulk => (2.0, 300_000),
            Figure::Drain => (5.0, 100_000),
        };
        let (seconds, most) = if quick { (0.4, most / 20) } else { (seconds, most) };
        let mut amount = FIRST.max(self.way.bulk * u64::from(figure == Figure::Bulk));
        loop {
            let report = self.run(figure, amount, args)?.report;
            if amount >= most || report.seconds >= TELLING {
                let fits = report.jobs as f64 / report.seconds * seconds;
                return Ok((fits as u64).clamp(FIRST.min(amount), most));
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
    /// Each row does each figure once a round, one row after the other, so that a slow minute of the machine strikes all.
    pub(crate) fn run(mut rows: Vec<Row>, args: &Args) -> Result<Rounds> {
        let mut amounts = BTreeMap::new();
        for (nth, row) in rows.iter_mut().enumerate() {
            eprintln!("how much work fits: {} …", row.label());
            for figure in Figure::ALL {
                match row.amount(figure, args) {
                    Ok(amount) => drop(amounts.insert((figure, nth), amount)),
                    Err(why) => drop(row.runs.insert(figure, Err(why))),
                }
            }
        }
        for round in 1..=args.rounds {
            for ((figure, nth), amount) in &amounts {
                let row = &mut rows[*nth];
                if row.runs.get(figure).is_some_and(|runs| runs.is_err()) {
                    continue;
                }
                eprintln!("round {round}: {}, {} {amount} …", row.label(), figure.name());
                let run = row.run(*figure, *amount, args);
                let runs = row.runs.entry(*figure).or_insert_with(|| Ok(Vec::new()));
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
